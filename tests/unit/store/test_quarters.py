"""The side file of a certificate: what is in it, that it follows its certificate, and that no byte changes unseen."""

from __future__ import annotations

import json
import random
import stat
from typing import TYPE_CHECKING, Any

import pytest
from support.merging import record
from support.scenario import Scenario
from support.sealing import certificate, make_day, seal_day, tell_day
from support.ticks import DAY, HSBC, OPEN_MS, TENCENT, pushes, row, seq_at

from hk_tick_collector.errors import DatabaseError
from hk_tick_collector.hktime import MINUTE_MS, day_begin_ms
from hk_tick_collector.seal.recheck import recheck
from hk_tick_collector.store import certificate_file, quarters
from hk_tick_collector.store.quarters import Quarter, quarters_of
from hk_tick_collector.store.sealed import certificate_of, day_open_lock, reopen
from hk_tick_collector.store.tick_hash import hash_rows

if TYPE_CHECKING:
    from pathlib import Path

TEN = (OPEN_MS - day_begin_ms(DAY)) // quarters.QUARTER_MS  # 10:00 in Hong Kong


def silent(*_: object) -> None:
    """Progress that nobody sees."""


def sealed(root: Path) -> Path:
    """The certificate of a day with ticks in three quarter-hours, in another order than that of their times."""
    root.mkdir(exist_ok=True)
    minutes = (40, 0, 14, 15, 29, 1, 41)
    rows = [row(TENCENT, seq_at(n), OPEN_MS + at * MINUTE_MS, volume=100 * n) for n, at in enumerate(minutes, 1)]
    database = record(root / f"{DAY}.db", [*rows, row(HSBC, seq_at(9))])
    seal_day(database)
    return certificate_of(database)


def test_each_quarter_hour_has_its_rows_its_volume_and_its_hash(tmp_path: Path) -> None:
    """By the Hong Kong time of the trade, however the ticks came; a quarter-hour without ticks is left out."""
    path = sealed(tmp_path)
    told = certificate_file.read(path)
    found = quarters.read(quarters_of(path), told)
    assert found is not None
    assert {symbol: {n: one[:2] for n, one in some.items()} for symbol, some in found.items()} == {
        HSBC: {TEN: (1, 100)},
        TENCENT: {TEN: (3, 1100), TEN + 1: (2, 900), TEN + 2: (2, 800)},
    }
    only = row(HSBC, seq_at(9))[1:8]
    assert found[HSBC][TEN].hash == hash_rows(HSBC, [only]) % 2**128
    assert [quarters.clock_of(TEN + n) for n in range(3)] == ["10:00", "10:15", "10:30"]


def test_the_hashes_of_the_quarters_add_up_to_the_symbols(tmp_path: Path) -> None:
    """Modulo 2^128, to the last 32 digits of what the certificate has."""
    path = sealed(tmp_path)
    told = certificate_file.read(path)
    found = quarters.read(quarters_of(path), told)
    assert found is not None
    for symbol in told["symbols"]:
        some = found[symbol["symbol"]].values()
        assert sum(one.hash for one in some) % 2**128 == int(symbol["hash"][32:], 16)
        assert (sum(one.rows for one in some), sum(one.volume for one in some)) == (symbol["rows"], symbol["volume"])


def test_a_certificate_names_its_side_file(tmp_path: Path) -> None:
    """With its size and SHA-256; a program that does not know that key reads the certificate as before."""
    path = sealed(tmp_path)
    told = certificate_file.read(path)
    side = quarters_of(path)
    assert told["version"] == 2
    assert told["quarters"] == quarters.reference(path, side.read_bytes())
    assert told["quarters"]["name"] == f"{DAY}.quarters.json"
    assert told["quarters"]["bytes"] == side.stat().st_size
    assert json.loads(side.read_bytes())["minutes"] == 15
    assert stat.S_IMODE(side.stat().st_mode) == stat.S_IMODE(path.stat().st_mode)


def test_a_changed_side_file_is_not_believed(tmp_path: Path) -> None:
    """Whatever byte of it was changed; `verify --sealed` says so. One that is missing was not copied along."""
    path = sealed(tmp_path)
    told = certificate_file.read(path)
    side = quarters_of(path)
    raw = side.read_bytes()
    assert not quarters.is_changed(side, told)
    rng = random.Random(3)
    for at in rng.sample(range(len(raw)), 50):
        changed = bytearray(raw)
        changed[at] ^= rng.randrange(1, 256)
        side.write_bytes(changed)
        assert quarters.is_changed(side, told)
        assert quarters.read(side, told) is None
    assert recheck(tmp_path, DAY, silent).differences == (
        f"{DAY}.quarters.json was modified: it is not the one that the certificate names",
    )
    side.unlink()
    assert not quarters.is_changed(side, told)
    assert quarters.read(side, told) is None
    assert recheck(tmp_path, DAY, silent).differences == ()


