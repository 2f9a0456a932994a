#!/usr/bin/env python3
"""Correct times that are eight hours late (docs/contract.md): `hk-tick-collector repair` under its old name.

scripts/repair_future_ts_ms.py --data-root /data/ticks --dry-run

Works with the package installed, and from a checkout: with the Python that is called if that has the dependencies, else
with the checkout's own environment.
"""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
VENV = PROJECT / ".venv"

if find_spec("hk_tick_collector") is None:
    sys.path.insert(0, str(PROJECT))

try:
    from hk_tick_collector.cli.app import entry
except (ImportError, SyntaxError) as exc:  # no dependencies, or a Python before 3.11
    python = VENV / "bin" / "python"
    if python.exists() and Path(sys.prefix) != VENV:
        os.execv(python, [str(python), *sys.argv])  # noqa: S606 - another Python for the same words
    sys.stderr.write(
        f"repair_future_ts_ms: {sys.executable} lacks what the program needs ({exc}): run `bash tools/bootstrap.sh run`"
        f" in {PROJECT} first, or use `hk-tick-collector repair` where it is installed\n"
    )
    sys.exit(2)

if __name__ == "__main__":
    sys.argv.insert(1, "repair")
    entry()
