"""The process that seals, as the recorder starts it.

    python -m hk_tick_collector.seal '{"data_root": …, "before_day": …, "quiet_sec": …, "log_level": …}'

It prints one line of JSON per day, and ends when its standard input is closed.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from hk_tick_collector import logs
from hk_tick_collector.errors import AlreadyRunningError
from hk_tick_collector.seal.day import seal_days
from hk_tick_collector.seal.due import BUSY, due_days
from hk_tick_collector.seal.nightly_process import give_way, print_line
from hk_tick_collector.store import rehearsal


def main(argv: list[str]) -> int:
    """The process's entry: what to seal as JSON in the first argument."""
    asked = json.loads(argv[0])
    root = Path(asked["data_root"])
    logs.configure(asked["log_level"])
    give_way()
    try:
        rehearsal.follow(root)
        for told in seal_days(root, due_days(root, asked["before_day"], asked["quiet_sec"]), lambda *_: None):
            print_line(told)
    except AlreadyRunningError:
        return BUSY
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
