"""Which days are to be sealed, and sealing them one after another.

    python -m hk_tick_collector.seal.due '{"data_root": …, "before_day": …, "rest_sec": …}'

The recorder starts this as a process of its own, which tells each day in a line of JSON and ends when its standard
input does. Owns when a day is over. Never seals by itself: `quality.seal` does.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hk_tick_collector import logs
from hk_tick_collector.errors import AlreadyRunningError, CollectorError
from hk_tick_collector.hktime import DAY_MS, parse_time
from hk_tick_collector.journal.cursor import load_waits, waits_for
from hk_tick_collector.journal.segments import DIRECTORY
from hk_tick_collector.seal.catalog import Catalog
from hk_tick_collector.seal.day import seal, sealing
from hk_tick_collector.store.data_root import read_recorder
from hk_tick_collector.store.schema import day_files
from hk_tick_collector.store.sealed import is_sealed, superseded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hk_tick_collector.seal.certificate import Certificate, Progress

DAYS_MAX: Final = 30
NICE: Final = 19
BUSY: Final = 3  # the exit code where another process seals


def next_day_ms(day: str) -> int:
    """When the next day begins in Hong Kong; from then on it can be sealed."""
    return parse_time(day + "000000").ms + DAY_MS


def now_ms(data_root: Path) -> int:
    """The host's clock; or OpenD's, as a running recorder tells it, where that one is earlier."""
    pid, state = read_recorder(data_root)
    session, host_ms = state.get("session"), time.time_ns() // 1_000_000
    offset_ms = session.get("clock_offset_ms") if pid is not None and isinstance(session, dict) else None
    if not isinstance(offset_ms, int):
        return host_ms
    told_ms = state.get("at_ms")  # some seconds ago: what OpenD's clock was then, no step of the host's has changed
    return min(host_ms, (told_ms if isinstance(told_ms, int) else host_ms) + offset_ms)


def due_days(data_root: Path, before_day: str, rest_sec: float) -> list[str]:
    """Of the newest days those that are to be sealed, oldest first.

    Args:
        data_root: whose.
        before_day: YYYYMMDD; the days before it are over.
        rest_sec: for how long a day that was opened again is left so, since more may come.
    """
    over = [path for path in day_files(data_root) if path.stem < before_day]
    waits = load_waits(data_root / DIRECTORY)  # more is to be stored in these
    return [
        path.stem
        for path in over[-DAYS_MAX:]
        if not waits_for(waits, path.stem) and not is_sealed(path) and _has_rested(path, rest_sec)
    ]


def _has_rested(database: Path, rest_sec: float) -> bool:
    newest = list(superseded(database).values())[-1:]
    return all(time.time() - path.stat().st_ctime >= rest_sec for path in newest)


def seal_days(data_root: Path, days: list[str], progress: Progress) -> Iterator[dict[str, Any]]:
    """Seal some days; what became of each. One that can't be sealed does not keep the others from it.

    Raises:
        AlreadyRunningError, ConfigError: nothing was sealed.
    """
    with sealing(data_root) as lock:
        for day in days:
            try:
                done = seal(data_root / f"{day}.db", lock, progress)
            except (CollectorError, OSError) as exc:
                yield {"day": day, "error": str(exc)}
                continue
            yield {"day": day, "is_new": done.is_new, "sec": round(done.sec, 1), **summary_of(done.certificate)}
    if days:
        Catalog(data_root, progress).close()


def summary_of(certificate: Certificate) -> dict[str, Any]:
    """What is said of a certificate in a line."""
    verdicts = certificate["symbols_by_verdict"]
    return {"verdict": certificate["verdict"], "rows": certificate["rows"], **verdicts}


def main(argv: list[str]) -> int:
    """The process's entry: what to seal as JSON in the first argument."""
    asked = json.loads(argv[0])
    root = Path(asked["data_root"])
    logs.configure(asked["log_level"])
    with contextlib.suppress(OSError):  # a supervisor may forbid even that
        os.setpriority(os.PRIO_PROCESS, 0, NICE)
    threading.Thread(target=_end_with_input, daemon=True).start()
    try:
        for told in seal_days(root, due_days(root, asked["before_day"], asked["rest_sec"]), lambda *_: None):
            sys.stdout.write(json.dumps(told) + "\n")
            sys.stdout.flush()
    except AlreadyRunningError:
        return BUSY
    return 0


def _end_with_input() -> None:
    """A recorder that is gone wants nothing sealed any more; what was begun leaves no trace."""
    with contextlib.suppress(OSError):
        while os.read(sys.stdin.fileno(), 4096):
            pass
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
