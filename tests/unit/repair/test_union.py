"""The union of two databases of a day: which row stays, what is kept beside it, and what is left untouched."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import apsw
import pytest
from support.late_ticks import assert_stats_true, bytes_of, query
from support.merging import all_rows, record, versions
from support.ticks import DAY, HSBC, OPEN_MS, TENCENT, row, seq_at

from hk_tick_collector.db import DayDatabase, Pragmas, migrate
from hk_tick_collector.errors import DatabaseError
from hk_tick_collector.mapping import Correction
from hk_tick_collector.repair import union
from hk_tick_collector.repair.compare import Common
from hk_tick_collector.repair.union import COUNTED_ANEW, EXAMPLES_MAX, LEFT_OUT, OTHERS, TableCounts, Union, unite
from hk_tick_collector.store.schema import APPLICATION_ID, DAY_OF_TS, MIGRATIONS, VERSION, day_of_ts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PUSH, POLL, BACKFILL = 0, 1, 2


class Two:
    """Two recorders' databases, and their union."""

    def __init__(self, directory: Path) -> None:
        self.a, self.b, self.made = (directory / side / f"{DAY}.db" for side in ("a", "b", "made"))
        for path in (self.a, self.b, self.made):
            path.parent.mkdir()

    def unite(self, tell: Callable[[str, int, int], None] = lambda *_: None) -> Union:
        """Make it."""
        return unite({"a": self.a, "b": self.b}, self.made, tell)

    def ticks(self, columns: str = "seq, price, push_type_id, recv_ts_ms") -> list[tuple[Any, ...]]:
        """Of the union."""
        return query(self.made, f"SELECT {columns} FROM ticks ORDER BY symbol, seq")  # noqa: S608

    def revisions(self) -> list[tuple[Any, ...]]:
        """Of the union."""
        return query(self.made, "SELECT seq, price, recv_ts_ms FROM tick_revisions ORDER BY seq, price")


@pytest.fixture
def two(tmp_path: Path) -> Two:
    """Nothing is stored yet."""
    return Two(tmp_path)


def ticks(*ordinals: int, symbol: str = TENCENT, **fields: Any) -> list[Any]:  # noqa: ANN401 - columns
    """Ticks with these ordinals."""
    return [row(symbol, seq_at(n), OPEN_MS + n, **fields) for n in ordinals]


def test_what_only_one_has_is_taken(two: Two) -> None:
    """From both, with all of a database of ours around it: statistics, version, mark."""
    record(two.a, ticks(1, 2, 4))
    record(two.b, ticks(2, 3) + ticks(9, symbol=HSBC))
    done = two.unite()
    assert [seq for (seq,) in two.ticks("seq")] == [seq_at(n) for n in (9, 1, 2, 3, 4)]
    assert done.symbols == {TENCENT: Common(3, 2, 1, 0, 0), HSBC: Common(0, 1, 0, 0, 0)}
    assert (done.merged, done.disagreements) == (5, ())
    assert_stats_true(two.made)
    for pragma, value in (("user_version", VERSION), ("application_id", APPLICATION_ID), ("journal_mode", "delete")):
        assert query(two.made, f"PRAGMA {pragma}") == [(value,)]
    assert query(two.made, "SELECT DISTINCT trading_day FROM ticks") == [(DAY,)]


def test_of_the_same_tick_the_earlier_reception_stays(two: Two) -> None:
    """With the way in which it came then, whichever side it is on; that is no disagreement."""
    record(two.a, ticks(1, 2, recv_ts_ms=OPEN_MS + 500, push_type_id=BACKFILL))
    record(two.b, ticks(1, recv_ts_ms=OPEN_MS + 40, push_type_id=PUSH))
    record(two.b, ticks(2, recv_ts_ms=OPEN_MS + 900, push_type_id=POLL))
    done = two.unite()
    assert two.ticks("push_type_id, recv_ts_ms") == [(PUSH, OPEN_MS + 40), (BACKFILL, OPEN_MS + 500)]
    assert two.revisions() == []
    assert done.symbols[TENCENT] == Common(2, 2, 2, 0, 2)
    assert done.disagreements == ()


