"""`verify --sealed`'s judgement: no changed byte is missed, and what differs is named."""

from __future__ import annotations

import json
import random
import shutil
from contextlib import closing
from typing import TYPE_CHECKING

import apsw
import pytest
from support.archiving import archive
from support.sealing import SILENT, make_day, seal_day, state_of
from support.ticks import DAY, HSBC, NEXT_DAY, TENCENT, seq_at

from hk_tick_collector.seal.recheck import recheck, sealed_days
from hk_tick_collector.store.quarters import quarters_of
from hk_tick_collector.store.sealed import certificate_of

if TYPE_CHECKING:
    from pathlib import Path

FLIPS = 60


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A sealed day, whose file this test may change."""
    made = make_day(tmp_path, ticks=400)
    seal_day(made)
    made.chmod(0o644)
    return made


def differences(database: Path) -> str:
    """What is said of it."""
    return "; ".join(recheck(database.parent, database.stem, SILENT).differences)


def test_a_sealed_day_is_as_it_was(database: Path) -> None:
    """Nothing differs, nothing is changed by looking, and reading it in between changes nothing either."""
    before = state_of(database.parent)
    with closing(apsw.Connection(str(database))) as con:
        assert con.execute("SELECT count(*) FROM ticks").get == 800
    found = recheck(database.parent, DAY, SILENT)
    assert found == (DAY, "UNPROVABLE", database.stat().st_size, (), ())
    assert state_of(database.parent) == before


def test_a_day_and_its_certificate_can_be_verified_anywhere(database: Path, tmp_path: Path) -> None:
    """A directory with copies of the two files is enough."""
    elsewhere = tmp_path / "laptop"
    elsewhere.mkdir()
    for path in (database, certificate_of(database)):
        shutil.copy(path, elsewhere)
    assert sealed_days(elsewhere) == [DAY]
    assert recheck(elsewhere, DAY, SILENT).differences == ()
    (elsewhere / f"{DAY}.db").write_bytes(b"another")
    assert recheck(elsewhere, DAY, SILENT).differences != ()


@pytest.mark.parametrize("seed", range(3))
def test_every_flipped_byte_is_found(database: Path, seed: int) -> None:
    """Sixty of the database and sixty of the certificate, drawn by a seed; each alone, and put right again."""
    rng = random.Random(seed)
    found = 0
    for path in (database, certificate_of(database)):
        raw = path.read_bytes()
        for at in rng.sample(range(len(raw)), FLIPS):
            flipped = bytearray(raw)
            flipped[at] ^= rng.randrange(1, 256)
            path.write_bytes(flipped)
            found += bool(differences(database))
        path.write_bytes(raw)
    assert found == 2 * FLIPS
    assert not differences(database)


def test_a_file_of_another_length_is_found(database: Path) -> None:
    """Cut off, appended to, emptied, gone."""
    raw = database.read_bytes()
    database.write_bytes(raw[:-4096])
    assert f"file is {len(raw) - 4096:,} bytes, was {len(raw):,} when sealed" in differences(database)
    database.write_bytes(raw + b"\0")
    assert f"file is {len(raw) + 1:,} bytes" in differences(database)
    database.write_bytes(b"")
    assert "file is 0 bytes" in differences(database)
    database.unlink()
    assert "No such file" in differences(database)


def test_a_log_beside_it_is_found(database: Path) -> None:
    """SQLite would read it as part of the day."""
    for suffix in ("-wal", "-journal"):
        beside = database.with_name(database.name + suffix)
        beside.write_bytes(b"something")
        assert f"{beside.name} lies beside it" in differences(database)
        beside.unlink()
    assert not differences(database)


def test_the_symbols_whose_ticks_differ_are_named(database: Path) -> None:
    """One with another price, one that lacks a tick; no other."""
    with closing(apsw.Connection(str(database))) as con:
        con.execute("UPDATE ticks SET price = price + 1 WHERE symbol = ? AND seq = ?", (TENCENT, seq_at(3)))
        con.execute("DELETE FROM ticks WHERE symbol = ? AND seq = ?", (HSBC, seq_at(3)))
    found = recheck(database.parent, DAY, SILENT)
    assert found.symbols == (HSBC, TENCENT)
    assert found.differences[-1] == f"ticks differ of {HSBC} (rows 399, sealed 400), {TENCENT}"


def test_a_change_beside_the_ticks_says_so(database: Path) -> None:
    """All ticks are as they were, the file is not."""
    with closing(apsw.Connection(str(database))) as con:
        con.pragma("application_id", 1)
        con.pragma("user_version", con.pragma("user_version"))
    found = recheck(database.parent, DAY, SILENT)
    assert found.symbols == ()
    assert found.differences[-1] == "every readable tick matches the certificate"


def test_a_file_that_is_no_database_any_more_says_so(database: Path) -> None:
    """Which ticks are concerned can't be told, and that is told."""
    size = database.stat().st_size
    database.write_bytes(random.Random(1).randbytes(size))
    assert "cannot tell which ticks are affected" in differences(database)


def test_a_certificate_that_is_gone_is_missed(database: Path) -> None:
    """A read-only file had one; a day that was never sealed is not looked for, unless it is asked for."""
    make_day(database.parent, NEXT_DAY)
    certificate_of(database).unlink()
    database.chmod(0o444)
    assert sealed_days(database.parent) == [DAY]
    assert "is missing" in differences(database)
    assert "it is not sealed" in differences(database.with_name(f"{NEXT_DAY}.db"))


def test_another_days_certificate_is_none(database: Path) -> None:
    """However right it is by itself."""
    other = make_day(database.parent, NEXT_DAY, ticks=400)
    seal_day(other)
    certificate_of(database).write_bytes(certificate_of(other).read_bytes())
    assert f"the certificate is that of {NEXT_DAY}" in differences(database)


def test_a_database_that_is_gone_is_among_the_sealed_days(database: Path) -> None:
    """Its certificate says that there was one; superseded ones say nothing."""
    database.unlink()
    certificate_of(database).with_name("20260701.certificate.1.json").write_text(json.dumps({}))
    assert sealed_days(database.parent) == [DAY]


def test_the_quarter_hours_of_an_archived_day_are_checked_too(database: Path) -> None:
    """They stay beside the certificate when the database goes, and a changed one is named."""
    archive(database)
    assert recheck(database.parent, DAY, SILENT).differences == ()
    side = quarters_of(certificate_of(database))
    side.write_bytes(side.read_bytes().replace(b"400", b"399", 1))
    assert differences(database) == f"{side.name} was modified: it is not the one that the certificate names"
