"""The writer process, as the recorder starts it.

    python -m hk_tick_collector.writer '{"data_root": …}'

Signals that a terminal or a supervisor sends to the whole group are ignored: the recorder says when to stop.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
from pathlib import Path
from typing import Final

from hk_tick_collector import logs
from hk_tick_collector.errors import CollectorError
from hk_tick_collector.store import rehearsal
from hk_tick_collector.store.data_root import WRITER_LOCK, hold_lock
from hk_tick_collector.watch import stacks
from hk_tick_collector.writer.loop import LAST_TRIES_SEC, run
from hk_tick_collector.writer.pipe import RecorderPipe
from hk_tick_collector.writer.settings import WriterSettings

log = logs.get_logger()

# A batch makes some 60,000 objects and frees them all without cycles: searching them for cycles wastes time.
GC_THRESHOLD: Final = 200_000


def main(argv: list[str]) -> int:
    """The process's entry: settings as JSON in the first argument."""
    settings = WriterSettings(**json.loads(argv[0]))
    stacks.hold_signal()
    logs.configure(settings.log_level, is_threaded=True)
    stacks.enable()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    os.set_blocking(sys.stdout.fileno(), False)
    try:
        rehearsal.follow(Path(settings.data_root))
        # A writer whose recorder was killed still stores what the journal holds: wait until it is done.
        hold_lock(Path(settings.data_root), WRITER_LOCK, LAST_TRIES_SEC + 10)
        gc.freeze()
        gc.set_threshold(GC_THRESHOLD)
        return run(settings, RecorderPipe(sys.stdin.fileno()))
    except CollectorError as exc:
        log.error("writer_failed", error=exc)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
