"""`verify(path)`: what is proven of a ticks.parquet by itself, and that nothing about a tick changes unseen."""

from __future__ import annotations

import datetime as dt
import json
import math
import random
import struct
from contextlib import closing
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

import apsw
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from support.sealing import SILENT, certificate
from support.ticks import DAY, HSBC, OPEN_MS, TENCENT, seq_at
from support.ticks_files import SYMBOLS, XIAOMI, make_ticks_file, rewritten, table_of, with_cell

import hk_tick_collector as hkt
from hk_tick_collector.errors import ArchiveError, CollectorError, ConfigError, ForeignFileError
from hk_tick_collector.parquet import reception
from hk_tick_collector.parquet.columns import COLUMNS, WORDS
from hk_tick_collector.parquet.decoders import best_independent_decoder
from hk_tick_collector.parquet.proof import Difference, FileProof, verify
from hk_tick_collector.parquet.writing import write_ticks
from hk_tick_collector.store import certificate_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

DECODERS: Final = ("pyarrow", "duckdb", "polars")
CAME: Final = "how its ticks came is not as archived (push_type_id, push_data_type, recv_ts_ms, inserted_at_ms)"
NOT_CERTIFIED: Final = "its ticks are not the certified ones"
UNORDERED: Final = "its sequences do not rise: a tick is there twice, or not in its place"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with 40 ticks of each of three symbols."""
    return make_ticks_file(tmp_path)


def of_symbols(proof: FileProof) -> dict[str | None, str]:
    """What differs, by symbol."""
    return {one.symbol: one.what for one in proof.differences}


def same(table: Any) -> Any:  # noqa: ANN401 - a pyarrow.Table
    """No change."""
    return table


# ---- what is as it was


@pytest.mark.parametrize("decoder", [None, *DECODERS])
def test_a_file_that_was_not_touched_is_proven_by_each_decoder(path: Path, decoder: str | None) -> None:
    """On a machine that has nothing but this file."""
    alone = path.parent / "elsewhere" / "copy.parquet"
    alone.parent.mkdir()
    path.rename(alone)
    told: list[tuple[str, int, int]] = []
    proof = hkt.verify(str(alone), decoder=decoder, progress=lambda *args: told.append(args))
    assert proof == FileProof(
        path=alone, day=DAY, verdict="UNPROVABLE", decoder=decoder or "pyarrow", has_checksums=True, rows=120,
        rows_certified=120, symbols=3, differences=(),
    )  # fmt: skip
    assert proof.ok
    assert told[-1] == ("copy.parquet: ticks hashed", 120, 120)


def test_a_day_of_several_row_groups_is_proven(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A symbol lies in two of them; each decoder cuts its batches elsewhere."""
    monkeypatch.setattr("hk_tick_collector.parquet.writing.ROW_GROUP_ROWS", 50)
    monkeypatch.setattr("hk_tick_collector.parquet.decoders.ROW_GROUP_ROWS", 33)
    monkeypatch.setattr("hk_tick_collector.parquet.decoders._AT_ONCE", 29)
    path = make_ticks_file(tmp_path)
    assert pq.ParquetFile(path).metadata.num_row_groups == 3
    for decoder in DECODERS:
        assert verify(path, decoder=decoder).ok
    changed = rewritten(path, lambda table: with_cell(table, "recv_ts_ms", XIAOMI, moment(1)))
    assert of_symbols(verify(changed)) == {XIAOMI: CAME}


def test_the_same_ticks_written_again_by_another_program_are_proven(path: Path) -> None:
    """Its bytes are others, so that only its ticks are proven, which `has_checksums` says."""
    proof = verify(rewritten(path, same))
    assert proof.ok
    assert not proof.has_checksums


def test_the_best_decoder_to_check_with_shares_no_code_with_the_writer(monkeypatch: pytest.MonkeyPatch) -> None:
    """DuckDB, else polars; pyarrow only where nothing else is installed."""
    assert best_independent_decoder() == "duckdb"
    for installed, best in (({"polars"}, "polars"), (set[str](), "pyarrow")):

        def optional(name: str, have: set[str] = installed) -> object:
            return object() if name in have else None

        monkeypatch.setattr("hk_tick_collector.parquet.decoders.optional", optional)
        assert best_independent_decoder() == best


