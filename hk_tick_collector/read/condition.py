"""What is proven about a day, symbol by symbol, for a reader: from its certificate, or else from an audit made now.

Owns the meaning of `require=`. Never writes.

    "complete"       each symbol's verdict is COMPLETE
    "no_open_gaps"   nothing is known to be missing in the range, and no interruption of that day is left in doubt

An interruption that is not proven harmless is as bad as a gap: so an open doubt counts, wherever in the day it lies.
So does a loss whose place is not known, and a day or a symbol that nobody watched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from hk_tick_collector.audit.counted import OUTVOTED, Votes
from hk_tick_collector.audit.day import Gap, Verdict, audit_day
from hk_tick_collector.audit.wording import bounds_of, clock_text, loss_text
from hk_tick_collector.errors import ArchiveError, ConfigError, DatabaseError, NotProvenError
from hk_tick_collector.ledger.counting import OTHERS_MIN
from hk_tick_collector.parquet.layout import ticks_path
from hk_tick_collector.read.archived_day import open_archived
from hk_tick_collector.read.asking import shown_day
from hk_tick_collector.read.sources import database_of, no_data
from hk_tick_collector.store import certificate_file
from hk_tick_collector.store.other_disks import is_there
from hk_tick_collector.store.sealed import certificate_of
from hk_tick_collector.store.stored import read_stats

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from hk_tick_collector.audit.day import DayAudit
    from hk_tick_collector.read.asking import Span
    from hk_tick_collector.store.certificate_file import Certificate

COMPLETE: Final = "complete"
NO_OPEN_GAPS: Final = "no_open_gaps"
REQUIREMENTS: Final = (COMPLETE, NO_OPEN_GAPS)

_NO_LEDGER: Final = "recorded by a version that kept no ledger of losses"
_SHOWN_MAX: Final = 3  # faults in a message: it stays one line


class SymbolCondition(NamedTuple):
    """What is proven about a symbol's day.

    Attributes:
        symbol: such as `HK.00700`.
        verdict: `COMPLETE`, `INCOMPLETE` or `UNPROVABLE`.
        reasons: what is missing and why, or what prevents a proof; empty if it is COMPLETE.
        gaps: where ticks are missing, or were missing until they came late (`state` is `open` or `filled`).
        doubts: interruptions for which it is not known whether anything is missing; None: not known how many.
        rows: number of stored ticks.
        missing: ticks that are missing; None: not known, or none are known to be missing.
        missing_volume: shares that are missing at least; None: not known, or none are known to be missing.
        recorded: whether it was to be recorded on this day.
    """

    symbol: str
    verdict: Verdict
    reasons: tuple[str, ...]
    gaps: tuple[Gap, ...]
    doubts: int | None
    rows: int
    missing: int | None
    missing_volume: int | None
    recorded: bool

    @property
    def open_gaps(self) -> tuple[Gap, ...]:
        """The gaps that are not filled."""
        return tuple(gap for gap in self.gaps if gap.state == "open")


class DayCondition(NamedTuple):
    """What is proven about a day.

    Attributes:
        day: YYYYMMDD.
        verdict: of the symbols that were to be recorded: the worst of theirs.
        sealed: whether it is from a certificate; else from an audit made now, and it may change.
        symbols: by symbol.
        not_counted: numbers of the types of ticks that the exchange is proven not to count in its totals.
    """

    day: str
    verdict: Verdict
    sealed: bool
    symbols: Mapping[str, SymbolCondition]
    not_counted: frozenset[int]


def condition_of(root: Path, day: str) -> DayCondition:
    """What is proven about a day. Without a certificate it is audited, which reads the whole day.

    Raises:
        NoDataError: there is no such day.
        DatabaseError, ForeignFileError, ArchiveError: its files can't be read.
    """
    path = database_of(root, day)
    if certificate_of(path).exists():
        return _of_certificate(certificate_file.read(certificate_of(path)))
    if is_there(path):
        return _of_database(path)
    archived = ticks_path(root, day)
    if archived.exists():
        return _of_certificate(_certificate_in(archived))
    raise no_data(root, day)


def _certificate_in(archived: Path) -> Certificate:
    with open_archived(archived) as file:
        certificate = file.certificate
    if certificate.get("self") != certificate_file.hash_of(certificate):
        raise ArchiveError(f"the certificate in {archived} was modified: its contents do not match its hash")
    return certificate


def _of_certificate(told: Certificate) -> DayCondition:
    gaps: dict[str, list[Gap]] = {}
    for row in told["ledger"]:
        gaps.setdefault(row["symbol"], []).append(Gap(**row))
    found = (_certified(one, tuple(gaps.get(one["symbol"], ()))) for one in told["symbols"])
    types = {
        one["tick_type_id"]: (_votes(one), _votes(one["other_days"])) for one in told.get("types", ())
    }  # version 1 had none
    return DayCondition(
        day=told["day"],
        verdict=Verdict(told["verdict"]),
        sealed=True,
        symbols={one.symbol: one for one in found},
        not_counted=_not_counted(types),
    )


def _certified(told: Mapping[str, Any], gaps: tuple[Gap, ...]) -> SymbolCondition:
    return SymbolCondition(
        symbol=told["symbol"],
        verdict=Verdict(told["verdict"]),
        reasons=tuple(told["reasons"]),
        gaps=gaps,
        doubts=told.get("doubts"),
        rows=told["rows"],
        missing=told["missing"],
        missing_volume=told["missing_volume"],
        recorded=told.get("recorded", True),
    )


def _of_database(path: Path) -> DayCondition:
    try:
        audit = audit_day(path)
    except ConfigError:  # of a newer version, or another program's
        raise
    except DatabaseError:
        stats = read_stats(path)  # raises if it can't be read
        return _without_ledger(path.stem, {symbol: row.rows for symbol, row in stats.items()})
    return _audited(audit)


def _audited(audit: DayAudit) -> DayCondition:
    found = {
        one.symbol: SymbolCondition(
            symbol=one.symbol,
            verdict=one.verdict,
            reasons=one.reasons,
            gaps=one.gaps,
            doubts=one.doubts,
            rows=one.rows,
            missing=one.missing,
            missing_volume=one.missing_volume,
            recorded=one.recorded,
        )
        for one in audit.symbols
    }
    types = {t: (audit.types.get(t, Votes()), audit.history.get(t, Votes())) for t in {*audit.types, *audit.history}}
    return DayCondition(audit.day, audit.verdict, sealed=False, symbols=found, not_counted=_not_counted(types))


def _without_ledger(day: str, rows: Mapping[str, int]) -> DayCondition:
    """Of a day whose database has no ledger, or holds nothing yet."""
    found = {
        symbol: SymbolCondition(symbol, Verdict.UNPROVABLE, (_NO_LEDGER,), (), None, count, None, None, recorded=True)
        for symbol, count in rows.items()
    }
    return DayCondition(day, Verdict.UNPROVABLE, sealed=False, symbols=found, not_counted=frozenset())


def _votes(told: Mapping[str, Any]) -> Votes:
    return Votes(told["counted"], told["not_counted"])


def _not_counted(votes: Mapping[int, tuple[Votes, ...]]) -> frozenset[int]:
    """The types that are proven not to be counted, by the audit's rule."""
    found = set()
    for number, some in votes.items():
        counted, against = sum(one.counted for one in some), sum(one.not_counted for one in some)
        if against >= OTHERS_MIN and against >= OUTVOTED * counted:
            found.add(number)
    return frozenset(found)


