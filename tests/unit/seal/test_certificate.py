"""Certificates: the hash of rows as others compute it, and that no byte of the file can be changed unseen."""

from __future__ import annotations

import json
import random
import struct
from contextlib import closing
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest
from support.merging import record
from support.scenario import Scenario
from support.sealing import SILENT, certificate, make_day, seal_day, tell_day
from support.ticks import DAY, HSBC, TENCENT, row, seq_at

from hk_tick_collector.errors import DatabaseError
from hk_tick_collector.seal import certificate as certificates
from hk_tick_collector.store import certificate_file
from hk_tick_collector.store.opening import open_readonly
from hk_tick_collector.store.sealed import certificate_of

if TYPE_CHECKING:
    from pathlib import Path

    from hk_tick_collector.mapping import Row


def by_the_book(rows: list[Row]) -> str:
    """The hash as docs/data.md defines it, computed by its words."""
    total = 0
    for symbol, seq, ts_ms, price, volume, turnover, direction, tick_type, *_ in rows:
        told = symbol.encode("utf-8") + b"\x00"
        for kind, value in zip("qqdqdqq", (seq, ts_ms, price, volume, turnover, direction, tick_type), strict=True):
            told += struct.pack("<" + kind, value)
        total += int(sha256(told).hexdigest(), 16)
    return f"{total % 2**256:064x}"


def hashes(path: Path) -> dict[str, tuple[int, str]]:
    """By symbol: rows and hash."""
    with closing(open_readonly(path)) as con:
        return certificates.hash_symbols(con, DAY, 1, SILENT)


def test_the_hash_is_as_it_is_documented(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever computes it by the definition gets it, in whatever order, and however many rows are read at once."""
    monkeypatch.setattr(certificates, "_ROWS_AT_ONCE", 7)
    rows = [row(TENCENT, seq_at(n), price=1.1 * n, volume=2**40 + n, turnover=n / 3) for n in range(-3, 47)]
    path = record(tmp_path / "a.db", rows)
    random.Random(1).shuffle(rows)
    assert hashes(path) == {TENCENT: (50, by_the_book(rows))}


def test_two_recorders_of_the_same_trades_have_the_same_hash(tmp_path: Path) -> None:
    """How and when a tick came is not in it."""
    rows = [row(TENCENT, seq_at(n)) for n in range(5)]
    how = {"recv_ts_ms": 7, "inserted_at_ms": 9, "push_type_id": 2, "push_data_type": 3}
    others = [row(TENCENT, seq_at(n), **how) for n in (3, 1, 4, 2, 0)]
    assert hashes(record(tmp_path / "a.db", rows)) == hashes(record(tmp_path / "b.db", others))


@pytest.mark.parametrize(
    ("field", "value"),
    [("ts_ms", 1), ("price", 3.1), ("volume", 1), ("turnover", 3.1), ("direction_id", 2), ("tick_type_id", 2)],
)
def test_each_content_is_in_the_hash(tmp_path: Path, field: str, value: float) -> None:
    """One field of one tick makes another hash; so do another sequence and another symbol."""
    first = hashes(record(tmp_path / "a.db", [row(TENCENT, 5)]))
    assert hashes(record(tmp_path / "b.db", [row(TENCENT, 5, **{field: value})])) != first
    assert hashes(record(tmp_path / "c.db", [row(TENCENT, 6)]))[TENCENT] != first[TENCENT]
    assert hashes(record(tmp_path / "d.db", [row(HSBC, 5)]))[HSBC] != first[TENCENT]


def test_a_certificate_tells_the_day(tmp_path: Path) -> None:
    """Everything that the day is signed off with, and its own hash over it."""
    database = tell_day(Scenario(tmp_path))
    done = seal_day(database)
    told = certificate(database)
    assert done.is_new
    assert done.certificate == told
    assert told["day"] == DAY
    assert told["verdict"] == "COMPLETE"
    assert told["symbols_by_verdict"] == {"complete": 1, "incomplete": 0, "unprovable": 0}
    assert told["rows"] == 40
    assert told["database"] == {
        "name": f"{DAY}.db", "bytes": database.stat().st_size, "sha256": sha256(database.read_bytes()).hexdigest(),
    }  # fmt: skip
    assert told["supersedes"] is None
    assert told["gaps"] == {"open": 0, "filled": 0, "missing": 0, "missing_volume": 0}
    (symbol,) = told["symbols"]
    assert symbol["symbol"] == TENCENT
    assert symbol["reasons"] == []
    assert (symbol["volume"], symbol["turnover"]) == (symbol["exchange_volume"], symbol["exchange_turnover"])
    assert (symbol["first_seq"], symbol["last_seq"]) == (seq_at(1), seq_at(40))
    assert symbol["hash"] == hashes(database)[TENCENT][1]
    own = told.pop("self")
    assert own == sha256(json.dumps(told, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def test_no_byte_of_a_certificate_can_be_changed_unseen(tmp_path: Path) -> None:
    """Each of its bytes, replaced by another one; cut off and appended."""
    database = make_day(tmp_path)
    seal_day(database)
    path = certificate_of(database)
    raw = path.read_bytes()
    rng = random.Random(7)
    for at in range(len(raw)):
        flipped = bytearray(raw)
        flipped[at] ^= rng.randrange(1, 256)
        path.write_bytes(flipped)
        with pytest.raises(DatabaseError):
            certificate_file.read(path)
    for changed in (raw[:-1], raw + b" ", b"", b"[]", b'{"self": NaN}', raw.replace(b": ", b":")):
        path.write_bytes(changed)
        with pytest.raises(DatabaseError):
            certificate_file.read(path)
    path.write_bytes(raw)
    assert certificate_file.read(path)["day"] == DAY


def test_a_certificate_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    """One line that names both versions."""
    database = make_day(tmp_path)
    seal_day(database)
    told = certificate(database)
    told["version"] = 3
    told["self"] = certificate_file.hash_of(told)
    certificate_of(database).write_bytes(certificate_file.encode(told))
    with pytest.raises(DatabaseError, match="has version 3, this program knows up to 2"):
        certificate_file.read(certificate_of(database))
