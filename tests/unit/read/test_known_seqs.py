"""The sequences that were given."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hk_tick_collector.read.known_seqs import KnownSeqs

SEQS = st.integers(-(2**63) + 1, 2**63 - 1)


@given(st.lists(st.tuples(st.sets(st.one_of(SEQS, st.integers(-5, 5))), st.booleans())), st.sets(st.integers(-6, 6)))
def test_it_is_a_set(added: list[tuple[set[int], bool]], asked: set[int]) -> None:
    """Whatever is added in whatever order, packed in between or not, it knows exactly that."""
    known, model = KnownSeqs(), set()
    for seqs, is_packed in added:
        known.add(sorted(seqs))
        model |= seqs
        if is_packed:
            known.pack()
    assert len(known) == len(model)
    assert all(seq in known for seq in model)
    assert {seq for seq in asked if seq in known} == asked & model
    ordered = sorted(asked)
    assert [ordered[place] for place in known.unknown(ordered)] == sorted(asked - model)


def test_a_quiet_day_takes_less_memory() -> None:
    """Hong Kong's sequences of a day, packed, take less than half of 8 bytes each."""
    known = KnownSeqs()
    known.add([(1_785_463_200 + n // 3 << 32) + n for n in range(30_000)])
    known.pack()
    assert len(known._packed) < 30_000 * 4
    assert (1_785_463_200 << 32) + 2 in known
