"""Whatever was recorded: what is exported and imported again is the same, as far as the format has it."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from support.importing import exported, import_all
from support.late_ticks import assert_stats_true, query
from support.merging import record
from support.sizes import drawn
from support.ticks import DAY, DAY_MS, HSBC, NEXT_DAY, OPEN_MS, TENCENT, row

from hk_tick_collector.opend.numbers import DIRECTIONS, TICK_TYPES

finite = st.floats(-1e12, 1e12)
big = st.integers(-(2**62), 2**62)
rows = st.builds(
    lambda symbol, seq, day, ms, numbers, ids, came: row(
        symbol, seq, OPEN_MS + day * DAY_MS + ms,
        price=numbers[0], volume=numbers[1], turnover=numbers[2], direction_id=ids[0], tick_type_id=ids[1],
        push_type_id=came[0], push_data_type=came[1], recv_ts_ms=came[2], inserted_at_ms=came[2] + 5,
    ),
    st.sampled_from([TENCENT, HSBC]),
    st.one_of(st.integers(-4, -1), st.integers(1, 9), big.filter(bool)),
    st.integers(0, 1),
    st.integers(0, 1000 * 60 * 60),
    st.tuples(finite, st.integers(-(2**40), 2**40), finite),
    st.tuples(st.integers(-1, 12), st.integers(-1, 80)),
    st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(OPEN_MS, OPEN_MS + 10_000)),
)  # fmt: skip


@settings(max_examples=drawn(12), deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(st.lists(rows, min_size=1, max_size=12, unique_by=lambda made: made[:2]), st.sampled_from(["zip", "parquet"]))
def test_a_round_trip_changes_nothing_that_the_format_has(made: list[tuple[object, ...]], suffix: str) -> None:
    """Parquet has each column; the SDK's rows have the trade, and N/A for a number without a word."""
    with tempfile.TemporaryDirectory() as name:
        src, root = Path(name) / "src", Path(name) / "data"
        src.mkdir()
        days = {DAY: [one for one in made if one[2] < OPEN_MS + DAY_MS // 2]}  # type: ignore[operator]
        days[NEXT_DAY] = [one for one in made if one not in days[DAY]]
        for day in [day for day, some in days.items() if some]:
            record(src / f"{day}.db", days[day])  # type: ignore[arg-type]
        done = import_all(root, exported(src, Path(name) / f"t.{suffix}"))
        assert {day: told.ticks for day, told in done.items()} == {d: len(some) for d, some in days.items() if some}
        for day in done:
            assert done[day].error is None
            found, expected = (query(at / f"{day}.db", "SELECT * FROM ticks") for at in (root, src))
            if suffix == "zip":
                found = [one[:8] for one in found]
                expected = [
                    (*one[:6], one[6] if one[6] in DIRECTIONS else 0, one[7] if one[7] in TICK_TYPES else 0)
                    for one in expected
                ]
            assert found == expected
            assert_stats_true(root / f"{day}.db")
