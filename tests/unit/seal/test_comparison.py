"""Two recorders compare a day: which symbols hold exactly the same trades, and how and when the others differ."""

from __future__ import annotations

import shutil
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from support.sealing import SILENT
from support.ticks import DAY, NEXT_DAY, OPEN_MS, seq_at
from support.two_recorders import SYMBOLS, edited, seal_part

from hk_tick_collector.errors import ConfigError
from hk_tick_collector.parquet.writing import write_ticks
from hk_tick_collector.seal.comparison import (
    DIFFERS,
    ONLY_MINE,
    ONLY_THEIRS,
    SAME,
    Comparison,
    Figures,
    SymbolComparison,
    compare,
    read_side,
    same_source,
    spans_of,
)
from hk_tick_collector.store import certificate_file
from hk_tick_collector.store.opening import open_readonly

if TYPE_CHECKING:
    from pathlib import Path

HSBC, HKEX, TENCENT = SYMBOLS
TEN = 40  # the quarter-hour from 10:00 on


def compared(mine: Path, theirs: Path) -> Comparison:
    """The comparison of two files."""
    return compare(read_side(mine), read_side(theirs))


def seq(n: int) -> int:
    """The sequence of a tick of `seal_part`."""
    return seq_at(n + 1, OPEN_MS + 20_000 + n * 60_000)


def test_two_recorders_of_the_same_trades_agree(tmp_path: Path) -> None:
    """However each tick came to them."""
    found = compared(seal_part(tmp_path / "a"), seal_part(tmp_path / "other"))
    assert found.confirms
    assert [(one.symbol, one.trades, one.quarters) for one in found.symbols] == [(name, SAME, ()) for name in SYMBOLS]
    assert found.notes == ()


def test_what_differs_is_told_with_both_figures_and_when(tmp_path: Path) -> None:
    """Ticks, shares, first and last sequence; the quarter-hours in which either lacks something."""
    mine = seal_part(tmp_path / "a", without={(HSBC, 0), (HSBC, 50), (TENCENT, 99)})
    theirs = seal_part(tmp_path / "b", without={(TENCENT, 14)})
    found = compared(mine, theirs)
    assert not found.confirms
    assert found.day == DAY
    assert found.symbols == (
        SymbolComparison(
            HSBC, DIFFERS, Figures(98, 9800, seq(1), seq(99)), Figures(100, 10_000, seq(0), seq(99)), (TEN, TEN + 3)
        ),
        SymbolComparison(
            TENCENT, DIFFERS, Figures(99, 9900, seq(0), seq(98)), Figures(99, 9900, seq(0), seq(99)), (TEN, TEN + 6)
        ),
        SymbolComparison(HKEX, SAME, Figures(100, 10_000, seq(0), seq(99)), Figures(100, 10_000, seq(0), seq(99)), ()),
    )
    assert spans_of((TEN, TEN + 3)) == ["10:00-10:15", "10:45-11:00"]


def test_symbols_that_only_one_has_are_told_apart(tmp_path: Path) -> None:
    """They neither confirm nor contradict anything; nothing in common confirms nothing."""
    mine, theirs = seal_part(tmp_path / "a", symbols=(HSBC, HKEX)), seal_part(tmp_path / "b", symbols=(HKEX, TENCENT))
    found = compared(mine, theirs)
    assert found.confirms
    assert [(one.symbol, one.trades) for one in found.symbols] == [
        (HSBC, ONLY_MINE), (TENCENT, ONLY_THEIRS), (HKEX, SAME),
    ]  # fmt: skip
    assert (found.symbols[0].theirs, found.symbols[1].mine) == (None, None)
    assert not compared(seal_part(tmp_path / "c", symbols=(HSBC,)), seal_part(tmp_path / "d", symbols=(HKEX,))).confirms


def test_without_the_side_file_it_is_not_known_when_they_differ(tmp_path: Path) -> None:
    """It was not copied along, was changed, or an older version sealed the day: the rest is as certain as with it."""
    mine, theirs = seal_part(tmp_path / "a"), seal_part(tmp_path / "b", without={(HSBC, 0)})
    side = theirs.with_name(f"{DAY}.quarters.json")
    side.write_bytes(side.read_bytes().replace(b":", b": ", 1))
    found = compared(mine, theirs)
    so = "so it is not known when they differ"
    assert found.notes == (
        f"theirs has no quarter-hour hashes: {DAY}.quarters.json is not the one that the certificate names; {so}",
    )
    assert (found.symbols[0].trades, found.symbols[0].quarters) == (DIFFERS, None)
    side.unlink()
    assert compared(mine, theirs).notes == (
        f"theirs has no quarter-hour hashes: {DAY}.quarters.json is not beside it; {so}",
    )
    told = certificate_file.read(theirs)
    del told["quarters"]
    theirs.write_bytes(certificate_file.encode({**told, "self": certificate_file.hash_of(told)}))
    assert compared(theirs, mine).notes == (f"mine has no quarter-hour hashes: an older version sealed it; {so}",)