def test_of_two_that_differ_the_first_stays_and_the_other_is_a_revision(two: Two) -> None:
    """And it is told, with both rows."""
    record(two.a, ticks(1, price=5.0, recv_ts_ms=OPEN_MS + 40) + ticks(2, price=5.0, recv_ts_ms=OPEN_MS + 40))
    record(two.b, ticks(1, price=6.0, recv_ts_ms=OPEN_MS + 30) + ticks(2, price=6.0, recv_ts_ms=OPEN_MS + 50))
    done = two.unite()
    assert two.ticks("price, recv_ts_ms") == [(6.0, OPEN_MS + 30), (5.0, OPEN_MS + 40)]
    assert two.revisions() == [(seq_at(1), 5.0, OPEN_MS + 40), (seq_at(2), 6.0, OPEN_MS + 50)]
    assert done.symbols[TENCENT].different == 2
    first = done.disagreements[0]
    assert (first.symbol, first.seq, first.a["price"], first.b["price"]) == (TENCENT, seq_at(1), 5.0, 6.0)
    assert first.a.keys() == first.b.keys() >= {"ts_ms", "recv_ts_ms", "inserted_at_ms"}


@pytest.mark.parametrize(
    "column", ["ts_ms", "price", "volume", "turnover", "direction_id", "tick_type_id"], ids=lambda name: name
)
def test_every_part_of_the_content_makes_a_tick_another_one(column: str, two: Two) -> None:
    """Time, price, volume, turnover, direction, type."""
    record(two.a, [row(TENCENT, 1)])
    record(two.b, [row(TENCENT, 1, **{column: 3 if column == "direction_id" else OPEN_MS + 7})])
    assert two.unite().symbols[TENCENT].different == 1
    assert versions(two.made) == versions(two.a) | versions(two.b)


def test_only_so_many_disagreements_are_shown(two: Two) -> None:
    """All are counted, over all symbols, and kept."""
    for path, price in ((two.a, 1.0), (two.b, 2.0)):
        record(path, [tick for symbol in (TENCENT, HSBC) for tick in ticks(*range(15), symbol=symbol, price=price)])
    done = two.unite()
    assert [common.different for common in done.symbols.values()] == [15, 15]
    assert len(done.disagreements) == EXAMPLES_MAX == 20
    assert len(two.revisions()) == 30


def test_revisions_of_both_are_kept_once(two: Two) -> None:
    """The earlier reception of each; but none that says the same as the tick that stays."""
    versions_a = [(5.0, 40), (6.0, 90), (7.0, 95)]
    versions_b = [(6.0, 30), (7.0, 60), (8.0, 70)]
    for path, told in ((two.a, versions_a), (two.b, versions_b)):
        record(path, [row(TENCENT, 1, price=price, recv_ts_ms=OPEN_MS + ms) for price, ms in told])
    done = two.unite()
    assert two.ticks() == [(1, 6.0, PUSH, OPEN_MS + 30)]
    assert two.revisions() == [(1, 5.0, OPEN_MS + 40), (1, 7.0, OPEN_MS + 60), (1, 8.0, OPEN_MS + 70)]
    assert done.tables["tick_revisions"] == TableCounts(2, 2, 3, 0)


def test_a_revision_that_only_one_has_is_no_disagreement(two: Two) -> None:
    """The other recorder was away when OpenD sent it."""
    record(two.a, [row(TENCENT, 1, price=5.0), row(TENCENT, 1, price=6.0)])
    record(two.b, [row(TENCENT, 1, price=5.0)])
    assert two.unite().symbols[TENCENT].different == 0
    assert [price for _, price, _ in two.revisions()] == [6.0]


def correction(original_time: str = "18:00:00", ts_ms: int = OPEN_MS) -> Correction:
    """Of the first tick, eight hours."""
    return Correction(TENCENT, 1, original_time, ts_ms + 28_800_000, ts_ms, "seq")


@pytest.mark.parametrize(
    ("a", "b", "kept", "differing"),
    [
        ([correction()], [], correction(), 0),
        ([correction()], [correction()], correction(), 0),
        # who was corrected by `repair` no longer knows how the time was written
        ([correction("")], [correction()], correction(), 0),
        # one that tells of the tick that stays, which is a's
        ([correction()], [correction("02:00:00", OPEN_MS - 57_600_000)], correction(), 1),
        ([correction("")], [correction(ts_ms=OPEN_MS - 9)], correction(""), 1),
    ],
)  # fmt: skip
def test_of_two_corrections_that_of_the_tick_that_stays_is_kept(
    a: list[Correction], b: list[Correction], kept: Correction, differing: int, two: Two
) -> None:
    """And rather one that knows how the time was written; if they tell of other times, it is counted."""
    record(two.a, [row(TENCENT, 1)], a)
    record(two.b, [row(TENCENT, 1, recv_ts_ms=OPEN_MS + 41)], b)
    done = two.unite()
    assert query(two.made, "SELECT * FROM time_corrections") == [kept]
    assert done.tables["time_corrections"] == TableCounts(len(a), len(b), 1, differing)


