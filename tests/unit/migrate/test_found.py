"""What may be named for an import, and the line for whatever else is."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from support.archiving import folder_of, make_archived
from support.importing import SILENT, exported, line, make_two_days, zip_of
from support.ticks import DAY, NEXT_DAY

from hk_tick_collector.errors import CollectorError, ConfigError, ForeignFileError
from hk_tick_collector.migrate.found import find
from hk_tick_collector.parquet.layout import LEDGER, TICKS

if TYPE_CHECKING:
    from pathlib import Path

_EXPECTED = (
    "expected a zip of export --format futu, a Parquet file of this program, or an archive with folders such as "
    "trading_day=2026-11-20"
)


def test_each_kind_is_found_by_its_content_and_once(tmp_path: Path) -> None:
    """Whatever it is called; an archive, its folder and its file are the same."""
    folder = folder_of(make_archived(tmp_path / "other"))
    src = make_two_days(tmp_path / "src")
    ticks = exported(src, tmp_path / "t.parquet").rename(tmp_path / "ticks")
    zipped = exported(src, tmp_path / "t.zip").rename(tmp_path / "csvs")
    found = find([folder.parent, ticks, folder, zipped, folder / TICKS, ticks], SILENT)
    assert {day: one.folder for day, one in found.archives.items()} == {DAY: folder}
    assert [source.path for source in found.ticks] == [ticks, zipped]
    assert found.days() == [DAY, NEXT_DAY]
    assert (found.of(DAY), found.of(NEXT_DAY)) == ([], list(found.ticks))


def test_what_is_not_ours_is_refused_in_one_line(tmp_path: Path) -> None:
    """With what to do, where something can be done."""
    database = make_archived(tmp_path / "other")
    folder = folder_of(database)
    src = make_two_days(tmp_path / "src")
    empty, text, cut, half = (tmp_path / name for name in ("empty", "t.csv", "cut.zip", "trading_day=2026-01-05"))
    empty.mkdir()
    text.write_text("symbol,seq\n")
    cut.write_bytes(zip_of(tmp_path / "t.zip", [line()]).read_bytes()[:-30])
    half.mkdir()
    (tmp_path / "no.parquet").write_text("none")
    expected = {
        tmp_path / "nowhere": f"{tmp_path}/nowhere is not there",
        empty: f"{empty} is no archive of this program: {_EXPECTED}",
        database.parent: (
            f"{database.parent} is no archive of this program: {_EXPECTED}; its archive is {folder.parent}"
        ),
        src: (
            f"{src} is no archive of this program: {_EXPECTED}; day databases are taken in by merge, those of the "
            "older recorder by migrate"
        ),
        src / f"{DAY}.db": (
            f"{src}/{DAY}.db is a database: merge takes those of this recorder, migrate the older one's"
        ),
        text: f"{text} is not a file of this program: {_EXPECTED}",
        cut: f"{cut} is no whole zip: copy it again",
        half: f"{half} has no ticks.parquet: copy that folder again",
    }
    for path, what in expected.items():
        with pytest.raises(ConfigError) as refused:
            find([path], SILENT)
        assert str(refused.value) == what
    with pytest.raises(ForeignFileError, match=r"no\.parquet is no whole Parquet file: .*; copy it again"):
        find([tmp_path / "no.parquet"], SILENT)


@pytest.mark.parametrize("name", [TICKS, LEDGER])
def test_a_folder_with_a_file_that_was_cut_off_is_refused(name: str, tmp_path: Path) -> None:
    """Before anything is made."""
    folder = folder_of(make_archived(tmp_path))
    (folder / name).write_bytes((folder / name).read_bytes()[:-30])
    with pytest.raises(CollectorError, match=f"{folder / name} is no whole Parquet file"):
        find([folder.parent], SILENT)


def test_a_day_in_two_folders_is_refused(tmp_path: Path) -> None:
    """The operator knows which of them is the right one."""
    folder = folder_of(make_archived(tmp_path))
    other = shutil.copytree(folder, tmp_path / "copy")
    with pytest.raises(ConfigError) as refused:
        find([folder, other], SILENT)
    assert str(refused.value) == f"{DAY} is in {folder} and in {other}: name one of them"
