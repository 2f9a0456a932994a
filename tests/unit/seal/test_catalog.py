"""The catalogue: it tells what the files tell, is made again from them, and costs no more for more symbols."""

from __future__ import annotations

from contextlib import closing
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import apsw
import pytest
from support.archiving import archive
from support.scenario import Scenario
from support.sealing import SILENT, make_day, seal_day, tell_day
from support.ticks import DAY, NEXT_DAY, OPEN_MS, TENCENT, row, seq_at

from hk_tick_collector.audit.day import Gap
from hk_tick_collector.audit.history import CATALOG
from hk_tick_collector.db import Pragmas
from hk_tick_collector.seal.catalog import Catalog, DayGap, DayRow, newest_sealed
from hk_tick_collector.seal.open_day import open_day
from hk_tick_collector.store import certificate_file
from hk_tick_collector.store.sealed import certificate_of

if TYPE_CHECKING:
    from pathlib import Path

LACKING = 300


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A sealed day with a gap, one that is not sealed, and one that is damaged."""
    scenario = Scenario(tmp_path)
    seal_day(tell_day(scenario, lost=LACKING))
    make_day(tmp_path, NEXT_DAY)
    (tmp_path / "20260802.db").write_bytes(b"no database" * 1000)
    return tmp_path


def listed(root: Path, *args: str, **named: Any) -> tuple[list[DayRow], list[DayGap]]:  # noqa: ANN401
    """The days, and the gaps that are asked for."""
    with closing(Catalog(root, SILENT)) as catalog:
        return catalog.days(*args), catalog.gaps(*args, **named)


def test_it_tells_what_the_files_tell(root: Path) -> None:
    """Of a sealed day the certificate, of another one what is counted, of a damaged one why."""
    (sealed, counted, damaged), gaps = listed(root)
    assert (sealed.day, sealed.verdict, sealed.symbols, sealed.rows) == (DAY, "INCOMPLETE", 1, 40)
    assert (sealed.complete, sealed.incomplete, sealed.unprovable) == (0, 1, 0)
    assert sealed.missing_volume == LACKING
    told = certificate_file.read(certificate_of(root / f"{DAY}.db"))
    assert (sealed.sealed_ms, sealed.sha256) == (told["sealed_ms"], told["database"]["sha256"])
    assert (counted.day, counted.verdict, counted.sealed_ms, counted.symbols, counted.rows) == (
        NEXT_DAY, None, None, 2, 10,
    )  # fmt: skip
    assert damaged.verdict is None
    assert "20260802.db can't be read" in (damaged.fault or "")
    assert len(gaps) == sealed.gaps_open == len(told["ledger"])


def test_days_and_gaps_are_chosen(tmp_path: Path) -> None:
    """By day from and to, by symbol, by state."""
    seal_day(tell_day(Scenario(tmp_path / "made"), lost=LACKING))
    told = certificate_file.read(tmp_path / "made" / f"{DAY}.certificate.json")
    (tmp_path / "root").mkdir()
    for number in range(1, 4):
        gaps = [gap_of(f"HK.0000{n}", n, "open" if n % 2 else "filled") for n in range(number)]
        put(tmp_path / "root", f"2026070{number}", {**told, "ledger": [gap._asdict() for gap in gaps]})
    root = tmp_path / "root"
    assert [row.day for row in listed(root)[0]] == ["20260701", "20260702", "20260703"]
    days, gaps_found = listed(root, "20260702", "20260702")
    assert [row.day for row in days] == ["20260702"]
    assert [(one.day, one.gap.symbol) for one in gaps_found] == [("20260702", "HK.00000"), ("20260702", "HK.00001")]
    assert [one.day for one in listed(root, symbol="HK.00001")[1]] == ["20260702", "20260703"]
    assert {one.gap.state for one in listed(root, is_open=True)[1]} == {"open"}
    assert len(listed(root, is_open=True)[1]) == 2


def gap_of(symbol: str, resumed: int, state: str = "open") -> Gap:
    """A gap."""
    return Gap(
        symbol, "opend_down", "morning", OPEN_MS, OPEN_MS + resumed, 1, OPEN_MS, 2, OPEN_MS + 1, 3, None, "ordinals",
        state, OPEN_MS, None, None,
    )  # fmt: skip


def put(root: Path, day: str, told: dict[str, Any]) -> None:
    """A certificate as of that day."""
    made = {name: value for name, value in told.items() if name != "self"}
    made["day"] = day
    made["database"] = {**made["database"], "name": f"{day}.db"}
    (root / f"{day}.certificate.json").write_bytes(
        certificate_file.encode({**made, "self": certificate_file.hash_of(made)})
    )


def test_it_is_made_again_from_the_files(root: Path) -> None:
    """Deleted, damaged, of another version: it tells the same."""
    first = listed(root)
    path = root / CATALOG
    assert path.exists()
    path.unlink()
    assert listed(root) == first
    assert path.exists()
    path.write_bytes(b"nonsense" * 1000)
    assert listed(root) == first
    assert listed(root) == first
    raw = bytearray(path.read_bytes())
    raw[5000:] = b"\xff" * (len(raw) - 5000)
    path.write_bytes(raw)
    assert listed(root) == first
    path.unlink()
    assert listed(root) == first
    with closing(apsw.Connection(str(path))) as con:
        con.pragma("user_version", 99)
        con.execute("UPDATE days SET rows = 5")
    assert listed(root) == first


def test_another_programs_file_is_left_alone(root: Path) -> None:
    """The listing is made without one."""
    with closing(apsw.Connection(str(root / CATALOG))) as con:
        con.execute("CREATE TABLE days (theirs TEXT); INSERT INTO days VALUES ('x')")
    before = (root / CATALOG).read_bytes()
    assert [row.day for row in listed(root)[0]] == [DAY, NEXT_DAY, "20260802"]
    assert (root / CATALOG).read_bytes() == before


def test_without_the_right_to_write_it_is_made_in_memory(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Begun with what the file holds; nothing is written, and what has changed since is told all the same."""
    first = listed(root)
    before = (root / CATALOG).read_bytes()
    make_day(root, "20260803")
    connect = apsw.Connection

    def readonly(path: str, *args: Any, **named: Any) -> apsw.Connection:  # noqa: ANN401
        if path == str(root / CATALOG):
            return connect(path, flags=apsw.SQLITE_OPEN_READONLY)
        return connect(path, *args, **named)

    monkeypatch.setattr(apsw, "Connection", readonly)
    days, gaps = listed(root)
    assert days[:-1] == first[0]
    assert days[-1].day == "20260803"
    assert gaps == first[1]
    assert (root / CATALOG).read_bytes() == before