def test_bad_ticks_of_both_are_kept_once(two: Two) -> None:
    """As they came first."""
    record(two.a, [], [], [(b"1", TENCENT, 50, "no price", b"x", 7, 8, 9, 0), (b"2", "", 1, "?", b"y", 1, 1, 1, -1)])
    record(two.b, [], [], [(b"1", TENCENT, 40, "no price", b"x", 3, 4, 5, 0)])
    done = two.unite()
    assert query(two.made, "SELECT digest, recv_ts_ms, journal_segment FROM bad_ticks ORDER BY 1") == [
        (b"1", 40, 3),
        (b"2", 1, 1),
    ]
    assert done.tables["bad_ticks"] == TableCounts(2, 1, 2, 0)


def note(path: Path, table: str, *rows: tuple[Any, ...]) -> None:
    """Add rows to a ledger's table."""
    con = apsw.Connection(str(path))
    con.executemany(f"INSERT INTO {table} VALUES ({','.join('?' * len(rows[0]))})", rows)  # noqa: S608
    con.close()


def gap(resumed_ms: int, before: int, after: int, evidence: str = "ordinals", filled_ms: int | None = None) -> Any:  # noqa: ANN401
    """One that lacks what is between these ordinals."""
    bounds = (TENCENT, resumed_ms, "opend_down", None, "morning", seq_at(before), OPEN_MS, seq_at(after), OPEN_MS)
    state = ("open", None, None) if filled_ms is None else ("filled", filled_ms, "poll")
    return (*bounds, after - before - 1, None, evidence, resumed_ms, *state, None, 0)


def test_the_ones_gaps_are_filled_by_the_others_ticks(two: Two) -> None:
    """By ordinals, and only if none is missing any more; totals can not tell. Of two alike, the open one stays."""
    record(two.a, ticks(1, 5, 6, 9))
    record(two.b, ticks(1, 7, 9) + ticks(2, 3, 4, recv_ts_ms=OPEN_MS + 77))
    note(two.a, "gaps", gap(10, 1, 5), gap(20, 6, 9), gap(30, 1, 5, "totals"), gap(50, 6, 9))
    note(two.b, "gaps", gap(40, 1, 7), gap(50, 6, 9, filled_ms=60))
    done = two.unite()
    assert query(two.made, "SELECT resumed_ms, state, filled_ms, filled_by FROM gaps ORDER BY 1") == [
        (10, "filled", OPEN_MS + 77, "push"),
        (20, "open", None, None),
        (30, "open", None, None),
        (40, "filled", query(two.made, "SELECT max(recv_ts_ms) FROM ticks")[0][0], "push"),
        (50, "open", None, None),
    ]
    assert done.tables["gaps"] == TableCounts(4, 2, 5, 0)