def test_the_package_offers_what_it_says() -> None:
    """`hkt.verify` is that function; any other name is an error as in every module."""
    assert hkt.verify is verify
    assert "verify" in dir(hkt)
    with pytest.raises(AttributeError, match="module 'hk_tick_collector' has no attribute 'nothing'"):
        _ = hkt.nothing


# ---- what was changed


def moment(ms: int) -> dt.datetime:
    """So many ms after the opening."""
    return dt.datetime.fromtimestamp(OPEN_MS / 1000, dt.UTC) + dt.timedelta(milliseconds=ms)


@pytest.mark.parametrize(
    ("column", "value", "what"),
    [
        ("price", 6.001, NOT_CERTIFIED),
        ("price", math.nan, NOT_CERTIFIED),
        ("volume", 801, NOT_CERTIFIED),
        ("turnover", 26.400000000000003, NOT_CERTIFIED),
        ("ts_ms", moment(8001), NOT_CERTIFIED),
        ("seq", seq_at(8) + 1, f"{NOT_CERTIFIED}; {UNORDERED}"),
        ("direction_id", 1, f"{NOT_CERTIFIED}; direction is not the word for direction_id"),
        ("tick_type_id", 1, f"{NOT_CERTIFIED}; tick_type is not the word for tick_type_id"),
        ("direction", "BUY", "direction is not the word for direction_id"),
        ("tick_type", "no such type", "tick_type is not the word for tick_type_id"),
        ("push_type", "push", "push_type is not the word for push_type_id"),
        ("push_type_id", 0, f"{CAME}; push_type is not the word for push_type_id"),
        ("push_data_type", 2, CAME),
        ("recv_ts_ms", moment(1), CAME),
        ("inserted_at_ms", moment(1), CAME),
    ],
)
def test_one_changed_value_is_found_and_named(path: Path, column: str, value: object, what: str) -> None:
    """In a file with whole pages and right statistics: of that symbol, and of no other."""
    proof = verify(rewritten(path, lambda table: with_cell(table, column, TENCENT, value)))
    assert proof.differences == (Difference(TENCENT, what, 40, 40),)
    assert not proof.ok


def test_each_column_is_among_those_that_were_changed() -> None:
    """A column that no hash and no rule covers could change unseen."""
    cases: Any = test_one_changed_value_is_found_and_named
    (mark,) = (mark for mark in cases.pytestmark if mark.name == "parametrize")
    assert {case[0] for case in mark.args[1]} == set(COLUMNS) - {"symbol"}


def test_a_dropped_tick_a_doubled_one_and_a_foreign_symbol_are_named(path: Path) -> None:
    """With how many ticks there are, and how many are certified."""

    def change(table: Any) -> Any:  # noqa: ANN401 - a pyarrow.Table
        at = table.column("symbol").to_pylist().index
        rows = [n for n in range(table.num_rows) if n != at(HSBC) + 3]
        rows.insert(at(TENCENT) + 5, at(TENCENT) + 5)
        return table.take(rows).filter(pc.not_equal(table.take(rows).column("symbol"), XIAOMI))

    assert verify(rewritten(path, change)).differences == (
        Difference(HSBC, "39 ticks, certified were 40", 39, 40),
        Difference(TENCENT, f"41 ticks, certified were 40; {UNORDERED}", 41, 40),
        Difference(XIAOMI, "all its ticks are missing", 0, 40),
    )


def test_swapped_symbols_are_named(path: Path) -> None:
    """All ticks are there, under each other's name."""
    swapped = {HSBC: TENCENT, TENCENT: HSBC, XIAOMI: "HK.09988"}

    def change(table: Any) -> Any:  # noqa: ANN401 - a pyarrow.Table
        names = pa.array([swapped[name] for name in table.column("symbol").to_pylist()]).dictionary_encode()
        return table.set_column(0, table.schema.field(0), names)

    found = of_symbols(verify(rewritten(path, change)))
    assert found == {
        HSBC: f"{NOT_CERTIFIED}; its ticks are not in their place: symbols are not sorted",
        TENCENT: NOT_CERTIFIED,
        XIAOMI: "all its ticks are missing",
        "HK.09988": "the certificate has no ticks of it",
    }


