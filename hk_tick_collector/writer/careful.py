"""Finding the record that kills writers: if each one dies at the same record, nothing is ever stored again.

Content that can't be stored usually raises an error and is put aside. But a fault of a library can also end the
process, or make it hang until the watchdog kills it, and then no error is raised. So when two writers in a row have
ended before they had stored everything, the next one is careful: it takes records one by one, and writes down which one
it is about to store. A record at which two careful writers died is put aside whole, with its bytes.

A writer that dies while it waits for a lock or a disk does not count, nor does one that has raised an error: in both
cases nothing is written down. A machine that is out of memory kills writers at any record. So each further record in a
row takes twice as many deaths before it is put aside, until one has been stored.

Owns `journal/attempt.json`, one such file for each waiting day, and `journal/unfinished`, which counts the writers that
ended too early. The count is in a file, since the watchdog may end the recorder after the first of them. None of these
files is synced: they need to outlive a process, not the machine.
"""

from __future__ import annotations

import json
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from hk_tick_collector import logs
from hk_tick_collector.journal.segments import Position
from hk_tick_collector.mapping import BadTick
from hk_tick_collector.writer.batch import Batch, bad_row

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hk_tick_collector.journal.segments import Record

log = logs.get_logger()

UNFINISHED: Final = "unfinished"
UNFINISHED_MAX: Final = 2  # writers in a row; the next one is careful
TRIES_MAX: Final = 2
DOUBLINGS_MAX: Final = 10
CAREFUL_BYTES: Final = 16_000_000  # of the journal, from where a writer begins: more than a batch holds
KILLED: Final = "writers died of this record"


class _Attempt(NamedTuple):
    """What is written down.

    Attributes:
        place: where the record begins.
        tries: how many writers have tried it.
        aside: how many records in a row were put aside before it, with none stored in between.
    """

    place: Position
    tries: int
    aside: int


class Attempts:
    """What careful writers have tried.

    Attributes:
        is_on: whether this writer is careful.
    """

    def __init__(self, path: Path, *, is_careful: bool) -> None:
        """Read what the last writer has written down: if it was careful and died, this one is careful too."""
        self._path = path
        self._last = _read(path)
        self._aside = self._last.aside if self._last else 0
        self._place_aside: Position | None = None
        self._left_bytes = CAREFUL_BYTES
        self.is_on = is_careful or self._last is not None

    def begin(self, record: Record) -> Batch | None:
        """A record is about to be stored.

        Returns:
            A batch that puts it aside whole, to be stored instead; None: it may be tried.
        """
        place, last = record.start, self._last
        tries = last.tries if last is not None and last.place == place else 0
        if place == self._place_aside:
            return _put_aside(record)
        if tries >= TRIES_MAX << min(self._aside, DOUBLINGS_MAX):
            self._aside += 1
            self._place_aside = place
            size = len(record.payload)
            kept = "its bytes are kept in bad_ticks"
            log.error("record_killed_writers", **place._asdict(), tries=tries, bytes=size, expected=kept)
            return _put_aside(record)
        self._last = _Attempt(place, tries + 1, self._aside)
        self._put_down(self._last)
        return None

    @contextmanager
    def elsewhere(self) -> Iterator[None]:
        """Wraps what waits for a lock or a disk: a writer that dies meanwhile does not die of the record."""
        attempt = self._last
        if attempt is None:  # always, in a writer that is not careful
            yield
            return
        self._path.unlink(missing_ok=True)
        yield
        self._put_down(attempt)

    def survived(self) -> None:
        """An error was raised, or the record is committed: a writer that dies now does not die of the record."""
        if self._last is not None:
            self._path.unlink(missing_ok=True)
            self._last = None

    def _put_down(self, attempt: _Attempt) -> None:
        self._path.write_text(json.dumps(attempt), encoding="utf-8")

    def stored(self, record: Record, *, is_aside: bool) -> None:
        """The record is committed. A writer is careful only for a while."""
        self.survived()
        if not is_aside:
            self._aside = 0
        self._left_bytes -= len(record.payload)
        if self._left_bytes <= 0:
            self.end()

    def end(self) -> None:
        """Stop being careful: there is no need any more, or the writer ends normally."""
        if self.is_on:
            self.is_on = False
            self._path.unlink(missing_ok=True)


class Unfinished:
    """Counts the writers in a row that ended before they had stored everything.

    Attributes:
        is_too_many: whether this writer must be careful, since too many before it ended so.
    """

    def __init__(self, directory: Path) -> None:
        """Count this writer too, until it has finished once."""
        self._path = directory / UNFINISHED
        try:
            before = int(self._path.read_text(encoding="utf-8")[:9])
        except (OSError, ValueError):
            before = 0
        self.is_too_many = before >= UNFINISHED_MAX
        with suppress(OSError):  # a full disk, which is reported when there is something to store
            self._path.write_text(f"{before + 1}\n", encoding="utf-8")
        self._is_over = False

    def finished(self) -> None:
        """Everything that was in the journal is stored."""
        if not self._is_over:
            self._path.unlink(missing_ok=True)
            self._is_over = True


def attempt_file(judge_file: str) -> str:
    """The name of a lane's attempt file, from the name of its judge's file."""
    return judge_file.replace("judge", "attempt")


def _put_aside(record: Record) -> Batch:
    batch = Batch()
    batch.end, batch.is_full, batch.is_aside = record.end, True, True
    bad = BadTick(-1, -1, "", KILLED, record.payload)
    batch.bad.append(bad_row(bad, record.recv_ts_ms, record.start, -1))
    return batch


def _read(path: Path) -> _Attempt | None:
    """None if there is no such file, or it can't be read: then the record is tried once more."""
    try:
        place, tries, aside = json.loads(path.read_text(encoding="utf-8"))
        return _Attempt(Position(*map(int, place)), int(tries), int(aside))
    except (OSError, ValueError, TypeError):
        return None
