"""Kept certificates of other recorders: what they confirm is told, and changes no verdict."""

from __future__ import annotations

import shutil
from contextlib import closing
from typing import TYPE_CHECKING

import apsw
import pytest
from support.sealing import SILENT
from support.ticks import DAY
from support.two_recorders import SYMBOLS, edited, seal_part

from hk_tick_collector.errors import ConfigError
from hk_tick_collector.seal import witnesses as module
from hk_tick_collector.seal.catalog import Catalog
from hk_tick_collector.seal.comparison import read_side
from hk_tick_collector.seal.witnesses import Witness, check_name, keep, path_of, text_of, witnesses
from hk_tick_collector.store.sealed import day_open_lock, reopen

if TYPE_CHECKING:
    from pathlib import Path

ROOT = "data"


def kept(tmp_path: Path, name: str = "tokyo") -> Path:
    """A sealed day with a witness that lacks a tick of one symbol; the DATA_ROOT."""
    mine = seal_part(tmp_path / ROOT)
    theirs = seal_part(tmp_path / "elsewhere", without={(SYMBOLS[0], 3)})
    keep(mine.parent, name, *(read_side(path).certificate for path in (mine, theirs)))
    return mine.parent


def test_a_witness_is_told_with_how_much_it_confirms(tmp_path: Path) -> None:
    """Symbols with exactly the same trades, of all that we have; the verdict is what it was."""
    root = kept(tmp_path)
    assert path_of(root, DAY, "tokyo").name == f"{DAY}.witness.tokyo.json"
    assert path_of(root, DAY, "tokyo").read_bytes() == (tmp_path / "elsewhere" / f"{DAY}.certificate.json").read_bytes()
    assert witnesses(root) == {DAY: [Witness("tokyo", 2, 3)]}
    assert text_of(Witness("tokyo", 2, 3)) == "witnessed by tokyo: 2 of 3 symbols"
    assert text_of(Witness("tokyo", 1, 1)) == "witnessed by tokyo: 1 of 1 symbol"
    assert read_side(root / f"{DAY}.certificate.json").certificate["verdict"] == "UNPROVABLE"
    assert witnesses(root, day="20270101") == {}
    with closing(Catalog(root, SILENT)) as catalog:
        (row,) = catalog.days()
    assert (row.verdict, row.complete) == ("UNPROVABLE", 0)


def test_a_witness_is_replaced_by_its_later_certificate(tmp_path: Path) -> None:
    """Of several names, each counts for itself."""
    root = kept(tmp_path)
    mine = read_side(root / f"{DAY}.certificate.json").certificate
    whole = read_side(seal_part(tmp_path / "later")).certificate
    keep(root, "tokyo", mine, whole)
    keep(root, "osaka", mine, whole)
    assert witnesses(root) == {DAY: [Witness("osaka", 3, 3), Witness("tokyo", 3, 3)]}


def test_the_catalogue_remembers_what_was_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A listing of ten years compares no two certificates again, unless one of them has changed."""
    root = kept(tmp_path)
    with closing(Catalog(root, SILENT)) as catalog:
        first = witnesses(root, catalog.connection)
    with closing(Catalog(root, SILENT)) as catalog, monkeypatch.context() as patch:
        patch.setattr(module, "_look", lambda *_: pytest.fail("compared again"))
        assert witnesses(root, catalog.connection) == first == {DAY: [Witness("tokyo", 2, 3)]}
    whole = read_side(seal_part(tmp_path / "later")).certificate
    keep(root, "tokyo", read_side(root / f"{DAY}.certificate.json").certificate, whole)
    with closing(Catalog(root, SILENT)) as catalog:
        assert witnesses(root, catalog.connection) == {DAY: [Witness("tokyo", 3, 3)]}


def test_a_catalogue_that_can_not_be_written_is_done_without(tmp_path: Path) -> None:
    """What it would remember is found again each time."""
    root = kept(tmp_path)
    with closing(apsw.Connection(":memory:")) as con:
        con.execute("PRAGMA query_only = ON")
        assert witnesses(root, con) == {DAY: [Witness("tokyo", 2, 3)]}


def test_a_day_that_is_reopened_has_no_witness_until_it_is_sealed_again(tmp_path: Path) -> None:
    """What is not certified can't be confirmed."""
    root = kept(tmp_path)
    with day_open_lock(root):
        reopen(root / f"{DAY}.db")
    assert witnesses(root) == {}


def test_a_witness_file_that_was_changed_confirms_nothing(tmp_path: Path) -> None:
    """One line says why; so it is where somebody has put our own certificate there."""
    root = kept(tmp_path)
    path = path_of(root, DAY, "tokyo")
    path.write_bytes(path.read_bytes() + b" ")
    (found,) = witnesses(root)[DAY]
    assert text_of(found) == f"not witnessed by tokyo: {path} was modified: its contents do not match its hash"
    shutil.copy(root / f"{DAY}.certificate.json", path)
    (found,) = witnesses(root)[DAY]
    assert text_of(found) == "not witnessed by tokyo: both are the same certificate"


def test_our_own_certificate_is_no_witness(tmp_path: Path) -> None:
    """Neither the same one, nor another one of the same database; nothing is kept."""
    mine = seal_part(tmp_path / ROOT)
    own = read_side(mine).certificate
    with pytest.raises(ConfigError, match=r"^me is no witness: both are the same certificate$"):
        keep(mine.parent, "me", own, own)
    again = read_side(edited(mine, sealed_ms=1)).certificate
    with pytest.raises(ConfigError, match=r"^me is no witness: both certify the same database, byte for byte$"):
        keep(mine.parent, "me", own, again)
    assert not list(mine.parent.glob("*witness*"))


def test_only_a_sealed_day_of_this_data_root_is_witnessed(tmp_path: Path) -> None:
    """A day that is not sealed there, or a certificate that is not the one there, is refused in one line."""
    mine, theirs = seal_part(tmp_path / ROOT), seal_part(tmp_path / "b")
    told = [read_side(path).certificate for path in (mine, theirs)]
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match=f"{DAY} is not sealed in .*empty: there is nothing to be witnessed"):
        keep(tmp_path / "empty", "tokyo", *told)
    with pytest.raises(ConfigError, match=f"mine is not the certificate of {DAY} in .*data, which would be witnessed"):
        keep(mine.parent, "tokyo", told[1], told[0])


@pytest.mark.parametrize("name", ["", "a b", "../x", "a.b", "x" * 41, "東京"])
def test_a_name_has_to_fit_into_a_file_name(name: str) -> None:
    """On every system, and so that it is found again."""
    with pytest.raises(ConfigError, match=r"--witness .*, expected up to 40 letters, digits, - and _"):
        check_name(name)
    assert check_name("tokyo-2_b") == "tokyo-2_b"