def test_ticks_in_another_order_are_named(path: Path) -> None:
    """Their sum is the same, and a reader that looks for one by its place would miss it."""

    def shuffled(table: Any) -> Any:  # noqa: ANN401 - a pyarrow.Table
        return table.take([*range(70), 71, 70, *range(72, 120)])

    assert of_symbols(verify(rewritten(path, shuffled))) == {TENCENT: f"{CAME}; {UNORDERED}"}
    halves = rewritten(path, lambda table: table.take([*range(60), *range(80, 120), *range(60, 80)]))
    assert of_symbols(verify(halves)) == {TENCENT: "its ticks are not in their place: symbols are not sorted"}


def test_wrong_statistics_are_found(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Readers skip row groups by them: here pyarrow's own are compared with values that are others."""
    real, other = pc.min_max, pa.array([9.0])
    monkeypatch.setattr(pc, "min_max", lambda column: real(other if column.type == pa.float64() else column))
    assert [one.what for one in verify(path).differences] == [
        f"the statistics of {name} in row group 0 are wrong, so that readers miss ticks"
        for name in ("price", "turnover")
    ]


# ---- a decoder that is wrong


def decoded(path: Path, **columns: Callable[[Any], Any]) -> Callable[[Path], Iterator[Any]]:
    """A decoder that reads all right, but for these columns."""

    def wrong(_: Path) -> Iterator[Any]:
        table = table_of(path).combine_chunks()
        for name, change in columns.items():
            table = table.set_column(table.schema.get_field_index(name), name, change(table.column(name)))
        yield from table.to_batches(50)

    return wrong


def test_a_decoder_that_is_wrong_is_named_with_the_symbols_it_misreads(path: Path) -> None:
    """The file is whole: what differs is what the decoder made of it."""
    one_more = lambda column: pc.if_else(pc.equal(column, seq_at(9)), seq_at(9) + 1, column)  # noqa: E731
    assert verify(path, decoder=decoded(path, seq=lambda column: column)).ok
    proof = verify(path, decoder=decoded(path, seq=one_more))
    assert proof.decoder == "wrong"
    assert of_symbols(proof) == dict.fromkeys(SYMBOLS, f"{NOT_CERTIFIED}; {UNORDERED}")
    assert verify(path).ok


def test_a_wrong_cast_is_found_and_named(path: Path) -> None:
    """Prices of 32 bits, seconds taken for milliseconds, Hong Kong's time taken for UTC."""
    proof = verify(path, decoder=decoded(path, turnover=lambda column: column.cast(pa.float32())))
    assert of_symbols(proof) == dict.fromkeys(SYMBOLS, NOT_CERTIFIED)
    late = lambda column: pc.add(column.cast(pa.int64()), 8 * 3600 * 1000)  # noqa: E731
    assert of_symbols(verify(path, decoder=decoded(path, ts_ms=late))) == dict.fromkeys(SYMBOLS, NOT_CERTIFIED)


def test_other_types_of_the_same_values_are_no_difference(path: Path) -> None:
    """Decoders give texts, dictionaries and instants in types of their own."""
    decoder = decoded(
        path,
        symbol=lambda column: column.cast(pa.large_string()),
        direction=lambda column: column.cast(pa.string()),
        ts_ms=lambda column: column.cast(pa.timestamp("us", "Asia/Hong_Kong")),
        volume=lambda column: column.cast(pa.uint64()),
    )
    assert verify(path, decoder=decoder).ok


def no_such_word() -> Any:  # noqa: ANN401 - a pyarrow.Array
    """Words by indices that lead nowhere."""
    return pa.DictionaryArray.from_arrays(pa.array([7] * 120, pa.int32()), pa.array(["push"]), safe=False)


def test_what_can_not_be_our_type_is_an_error_that_names_the_column(path: Path) -> None:
    """A value with more digits than ours has, a text, a missing column, an index of no word."""
    instants = pa.array([OPEN_MS * 1000 + n for n in range(120)], pa.timestamp("us"))
    texts = pa.array(["dear"] * 120)
    narrow = table_of(path).drop_columns(["volume"]).combine_chunks()
    for decoder, told in (
        (decoded(path, ts_ms=lambda _: instants), r"gave ts_ms as timestamp\[us\], expected timestamp\[ms, tz=UTC\]"),
        (decoded(path, price=lambda _: texts), "gave price as string, expected double"),
        (lambda _: iter(narrow.to_batches()), "gave no column volume, expected symbol, seq"),
        (decoded(path, push_type=lambda _: no_such_word()), "gave columns that are not valid: "),
    ):
        with pytest.raises(ArchiveError, match=told):
            verify(path, decoder=decoder)


def test_a_value_that_is_missing_is_named(path: Path) -> None:
    """Nulls of one tick, in a column that is hashed, and in one that is not."""
    gone = lambda column: pc.if_else(pa.array([n != 45 for n in range(120)]), column, None)  # noqa: E731
    proof = verify(path, decoder=decoded(path, price=gone, inserted_at_ms=gone))
    assert of_symbols(proof) == {
        None: "119 ticks were decoded, 120 are in it by its footer",
        TENCENT: "39 ticks, certified were 40; price has no value; inserted_at_ms has no value",
    }
    proof = verify(path, decoder=decoded(path, symbol=lambda column: gone(column.cast(pa.string()))))
    assert of_symbols(proof)["(no symbol)"] == "symbol has no value"


def test_a_decoder_of_no_such_name_is_refused(path: Path) -> None:
    """One line that names those there are."""
    with pytest.raises(ConfigError, match="decoder 'fastparquet', expected one of pyarrow, duckdb, polars"):
        verify(path, decoder="fastparquet")


# ---- bytes that were changed


def test_each_changed_byte_is_found(tmp_path: Path) -> None:
    """One of them anywhere: either it is found, or each tick is as it was."""
    path = make_ticks_file(tmp_path, ticks=12)
    raw, ticks = path.read_bytes(), table_of(path)
    rng = random.Random(20261120)
    found = 0
    for at in [*rng.sample(range(len(raw)), 60), *range(len(raw) - 12, len(raw))]:
        changed = bytearray(raw)
        changed[at] ^= rng.randrange(1, 256)
        path.write_bytes(changed)
        try:
            proof = verify(path)
        except CollectorError:
            found += 1
            continue
        if proof.ok:
            assert table_of(path).equals(ticks), at
        else:
            found += 1
    assert found > 60


def test_a_page_that_can_not_be_decoded_is_told_with_its_symbols(path: Path) -> None:
    """The other row groups are still read."""
    raw = bytearray(path.read_bytes())
    raw[200] ^= 0xFF
    path.write_bytes(raw)
    proof = verify(path)
    of_file, lost, *symbols = proof.differences
    assert of_file.what == "bytes of the file were changed since it was written"
    assert lost.what.startswith(f"row group 0 ({HSBC} to {XIAOMI}) is lost: {path} can't be decoded: ")
    assert [(one.symbol, one.rows, one.rows_certified) for one in symbols if one.symbol] == [
        (symbol, 0, 40) for symbol in SYMBOLS
    ]


def test_a_file_that_is_cut_off_is_refused_wherever_it_ends(path: Path) -> None:
    """One line that says what to do."""
    raw = path.read_bytes()
    rng = random.Random(1)
    for length in [0, 1, 7, 8, len(raw) - 1, *rng.sample(range(len(raw)), 45)]:
        path.write_bytes(raw[:length])
        with pytest.raises(ForeignFileError, match=r"is no whole Parquet file: .*; copy it again"):
            verify(path)
    path.write_bytes(raw + b"x")
    with pytest.raises(ForeignFileError, match="its end is missing or was changed"):
        verify(path)


# ---- metadata


def test_another_programs_file_is_refused(path: Path) -> None:
    """A Parquet file of anything, one with other columns, a directory, a text."""
    foreign = path.with_name("foreign.parquet")
    pq.write_table(pa.table({"a": [1]}), foreign)
    with pytest.raises(ForeignFileError, match=r"was made by another program: expected a ticks\.parquet of this one"):
        verify(foreign)
    other = rewritten(path, lambda table: table.drop_columns(["volume"]))
    with pytest.raises(ForeignFileError, match="has other columns than a"):
        verify(other)
    foreign.write_bytes(b"day,price\n" * 99)
    with pytest.raises(ForeignFileError, match="is no whole Parquet file"):
        verify(foreign)
    path.with_name("directory.parquet").mkdir()
    with pytest.raises((ForeignFileError, OSError)):
        verify(path.with_name("directory.parquet"))
    with pytest.raises(FileNotFoundError):
        verify(path.with_name("none.parquet"))


def test_the_certificate_in_it_has_to_be_the_one_that_was_written(path: Path) -> None:
    """One that was edited proves nothing, and nothing is compared with it."""
    told = certificate(path.parent / f"{DAY}.db")
    told["verdict"] = "COMPLETE"
    proof = verify(rewritten(path, same, certificate=json.dumps(told).encode()))
    assert proof.differences == (Difference(None, "its certificate was modified: it does not match its own hash"),)
    assert (proof.verdict, proof.rows, proof.rows_certified) == (None, 0, 0)
    of_no_day = {"self": certificate_file.hash_of({})}
    with pytest.raises(ForeignFileError, match="has metadata that make no sense: 'version'; copy it again"):
        verify(rewritten(path, same, certificate=json.dumps(of_no_day).encode()))
    newer = {**told, "version": 3}
    newer["self"] = certificate_file.hash_of(newer)
    with pytest.raises(ForeignFileError, match="has a certificate of version 3, this program knows up to 2: upgrade"):
        verify(rewritten(path, same, certificate=json.dumps(newer).encode()))


def test_the_day_has_to_be_that_of_the_certificate(path: Path) -> None:
    """A file under a wrong day is no archive of it."""
    proof = verify(rewritten(path, same, day=b"20260801"))
    assert of_symbols(proof) == {None: f"its day is 20260801, and its certificate is that of {DAY}"}


def test_the_reception_hashes_have_to_be_those_that_were_written(path: Path) -> None:
    """They have a hash over themselves, so that no symbol is accused of what happened to the metadata."""
    made = reception.metadata_of({HSBC: "0" * 64})
    proof = verify(rewritten(path, same, reception=json.dumps({**made, "symbols": {}}).encode()))
    assert of_symbols(proof) == {None: "its reception hashes were modified: they do not match their own hash"}
    proof = verify(rewritten(path, same, reception=json.dumps(made).encode()))
    assert of_symbols(proof) == dict.fromkeys(SYMBOLS, CAME)


def test_the_reception_hash_is_as_it_is_documented(path: Path) -> None:
    """Whoever computes it by the words of docs/data.md gets it."""
    digest = sha256()
    with closing(apsw.Connection(str(path.parent / f"{DAY}.db"), flags=apsw.SQLITE_OPEN_READONLY)) as con:
        select = (
            "SELECT push_type_id, push_data_type, recv_ts_ms, inserted_at_ms FROM ticks WHERE symbol = ? ORDER BY seq"
        )
        for row in con.execute(select, (TENCENT,)):
            digest.update(struct.pack("<4q", *row))
    told = json.loads(pq.ParquetFile(path).metadata.metadata[b"hk_tick_collector.reception"])
    assert told["columns"] == ["push_type_id", "push_data_type", "recv_ts_ms", "inserted_at_ms"]
    assert told["symbols"][TENCENT] == digest.hexdigest()
    assert told["self"] == certificate_file.hash_of(told)


def test_a_day_without_a_tick_is_proven(tmp_path: Path) -> None:
    """Its file has no rows, and its certificate no symbol that has any."""
    path = make_ticks_file(tmp_path, ticks=0)
    proof = verify(path)
    assert (proof.ok, proof.rows, proof.symbols) == (True, 0, 0)
    assert set(WORDS) < set(pq.read_schema(path).names)
    with closing(apsw.Connection(str(tmp_path / f"{DAY}.db"), flags=apsw.SQLITE_OPEN_READONLY)) as con:
        assert write_ticks(con, tmp_path / "again.parquet", certificate(tmp_path / f"{DAY}.db"), SILENT) == 0
