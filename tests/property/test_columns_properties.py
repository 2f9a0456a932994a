"""Columns against the reading of each body by itself, for any messages."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from support.bodies import refusal, ticker_body

from hk_tick_collector.opend.columns import decode_columns
from hk_tick_collector.opend.messages import DecodeError, parse_tickers

INT32 = st.integers(-(2**31), 2**31 - 1)
INT64 = st.integers(-(2**63), 2**63 - 1)
# Half of the time every field is there: absent ones are the exception that must be found, not the rule.
REQUIRED: dict[str, st.SearchStrategy[Any]] = {
    "time": st.one_of(st.just("2020-03-30 16:04:41"), st.text(max_size=20)),
    "sequence": INT64,
    "dir": INT32,
    "price": st.floats(),
    "volume": INT64,
    "turnover": st.floats(),
}
OPTIONAL: dict[str, st.SearchStrategy[Any]] = {
    "type": INT32,
    "pushDataType": INT32,
    "recvTime": st.floats(),
    "timestamp": st.floats(),
}
TICKS = st.one_of(st.fixed_dictionaries({**REQUIRED, **OPTIONAL}), st.fixed_dictionaries(REQUIRED, optional=OPTIONAL))
WHOLE_TICKS = st.fixed_dictionaries({**REQUIRED, **OPTIONAL, "time": st.text(min_size=1, max_size=20)})
BODIES = st.builds(
    ticker_body,
    st.lists(TICKS, max_size=4),
    market=INT32,
    code=st.text(max_size=6),
    ret_type=st.sampled_from([0, 0, 0, 0, 0, 0, -1]),
    name=st.text(max_size=5),
)
WHOLE_BODIES = st.builds(
    ticker_body, st.lists(WHOLE_TICKS, max_size=4), market=INT32, code=st.text(min_size=1, max_size=6)
)
ANY_BYTES = st.one_of(
    BODIES,
    BODIES,
    st.just(refusal()),
    st.binary(max_size=40),
    st.builds(lambda body, cut: body[: cut % (len(body) + 1)], BODIES, st.integers(0, 500)),
    st.builds(lambda body, tail: body + tail, BODIES, st.binary(max_size=6)),
)


def by_columns(bodies: list[bytes]) -> list[tuple[object, ...]] | None:
    """Each tick with its body's number, market and code, read as columns."""
    columns = decode_columns(bodies)
    if columns is None:
        return None
    assert len(columns.markets) == len(columns.codes) == len(bodies)
    counts = columns.counts or [1] * len(bodies)
    assert len(counts) == len(bodies)
    owners = [body for body, count in enumerate(counts) for _ in range(count)]
    heads = [(body, columns.markets[body], columns.codes[body]) for body in owners]
    return [(*head, *map(repr, fields)) for head, *fields in zip(heads, *columns[3:], strict=True)]


def one_by_one(bodies: list[bytes]) -> list[tuple[object, ...]]:
    """The same, each body read by itself. DecodeError where one is no message, AssertionError where it was refused."""
    found: list[tuple[object, ...]] = []
    for number, body in enumerate(bodies):
        reply = parse_tickers(body)
        assert reply.retType == 0
        s2c = reply.s2c
        for t in s2c.tickerList:
            fields = (t.time, t.sequence, t.dir, t.price, t.volume, t.turnover, t.type, t.pushDataType)
            found.append((number, s2c.security.market, s2c.security.code, *map(repr, fields)))
    return found


@given(st.lists(WHOLE_BODIES, min_size=1, max_size=6))
def test_whole_messages_are_always_read_as_columns(bodies: list[bytes]) -> None:
    """Any mixture of bodies with no, one or many ticks that have every field: the same values, tick by tick."""
    assert by_columns(bodies) == one_by_one(bodies)


@given(st.lists(BODIES, max_size=5))
def test_columns_equal_the_reading_one_by_one(bodies: list[bytes]) -> None:
    """Whatever fields are absent or empty: what columns give is what the bodies say, or there are none."""
    found = by_columns(bodies)
    assert found is None or found == one_by_one(bodies)


@given(st.lists(ANY_BYTES, max_size=5))
def test_no_bytes_are_ever_misread(bodies: list[bytes]) -> None:
    """Cut, lengthened and arbitrary bodies among good ones: nothing raises, and what is given out is right."""
    found = by_columns(bodies)
    if found is None:
        return
    try:
        expected = one_by_one(bodies)
    except DecodeError as exc:
        raise AssertionError(f"columns from {bodies}, of which one is no message") from exc
    assert found == expected
