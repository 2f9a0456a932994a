"""The checksums in a file: that no reader sees them, that no byte changes unseen, and that no footer ends a process."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.ticks_files import make_ticks_file

from hk_tick_collector.errors import ArchiveError, ForeignFileError
from hk_tick_collector.parquet.checksums import MAGIC, add_checksums, is_body_changed, read_checksums
from hk_tick_collector.parquet.ticks_file import TicksFile

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file of any columns, with checksums."""
    made = tmp_path / "a.parquet"
    pq.write_table(pa.table({"a": list(range(1000))}), made)
    add_checksums(made)
    return made


def test_no_reader_sees_the_checksums(path: Path) -> None:
    """Each gives the same values, and the same metadata, as without."""
    plain = path.with_name("plain.parquet")
    pq.write_table(pa.table({"a": list(range(1000))}), plain)
    assert path.stat().st_size == plain.stat().st_size + 72
    assert pq.read_table(path).equals(pq.read_table(plain))
    assert pl.read_parquet(path).equals(pl.read_parquet(plain))
    sums = [duckdb.sql(f"SELECT sum(a), count(*) FROM '{one}'").fetchall() for one in (path, plain)]  # noqa: S608
    assert sums == [[(499_500, 1000)]] * 2
    assert read_checksums(plain) is None


def test_each_byte_is_covered(path: Path) -> None:
    """Before the block, after it, and in it; a file with a changed block is not taken for another program's."""
    raw = path.read_bytes()
    found = read_checksums(path)
    assert found is not None
    assert not is_body_changed(path, found)
    assert raw[found.at :].startswith(MAGIC)
    rng = random.Random(5)
    for at in range(0, len(raw), 7):
        changed = bytearray(raw)
        changed[at] ^= rng.randrange(1, 256)
        path.write_bytes(changed)
        if at < found.at:
            now = read_checksums(path)
            assert now is not None
            assert is_body_changed(path, now)
        elif at < found.at + len(MAGIC):
            assert read_checksums(path) is None  # nothing else was changed
        elif at < found.at + 40:
            now = read_checksums(path)
            assert now is not None
            assert is_body_changed(path, now)
        else:
            with pytest.raises((ArchiveError, ForeignFileError)):
                read_checksums(path)


def test_a_changed_footer_is_refused_before_it_is_read(tmp_path: Path) -> None:
    """Decoders trust a footer, and some changes of it end the process."""
    path = make_ticks_file(tmp_path, ticks=5)
    raw = bytearray(path.read_bytes())
    raw[-1000] ^= 1
    path.write_bytes(raw)
    with pytest.raises(ArchiveError, match="can't be read: its footer was changed; copy it again"):
        TicksFile(path)


@pytest.mark.parametrize("end", [b"", b"x", b"PAR1", b"\xff\xff\xff\xffPAR1", b"\x00\x00\x00\x00PAR1"])
def test_what_is_no_parquet_file_has_no_checksums(tmp_path: Path, end: bytes) -> None:
    """Whatever it ends with; pyarrow says what is wrong with it."""
    path = tmp_path / "a.parquet"
    path.write_bytes(end)
    assert read_checksums(path) is None


def test_a_large_file_is_hashed_in_portions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The checksums don't depend on how it is read."""
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"a": list(range(1000))}), path)
    monkeypatch.setattr("hk_tick_collector.parquet.checksums._CHUNK_BYTES", 97)
    add_checksums(path)
    monkeypatch.undo()
    found = read_checksums(path)
    assert found is not None
    assert not is_body_changed(path, found)
