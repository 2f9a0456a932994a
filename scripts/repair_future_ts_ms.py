#!/usr/bin/env python3
"""Put times right that are eight hours late (docs/contract.md): `hk-tick-collector repair` under its old name.

python scripts/repair_future_ts_ms.py --data-root /data/ticks --dry-run

Works with the package installed, and from a checkout with its dependencies installed.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

if find_spec("hk_tick_collector") is None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from hk_tick_collector.cli.app import entry

if __name__ == "__main__":
    sys.argv.insert(1, "repair")
    entry()
