"""Where the ticks of a day are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.reading import archive_day, keys, store_day
from support.ticks import DAY, HSBC, NEXT_DAY, TENCENT, row, seq_at

from hk_tick_collector.errors import DatabaseError, ForeignFileError, NoDataError
from hk_tick_collector.parquet.columns import COLUMNS
from hk_tick_collector.parquet.layout import archive_dir, ticks_path
from hk_tick_collector.read import sources, sqlite_day
from hk_tick_collector.read.sources import batches_of, days_away, days_here, no_data, symbols_on
from hk_tick_collector.read.wanted import Wanted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ALL = Wanted(COLUMNS)
ROWS = [row(symbol, seq_at(n)) for symbol in (HSBC, TENCENT) for n in range(4)]
KEYS = [(symbol, seq_at(n)) for symbol in (HSBC, TENCENT) for n in range(4)]


def test_the_days_here_have_a_database_or_an_archive(tmp_path: Path) -> None:
    """A day with only a certificate is away."""
    archive_day(store_day(tmp_path / f"{DAY}.db", ROWS))
    store_day(tmp_path / f"{NEXT_DAY}.db", ROWS)
    for day in ("20260730", DAY):
        (tmp_path / f"{day}.certificate.json").touch()
    (tmp_path / "20260729.certificate.1.json").touch()
    assert days_here(tmp_path) == [DAY, NEXT_DAY]
    assert days_away(tmp_path) == ["20260730"]


def test_a_day_is_read_from_its_database_while_there_is_one(tmp_path: Path) -> None:
    """The archive takes over when it is gone; a broken one does not matter before."""
    database = store_day(tmp_path / f"{DAY}.db", ROWS)
    archive_dir(tmp_path, DAY).mkdir(parents=True)
    ticks_path(tmp_path, DAY).write_bytes(b"not whole")
    assert keys(batches_of(tmp_path, DAY, ALL)) == KEYS
    assert symbols_on(tmp_path, DAY) == {HSBC, TENCENT}
    database.unlink()
    with pytest.raises(ForeignFileError, match="is no whole Parquet file"):
        list(batches_of(tmp_path, DAY, ALL))


@pytest.mark.parametrize("portions", range(1, 8))
def test_a_day_that_is_archived_while_it_is_read_is_read_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, portions: int
) -> None:
    """Its database vanishes after any portion; the archive goes on without loss or doubling."""
    monkeypatch.setattr(sqlite_day, "PORTION_ROWS", 1)
    monkeypatch.setattr(sqlite_day, "SYMBOL_ROWS", 1)
    database = store_day(tmp_path / f"{DAY}.db", ROWS)
    batches = batches_of(tmp_path, DAY, ALL)
    first = [next(batches) for _ in range(portions)]
    assert [batch.num_rows for batch in first] == [1] * portions
    archive_day(database)
    assert keys([*first, *batches]) == KEYS


def test_a_day_that_is_taken_away_while_it_is_read_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a day must not look like a whole one."""
    monkeypatch.setattr(sqlite_day, "PORTION_ROWS", 1)
    database = store_day(tmp_path / f"{DAY}.db", ROWS)
    batches = batches_of(tmp_path, DAY, ALL)
    next(batches)
    database.rename(tmp_path / "elsewhere")
    with pytest.raises(NoDataError, match=r"^no data of 2026-07-31 in .*: no day is recorded there$"):
        list(batches)


def test_a_damaged_database_is_an_error_although_there_is_an_archive(tmp_path: Path) -> None:
    """It may hold ticks that came after the archive was made."""
    database = store_day(tmp_path / f"{DAY}.db", ROWS)
    archive_day(database, keeps=True)
    database.write_bytes(b"no database" * 1000)
    with pytest.raises(DatabaseError, match=r"can't be read"):
        list(batches_of(tmp_path, DAY, ALL))


def test_what_is_said_of_a_day_without_data(tmp_path: Path) -> None:
    """That it is away, or which days there are."""
    assert str(no_data(tmp_path, DAY)) == f"no data of 2026-07-31 in {tmp_path}: no day is recorded there"
    store_day(tmp_path / f"{NEXT_DAY}.db", ROWS)
    assert str(no_data(tmp_path, DAY)) == f"no data of 2026-07-31 in {tmp_path}: there are 2026-08-01 to 2026-08-01"
    (tmp_path / f"{DAY}.certificate.json").touch()
    assert str(no_data(tmp_path, DAY)) == (
        f"the ticks of 2026-07-31 are away: it is sealed, and its database is no longer in {tmp_path}; "
        "put it back, or read the DATA_ROOT that has it"
    )
    with pytest.raises(NoDataError):
        list(batches_of(tmp_path, DAY, ALL))


def test_a_day_that_is_restored_while_it_is_looked_for_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its archive goes between the look for it and its opening; the database is there by then."""
    database = store_day(tmp_path / f"{DAY}.db", ROWS)
    kept = database.read_bytes()
    archived = archive_day(database)
    open_it = sources.archived_batches

    def restore(path: Path, **asked: Any) -> Iterator[Any]:  # noqa: ANN401 - what it takes
        assert path == archived
        database.write_bytes(kept)
        archived.unlink()
        return open_it(path, **asked)

    monkeypatch.setattr(sources, "archived_batches", restore)
    assert keys(batches_of(tmp_path, DAY, ALL)) == KEYS
    assert not archived.exists()
