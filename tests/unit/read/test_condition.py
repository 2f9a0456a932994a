"""What is proven about a day, and what a reader may require of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import apsw
import pytest
from support.gap_row import put_gaps
from support.reading import LiveDay, archive_day, store_day
from support.scenario import Scenario
from support.sealing import make_day, seal_day, tell_day
from support.ticks import DAY, HSBC, NEXT_DAY, OPEN_MS, TENCENT, row, seq_at

from hk_tick_collector.audit.counted import Votes
from hk_tick_collector.audit.day import Verdict
from hk_tick_collector.errors import ArchiveError, DatabaseError, DatabaseNewerError, NoDataError, NotProvenError
from hk_tick_collector.parquet.layout import archived_days
from hk_tick_collector.read import condition as condition_module
from hk_tick_collector.read.asking import Span, span_of
from hk_tick_collector.read.condition import (
    COMPLETE,
    NO_OPEN_GAPS,
    DayCondition,
    _not_counted,
    condition_of,
    require_proven,
)
from hk_tick_collector.store import certificate_file
from hk_tick_collector.store.schema import MIGRATIONS
from hk_tick_collector.store.sealed import certificate_of

if TYPE_CHECKING:
    from pathlib import Path

WHOLE = Span(DAY, DAY)


def fault(root: Path, requirement: str, *symbols: str, span: Span = WHOLE) -> str:
    """Why the day does not meet the requirement; "": it does."""
    try:
        require_proven(root, [DAY], symbols or None, span, requirement)
    except NotProvenError as exc:
        return str(exc).removeprefix(f'require="{requirement}" does not hold for ')
    return ""


def test_a_proven_day_is_complete_live_sealed_archived_and_away(tmp_path: Path) -> None:
    """The audit, the certificate and the certificate in the archive say the same of each symbol."""
    database = tell_day(Scenario(tmp_path))
    audited = condition_of(tmp_path, DAY)
    assert (audited.verdict, audited.sealed) == (Verdict.COMPLETE, False)
    assert audited.symbols[TENCENT]._replace(gaps=()) == audited.symbols[TENCENT]
    assert (audited.symbols[TENCENT].rows, audited.symbols[TENCENT].reasons) == (40, ())
    seal_day(database)
    sealed = condition_of(tmp_path, DAY)
    assert sealed == audited._replace(sealed=True)
    archive_day(database)
    certificate_of(database).rename(tmp_path / "kept")
    assert condition_of(tmp_path, DAY) == sealed
    (tmp_path / "kept").rename(certificate_of(database))
    assert archived_days(tmp_path) == [DAY]
    assert condition_of(tmp_path, DAY) == sealed
    for requirement in (COMPLETE, NO_OPEN_GAPS):
        assert fault(tmp_path, requirement) == fault(tmp_path, requirement, TENCENT) == ""


def test_what_is_not_proven_is_named_with_its_reason(tmp_path: Path) -> None:
    """The symbol, the day, the verdict, and why; also a symbol that was not recorded."""
    tell_day(Scenario(tmp_path), lost=500)
    assert fault(tmp_path, COMPLETE, TENCENT) == (
        "HK.00700 on 2026-07-31 (INCOMPLETE: 500 shares between the day's beginning and the day's end "
        "(unknown, by totals))"
    )
    assert fault(tmp_path, COMPLETE, HSBC) == "HK.00005 on 2026-07-31 (it was not recorded)"
    assert fault(tmp_path, NO_OPEN_GAPS, HSBC) == "HK.00005 on 2026-07-31 (it was not recorded)"


def test_many_faults_are_one_line(tmp_path: Path) -> None:
    """Three are named, and how many more there are."""
    store_day(tmp_path / f"{DAY}.db", [row(f"HK.0000{n}", seq_at(n)) for n in range(1, 6)])
    found = fault(tmp_path, COMPLETE)
    assert found.startswith("HK.00001 on 2026-07-31 (UNPROVABLE: ")
    assert found.count("on 2026-07-31") == 3
    assert found.endswith(", and 2 more")


def recorded(root: Path, *statements: str) -> Path:
    """A day on which a symbol was to be recorded, and about whose end nothing is proven."""
    day = LiveDay(root / f"{DAY}.db")
    day.push(*(row(TENCENT, seq_at(n), OPEN_MS + n * 60_000) for n in range(60)))
    for statement in ("INSERT INTO recorded VALUES (?, ?, NULL)", *statements):
        day.database.connection.execute(statement, (TENCENT, OPEN_MS))
    day.end()
    return day.path


def test_a_day_that_is_unprovable_may_have_no_open_gap(tmp_path: Path) -> None:
    """That is the weaker requirement."""
    recorded(tmp_path)
    assert fault(tmp_path, NO_OPEN_GAPS) == ""
    assert fault(tmp_path, COMPLETE).startswith("HK.00700 on 2026-07-31 (UNPROVABLE: ")


@pytest.mark.parametrize(
    ("begin", "end", "is_met"),
    [
        ("10:00", "10:10", True),
        ("10:00", "10:11", False),
        ("10:15", "10:16", False),
        ("10:20", "10:30", False),
        ("10:21", "10:30", True),
    ],
)
def test_a_gap_outside_of_the_range_does_not_matter(tmp_path: Path, begin: str, end: str, *, is_met: bool) -> None:
    """It lies between the ticks around it, from 10:10 to 10:20; a filled one never matters."""
    path = recorded(tmp_path)
    bounds = {"before_ts_ms": OPEN_MS + 10 * 60_000, "after_ts_ms": OPEN_MS + 20 * 60_000}
    put_gaps(path, {"missing": 12, **bounds}, {"missing": 3, "state": "filled"})
    span = span_of((f"2026-07-31 {begin}", f"2026-07-31 {end}"))
    found = fault(tmp_path, NO_OPEN_GAPS, span=span)
    assert found == ("" if is_met else "HK.00700 on 2026-07-31 (an open gap until 10:20:00: 12 ticks missing)")
    (told,) = condition_of(tmp_path, DAY).symbols.values()
    assert ([gap.missing for gap in told.gaps], [gap.missing for gap in told.open_gaps]) == ([12, 3], [12])


def test_a_gap_without_a_begin_reaches_back_to_the_days_beginning(tmp_path: Path) -> None:
    """Nothing was stored before it."""
    path = recorded(tmp_path)
    put_gaps(path, {"missing_volume": 500, "since_ms": None, "after_ts_ms": OPEN_MS + 20 * 60_000})
    early = span_of(("2026-07-31 09:00", "2026-07-31 09:01"))
    assert "an open gap until 10:20:00: ≥ 500 shares missing" in fault(tmp_path, NO_OPEN_GAPS, span=early)


def test_an_interruption_in_doubt_is_as_bad_as_a_gap(tmp_path: Path) -> None:
    """Wherever in the day it lies."""
    recorded(tmp_path, "INSERT INTO doubts VALUES (?, ?, 'opend_down', NULL, 'morning', NULL, NULL)")
    late = span_of(("2026-07-31 15:00", "2026-07-31 15:01"))
    assert fault(tmp_path, NO_OPEN_GAPS, span=late) == "HK.00700 on 2026-07-31 (an interruption in doubt)"


def test_a_loss_whose_place_is_not_known_may_be_anywhere(tmp_path: Path) -> None:
    """The exchange counts more than is stored, and no gap explains it."""
    con = apsw.Connection(str(tell_day(Scenario(tmp_path), lost=500)))
    con.execute("DELETE FROM gaps")
    con.close()
    (told,) = condition_of(tmp_path, DAY).symbols.values()
    assert (told.verdict, told.open_gaps) == (Verdict.INCOMPLETE, ())
    assert fault(tmp_path, NO_OPEN_GAPS) == "HK.00700 on 2026-07-31 (≥ 500 shares missing, not known where)"


def test_what_nobody_watched_is_not_proven(tmp_path: Path) -> None:
    """A symbol whose ticks came without being wanted."""
    make_day(tmp_path)
    assert fault(tmp_path, NO_OPEN_GAPS, TENCENT) == (
        "HK.00700 on 2026-07-31 (it was not to be recorded, so nobody watched for gaps)"
    )


def test_a_day_of_a_version_without_a_ledger_is_unprovable(tmp_path: Path) -> None:
    """It can be read, and nothing about it is proven."""
    con = apsw.Connection(str(tmp_path / f"{DAY}.db"))
    con.execute(MIGRATIONS[0].replace("day_of_ts_ms()", f"'{DAY}'"))
    con.execute("PRAGMA application_id = 0x484B5443; PRAGMA user_version = 1")
    con.execute("INSERT INTO symbol_stats VALUES (?, 7, 100, 37240.0, 1, 1, 1, 1, 1)", (TENCENT,))
    con.close()
    told = condition_of(tmp_path, DAY)
    assert (told.verdict, told.symbols[TENCENT].rows) == (Verdict.UNPROVABLE, 7)
    expected = "HK.00700 on 2026-07-31 ({}recorded by a version that kept no ledger of losses)"
    assert fault(tmp_path, COMPLETE) == expected.format("UNPROVABLE: ")
    assert fault(tmp_path, NO_OPEN_GAPS) == expected.format("")


def test_a_day_about_which_nothing_is_known_is_no_day(tmp_path: Path) -> None:
    """Neither a database, nor an archive, nor a certificate."""
    make_day(tmp_path, NEXT_DAY)
    with pytest.raises(NoDataError, match=r"^no data of 2026-07-31 in .*: there are 2026-08-01 to 2026-08-01$"):
        condition_of(tmp_path, DAY)


def test_a_certificate_that_was_modified_is_refused(tmp_path: Path) -> None:
    """One changed number is enough."""
    database = tell_day(Scenario(tmp_path))
    seal_day(database)
    path = certificate_of(database)
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b'"rows": 40', b'"rows": 41'))
    assert path.read_bytes() != whole
    with pytest.raises(DatabaseError, match="was modified: its contents do not match its hash"):
        condition_of(tmp_path, DAY)


def test_a_certificate_in_an_archive_is_checked(tmp_path: Path) -> None:
    """Its own hash has to match."""
    archived = archive_day(make_day(tmp_path))
    with pytest.raises(ArchiveError, match=rf"^the certificate in {archived} was modified"):
        condition_of(tmp_path, DAY)


def test_a_database_of_a_newer_version_is_told_as_such(tmp_path: Path) -> None:
    """Not as a day without a ledger."""
    path = make_day(tmp_path)
    con = apsw.Connection(str(path))
    con.execute("PRAGMA user_version = 99")
    con.close()
    with pytest.raises(DatabaseNewerError):
        condition_of(tmp_path, DAY)


def test_a_certificate_of_version_1_lacks_doubts_and_types(tmp_path: Path) -> None:
    """What it does not tell is not known, and so not proven."""
    database = tell_day(Scenario(tmp_path), lost=500)
    seal_day(database)
    told = certificate_file.read(certificate_of(database))
    symbols = [
        {name: value for name, value in one.items() if name not in {"doubts", "recorded"}} for one in told["symbols"]
    ]
    old: dict[str, Any] = {name: value for name, value in told.items() if name not in {"types", "self"}}
    old.update(version=1, symbols=symbols)
    certificate_of(database).write_bytes(certificate_file.encode({**old, "self": certificate_file.hash_of(old)}))
    found = condition_of(tmp_path, DAY)
    assert (found.symbols[TENCENT].doubts, found.symbols[TENCENT].recorded, found.not_counted) == (None, True, set())
    assert (
        fault(tmp_path, NO_OPEN_GAPS) == "HK.00700 on 2026-07-31 (recorded by a version that kept no ledger of losses)"
    )


def test_a_type_is_not_counted_if_that_is_proven() -> None:
    """By the audit's rule: two votes against it, and hardly any for it, on this day and others together."""
    votes = {
        6: (Votes(0, 1), Votes(0, 1)),
        7: (Votes(0, 1), Votes(0, 0)),
        1: (Votes(50, 0), Votes(900, 3)),
        26: (Votes(1, 10), Votes(0, 10)),
        27: (Votes(1, 10), Votes(0, 9)),
    }
    assert _not_counted(votes) == {6, 26}


def test_the_requirements_are_those_that_are_offered() -> None:
    """The entry checks them without importing this module."""
    from hk_tick_collector.read import data_root  # noqa: PLC0415

    assert data_root._REQUIREMENTS == condition_module.REQUIREMENTS == (COMPLETE, NO_OPEN_GAPS)
    assert DayCondition._fields[0] == "day"
