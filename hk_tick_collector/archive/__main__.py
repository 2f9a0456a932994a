"""The process that archives, as the recorder starts it in the night.

    python -m hk_tick_collector.archive '{"data_root": …, "today": …, "keep_days": …, "log_level": …}'

It prints one line of JSON per day, and ends when its standard input is closed.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from hk_tick_collector import logs
from hk_tick_collector.archive.days import archive_days, restore_days
from hk_tick_collector.archive.due import days_to_restore, due_days
from hk_tick_collector.errors import AlreadyRunningError
from hk_tick_collector.seal.due import BUSY
from hk_tick_collector.seal.nightly_process import give_way, print_line
from hk_tick_collector.store import rehearsal


def main(argv: list[str]) -> int:
    """The process's entry: what to archive as JSON in the first argument."""
    asked = json.loads(argv[0])
    root = Path(asked["data_root"])
    logs.configure(asked["log_level"])
    give_way()
    try:
        rehearsal.follow(root)
        for told in restore_days(root, days_to_restore(root), lambda *_: None):
            print_line({"kind": "restored", **told})
        for told in archive_days(root, due_days(root, asked["today"], asked["keep_days"]), lambda *_: None):
            print_line({"kind": "archived", **told})
    except AlreadyRunningError:
        return BUSY
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
