"""Reads what `export --format futu` wrote: a zip with one CSV for each symbol, in the official SDK's columns.

Owns the way back from its words to OpenD's numbers. A row that makes no sense is a fault of its day, named by its file
and line: such a file was changed since it was exported, so nothing of it is stored as if it were whole.

The format has not all of a tick: how and when it came is not in it. Such a tick is stored as fetched, received at the
time of the trade. The SDK writes `N/A` for a number that it has no word for.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from contextlib import contextmanager
from io import TextIOWrapper
from math import isfinite
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from hk_tick_collector.errors import BadTickError, ForeignFileError, TimeFormatError
from hk_tick_collector.hktime import day_begin_ms, parse_time
from hk_tick_collector.mapping import PushType
from hk_tick_collector.migrate.tick_source import ROWS_AT_ONCE, TickSource, is_symbol
from hk_tick_collector.opend.numbers import DIRECTIONS, TICK_TYPES
from hk_tick_collector.store.schema import INT64_MAX
from hk_tick_collector.text import counted, excerpt

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from collections.abc import Set as AbstractSet
    from pathlib import Path

    from hk_tick_collector.mapping import Row
    from hk_tick_collector.migrate.tick_source import Progress

FORM: Final = "export --format futu"
COLUMNS: Final = ("code", "name", "time", "price", "volume", "turnover", "ticker_direction", "sequence", "type")
HEADER: Final = ",".join(COLUMNS)

_LINE_MAX: Final = 4096  # characters
_TIMES_MAX: Final = 200_000
_TELL_EVERY: Final = 100_000  # lines
_NOT_TOLD: Final = 0  # push_data_type
_NUMBER: Final = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?", re.ASCII)
_WHOLE: Final = re.compile(r"-?\d{1,19}", re.ASCII)
_TIME: Final = re.compile(r"(\d{4})-(\d\d)-(\d\d) \d\d:\d\d:\d\d(?:\.\d{1,3})?", re.ASCII)
_DIRECTIONS: Final = {name: number for number, name in DIRECTIONS.items()} | {"N/A": 0}
# The vendor's SDK misspells one.
_TYPES: Final = {name: number for number, name in TICK_TYPES.items()} | {"N/A": 0, "REOPENINGP_RICED": 28}
_OTHER: Final = re.compile(r"(?:DIRECTION|TYPE)_(-?\d{1,9})", re.ASCII)


class FutuZip(TickSource):
    """Such a zip. One pass serves several days, since each symbol's CSV has them all."""

    days_at_once = 8

    def __init__(self, path: Path, progress: Progress) -> None:
        """Look at each CSV: its columns, and the days in it.

        Raises:
            ForeignFileError: it is no whole zip, or not one of `export --format futu`.
            OSError: it can't be read.
        """
        super().__init__(path, FORM)
        self._times: dict[str, int] = {}
        found: set[str] = set()
        with self._reading(), zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            if not entries:
                raise ForeignFileError(f"{path} is an empty zip, expected a CSV for each symbol")
            for number, entry in enumerate(entries):
                self._check_name(entry.filename)
                progress(f"{path.name}: CSVs looked at", number, len(entries))
                found |= self._days_of(archive, entry)
        self.days = tuple(sorted(found))

    def _check_name(self, name: str) -> None:
        at = PurePosixPath(name)
        if at.suffix != ".csv" or not is_symbol(at.stem) or at.name != name:
            raise ForeignFileError(
                f"{self.path} has {excerpt(name)!r} in it, expected a zip of export --format futu: files such as "
                "HK.00700.csv"
            )

    def _days_of(self, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> set[str]:
        seen: dict[str, str] = {}
        for number, line in self._lines(archive, entry):
            self.rows += 1
            try:
                written = line.split(",", 3)[2][:10]
            except IndexError:
                raise self._wrong(entry, number, _columns_told(line)) from None
            if written not in seen:
                time = line.split(",", 3)[2]
                match = _TIME.match(time)
                try:
                    day_begin_ms(seen.setdefault(written, "".join(match.groups()) if match else "no day"))
                except TimeFormatError:
                    raise self._wrong(entry, number, _time_told(time)) from None
        return set(seen.values())

    def chunks(self, days: AbstractSet[str]) -> Iterator[tuple[str, list[Row]]]:
        """The rows of some of its days: see the base."""
        with self._reading(), zipfile.ZipFile(self.path) as archive:
            for entry in archive.infolist():
                held: dict[str, list[Row]] = {}
                symbol = entry.filename.removesuffix(".csv")
                for number, line in self._lines(archive, entry):
                    fields = line.split(",")
                    day = fields[2][:10].replace("-", "")
                    if day not in days or day in self.faults:
                        continue
                    try:
                        held.setdefault(day, []).append(self._row(symbol, fields))
                    except BadTickError as exc:
                        self.faults[day] = str(self._wrong(entry, number, str(exc)))
                        held.pop(day, None)
                        continue
                    if len(held[day]) == ROWS_AT_ONCE:
                        yield day, held.pop(day)
                yield from held.items()

    def _lines(self, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Iterator[tuple[int, str]]:
        """The lines of a CSV after its header, each with its number."""
        with archive.open(entry) as file, TextIOWrapper(file, encoding="utf-8") as text:
            header = text.readline(_LINE_MAX).rstrip("\r\n")
            if header != HEADER:
                raise ForeignFileError(
                    f"{self.path}: {entry.filename} has the columns {excerpt(header)!r}, expected {HEADER}"
                )
            number = 1
            while line := text.readline(_LINE_MAX):
                number += 1
                if not line.endswith("\n"):
                    raise self._wrong(entry, number, "a line without an end: the file is cut off")
                yield number, line.rstrip("\r\n")

    def _row(self, symbol: str, fields: list[str]) -> Row:
        if len(fields) != len(COLUMNS):
            raise BadTickError(_columns_told(",".join(fields)))
        code, _, time, price, volume, turnover, direction, sequence, kind = fields
        if code != symbol:
            raise BadTickError(f"code {excerpt(code)!r}, expected {symbol}")
        ts_ms = self._times.get(time)
        if ts_ms is None:
            ts_ms = self._time(time)
        seq = _whole("sequence", sequence)
        if not seq:
            raise BadTickError("sequence 0, expected another number")
        return (
            symbol, seq, ts_ms, _number("price", price), _whole("volume", volume), _number("turnover", turnover),
            _id_of("ticker_direction", direction, _DIRECTIONS, "DIRECTION_"), _id_of("type", kind, _TYPES, "TYPE_"),
            int(PushType.BACKFILL), _NOT_TOLD, ts_ms, ts_ms,
        )  # fmt: skip

    def _time(self, written: str) -> int:
        if _TIME.fullmatch(written) is None:
            raise BadTickError(_time_told(written))
        try:
            ts_ms = parse_time(written).ms
        except TimeFormatError as exc:
            raise BadTickError(str(exc)) from exc
        if len(self._times) > _TIMES_MAX:
            self._times.clear()
        self._times[written] = ts_ms
        return ts_ms

    def _wrong(self, entry: zipfile.ZipInfo, number: int, what: str) -> ForeignFileError:
        return ForeignFileError(f"{self.path}: {entry.filename} line {number}: {what}")

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Name the file in what goes wrong with its bytes."""
        try:
            yield
        except UnicodeDecodeError as exc:
            raise ForeignFileError(f"{self.path} has text that is not UTF-8: {exc.reason}") from exc
        except (zipfile.BadZipFile, zlib.error, EOFError) as exc:
            raise ForeignFileError(f"{self.path} is no whole zip: {exc}; copy it again") from exc
        except (RuntimeError, NotImplementedError) as exc:  # encrypted; packed in a way that Python can't unpack
            raise ForeignFileError(f"{self.path} can't be unpacked: {exc}") from exc


def _columns_told(line: str) -> str:
    return f"{counted(line.count(',') + 1, 'column')}, expected {len(COLUMNS)}"


def _time_told(written: str) -> str:
    return f"time {excerpt(written)!r}, expected such as 2026-11-20 09:30:00.123"


def _number(name: str, written: str) -> float:
    if _NUMBER.fullmatch(written) is None or not isfinite(number := float(written)):
        raise BadTickError(f"{name} {excerpt(written)!r}, expected a finite number")
    return number


def _whole(name: str, written: str) -> int:
    if _WHOLE.fullmatch(written) is None or abs(number := int(written)) > INT64_MAX:
        raise BadTickError(f"{name} {excerpt(written)!r}, expected a whole number")
    return number


def _id_of(column: str, word: str, numbers: Mapping[str, int], other: str) -> int:
    number = numbers.get(word)
    if number is None:
        match = _OTHER.fullmatch(word)
        if match is None or not word.startswith(other):
            raise BadTickError(f"{column} {excerpt(word)!r}, expected a word of OpenD's, or {other} and a number")
        number = int(match[1])
    return number
