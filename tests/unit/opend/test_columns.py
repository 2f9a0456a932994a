"""Columns: equal to reading each body by itself, or none at all."""

from __future__ import annotations

import pytest
from support.bodies import TICK, refusal, tick, ticker_body

from hk_tick_collector.opend.columns import Columns, decode_columns
from hk_tick_collector.opend.messages import parse_tickers

OTHER = tick(time="2020-03-30 16:08:17", sequence=6809909864601503255, price=376.6, volume=2198400, type=7)


def test_one_tick_a_body_has_no_counts() -> None:
    """The common case: a push a tick, every column as long as there are bodies."""
    bodies = [ticker_body([TICK]), ticker_body([OTHER], code="00005", market=11)]
    assert decode_columns(bodies) == Columns(
        markets=[1, 11],
        codes=["00700", "00005"],
        counts=None,
        times=["2020-03-30 16:04:41", "2020-03-30 16:08:17"],
        sequences=[6809908936888567318, 6809909864601503255],
        directions=[3, 3],
        prices=[372.4, 376.6],
        volumes=[60, 2198400],
        turnovers=[22344.0, 22344.0],
        types=[6, 7],
        push_data_types=[1, 1],
    )


@pytest.mark.parametrize(
    "counts", [[2], [0], [0, 0], [1, 0], [0, 1], [3, 0, 1], [2, 2], [0, 2, 0], [1, 1, 0], [1, 3], [2, 0, 0, 1]]
)
def test_bodies_of_many_ticks_and_of_none_are_told_apart(counts: list[int]) -> None:
    """Where one body ends and the next begins is known for any mixture."""
    bodies = [
        ticker_body([tick(sequence=place * 10 + n) for n in range(count)], code=f"{place:05}")
        for place, count in enumerate(counts)
    ]
    columns = decode_columns(bodies)
    assert columns is not None
    assert columns.counts == counts
    assert columns.codes == [f"{place:05}" for place in range(len(counts))]
    assert columns.sequences == [place * 10 + n for place, count in enumerate(counts) for n in range(count)]


def test_no_bodies_have_no_columns() -> None:
    """There is nothing to read, one by one or otherwise."""
    assert decode_columns([]) is None


def test_a_body_without_a_code_is_still_known_from_its_neighbours() -> None:
    """An empty code looks like an end mark, and stands where none can be: each body keeps its own."""
    bodies = [ticker_body([TICK]), ticker_body([OTHER, OTHER], code=""), ticker_body([TICK], code="00005")]
    columns = decode_columns(bodies)
    assert columns is not None
    assert (columns.codes, columns.counts) == (["00700", "", "00005"], [1, 2, 1])


@pytest.mark.parametrize("field", ["sequence", "dir", "price", "volume", "turnover", "type", "pushDataType", "time"])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_field_that_a_tick_lacks_gives_none(field: str, place: int) -> None:
    """A column would be shorter than the others, and a value would stand at another tick."""
    ticks = [tick(sequence=n + 1) for n in range(3)]
    del ticks[place][field]
    lacking = [ticker_body([one]) for one in ticks]
    for bodies in (lacking, [ticker_body(ticks)], lacking[place : place + 1]):
        assert decode_columns(bodies) is None


def test_fields_that_the_columns_do_not_have_are_passed_over() -> None:
    """A name, receive times and timestamps, on some ticks or all, change nothing."""
    plain = [ticker_body([TICK]), ticker_body([OTHER])]
    full = [ticker_body([tick(recvTime=1.5, timestamp=2.5, hpVolume=3.5, typeSign=4)], name="騰訊"), plain[1]]
    assert decode_columns(full) == decode_columns(plain)


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize(
    "odd",
    [
        refusal(),
        ticker_body([TICK], ret_type=-1),
        ticker_body([tick(time="")]),
        ticker_body([TICK, tick(time="")]),
        ticker_body([TICK]) + ticker_body([TICK]),
        ticker_body([TICK])[:-1],
        ticker_body([TICK])[2:],
        b"\x08\x00",
        b"",
        b"\x00",
        b"\xff" * 10,
        b"\x08\x00\x22\x7f",
    ],
    ids=[
        "refusal", "refused with ticks", "no time", "a tick without time", "twice", "cut", "no verdict",
        "nothing in it", "empty", "a zero", "ones", "longer than it is",
    ],
)  # fmt: skip
def test_what_is_not_whole_gives_none(odd: bytes, place: int) -> None:
    """Wherever it stands among good bodies, and alone: the caller reads each by itself."""
    bodies = [ticker_body([TICK]), ticker_body([OTHER, TICK])]
    bodies.insert(place, odd)
    assert decode_columns(bodies) is None
    assert decode_columns([odd]) is None


def test_a_body_that_swallows_the_end_mark_gives_none() -> None:
    """An unknown field at its end that claims more bytes than the body has must not eat the mark after it."""
    for swallowed in range(1, 40):
        thief = ticker_body([TICK]) + b"\x7a" + bytes((swallowed,))
        for bodies in ([thief], [thief, ticker_body([OTHER])], [ticker_body([OTHER]), thief, ticker_body([TICK])]):
            assert decode_columns(bodies) is None, swallowed


def test_text_that_is_no_utf8_is_never_a_text() -> None:
    """Protobuf hands such bytes out as they are: whoever reads the columns must find no str there."""
    broken = ticker_body([TICK]).replace(b"00700", b"\xff0700")
    columns = decode_columns([broken])
    assert columns is None or not isinstance(columns.codes[0], str)


def _field(number: int, content: bytes) -> bytes:
    """A length-delimited field."""
    assert len(content) < 128
    return bytes((number << 3 | 2, len(content))) + content


@pytest.mark.parametrize("order", [1, -1])
def test_a_code_too_many_does_not_stand_in_for_one_that_is_missing(order: int) -> None:
    """Their number would be right; no encoder writes a field twice, but bytes can."""
    one = ticker_body([TICK])
    ticks = one[one.index(b"00700") + 5 :]
    without, twice = (
        b"\x08\x00" + _field(4, _field(1, b"\x08\x01" + codes) + ticks)
        for codes in (b"", _field(2, b"00005") + _field(2, b"00700"))
    )
    assert [parse_tickers(body).s2c.security.code for body in (without, twice)] == ["", "00700"]
    assert decode_columns([without, twice][::order]) is None
