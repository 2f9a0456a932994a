"""The entry of the read API: a DATA_ROOT, the days in it, what is proven about them, and their ticks.

Owns the checks of what is asked for, before anything is read: an error then has a class of ours and says what to do.
Never writes, and never blocks a recorder.
"""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hk_tick_collector.errors import ConfigError, NoDataError
from hk_tick_collector.hktime import HK
from hk_tick_collector.read.asking import (
    COUNTED,
    NO_ODD_LOTS,
    ODD_LOTS,
    Span,
    columns_asked,
    day_of,
    span_of,
    symbols_asked,
    types_asked,
)
from hk_tick_collector.read.sources import days_away, days_here, facts_on, no_data, symbols_on
from hk_tick_collector.read.wanted import Wanted

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date

    import pyarrow as pa

    from hk_tick_collector.read.asking import Range, Symbols, Types, When
    from hk_tick_collector.read.bar_rules import Auctions, Like
    from hk_tick_collector.read.condition import DayCondition
    from hk_tick_collector.read.follow import Follow
    from hk_tick_collector.read.ticks import Ticks

_REQUIREMENTS: Final = ("complete", "no_open_gaps")
_SHOWN_MAX: Final = 3


class DataRoot:
    """The directory that a recorder records to; also a copy of it, or of some of its days.

        data = DataRoot("/var/lib/hk-tick-collector")
        data.ticks("HK.00700", "2026-11-20").to_pandas()

    Attributes:
        path: the directory.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        """Open a DATA_ROOT.

        Args:
            path: the directory; None: the recorder's setting DATA_ROOT, from the environment, `.env` or
                `hk-tick-collector.toml` in the working directory.

        Raises:
            ConfigError: it is not a directory that this user can read, or a setting is wrong.
        """
        self.path = _default() if path is None else Path(path).expanduser()
        if not self.path.is_dir():
            what = "is a file" if self.path.exists() else "does not exist"
            raise ConfigError(f"DATA_ROOT {self.path.absolute()} {what}: expected the directory of a recorder")
        if not os.access(self.path, os.R_OK | os.X_OK):
            raise ConfigError(f"DATA_ROOT {self.path.absolute()} can't be read by this user: join the recorder's group")

    def __repr__(self) -> str:
        return f"DataRoot({str(self.path)!r})"

    def days(self) -> list[date]:
        """The days whose ticks can be read here, oldest first: live, over, sealed or archived.

        A sealed day whose database was moved elsewhere is not among them.
        """
        return [_date(day) for day in days_here(self.path)]

    def condition(self, day: When) -> DayCondition:
        """What is proven about a day: for each symbol its verdict, the reasons, and its gaps.

        Of a sealed day, this is what its certificate says, also if its ticks are elsewhere. Any other day is audited
        now, which reads the whole day: seconds for millions of ticks.

        Args:
            day: a date, or a text such as `2026-11-20`, `today` or `yesterday`.

        Raises:
            ConfigError: it is not a day.
            NoDataError: nothing is known of that day.
            DatabaseError, ForeignFileError, ArchiveError: its files can't be read.
        """
        from hk_tick_collector.read.condition import condition_of  # noqa: PLC0415 - most callers need no audit

        return condition_of(self.path, day_of(day))

    def ticks(
        self,
        symbols: Symbols | None = None,
        when: When | Range | None = None,
        *,
        columns: Iterable[str] | None = None,
        types: Types | None = None,
        require: str | None = None,
    ) -> Ticks:
        """Ticks of symbols in a range of time, sorted by day, symbol and sequence. Reads them when they are consumed.

        Args:
            symbols: one or many stock codes in any usual form (`HK.00700`, `700`, `0700.HK`); None: all.
            when: a day, or a range `(begin, end)` or `slice(begin, end)` of days or instants; None: all days here. A
                range begins with its first day or instant. A day at its end is included whole; an instant at its end
                is not included. None in a range is no limit: then it is as long as the days that are here. Times
                without a zone are Hong Kong's.
            columns: the columns, in this order; None: all.
            types: names or numbers of the types of ticks; `no_odd_lots`: all but odd lots; `counted`: all but those
                that are proven not to be in the exchange's totals, day by day; None: all.
            require: what has to be proven of each symbol on each of the days: `complete`: its verdict is COMPLETE;
                `no_open_gaps`: nothing is known to be missing in the range, and no interruption of the day is in
                doubt; None: nothing.

        Raises:
            ConfigError: something of this is not what was expected.
            NoDataError: there is no such day or symbol, a day of the range is away, or the range is empty.
            NotProvenError: what is required does not hold.
            DatabaseError, ForeignFileError, ArchiveError: a day's files can't be read.
        """
        from hk_tick_collector.read.ticks import Ticks  # noqa: PLC0415 - needs pyarrow only when it is consumed

        span = span_of(when)
        wanted = Wanted(columns_asked(columns), symbols_asked(symbols))
        kinds = types_asked(types)
        if require is not None and require not in _REQUIREMENTS:
            raise ConfigError(f"require={require!r}, expected 'complete', 'no_open_gaps' or None")
        days = self._days_in(span)
        if wanted.symbols is not None:
            self._check_known(wanted.symbols, days, span)
        if require is not None:
            from hk_tick_collector.read.condition import require_proven  # noqa: PLC0415

            require_proven(self.path, days, wanted.symbols, span, require)
        return Ticks(self.path, days, span, {day: self._on(day, wanted, span, kinds) for day in days})

    def bars(
        self,
        symbols: Symbols | None = None,
        when: When | Range | None = None,
        every: str = "1m",
        *,
        auctions: Auctions | None = None,
        types: Types | None = None,
        like: Like | None = None,
        require: str | None = None,
    ) -> pa.Table:
        """Bars of ticks, sorted by day, symbol and time; `docs/research.md` explains the columns and the rules.

        Args:
            symbols: as of `ticks`.
            when: as of `ticks`. If it begins or ends within a bar, that bar has only the ticks in the range.
            every: `5s`, `1m`, `1h`, `1d`, or an amount that closes a bar: `1000 ticks`, `1e6 shares`, `1e7 HKD`.
            auctions: `own`: each auction is a bar of its own (the default); `merge`: it belongs to the bar beside it;
                `drop`: leave out what was traded in the auctions' sessions. A bar of `1d` has them merged or dropped.
            types: names or numbers of the types of ticks: only those count, and each of them sets prices. With
                `no_odd_lots`, `counted` or None, only automatic matches and auctions set prices.
            like: `futu`: labels at the end, the opening auction as a bar of its own at 09:30, the closing auction
                merged.
            require: as of `ticks`.

        Raises:
            ConfigError, NoDataError, NotProvenError, DatabaseError, ForeignFileError, ArchiveError: as `ticks`.
        """
        from hk_tick_collector.read.bars import TICK_COLUMNS, make_bars  # noqa: PLC0415 - most callers need no bars

        kinds = types_asked(types)
        ticks = self.ticks(symbols, when, columns=TICK_COLUMNS, types=kinds, require=require)
        return make_bars(
            ticks.batches(),
            every,
            facts=lambda day: facts_on(self.path, day),
            auctions=auctions,
            price_types=kinds if isinstance(kinds, frozenset) else None,
            like=like,
        )

    def follow(
        self,
        symbols: Symbols | None = None,
        since: When | None = None,
        *,
        columns: Iterable[str] | None = None,
        types: Types | None = None,
    ) -> Follow:
        """Ticks from a moment of the past into the present, each once, as they are committed: see `Follow`.

        Args:
            symbols: one or many stock codes; None: all. One that has never traded is no error: it may trade later.
            since: a day or an instant: ticks traded from then on; None: ticks that are committed from now on.
            columns: the columns, in this order; None: all.
            types: names or numbers of the types of ticks, or `no_odd_lots`; None: all.

        Raises:
            ConfigError: something of this is not what was expected.
            NoDataError: a day since then is away.
        """
        from hk_tick_collector.read.follow import Follow  # noqa: PLC0415 - most callers follow nothing

        kinds = types_asked(types)
        if kinds == COUNTED:
            raise ConfigError(
                f"types={COUNTED!r} is proven only when a day is over: expected {NO_ODD_LOTS!r} or names of types"
            )
        wanted = _of_types(Wanted(columns_asked(columns), symbols_asked(symbols)), kinds)
        return Follow(self.path, since, wanted)

    # ---- what is asked for, against what is there

    def _days_in(self, span: Span) -> tuple[str, ...]:
        """The days to read.

        Raises:
            NoDataError: there are none, or one of them is away.
        """
        here = days_here(self.path)
        days = tuple(day for day in here if span.has(day))
        if span.is_one_day and not days:
            raise no_data(self.path, span.first)
        if not days:
            known = f"there are {_date(here[0])} to {_date(here[-1])}" if here else "no day is recorded there"
            raise NoDataError(f"no data {span} in {self.path.absolute()}: {known}")
        first, last = span.first or days[0], span.last or days[-1]
        away = [day for day in days_away(self.path) if first <= day <= last]
        if away:
            raise no_data(self.path, away[0])
        return days

    def _check_known(self, symbols: tuple[str, ...], days: tuple[str, ...], span: Span) -> None:
        """Refuse symbols that none of the days knows; the newest day usually knows all."""
        unknown = set(symbols)
        for day in reversed(days):
            unknown -= symbols_on(self.path, day)
            if not unknown:
                return
        shown = ", ".join(sorted(unknown)[:_SHOWN_MAX])
        more = f" and {len(unknown) - _SHOWN_MAX} more" if len(unknown) > _SHOWN_MAX else ""
        raise NoDataError(f"no data of {shown}{more} {span}: not recorded then; is the code right?")

    def _on(self, day: str, wanted: Wanted, span: Span, kinds: frozenset[int] | str | None) -> Wanted:
        """What is wanted of one day."""
        begin_ms, end_ms = span.limits_on(day)
        of_day = wanted._replace(begin_ms=begin_ms, end_ms=end_ms)
        if kinds == COUNTED:
            return of_day._replace(without=self.condition(day).not_counted)
        return _of_types(of_day, kinds)


def _of_types(wanted: Wanted, kinds: frozenset[int] | str | None) -> Wanted:
    if kinds == NO_ODD_LOTS:
        return wanted._replace(without=ODD_LOTS)
    return wanted._replace(types=kinds) if isinstance(kinds, frozenset) else wanted


def _default() -> Path:
    if root := os.environ.get("DATA_ROOT"):
        return Path(root).expanduser()
    from hk_tick_collector.config import load_settings  # noqa: PLC0415 - pydantic takes its time

    return load_settings().settings.data_root


def _date(day: str) -> date:
    return datetime.strptime(day, "%Y%m%d").replace(tzinfo=HK).date()