# ---- what a reader requires


def require_proven(
    root: Path, days: Iterable[str], symbols: tuple[str, ...] | None, span: Span, requirement: str
) -> None:
    """Check that each of these symbols (None: all that a day has) is proven on each day.

    Raises:
        NotProvenError: names the symbols, the days and the reasons.
        DatabaseError, ForeignFileError, ArchiveError: a day's files can't be read.
    """
    faults = [
        f"{symbol} on {shown_day(day)} ({why})"
        for day in days
        for symbol, why in _unproven(condition_of(root, day), symbols, span, requirement)
    ]
    if faults:
        more = len(faults) - _SHOWN_MAX
        shown = ", ".join(faults[:_SHOWN_MAX]) + (f", and {more} more" if more > 0 else "")
        raise NotProvenError(f'require="{requirement}" does not hold for {shown}')


def _unproven(
    day: DayCondition, symbols: tuple[str, ...] | None, span: Span, requirement: str
) -> Iterator[tuple[str, str]]:
    for symbol in sorted(day.symbols) if symbols is None else symbols:
        told = day.symbols.get(symbol)
        if told is None:
            yield symbol, "it was not recorded"
        elif told.verdict is Verdict.COMPLETE:
            continue
        elif requirement == COMPLETE:
            yield symbol, f"{told.verdict}: {told.reasons[0] if told.reasons else 'no reason is known'}"
        elif why := _why_open(told, day.day, *span.limits_on(day.day)):
            yield symbol, why


def _why_open(told: SymbolCondition, day: str, begin_ms: int | None, end_ms: int | None) -> str:
    """Why a symbol may lack ticks in a range of the day; "": nothing says so."""
    if not told.recorded:
        return "it was not to be recorded, so nobody watched for gaps"
    if told.doubts is None:
        return _NO_LEDGER
    for gap in told.open_gaps:
        first_ms, last_ms = bounds_of(gap)
        begins_in_time = end_ms is None or first_ms is None or first_ms < end_ms
        if begins_in_time and (begin_ms is None or last_ms is None or last_ms >= begin_ms):
            until = "" if last_ms is None else f" until {clock_text(last_ms, day)}"
            return f"an open gap{until}: {loss_text(gap.missing, gap.missing_volume)} missing"
    if told.doubts:
        return f"{told.doubts} interruptions in doubt" if told.doubts > 1 else "an interruption in doubt"
    if told.verdict is Verdict.INCOMPLETE and not told.open_gaps:
        return f"{loss_text(told.missing, told.missing_volume)} missing, not known where"
    return ""
