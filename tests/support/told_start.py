"""A script that tells, as JSON, what a process finds when it begins to run."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path


def main() -> None:
    """One line on standard output, one on standard error, and exit code 7."""
    files = {number: Path(f"/proc/self/fd/{number}").resolve() for number in map(int, os.listdir("/proc/self/fd"))}  # noqa: PTH208
    told = {
        "words": sys.argv[1:],
        "name": __name__,
        "cwd": str(Path.cwd()),
        "env": dict(os.environ),
        "stdin": sys.stdin.read(),
        "files": sorted(number for number, file in files.items() if file.exists() or number < 3),
        "handled": [number for number in signal.valid_signals() if callable(signal.getsignal(number))],
        "group": os.getpgrp(),
        "umask": os.umask(0o22),
        "ours": sorted(name for name in sys.modules if name.startswith("hk_tick_collector")),
        "clock": getattr(sys.modules.get("sitecustomize"), "__file__", None),
    }
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stderr.write("and this\n")
    sys.exit(7)


if __name__ == "__main__":
    main()