def test_a_day_that_has_changed_is_read_again(root: Path) -> None:
    """Opened and sealed again, ticks that came, a file that is gone."""
    listed(root)
    day = open_day(root / f"{DAY}.db", Pragmas())
    day.store({TENCENT: [row(TENCENT, seq_at(900))]}, {})
    day.close()
    assert listed(root)[0][0][:4] == (DAY, None, 1, None)
    assert listed(root)[0][0].rows == 41
    seal_day(root / f"{DAY}.db")
    (sealed, *_), _ = listed(root)
    assert (sealed.verdict, sealed.rows, sealed.supersedes) == ("INCOMPLETE", 41, 1)
    (root / f"{NEXT_DAY}.db").unlink()
    (root / f"{DAY}.db").unlink()  # somewhere else, in an archive: its certificate tells
    assert [row.day for row in listed(root)[0]] == [DAY, "20260802"]


def test_a_certificate_that_was_changed_is_a_fault(root: Path) -> None:
    """Nothing that it says is told."""
    path = certificate_of(root / f"{DAY}.db")
    path.write_bytes(path.read_bytes().replace(b"INCOMPLETE", b"COMPLETE"))
    found = listed(root)[0][0]
    assert found.verdict is None
    assert "was modified" in (found.fault or "")
    assert newest_sealed(root) is None


def test_an_archived_day_without_its_certificate_is_a_fault(root: Path) -> None:
    """It is not passed over, as if it had never been recorded or had no gaps."""
    archive(root / f"{DAY}.db")
    certificate_of(root / f"{DAY}.db").unlink()
    found = listed(root)[0][0]
    assert found.day == DAY
    assert found.fault == (
        f"archived, without its certificate: put {DAY}.certificate.json back, or make it a database: "
        f"hk-tick-collector archive --restore {DAY}"
    )
    with closing(Catalog(root, SILENT)) as catalog:
        assert DAY in catalog.unreadable()


def test_the_newest_sealed_day(root: Path) -> None:
    """Its certificate in a line; None where there is none."""
    told = newest_sealed(root)
    assert told is not None
    assert (told["day"], told["verdict"]) == (DAY, "INCOMPLETE")
    certificate_of(root / f"{DAY}.db").unlink()
    assert newest_sealed(root) is None


# ---- ten years


def ten_years(root: Path, symbols: int) -> Path:
    """2,500 certificates of so many symbols, each with some gaps."""
    root.mkdir()
    seal_day(tell_day(Scenario(root / "made"), lost=LACKING))
    told = certificate_file.read(root / "made" / f"{DAY}.certificate.json")
    told["symbols"] = told["symbols"] * symbols
    day = date(2016, 1, 1)
    for number in range(2500):
        gaps = [gap_of(f"HK.{n:05}", number)._asdict() for n in range(3)]
        put(root, (day + timedelta(days=number)).strftime("%Y%m%d"), {**told, "ledger": gaps})
    return root


def steps_of(root: Path) -> tuple[int, int, int]:
    """Steps of SQLite's machine to list all days and all gaps, and how many there are of each."""
    steps = 0

    def count() -> bool:
        nonlocal steps
        steps += 1
        return False

    with closing(Catalog(root, SILENT)) as catalog:
        catalog.connection.set_progress_handler(count, 1)
        days, gaps = catalog.days(), catalog.gaps()
        catalog.connection.set_progress_handler(None)
    return steps, len(days), len(gaps)


def test_ten_years_are_listed_at_a_cost_that_symbols_do_not_raise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """2,500 days with ten symbols each cost what those with one do, and no certificate is opened for it."""
    few, many = ten_years(tmp_path / "few", 1), ten_years(tmp_path / "many", 10)
    for root in (few, many):
        Catalog(root, SILENT).close()
    reads = []
    monkeypatch.setattr(certificate_file, "read", reads.append)
    assert steps_of(few) == steps_of(many)
    assert steps_of(many)[1:] == (2500, 7500)
    assert steps_of(many)[0] < 100 * 10_000
    assert not reads
    assert (many / CATALOG).stat().st_size < 4_000_000
