"""Puts pip into the virtual environment whose Python runs this: for a Python without ensurepip, such as Debian's.

Needs nothing but that Python. What it takes from the package index (PIP_INDEX_URL, else PyPI) must be the very file
that is named here. A fault is one line on standard error and exit 1.
"""

from __future__ import annotations

import hashlib
import json
import os
import ssl
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request
from pathlib import Path

FILE = "pip-26.3-py3-none-any.whl"
SHA256 = "f3b60b20ffaadd4415ed7957212a38ac63fa4c5fa375bd0f4a797777940fad13"
INDEX = "https://pypi.org/simple"
TIMEOUT_SEC = 60.0
BYTES_MAX = 20_000_000


def get(url: str, accept: str = "*/*") -> bytes:
    """What stands there, by a connection that is as safe as pip's would be."""
    if not url.startswith("https://"):
        sys.exit(f"fetch_pip: {url} is no https address: install pip or ensurepip by other means")
    context = ssl.create_default_context(cafile=os.environ.get("PIP_CERT") or None)
    request = urllib.request.Request(url, headers={"Accept": accept})  # noqa: S310 - https, as seen above
    with urllib.request.urlopen(request, timeout=TIMEOUT_SEC, context=context) as response:  # noqa: S310 - likewise
        data: bytes = response.read(BYTES_MAX)
    return data


def main() -> None:
    """Find it, check it, and have it install itself."""
    index = (os.environ.get("PIP_INDEX_URL") or INDEX).rstrip("/")
    try:
        listing = json.loads(get(f"{index}/pip/", "application/vnd.pypi.simple.v1+json"))
        url = next(file["url"] for file in listing["files"] if file["filename"] == FILE)
        wheel = get(urllib.parse.urljoin(f"{index}/pip/", url))
    except (OSError, ValueError, KeyError, StopIteration) as exc:
        sys.exit(f"fetch_pip: {FILE} can't be had from {index}: {type(exc).__name__}: {exc}")
    if hashlib.sha256(wheel).hexdigest() != SHA256:
        sys.exit(f"fetch_pip: {FILE} from {index} is another file than expected: its SHA-256 is not {SHA256}")
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / FILE
        path.write_bytes(wheel)
        command = [sys.executable, f"{path}/pip", "install", "--quiet", "--no-index", "--no-deps", str(path)]
        sys.exit(subprocess.run(command, check=False).returncode)  # noqa: S603 - what was checked above


if __name__ == "__main__":
    main()