def test_a_side_file_that_makes_no_sense_is_an_error_of_one_line(tmp_path: Path) -> None:
    """Another recorder's may be: its certificate names it, so it is what that recorder wrote."""
    side = tmp_path / f"{DAY}.quarters.json"
    for raw in (b"no JSON", b"[]", b'{"version": 1}', b'{"version": 1, "symbols": {"HK.00700": [[1, 2]]}}'):
        side.write_bytes(raw)
        told = {"quarters": quarters.reference(tmp_path / f"{DAY}.certificate.json", raw)}
        with pytest.raises(DatabaseError, match=r"quarters\.json makes no sense: "):
            quarters.read(side, told)
    newer = b'{"version": 2, "symbols": 7}'
    side.write_bytes(newer)
    told = {"quarters": quarters.reference(tmp_path / f"{DAY}.certificate.json", newer)}
    assert quarters.read(side, told) is None


def test_a_day_of_an_older_version_has_no_side_file(tmp_path: Path) -> None:
    """Its certificate names none, and none is looked for."""
    path = sealed(tmp_path)
    told = {name: value for name, value in certificate_file.read(path).items() if name != "quarters"}
    assert quarters.read(quarters_of(path), told) is None
    assert not quarters.is_changed(quarters_of(path), told)


def test_the_side_file_follows_a_certificate_that_is_superseded(tmp_path: Path) -> None:
    """Each certificate keeps its own, under its own number."""
    scenario = Scenario(tmp_path / "data")
    database = tell_day(scenario)
    seal_day(database)
    first = certificate(database)
    scenario.hear(pushes(TENCENT, [50]))
    scenario.write()
    old = database.with_name(f"{DAY}.certificate.1.json")
    assert quarters_of(old).name == f"{DAY}.quarters.1.json"
    assert not quarters_of(certificate_of(database)).exists()
    seal_day(database)
    second = certificate(database)
    assert quarters.read(quarters_of(old), first) != quarters.read(quarters_of(certificate_of(database)), second)
    assert quarters.read(quarters_of(old), certificate_file.read(old)) is not None
    assert recheck(database.parent, DAY, silent).differences == ()


def test_a_reopen_that_was_killed_between_the_two_renames_is_finished_by_the_next(tmp_path: Path) -> None:
    """The certificate was renamed, its side file was not."""
    database = make_day(tmp_path)
    seal_day(database)
    old = database.with_name(f"{DAY}.certificate.1.json")
    certificate_of(database).rename(old)
    with day_open_lock(tmp_path):
        assert reopen(database) is None
    told = certificate_file.read(old)
    assert quarters.read(quarters_of(old), told) is not None
    assert not quarters_of(certificate_of(database)).exists()


def test_what_a_killed_sealing_left_is_replaced(tmp_path: Path) -> None:
    """The side file was there, its certificate not yet; the kept one of an earlier certificate is not touched."""
    database = make_day(tmp_path)
    seal_day(database)
    with day_open_lock(tmp_path):
        assert reopen(database) == 1
    kept = quarters_of(database.with_name(f"{DAY}.certificate.1.json")).read_bytes()
    left = quarters_of(certificate_of(database))
    left.write_bytes(b"half of it")
    with day_open_lock(tmp_path):
        assert reopen(database) is None
    assert quarters_of(database.with_name(f"{DAY}.certificate.1.json")).read_bytes() == kept
    seal_day(database)
    assert quarters.read(left, certificate(database)) is not None


def test_the_name_follows_that_of_the_certificate(tmp_path: Path) -> None:
    """Also where a person has renamed it."""
    for name, side in (
        ("20261120.certificate.json", "20261120.quarters.json"),
        ("20261120.certificate.12.json", "20261120.quarters.12.json"),
        ("theirs.certificate.json", "theirs.quarters.json"),
        ("theirs.json", "theirs.quarters.json"),
    ):
        assert quarters_of(tmp_path / name) == tmp_path / side


def tick(n: int, ts_ms: int) -> tuple[Any, ...]:
    """A tick as it is hashed."""
    return row(TENCENT, n, ts_ms, volume=10**n)[1:8]


def test_ticks_are_cut_at_each_quarter_hour() -> None:
    """One on the border belongs to the later one; however they are ordered, and in how many portions they come."""
    begin, quarter = day_begin_ms(DAY), quarters.QUARTER_MS
    at = [5 * quarter, 0, quarter - 1, quarter, 2 * quarter - 1, -1]
    ticks = [tick(n, begin + ms) for n, ms in enumerate(at)]
    whole, parts = quarters.Counting(DAY), quarters.Counting(DAY)
    total = whole.add(TENCENT, list(ticks))
    assert total % 2**256 == hash_rows(TENCENT, ticks) % 2**256
    assert {number: one[:2] for number, one in whole.found[TENCENT].items()} == {
        -1: (1, 100_000), 0: (2, 110), 1: (2, 11_000), 5: (1, 1),
    }  # fmt: skip
    for one in ticks:
        parts.add(TENCENT, [one])
    assert parts.found == whole.found
    assert whole.found[TENCENT][0] == Quarter(2, 110, hash_rows(TENCENT, ticks[1:3]) % 2**128)
    assert whole.add(TENCENT, []) == 0
