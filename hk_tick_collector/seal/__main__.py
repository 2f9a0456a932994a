"""The process that seals, as the recorder starts it.

    python -m hk_tick_collector.seal '{"data_root": …, "before_day": …, "quiet_sec": …, "log_level": …}'

It prints one line of JSON per day, and ends when its standard input is closed.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
from pathlib import Path
from typing import Final

from hk_tick_collector import logs
from hk_tick_collector.errors import AlreadyRunningError
from hk_tick_collector.seal.day import seal_days
from hk_tick_collector.seal.due import BUSY, due_days
from hk_tick_collector.store import rehearsal

NICE: Final = 19


def main(argv: list[str]) -> int:
    """The process's entry: what to seal as JSON in the first argument."""
    asked = json.loads(argv[0])
    root = Path(asked["data_root"])
    logs.configure(asked["log_level"])
    with contextlib.suppress(OSError):  # a supervisor may forbid it
        os.setpriority(os.PRIO_PROCESS, 0, NICE)
    threading.Thread(target=_end_with_input, daemon=True).start()
    try:
        rehearsal.follow(root)
        for told in seal_days(root, due_days(root, asked["before_day"], asked["quiet_sec"]), lambda *_: None):
            sys.stdout.write(json.dumps(told) + "\n")
            sys.stdout.flush()
    except AlreadyRunningError:
        return BUSY
    return 0


def _end_with_input() -> None:
    """End the process when the recorder is gone; an unfinished sealing leaves no certificate."""
    with contextlib.suppress(OSError):
        while os.read(sys.stdin.fileno(), 4096):
            pass
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
