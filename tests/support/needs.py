"""What a test needs of a machine besides Python. Where that is not to be had the test is skipped, in one line.

Not so where TESTS=complete, as in .ci/run: there a test that did not run has failed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from pathlib import Path

DEMAND: Final = "TESTS"
PACKAGES: Final = {"mkfs.ext4": "e2fsprogs", "promtool": "prometheus", "umount": "mount"}  # as Debian calls them


def need(lack: str) -> None:
    """Go on where nothing is lacking; `lack` says what is."""
    if lack and os.environ.get(DEMAND) == "complete":
        pytest.fail(f"{DEMAND}=complete, but {lack}", pytrace=False)
    if lack:
        pytest.skip(f"{lack}; .ci/run has all that is needed")


def need_tools(*tools: str) -> None:
    """Programs that are called."""
    for tool in tools:
        if shutil.which(tool) is None:
            need(f"{tool} is not here (Debian: apt-get install {PACKAGES.get(tool, tool)})")


def need_root(why: str) -> None:
    """The rights of root."""
    if os.geteuid() != 0:
        need(f"{why} needs root")


def mount(root: Path, *options: str, kind: str = "tmpfs", what: str | Path = "tmpfs") -> None:
    """Mount something there, which whoever asks takes away again."""
    need_tools("mount", "umount")
    need_root("a file system of its own")
    given = [word for option in options for word in ("-o", option)]
    done = subprocess.run(["mount", "-t", kind, *given, what, root], capture_output=True, text=True, check=False)
    if done.returncode:
        need(f"a file system of its own can't be mounted here: {done.stderr.strip()}")


def unmount(root: Path, *, is_busy: bool = False) -> None:
    """Take it away; where it is busy, when it is not any more."""
    subprocess.run(["umount", *(["-l"] if is_busy else []), root], check=not is_busy, capture_output=is_busy)