@pytest.mark.parametrize("order", ["ab", "ba"])
def test_doubts_and_totals_of_both_are_kept(order: str, two: Two) -> None:
    """The wider doubt, and the totals of who had more; no place of a journal."""
    one, other = (two.a, two.b)[:: 1 if order == "ab" else -1]
    record(one, ticks(1, 2))
    record(other, ticks(1, 2))
    note(one, "doubts", (TENCENT, 10, "unknown", 5, "morning", seq_at(2), OPEN_MS))
    note(other, "doubts", (TENCENT, 10, "unknown", 5, "morning", seq_at(1), OPEN_MS))
    note(other, "doubts", (HSBC, 10, "unknown", 5, "morning", None, None))
    for path, ours in ((one, 700), (other, 800)):
        shown = (TENCENT, 10, 1, 20, 900, 9.0, None, None, 10, ours, 7.0, ours // 100, seq_at(2))
        note(path, "exchange_totals", (*shown, None, None, None, 10, None, None, None, None, None))
    note(other, "judged", (1, 7, 8, 9, 10))
    done = two.unite()
    assert query(two.made, "SELECT symbol, before_seq FROM doubts ORDER BY 1") == [(HSBC, None), (TENCENT, seq_at(1))]
    assert query(two.made, "SELECT our_volume FROM exchange_totals") == [(800,)]
    assert query(two.made, "SELECT * FROM judged") == []
    assert (done.tables["doubts"].merged, done.tables["exchange_totals"]) == (2, TableCounts(1, 1, 1, 0))


@pytest.mark.parametrize("empty", [b"", None], ids=["no byte", "no table"])
def test_a_file_without_its_first_transaction_has_nothing(empty: bytes | None, two: Two) -> None:
    """A recorder has just made it."""
    record(two.b, ticks(1, 2))
    if empty is None:
        apsw.Connection(str(two.a)).pragma("journal_mode", "wal")
    else:
        two.a.write_bytes(empty)
    assert two.unite().symbols == {TENCENT: Common(0, 2, 0, 0, 0)}
    assert all_rows(two.made) == all_rows(two.b)


def test_a_day_that_one_has_alone_is_that_day(two: Two) -> None:
    """Row by row, in every table."""
    record(two.a, ticks(1, 2) + ticks(2, price=9.0), [correction()], [(b"1", "", 1, "?", b"", 1, 1, 1, -1)])
    done = unite({"a": two.a}, two.made, lambda *_: None)
    assert all_rows(two.made) == all_rows(two.a)
    assert done.symbols == {TENCENT: Common(2, 0, 0, 0, 0)}
    assert done.tables["tick_revisions"] == TableCounts(1, 0, 1, 0)


def test_a_day_of_which_nobody_has_anything(two: Two) -> None:
    """A database without a row."""
    for path in (two.a, two.b):
        path.touch()
    assert two.unite() == Union({}, 0, {table.name: TableCounts(0, 0, 0, 0) for table in OTHERS}, ())
    assert two.ticks() == []


# ---- what it does to others


@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_a_database_at_rest_is_left_as_it_is(mode: str, two: Two) -> None:
    """Not a byte, and no file beside it."""
    for path in (two.a, two.b):
        record(path, ticks(1))
        con = apsw.Connection(str(path))
        con.pragma("journal_mode", mode)
        con.close()
    before = [bytes_of(path.parent) for path in (two.a, two.b)]
    two.unite()
    assert [bytes_of(path.parent) for path in (two.a, two.b)] == before
    assert before[0].keys() == {f"{DAY}.db"}
    assert [path.name for path in two.made.parent.iterdir()] == [f"{DAY}.db"]


def test_beside_a_writer_it_is_of_one_moment(two: Two) -> None:
    """What is in its log is taken; what it commits meanwhile is not, in no table, and it is not kept from it."""
    record(two.b, ticks(3) + ticks(1, symbol=HSBC))
    writer = DayDatabase(two.a, Pragmas())
    writer.store({TENCENT: ticks(1), HSBC: ticks(1, symbol=HSBC)}, {})
    committed = []

    def tell(*_: object) -> None:
        committed.append(writer.store({TENCENT: ticks(50 + len(committed), price=7.0)}, {TENCENT: ticks(1, price=8.0)}))

    two.unite(tell)
    writer.close()
    assert [done.new for done in committed] == [1, 1, 1]
    assert [seq for (seq,) in two.ticks("seq")] == [seq_at(n) for n in (1, 1, 3)]
    assert two.revisions() == []
    assert_stats_true(two.made)


@pytest.mark.parametrize("fault", [None, apsw.CorruptError, DatabaseError])
def test_a_writer_that_comes_meanwhile_makes_it_begin_anew(
    fault: type[Exception] | None, two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read of a file that nobody seemed to write to counts for nothing, also if it made no sense."""
    record(two.a, ticks(1))
    record(two.b, ticks(2))
    real = union._unite
    seen = []

    def disturbed(uris: Mapping[str, str], made: Path, tell: Any) -> Union:  # noqa: ANN401 - passed on
        seen.append(["immutable" in uri for uri in uris.values()])
        done = real(uris, made, tell)
        if len(seen) == 1:
            record(two.a, ticks(5))
            if fault:
                raise fault("nonsense")
        return done

    monkeypatch.setattr(union, "_unite", disturbed)
    assert two.unite().merged == 3
    assert seen == [[True, True], [False, False]]
    assert [seq for (seq,) in two.ticks("seq")] == [seq_at(n) for n in (1, 2, 5)]


def test_a_fault_of_an_untouched_file_is_not_tried_again(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be the same."""
    record(two.a, ticks(1))
    record(two.b, ticks(2))
    tries = []

    def failing(*_: object) -> Union:
        tries.append(1)
        raise apsw.CorruptError("torn")

    monkeypatch.setattr(union, "_unite", failing)
    with pytest.raises(apsw.CorruptError):
        two.unite()
    assert tries == [1]


# ---- what it is held to


def test_books_that_do_not_balance_are_refused(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rather nothing than less than both had."""
    record(two.a, ticks(1, 2))
    record(two.b, ticks(2, 3))

    def forgetful(con: apsw.Connection, symbols: Any) -> None:  # noqa: ANN401 - passed on
        con.execute("DELETE FROM main.ticks WHERE seq = ?", (seq_at(3),))
        refresh(con, symbols)

    refresh = union.refresh_stats
    monkeypatch.setattr(union, "refresh_stats", forgetful)
    with pytest.raises(DatabaseError, match="3 ticks were united and 2 counted anew, expected 3"):
        two.unite()


def test_a_file_that_is_not_whole_is_refused(two: Two) -> None:
    """SQLite's own check has the last word."""
    record(two.made, ticks(1))
    con = apsw.Connection(str(two.made))
    con.execute("PRAGMA writable_schema = ON; DELETE FROM sqlite_schema WHERE name = 'bad_ticks'").fetchall()
    con.close()
    con = apsw.Connection(str(two.made))
    done = Union({TENCENT: Common(1, 0, 0, 0, 0)}, 1, {}, ())
    with pytest.raises(DatabaseError, match=r"just made, is damaged: [^|]*never used"):
        union._check(con, done, two.made, lambda *_: None)
    con.close()


def test_every_table_of_the_schema_is_united() -> None:
    """Whoever adds one says how: a row in OTHERS, or why not."""
    con = apsw.Connection(":memory:")
    migrate(con, Path("a day"))
    names = {name for (name,) in con.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    con.close()
    assert names == {"ticks", *(table.name for table in OTHERS), *COUNTED_ANEW, *LEFT_OUT}


def test_ticks_are_interleaved_and_never_sorted(two: Two) -> None:
    """So memory does not grow with the day: SQLite's plan sorts nothing but rows of the same key."""
    record(two.a, ticks(1))
    record(two.b, ticks(2))
    con = apsw.Connection(str(two.made), flags=apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE)
    migrate(con, two.made)
    for side, path in (("a", two.a), ("b", two.b)):
        con.execute(f"ATTACH ? AS {side}", (str(path),))
    work = union._Work(con, "", lambda *_: None)
    statement = work._union(union.TICKS, ["a.ticks", "b.ticks"], "s.symbol = ?1")
    plan = [row[3] for row in con.execute(f"EXPLAIN QUERY PLAN {statement}", (TENCENT,))]
    con.close()
    assert "MERGE (UNION ALL)" in plan
    assert not [step for step in plan if "TEMP B-TREE" in step and "LAST" not in step], plan


def test_it_tells_how_far_it_is(two: Two) -> None:
    """Symbol by symbol, in ticks of both sides, and that it checks."""
    record(two.a, ticks(1, 2) + ticks(1, symbol=HSBC))
    record(two.b, ticks(2))
    told: list[tuple[str, int, int]] = []
    two.unite(lambda *step: told.append(step))
    name = f"{DAY}.db"
    assert told == [
        (f"{name}: ticks merged", 1, 4),
        (f"{name}: ticks merged", 4, 4),
        (f"{name}: ticks checked", 0, 3),
    ]


def totals_gap(resumed_ms: int, before: int, after: int, volume: int) -> Any:  # noqa: ANN401
    """One of which only totals tell."""
    row = list(gap(resumed_ms, before, after, "totals"))
    row[9:11] = None, volume
    return tuple(row)


def merged(two: Two) -> list[tuple[Any, ...]]:
    """What became of the gaps."""
    return query(two.made, "SELECT resumed_ms, state, missing_volume, merged_volume FROM gaps ORDER BY 1")


@pytest.mark.parametrize("volume", [200, 300])
@pytest.mark.parametrize("order", ["ab", "ba"])
def test_what_the_other_has_inside_of_a_gap_by_totals_is_counted_towards_it(order: str, volume: int, two: Two) -> None:
    """It tells what is missing at least: so even by as much it is not filled; the exchange's last word does that."""
    one, other = (two.a, two.b)[:: 1 if order == "ab" else -1]
    record(one, ticks(1, 4, 5, volume=100))
    record(other, ticks(1, 4, 6, volume=100) + ticks(2, 3, volume=100, recv_ts_ms=OPEN_MS + 77))
    note(one, "gaps", totals_gap(10, 1, 4, volume))
    two.unite()
    assert merged(two) == [(10, "open", volume, 200)]


def test_a_gap_by_totals_without_an_end_reaches_to_the_second_after_its_last_moment(two: Two) -> None:
    """What was traded later is none of what it lacks."""
    later = [row(TENCENT, seq_at(n, OPEN_MS + at), OPEN_MS + at, volume=100) for n, at in ((8, 3000), (9, 4000))]
    record(two.a, ticks(1, volume=100))
    record(two.b, ticks(1, 2, volume=100) + later)
    note(
        two.a, "gaps", (*totals_gap(10, 1, 4, 900)[:7], None, None, *totals_gap(10, 1, 4, 900)[9:16], OPEN_MS + 3500, 0)
    )
    two.unite()
    assert merged(two) == [(10, "open", 900, 200)], "the one of its first second, and the one three seconds later"


def test_a_gap_that_both_have_counts_only_what_one_of_them_lacks(two: Two) -> None:
    """Neither has what is missing."""
    for side in (two.a, two.b):
        record(side, ticks(1, 4, volume=100))
        note(side, "gaps", totals_gap(10, 1, 4, 200))
    two.unite()
    assert merged(two) == [(10, "open", 200, 0)]


def old_side(path: Path) -> None:
    """A database as an older program has left it: version 2, with a gap, a doubt and a snapshot."""
    path.unlink(missing_ok=True)
    con = apsw.Connection(str(path))
    for number, script in enumerate(MIGRATIONS[:2], 1):
        con.execute(script.replace(DAY_OF_TS, day_of_ts(path)))
        con.pragma("user_version", number)
    con.pragma("application_id", APPLICATION_ID)
    con.executemany("INSERT INTO ticks VALUES (?,?,?,?,?,?,?,?,?,?,?,?)", ticks(1, 4, volume=100))
    con.execute(
        "INSERT INTO symbol_stats SELECT symbol, count(*), sum(volume), sum(turnover), min(seq), max(seq), min(ts_ms), "
        "max(ts_ms), max(recv_ts_ms) FROM ticks GROUP BY symbol"
    )
    con.execute(
        "INSERT INTO gaps VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
        (*totals_gap(10, 1, 4, 200)[:12], 0, None, 10, "open", None, None),
    )
    con.execute(
        "INSERT INTO doubts VALUES (?, 20, 'unknown', NULL, 'morning', ?, ?, 5, NULL)", (TENCENT, seq_at(4), OPEN_MS)
    )
    con.execute(
        "INSERT INTO exchange_totals VALUES (?, 30, 400, 9.0, 200, 7.0, 2, ?, 200, ?, 30)", (TENCENT, *[seq_at(4)] * 2)
    )
    con.execute("INSERT INTO recorded VALUES (?, 5)", (TENCENT,))
    con.close()


@pytest.mark.parametrize("order", ["ab", "ba"])
def test_a_database_of_an_older_version_is_united_with_one_of_this(order: str, two: Two) -> None:
    """All that it tells is there; what it can't tell is not known, and it is left as it was."""
    one, other = (two.a, two.b)[:: 1 if order == "ab" else -1]
    old_side(one)
    record(other, ticks(1, 2, 3, 4, volume=100))
    before = one.read_bytes()
    two.unite()
    assert merged(two) == [(10, "open", 200, 200)]
    assert query(two.made, "SELECT symbol, resumed_ms, cause, before_seq FROM doubts") == [
        (TENCENT, 20, "unknown", seq_at(4))
    ]
    assert query(two.made, "SELECT at_ms, segment, volume, least, until_ms, confirmed_ms FROM exchange_totals") == [
        (30, 0, 400, None, 30, None)
    ]
    assert query(two.made, "SELECT symbol, without FROM recorded") == [(TENCENT, None)]
    assert query(two.made, "SELECT symbol, tick_type_id, agreed FROM symbol_types") == [(TENCENT, 1, 0)]
    assert query(two.made, "PRAGMA user_version") == [(VERSION,)]
    assert one.read_bytes() == before
