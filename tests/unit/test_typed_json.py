"""Dataclasses as JSON and back: exact on the way out, tolerant on the way in."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hk_tick_collector.status.state import RecorderState
from hk_tick_collector.typed_json import decode, encode, flat, sparse
from hk_tick_collector.writer.progress import Message


@dataclass
class Inner:
    """Stands in an object, or in the one around it."""

    left: int = 0
    right: int = 0


@dataclass
class Outer:
    """One field of each kind."""

    is_on: bool = False
    count: int = 7
    sec: float | None = None
    name: str = ""
    why: dict[str, str] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    inner: Inner | None = None
    inners: tuple[Inner, ...] = ()
    counts: Inner = flat(Inner)  # noqa: RUF009 - a field, with a factory
    gone: bool = sparse(default=False)


FULL = Outer(
    is_on=True, count=1, sec=0.5, name="x", why={"a": "b"}, names=("y",), inner=Inner(1, 2), inners=(Inner(3, 4),),
    counts=Inner(5, 6), gone=True,
)  # fmt: skip


def test_it_comes_back_as_it_was() -> None:
    """Through JSON; a flat field stands in the object around it, and a sparse one only when it differs."""
    told = json.loads(json.dumps(encode(FULL)))
    assert decode(Outer, told) == FULL
    assert (told["left"], told["right"], told["gone"]) == (5, 6, True)
    assert "counts" not in told
    assert "gone" not in encode(Outer())


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (None, Outer()),
        ({"count": 10**400, "sec": 10**400}, Outer()),
        ([], Outer()),
        ({"from a newer version": 1}, Outer()),
        ({"is_on": 1, "count": True, "sec": "x", "name": 5, "why": [], "names": "x", "inner": 3}, Outer()),
        ({"count": 5.0, "sec": 3}, Outer(count=5, sec=3)),
        ({"count": None, "sec": None, "inner": None}, Outer()),
        ({"sec": float("nan"), "count": float("inf")}, Outer()),
        (
            {"names": ["a", 1, None, "b"], "inners": [{"left": 1}, 5, {}]},
            Outer(names=("a", "b"), inners=(Inner(1), Inner())),
        ),
        ({"why": {"a": 1}}, Outer(why={"a": "1"})),
        ({"left": "x", "right": 2}, Outer(counts=Inner(0, 2))),
    ],
)
def test_what_does_not_fit_is_left_out(told: object, expected: Outer) -> None:
    """And everything beside it is read."""
    assert decode(Outer, told) == expected


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(st.data())
def test_nothing_that_a_file_or_a_line_holds_can_raise(data: Any) -> None:  # noqa: ANN401 - hypothesis' own
    """Values of any kind under the names that are read."""
    for made in (RecorderState, Message, Outer):
        names = st.sampled_from(sorted(encode(made())))
        told = data.draw(st.dictionaries(names, JSON | st.dictionaries(st.sampled_from(["waits", "outage"]), JSON)))
        assert encode(decode(made, told)).keys() >= encode(made()).keys() - {"gone"}
