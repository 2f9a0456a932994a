"""The entry of the read API."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from support.reading import archive_day, plain, store_day
from support.scenario import Scenario
from support.sealing import seal_day, tell_day
from support.ticks import DAY, HSBC, NEXT_DAY, OPEN_MS, TENCENT, row, seq_at

import hk_tick_collector as hkt
from hk_tick_collector.read.condition import DayCondition
from hk_tick_collector.store import certificate_file
from hk_tick_collector.store.sealed import certificate_of

if TYPE_CHECKING:
    from pathlib import Path

BEFORE = "20260730"
UNKNOWN = "not recorded then; is the code right?"


@pytest.fixture
def data(tmp_path: Path) -> hkt.DataRoot:
    """Three days: archived, over, over; HSBC only on the first."""
    for day, symbols, shift in ((BEFORE, (TENCENT, HSBC), -1), (DAY, (TENCENT,), 0), (NEXT_DAY, (TENCENT,), 1)):
        begin_ms = OPEN_MS + shift * 86_400_000
        rows = [
            row(symbol, seq_at(n, begin_ms), begin_ms + n * 1000, tick_type_id=n)
            for symbol in symbols
            for n in range(8)
        ]
        path = store_day(tmp_path / f"{day}.db", rows)
        if day == BEFORE:
            archive_day(path)
    return hkt.DataRoot(tmp_path)


def count(data: hkt.DataRoot, *asked: Any, **more: Any) -> int:  # noqa: ANN401 - what callers ask for
    """How many ticks that gives."""
    return int(data.ticks(*asked, **more).to_arrow().num_rows)


def test_importing_the_package_loads_nothing_and_its_names_load_no_library() -> None:
    """The recorder imports the package, too; a reader's first line must not take a second."""
    code = (
        "import sys; before = set(sys.modules)\n"
        "import hk_tick_collector as hkt; print(sorted(set(sys.modules) - before))\n"
        "hkt.DataRoot, hkt.NoDataError, hkt.Ticks; found = {n.partition('.')[0] for n in sys.modules}\n"
        "print(sorted(found & {'pyarrow', 'pydantic', 'structlog', 'rich', 'typer', 'uvloop', 'google', 'asyncio', "
        "'pandas', 'numpy', 'polars', 'prometheus_client'}))\n"
        "print([n for n in hkt.__all__ if not hasattr(hkt, n)], 'DataRoot' in dir(hkt))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout, done.stderr) == ("['hk_tick_collector']\n[]\n[] True\n", "")


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    """As of any module."""
    with pytest.raises(AttributeError, match=r"^module 'hk_tick_collector' has no attribute 'Dataroot'$"):
        hkt.Dataroot  # type: ignore[attr-defined]  # noqa: B018


def test_the_days_are_dates(data: hkt.DataRoot) -> None:
    """Oldest first; each is a day that can be asked for."""
    days = data.days()
    assert days == [dt.date(2026, 7, 30), dt.date(2026, 7, 31), dt.date(2026, 8, 1)]
    assert [count(data, 700, day) for day in days] == [8, 8, 8]


def test_the_default_is_the_setting(data: hkt.DataRoot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the environment, or from a file in the working directory."""
    monkeypatch.setenv("DATA_ROOT", str(data.path))
    assert hkt.DataRoot().path == data.path
    monkeypatch.delenv("DATA_ROOT")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    (tmp_path / "here" / ".env").write_text("DATA_ROOT=..\n")
    assert hkt.DataRoot().days() == data.days()
    assert repr(hkt.DataRoot("/")) == "DataRoot('/')"


def test_a_path_that_is_no_data_root_is_refused(tmp_path: Path) -> None:
    """It does not exist, or is a file."""
    with pytest.raises(hkt.ConfigError) as refused:
        hkt.DataRoot(tmp_path / "none")
    assert str(refused.value) == f"DATA_ROOT {tmp_path}/none does not exist: expected the directory of a recorder"
    (tmp_path / "file").touch()
    with pytest.raises(hkt.ConfigError, match="is a file: expected the directory of a recorder"):
        hkt.DataRoot(str(tmp_path / "file"))


def test_a_range_takes_the_days_in_it(data: hkt.DataRoot) -> None:
    """Days at both ends are included whole, instants at the end are not; without limits it is all that is here."""
    assert count(data) == count(data, None) == 32
    assert count(data, 700) == count(data, 700, (None, None)) == 24
    assert count(data, 700, ("2026-07-31", None)) == count(data, 700, slice("2026-07-31", "2026-12-31")) == 16
    assert count(data, 700, ("2026-07-30 10:00:06", "2026-07-31 10:00:03")) == 2 + 3
    assert count(data, 700, (dt.date(2026, 7, 30), "2026-07-31")) == 16


def test_types_are_chosen_by_name_or_preset(data: hkt.DataRoot) -> None:
    """Odd lots are type 6; unknown types are kept by a preset."""
    assert count(data, 700, DAY, types="no_odd_lots") == 7
    assert count(data, 700, DAY, types=["AUTO_MATCH", "AUCTION"]) == 2
    rows = plain(data.ticks(700, DAY, types="ODD_LOT", columns=["tick_type", "tick_type_id"]).to_arrow())
    assert rows == [{"tick_type": "ODD_LOT", "tick_type_id": 6}]


def test_counted_leaves_out_what_is_proven_not_to_be_counted(tmp_path: Path) -> None:
    """By the day's certificate: here it says so of odd lots."""
    rows = [row(TENCENT, seq_at(n), tick_type_id=n) for n in range(8)]
    database = store_day(tmp_path / f"{DAY}.db", rows)
    seal_day(database)
    told = certificate_file.read(certificate_of(database))
    votes = {"counted": 0, "not_counted": 3}
    told["types"] = [{"tick_type": "ODD_LOT", "tick_type_id": 6, **votes, "other_days": votes}]
    told["self"] = certificate_file.hash_of(told)
    certificate_of(database).write_bytes(certificate_file.encode(told))
    data = hkt.DataRoot(tmp_path)
    assert count(data, 700, DAY) == 8
    ticks = data.ticks(700, DAY, types="counted", columns=["tick_type_id"])
    assert [one["tick_type_id"] for one in plain(ticks.to_arrow())] == [0, 1, 2, 3, 4, 5, 7]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (("HK.99999", DAY), f"no data of HK.99999 on 2026-07-31: {UNKNOWN}"),
        ((HSBC, DAY), f"no data of HK.00005 on 2026-07-31: {UNKNOWN}"),
        (
            ([1, 2, 3, 4, 700], (BEFORE, DAY)),
            f"no data of HK.00001, HK.00002, HK.00003 and 1 more from 2026-07-30 to 2026-07-31: {UNKNOWN}",
        ),
        ((700, "2026-07-29"), "no data of 2026-07-29 in {root}: there are 2026-07-30 to 2026-08-01"),
        (
            (700, ("2026-08-02", "2026-08-09")),
            "no data from 2026-08-02 to 2026-08-09 in {root}: there are 2026-07-30 to 2026-08-01",
        ),
        (
            (700, ("2026-08-01", "2026-07-30")),
            "the range from 2026-08-01 to 2026-07-30 ends before it begins: expected the earlier one first",
        ),
    ],
)
def test_what_is_not_there_is_refused_when_it_is_asked_for(
    data: hkt.DataRoot, asked: tuple[Any, ...], message: str
) -> None:
    """Not when it is consumed, where another library would wrap the error."""
    with pytest.raises(hkt.NoDataError) as refused:
        data.ticks(*asked)
    assert str(refused.value) == message.format(root=data.path)