def test_a_renamed_certificate_finds_its_side_file(tmp_path: Path) -> None:
    """By the name that the certificate has now, or by the name that it had."""
    theirs = seal_part(tmp_path / "b")
    renamed = theirs.rename(theirs.with_name("tokyo.json"))
    assert read_side(renamed).quarters is not None
    theirs.with_name(f"{DAY}.quarters.json").rename(theirs.with_name("tokyo.quarters.json"))
    assert read_side(renamed).quarters is not None
    assert read_side(renamed, with_quarters=False).quarters is None


def test_the_certificate_in_a_parquet_file_does_as_well(tmp_path: Path) -> None:
    """Also where its database is gone; one that was edited is refused."""
    path = seal_part(tmp_path / "a")
    file = tmp_path / "a" / f"{DAY}.ticks.parquet"
    with closing(open_readonly(tmp_path / "a" / f"{DAY}.db")) as con:
        write_ticks(con, file, certificate_file.read(path), SILENT)
    path.unlink()
    side = read_side(file)
    assert side.quarters is not None
    assert compare(side, read_side(seal_part(tmp_path / "b"))).confirms
    with closing(open_readonly(tmp_path / "a" / f"{DAY}.db")) as con:
        write_ticks(con, file, {**side.certificate, "verdict": "COMPLETE"}, SILENT)
    with pytest.raises(ConfigError, match="was modified: its contents do not match its hash"):
        read_side(file)


def test_other_days_are_not_compared(tmp_path: Path) -> None:
    """One line that names both."""
    mine = seal_part(tmp_path / "a")
    other = edited(mine, day=NEXT_DAY)
    with pytest.raises(ConfigError, match=rf"is of {DAY}, .* of {NEXT_DAY}: expected two of the same day"):
        compared(mine, other)


def test_a_certificate_that_was_edited_is_refused(tmp_path: Path) -> None:
    """As is one that makes no sense, although its hash is right, and one that is not there."""
    mine = seal_part(tmp_path / "a")
    raw = mine.read_bytes()
    mine.write_bytes(raw.replace(b"UNPROVABLE", b"COMPLETE", 1))
    with pytest.raises(ConfigError, match="was modified: its contents do not match its hash"):
        read_side(mine)
    mine.write_bytes(raw)
    entry = certificate_file.read(mine)["symbols"][0]
    for entries in (
        {"symbols": 7},
        {"symbols": [{}]},
        {"symbols": [{**entry, "rows": None}]},
        {"symbols": [{**entry, "hash": 7}]},
        {"symbols": [{**entry, "first_seq": "x"}]},
        {"database": {}},
        {"day": 7},
    ):
        with pytest.raises(ConfigError, match="makes no sense as a certificate: "):
            read_side(edited(mine, **entries))
    with pytest.raises(ConfigError, match="can't be read"):
        read_side(tmp_path / "none.json")
    with pytest.raises(ConfigError, match="can't be read"):
        read_side(tmp_path / "none.parquet")


def test_the_same_source_confirms_nothing(tmp_path: Path) -> None:
    """The same certificate, or two of one database: that is said, also where all agrees."""
    mine = seal_part(tmp_path / "a")
    copy = tmp_path / "copy.json"
    shutil.copy(mine, copy)
    assert compared(mine, copy).notes == ("both are the same certificate: this confirms nothing",)
    again = edited(mine, sealed_ms=1)
    assert compared(mine, again).notes == ("both certify the same database, byte for byte: this confirms nothing",)
    theirs = read_side(seal_part(tmp_path / "b")).certificate
    assert same_source(read_side(mine).certificate, theirs) is None


@pytest.mark.parametrize(
    ("numbers", "spans"),
    [((), []), ((40,), ["10:00-10:15"]), ((40, 41, 43), ["10:00-10:30", "10:45-11:00"]), ((95,), ["23:45-24:00"])],
)
def test_neighbouring_quarter_hours_are_one_span(numbers: tuple[int, ...], spans: list[str]) -> None:
    """From the beginning of the first to the end of the last."""
    assert spans_of(numbers) == spans
