"""A day is found and opened, be it a database, an archive, or both."""

from __future__ import annotations

from contextlib import closing
from importlib import import_module
from typing import TYPE_CHECKING

import pytest
from support.archiving import DAY, archive, make_archived, make_day, seal_day
from support.ticks import NEXT_DAY

from hk_tick_collector.errors import ConfigError
from hk_tick_collector.parquet import decoders, extra
from hk_tick_collector.parquet.opening import day_paths, find_day, has_only_archive, no_database, open_day, read_day

if TYPE_CHECKING:
    from pathlib import Path

COUNT = "SELECT count(*) FROM ticks"


def test_a_day_that_has_both_is_read_from_its_database(tmp_path: Path) -> None:
    """The archive may be of an earlier certificate."""
    database = make_day(tmp_path)
    seal_day(database)
    archive(database, keeps=True)
    assert not has_only_archive(database)
    with closing(open_day(database)) as con:
        assert con.filename == str(database)


def test_an_archived_day_is_read_as_one_that_has_a_database(tmp_path: Path) -> None:
    """And its files are left as they are."""
    database = make_archived(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert has_only_archive(database)
    assert read_day(database, lambda con: con.execute(COUNT).get) == 80
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_days_are_found_wherever_they_are(tmp_path: Path) -> None:
    """Without a day the newest with ticks; a day that is not there is answered with those that are."""
    archived = make_archived(tmp_path)
    assert find_day(tmp_path, None) == archived
    newer = make_day(tmp_path, NEXT_DAY)
    assert day_paths(tmp_path) == [archived, newer]
    assert find_day(tmp_path, DAY) == archived
    assert find_day(tmp_path, None) == newer
    with pytest.raises(ConfigError, match=f"no day 20200101 in .*: there are {DAY} to {NEXT_DAY}"):
        find_day(tmp_path, "20200101")


def test_what_needs_a_database_says_how_an_archived_day_gets_one(tmp_path: Path) -> None:
    """With the command; a day that was never recorded is just not there."""
    make_archived(tmp_path)
    assert f"archive --restore {DAY}" in str(no_database(tmp_path, DAY))
    assert str(no_database(tmp_path, NEXT_DAY)) == f"no database of {NEXT_DAY} in {tmp_path}"


def test_without_the_extra_the_line_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that is missing, and not one that is broken."""
    monkeypatch.setattr(extra, "import_module", _without)
    with pytest.raises(
        ConfigError, match=r"needs pyarrow, which is not installed: pip install 'hk-tick-collector\[data\]'"
    ):
        extra.require("pyarrow.parquet")
    assert extra.optional("duckdb") is None
    with pytest.raises(ConfigError, match=r"^broken is installed, and can't be imported: no numpy; pip install"):
        extra.optional("broken")


def test_a_broken_decoder_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """A DuckDB that can't be imported must not keep days from being archived: polars reads them back."""

    def imported(module: str) -> object:
        if module == "duckdb":
            raise ImportError("libduckdb.so: wrong ELF class")
        return import_module(module)

    monkeypatch.setattr(extra, "import_module", imported)
    assert decoders.best_independent_decoder() == "polars"


def _without(module: str) -> None:
    raise ModuleNotFoundError("no numpy", name="numpy" if module == "broken" else module.partition(".")[0])