def test_a_symbol_of_one_day_is_known_in_a_range(data: hkt.DataRoot) -> None:
    """It has ticks on the days on which it was recorded."""
    assert count(data, HSBC, (BEFORE, NEXT_DAY)) == 8


def test_an_empty_data_root_has_no_day(tmp_path: Path) -> None:
    """And says so."""
    with pytest.raises(hkt.NoDataError, match=r"^no data on any day in .*: no day is recorded there$"):
        hkt.DataRoot(tmp_path).ticks()


def test_a_day_in_a_range_that_is_away_is_refused(data: hkt.DataRoot) -> None:
    """A hole would look like a holiday; a range without a begin begins with the first day that is here."""
    (data.path / "20260729.certificate.json").touch()
    assert count(data, 700, (None, NEXT_DAY)) == count(data, 700) == 24
    with pytest.raises(hkt.NoDataError, match=r"^the ticks of 2026-07-29 are away"):
        data.ticks(700, ("2026-07-01", NEXT_DAY))
    (data.path / f"{DAY}.certificate.json").touch()
    (data.path / f"{DAY}.db").unlink()
    with pytest.raises(hkt.NoDataError, match=r"^the ticks of 2026-07-31 are away"):
        data.ticks(700)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"columns": ["bid"]}, "there is no column 'bid'"),
        ({"types": "odd"}, "there is no type of ticks 'odd'"),
        ({"require": "COMPLETE"}, "require='COMPLETE', expected 'complete', 'no_open_gaps' or None"),
    ],
)
def test_what_is_misspelt_is_refused(data: hkt.DataRoot, more: dict[str, Any], message: str) -> None:
    """With what was expected."""
    with pytest.raises(hkt.ConfigError) as refused:
        data.ticks(700, DAY, **more)
    assert str(refused.value).startswith(message)


def test_what_is_required_is_checked_before_anything_is_read(tmp_path: Path) -> None:
    """A proven day passes; of an unproven one the error names symbol, day and reason."""
    tell_day(Scenario(tmp_path))
    store_day(tmp_path / f"{NEXT_DAY}.db", [row(TENCENT, seq_at(1, OPEN_MS + 86_400_000), OPEN_MS + 86_400_000)])
    data = hkt.DataRoot(tmp_path)
    assert count(data, 700, DAY, require="complete") == 40
    with pytest.raises(hkt.NotProvenError) as refused:
        data.ticks(700, (DAY, NEXT_DAY), require="complete")
    assert str(refused.value).startswith('require="complete" does not hold for HK.00700 on 2026-08-01 (UNPROVABLE: ')
    with pytest.raises(hkt.NotProvenError, match=r'^require="no_open_gaps" does not hold for HK\.00700 on 2026-08-01'):
        data.ticks(700, NEXT_DAY, require="no_open_gaps")
    told = data.condition("2026-07-31")
    assert isinstance(told, DayCondition)
    assert told.symbols[TENCENT].verdict == hkt.Verdict.COMPLETE == "COMPLETE"
