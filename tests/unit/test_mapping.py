"""From OpenD's bodies to rows: which time is believed, which sequence is made, and what becomes of nonsense."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from hashlib import blake2b
from itertools import pairwise
from math import isfinite
from typing import Any, Final, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.bodies import TICK, TICK_TS_MS, refusal, tick, ticker_body

from hk_tick_collector import mapping
from hk_tick_collector.errors import BadTickError
from hk_tick_collector.hktime import parse_time
from hk_tick_collector.mapping import (
    AGREE_MS,
    EIGHT_HOURS_MS,
    FUTURE_MS,
    BadTick,
    Correction,
    Mapped,
    Mapper,
    PushType,
    decide_time,
)
from hk_tick_collector.opend import opend_pb2 as pb

INSERTED_MS: Final = 1_600_000_000_000
MINUTE_MS: Final = 60_000
HOUR_MS: Final = 3_600_000
LATE: Final = "2020-03-31 00:04:41"  # TICK's time, read as UTC and written as Hong Kong's: 8 h too late
EARLY: Final = "2020-03-30 08:04:41"
LOCAL: Final = "2020-03-30 16:04:41"


def hk_ms(text: str) -> int:
    """`YYYY-MM-DD HH:MM:SS` in Hong Kong as UTC epoch ms, by the standard library alone."""
    moment = datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=timezone(timedelta(hours=8)))
    return int(moment.timestamp()) * 1000


def seq_at(text: str, ordinal: int = 1) -> int:
    """A Hong Kong sequence of that moment."""
    return (hk_ms(text) // 1000 << 32) + ordinal


def sec_at(text: str) -> float:
    """A `timestamp` of that moment."""
    return hk_ms(text) / 1000


def map_bodies(
    bodies: list[bytes],
    push_type: PushType = PushType.PUSH,
    recv_ts_ms: int | None = None,
    mapper: Mapper | None = None,
) -> tuple[Mapped, int]:
    """Map bodies that came a second after TICK (or when told): what they became, and how many ticks there were."""
    out = Mapped()
    received = [recv_ts_ms if recv_ts_ms is not None else TICK_TS_MS + 1000] * len(bodies)
    return out, (mapper or Mapper()).map_bodies(bodies, received, push_type, INSERTED_MS, out)


class One(NamedTuple):
    """What became of a single tick."""

    seq: int
    ts_ms: int
    correction: Correction | None


def map_one(recv_ts_ms: int | None = None, **fields: object) -> One:
    """Map TICK with changes, alone in its message."""
    out, count = map_bodies([ticker_body([tick(**fields)])], recv_ts_ms=recv_ts_ms)
    assert (count, out.bad) == (1, [])
    ((row,),) = out.pushed.values()
    assert row[0] == "HK.00700"
    assert len(out.corrections) < 2
    return One(row[1], row[2], out.corrections[0] if out.corrections else None)


# The published rows of HK.00700: time, price, volume, turnover, direction, type, sequence.
PUBLISHED: Final = [
    ("2020-03-30 16:04:41", 372.4, 60, 22344.0, 3, 6, 6809908936888567318),
    ("2020-03-30 16:08:17", 376.6, 2198400, 827917440.0, 3, 7, 6809909864601503255),
    ("2023-07-19 15:59:58", 332.4, 100, 33240.0, 2, 1, 7257436441708356760),
    ("2023-07-19 16:08:12", 333.0, 1667000, 555111000.0, 3, 7, 7257438563422200985),
    ("2020-03-27 15:15:17", 382.4, 100, 38240.0, 2, 1, 6808782951082376714),
    ("2020-03-27 15:15:19", 382.6, 900, 344340.0, 1, 1, 6808782951082378963),
]
PUBLISHED_TICKS: Final = [
    {
        "time": time, "price": price, "volume": volume, "turnover": turnover, "dir": direction, "type": kind,
        "sequence": seq, "pushDataType": 1,
    }
    for time, price, volume, turnover, direction, kind, seq in PUBLISHED
]  # fmt: skip


def published_rows(push_type: PushType, recv_ts_ms: int) -> list[tuple[object, ...]]:
    """What is stored of them."""
    return [
        (
            "HK.00700",
            seq,
            hk_ms(time),
            price,
            volume,
            turnover,
            direction,
            kind,
            int(push_type),
            1,
            recv_ts_ms,
            INSERTED_MS,
        )
        for time, price, volume, turnover, direction, kind, seq in PUBLISHED
    ]


@pytest.mark.parametrize("push_type", PushType)
@pytest.mark.parametrize("in_one_body", [True, False])
@pytest.mark.parametrize("slowly", [True, False])
def test_the_published_rows(push_type: PushType, *, in_one_body: bool, slowly: bool) -> None:
    """Pushed or fetched, together or a body each, as columns or one by one: the same rows, field by field."""
    bodies = [ticker_body(PUBLISHED_TICKS)] if in_one_body else [ticker_body([one]) for one in PUBLISHED_TICKS]
    if slowly:
        bodies.append(ticker_body([{**TICK, "sequence": 1, "time": "nonsense"}], code="00005"))
    out, count = map_bodies(bodies, push_type, recv_ts_ms=1_700_000_000_123)
    assert count == 6 + slowly
    rows = {"HK.00700": published_rows(push_type, 1_700_000_000_123)}
    assert (out.pushed, out.fetched) == ((rows, {}) if push_type is PushType.PUSH else ({}, rows))
    assert out.corrections == []
    assert len(out.bad) == slowly


def test_rows_keep_their_symbol_and_their_reception() -> None:
    """Each body's rows have its own symbol and its own receive time."""
    out = Mapped()
    bodies = [ticker_body([TICK, TICK]), ticker_body([]), ticker_body([TICK], market=11, code="AAPL")]
    assert Mapper().map_bodies(bodies, [1, 2, 3], PushType.POLL, 9, out) == 3
    assert {symbol: [row[-2:] for row in rows] for symbol, rows in out.fetched.items()} == {
        "HK.00700": [(1, 9), (1, 9)],
        "US.AAPL": [(3, 9)],
    }


@pytest.mark.parametrize(
    "recv", ["2020-03-30 16:04:42", "2020-03-30 08:00:00", "1999-01-01 00:00:00", "2090-01-01 00:00:00"]
)
@pytest.mark.parametrize(
    "witnesses",
    [
        {"sequence": seq_at(LOCAL)},
        {"sequence": 1, "timestamp": sec_at(LOCAL)},
        {"sequence": seq_at(LOCAL), "timestamp": sec_at(LOCAL) + 0.5},
        {"sequence": seq_at(LOCAL), "timestamp": sec_at(EARLY)},
        {"sequence": seq_at(EARLY), "timestamp": sec_at(LOCAL)},
        {"sequence": seq_at(LOCAL), "timestamp": sec_at(LATE)},
        {"sequence": seq_at(LOCAL), "timestamp": float("nan")},
        {"sequence": seq_at("2020-03-30 15:54:41")},
        {"sequence": seq_at("2020-03-30 16:14:41")},
    ],
)
def test_rule_1_a_witness_that_agrees_proves_the_time(witnesses: dict[str, Any], recv: str) -> None:
    """One is enough, within ten minutes, whatever the other says and however wrong the host's clock is."""
    assert map_one(hk_ms(recv), time=LOCAL, **witnesses)[1:] == (TICK_TS_MS, None)


@pytest.mark.parametrize("recv", ["2020-03-30 16:04:42", "2020-03-31 00:04:42", "1999-01-01 00:00:00"])
@pytest.mark.parametrize("written", [LATE, EARLY, "2020-03-30T16:04:41Z", "1585584281", "20200331000441", "00:04:41"])
def test_rule_2_two_witnesses_overrule_a_time_that_is_8_h_off(written: str, recv: str) -> None:
    """Too late (in every written form) or too early: what both say is stored, the original is kept beside it."""
    found = map_one(hk_ms(recv), time=written, sequence=seq_at(LOCAL), timestamp=sec_at(LOCAL) + 1)
    original = hk_ms(EARLY if written == EARLY else LATE)
    assert found.ts_ms == TICK_TS_MS
    assert found.correction == Correction(
        "HK.00700", seq_at(LOCAL), written, original, TICK_TS_MS, "timestamp and sequence agree"
    )


def test_rule_2_needs_two_that_agree_with_each_other() -> None:
    """One 8 h before and one 8 h behind the time are no pair: then the earlier of all is believed (rule 3)."""
    found = map_one(time=LOCAL, sequence=seq_at(LATE), timestamp=sec_at(EARLY))
    assert found.ts_ms == hk_ms(EARLY)
    assert found.correction is not None
    assert found.correction.evidence == "timestamp says 8 h earlier"


@pytest.mark.parametrize("recv", ["2020-03-30 16:04:42", "2020-03-31 00:04:42", "1999-01-01 00:00:00"])
@pytest.mark.parametrize(
    ("witness", "name"),
    [
        ({"sequence": seq_at(LOCAL)}, "sequence"),
        ({"sequence": 7, "timestamp": sec_at(LOCAL)}, "timestamp"),
        ({"sequence": seq_at(LOCAL), "timestamp": sec_at("2020-03-25 11:00:00")}, "sequence"),
    ],
)
def test_rule_3_one_witness_that_says_8_h_earlier_is_believed(witness: dict[str, Any], name: str, recv: str) -> None:
    """The fault only makes a time later; the correction says on whose word."""
    found = map_one(hk_ms(recv), time=LATE, **witness)
    assert found.ts_ms == TICK_TS_MS
    assert found.correction is not None
    assert found.correction[2:] == (LATE, hk_ms(LATE), TICK_TS_MS, f"{name} says 8 h earlier")


@pytest.mark.parametrize("recv", ["2020-03-30 16:04:42", "2020-03-30 08:04:42", "1999-01-01 00:00:00"])
@pytest.mark.parametrize("witness", [{"sequence": seq_at(LATE)}, {"sequence": 7, "timestamp": sec_at(LATE)}])
def test_rule_3_one_witness_that_says_8_h_later_is_not_believed(witness: dict[str, Any], recv: str) -> None:
    """Then it is the witness that has the fault; the host's clock is not asked, a witness being there."""
    assert map_one(hk_ms(recv), time=LOCAL, **witness)[1:] == (TICK_TS_MS, None)


# Fields of a tick that give no witness of its time.
NO_WITNESS: list[dict[str, Any]] = [
    {"sequence": 0},
    {"sequence": -5},
    {"sequence": 17},
    {"sequence": 2**63 - 1},
    {"sequence": 0, "timestamp": 0.0},
    {"sequence": 0, "timestamp": float("inf")},
    {"sequence": 0, "timestamp": 20200330.0},
    {"sequence": 0, "timestamp": 1e300},
    {"sequence": seq_at("2020-03-25 11:00:00")},
]


@pytest.mark.parametrize(
    ("ahead_ms", "is_corrected"),
    [
        (-HOUR_MS, False),
        (0, False),
        (FUTURE_MS, False),
        (FUTURE_MS + 1, True),
        (EIGHT_HOURS_MS, True),
        (EIGHT_HOURS_MS + AGREE_MS, True),
        (EIGHT_HOURS_MS + AGREE_MS + 1, False),
        (24 * HOUR_MS, False),
    ],
)
def test_rule_4_alone_the_hosts_clock_decides(ahead_ms: int, *, is_corrected: bool) -> None:
    """More than 2 h and up to 8 h ahead of it is the fault; anything else is left as it is."""
    for no_witness in NO_WITNESS:
        found = map_one(TICK_TS_MS - ahead_ms, time=LOCAL, **no_witness)
        assert found.ts_ms == TICK_TS_MS - is_corrected * EIGHT_HOURS_MS, no_witness
        if is_corrected:
            assert found.correction == Correction(
                "HK.00700", found.seq, LOCAL, TICK_TS_MS, TICK_TS_MS - EIGHT_HOURS_MS,
                "no witness, and in the host clock's future",
            )  # fmt: skip
        else:
            assert found.correction is None, no_witness


def test_a_witness_of_the_same_day_keeps_the_host_from_deciding() -> None:
    """It neither agrees nor is 8 h off: nothing is known, so nothing is changed."""
    recv = TICK_TS_MS - 5 * HOUR_MS
    assert map_one(recv, time=LOCAL, sequence=seq_at("2020-03-30 13:00:00"))[1:] == (TICK_TS_MS, None)


@pytest.mark.parametrize(
    ("written", "seq_time", "recv", "expected"),
    [
        # The day comes from the witness, whatever the host's is.
        ("16:04:41", LOCAL, "2024-01-01 12:00:00", LOCAL),
        (160441, LOCAL, "1999-01-01 12:00:00", LOCAL),
        ("93000", "2020-03-30 09:30:00", "2020-03-31 00:30:00", "2020-03-30 09:30:00"),
        ("23:59:59", "2020-03-31 00:00:01", "2020-03-31 00:00:02", "2020-03-30 23:59:59"),
        ("00:00:01", "2020-03-30 23:59:59", "2020-03-30 23:59:58", "2020-03-31 00:00:01"),
        ("00:00:00", "2020-03-31 00:00:00", "2020-03-31 00:00:00", "2020-03-31 00:00:00"),
        # Without a witness it is the last such moment.
        ("15:59:58", None, "2020-03-31 08:00:00", "2020-03-30 15:59:58"),
        ("15:59:58", None, "2020-03-30 15:59:59", "2020-03-30 15:59:58"),
        ("15:59:58", None, "2020-03-30 15:59:50", "2020-03-30 15:59:58"),
        ("15:59:58", None, "2020-03-30 13:59:58", "2020-03-30 15:59:58"),
        ("15:59:58", None, "2020-03-30 13:59:57", "2020-03-29 15:59:58"),
        ("23:59:59", None, "2020-03-31 00:00:01", "2020-03-30 23:59:59"),
        ("00:00:00", None, "2020-03-31 00:00:00", "2020-03-31 00:00:00"),
    ],
)
def test_a_clock_time_gets_its_day(written: str | int, seq_time: str | None, recv: str, expected: str) -> None:
    """From its witness across midnights; the host's day is only glued on where there is none."""
    seq = seq_at(seq_time) if seq_time else 0
    assert map_one(hk_ms(recv), time=str(written), sequence=seq)[1:] == (hk_ms(expected), None)


@pytest.mark.parametrize("written", ["2020-03-30", "20200330", "2020/03/30"])
@pytest.mark.parametrize("witness", [{"sequence": seq_at(LOCAL)}, {"sequence": 0, "timestamp": sec_at(LOCAL)}])
def test_a_date_gets_its_clock_time_from_a_witness_of_that_day(written: str, witness: dict[str, Any]) -> None:
    """20200330 s after 1970 would be in August of that year."""
    assert map_one(time=written, **witness)[1:] == (TICK_TS_MS, None)


@pytest.mark.parametrize("witness", [{"sequence": 0}, {"sequence": seq_at("2020-03-31 00:00:00")}])
def test_a_date_alone_is_no_time(witness: dict[str, Any]) -> None:
    """Without a witness of the same day it is kept aside, never stored at midnight."""
    out, count = map_bodies([ticker_body([tick(time="2020-03-30", **witness)])])
    assert (count, out.pushed, len(out.bad)) == (1, {}, 1)
    assert out.bad[0].error.endswith("a date without a time of day, and no witness to complete it")


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"price": float("nan")}, "price nan and turnover 22344.0, expected finite numbers"),
        ({"price": float("inf")}, "price inf and turnover 22344.0, expected finite numbers"),
        ({"turnover": float("-inf")}, "price 372.4 and turnover -inf, expected finite numbers"),
        ({"time": "soon"}, "time 'soon', expected YYYY-MM-DD HH:MM:SS,"),
        ({"time": ""}, "time '', expected YYYY-MM-DD HH:MM:SS,"),
        ({"time": "2020-02-30 16:04:41"}, "time '2020-02-30 16:04:41' is no real time:"),
        ({"time": "1970-08-23 08:00:00"}, "time '1970-08-23 08:00:00' lies outside of the years 2000 to 2099"),
    ],
)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_one_bad_row_keeps_the_rest_of_its_message(fields: dict[str, Any], text: str, place: int) -> None:
    """It is kept aside with its bytes, its place and what is wrong with it; its neighbours are rows, in order."""
    ticks = [tick(sequence=seq_at(LOCAL, n)) for n in range(3)]
    ticks[place] |= fields
    bodies = [ticker_body([TICK], code="00005"), ticker_body(ticks), ticker_body([TICK], code="00001")]
    out, count = map_bodies(bodies)
    assert count == 5
    assert {symbol: len(rows) for symbol, rows in out.pushed.items()} == {"HK.00700": 2, "HK.00005": 1, "HK.00001": 1}
    assert [row[1] for row in out.pushed["HK.00700"]] == [seq_at(LOCAL, n) for n in range(3) if n != place]
    (bad,) = out.bad
    assert bad[:3] == (1, place, "HK.00700")
    assert bad.raw in bodies[1]
    assert pb.Ticker.FromString(bad.raw).sequence == seq_at(LOCAL, place)
    assert bad.error.startswith(f"HK.00700 seq {seq_at(LOCAL, place)}: {text}")


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (
            ticker_body([TICK], market=99),
            "security with market 99 and code '00700', expected a known market and a code",
        ),
        (ticker_body([TICK], code=""), "security with market 1 and code '', expected a known market and a code"),
        (ticker_body([TICK]).replace(b"00700", b"\xff0700"), "security with market 1 and code b'\\xff0700', expected"),
        (ticker_body([TICK])[:-1], ""),
        (b"\xff\xff", ""),
        (b"", "security with market 0 and code ''"),
    ],
)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_message_that_cannot_be_read_is_kept_whole(body: bytes, text: str, place: int) -> None:
    """Place -1 and no symbol: which ticks were in it is not known. Those of its neighbours are stored."""
    bodies = [ticker_body([TICK]), ticker_body([TICK])]
    bodies.insert(place, body)
    out, count = map_bodies(bodies)
    assert count == 3
    assert [len(rows) for rows in out.pushed.values()] == [2]
    (bad,) = out.bad
    assert bad == BadTick(place, -1, "", bad.error, body)
    assert bad.error.startswith(f"ticker body of {len(body)} bytes: {text}")


def test_a_time_that_is_no_text_is_one_bad_row() -> None:
    """Bytes that are no UTF-8 in one tick's time: the other one is stored, and nothing is raised."""
    body = ticker_body(
        [tick(sequence=seq_at(LOCAL, 1)), tick(time="x020-03-30 16:04:41"), tick(sequence=seq_at(LOCAL, 2))]
    )
    out, count = map_bodies([body.replace(b"x020", b"\xff020")])
    assert count == 3
    assert [row[1] for row in out.pushed["HK.00700"]] == [seq_at(LOCAL, 1), seq_at(LOCAL, 2)]
    assert (out.bad[0].place, len(out.bad)) == (1, 1)


@pytest.mark.parametrize("push_type", PushType)
def test_a_symbol_without_a_row_is_not_in_the_result(push_type: PushType) -> None:
    """Neither one whose only tick is bad, nor one whose reply is empty: nobody must find an empty list."""
    bodies = [ticker_body([tick(price=float("nan"))]), ticker_body([], code="00005"), refusal()]
    out, _ = map_bodies(bodies, push_type)
    assert (out.pushed, out.fetched) == ({}, {})


@pytest.mark.parametrize("push_type", [PushType.POLL, PushType.BACKFILL])
def test_a_refused_reply_holds_no_tick_and_is_no_bad_one(push_type: PushType) -> None:
    """The session has logged it; the replies beside it are read."""
    out, count = map_bodies([ticker_body([TICK]), refusal(), ticker_body([TICK], code="00005")], push_type)
    assert (count, sorted(out.fetched), out.bad) == (2, ["HK.00005", "HK.00700"], [])


def test_rows_of_a_symbol_stay_in_the_order_of_arrival() -> None:
    """Also where some of its ticks need a closer look than others: the first of two contents is the one stored."""
    moments = [LOCAL, LATE, LOCAL, "16:04:41", LOCAL, LATE]
    bodies = [ticker_body([tick(time=time, sequence=seq_at(LOCAL, n))]) for n, time in enumerate(moments * 5)]
    out, count = map_bodies(bodies)
    assert count == 30
    assert [row[1] for row in out.pushed["HK.00700"]] == [seq_at(LOCAL, n) for n in range(30)]
    assert len(out.corrections) == 10


def test_a_tick_without_a_sequence_gets_a_stable_negative_one() -> None:
    """The same in every process, over replays and however it is delivered; pinned, since stored rows depend on it."""
    first = map_one(sequence=0)
    assert first.seq < 0
    assert first.seq == map_one(sequence=-7).seq == map_one(recv_ts_ms=TICK_TS_MS + 9999, sequence=0).seq
    assert first.seq == map_one(sequence=0, pushDataType=3, timestamp=sec_at(LOCAL)).seq
    assert first.seq == -2024579249678644575


@pytest.mark.parametrize(
    "change",
    [{"time": "2020-03-30 16:04:42"}, {"price": 372.6}, {"volume": 61}, {"turnover": 1.0}, {"dir": 1}, {"type": 1}],
)
def test_other_content_has_another_synthetic_sequence(change: dict[str, Any]) -> None:
    """Each field that makes a tick another one counts."""
    assert map_one(sequence=0).seq != map_one(sequence=0, **change).seq


def test_equal_trades_in_one_message_stay_as_many_as_they_are() -> None:
    """Each has a sequence of its own, and a second delivery of the message adds none."""
    same = tick(sequence=0)
    body = ticker_body([same, same, tick(sequence=0, volume=100), same])
    once, _ = map_bodies([body])
    twice, _ = map_bodies([body, body])
    again, _ = map_bodies([body], PushType.BACKFILL, recv_ts_ms=TICK_TS_MS + HOUR_MS)
    seqs = [row[1] for row in once.pushed["HK.00700"]]
    assert len(set(seqs)) == 4
    assert max(seqs) < 0
    assert [row[1] for row in twice.pushed["HK.00700"]] == seqs * 2
    assert [row[1] for row in again.fetched["HK.00700"]] == seqs


@pytest.mark.parametrize("fields", [{"time": "9" * 100_000}, {"time": "\x1b[2J"}])
def test_what_is_said_of_a_bad_tick_is_short_and_plain(fields: dict[str, Any]) -> None:
    """Its bytes are kept whole; the error is for people."""
    out, _ = map_bodies([ticker_body([tick(**fields)])])
    ((_, _, _, error, raw),) = out.bad
    assert len(error) <= 501
    assert error.isprintable()
    assert fields["time"].encode() in raw


def made_up_one_by_one(ticks: list[dict[str, Any]], place: int) -> int:
    """How these sequences have been made since the first version: each tick is compared with all before it."""

    def content(fields: dict[str, Any]) -> tuple[Any, ...]:
        return tuple(fields[name] for name in ("time", "price", "volume", "turnover", "dir", "type"))

    equals_before = sum(1 for other in ticks[:place] if content(other) == content(ticks[place]))
    digest = blake2b(f"{content(ticks[place])!r}#{equals_before}".encode(), digest_size=8).digest()
    return -1 - (int.from_bytes(digest, "little") & (2**62 - 1))


@given(
    st.lists(
        st.fixed_dictionaries({
            "sequence": st.sampled_from([0, -1, seq_at(LOCAL, 1), seq_at(LOCAL, 2)]),
            "price": st.sampled_from([1.0, 2.5, float("nan"), 0.0, -0.0]),
            "volume": st.sampled_from([100, 200]),
        }),
        max_size=12,
    )
)  # fmt: skip
def test_made_up_sequences_never_change(changes: list[dict[str, Any]]) -> None:
    """They are identities of stored rows: the same as by the first algorithm, also among real ones and bad rows."""
    ticks = [tick(**change) for change in changes]
    out, _ = map_bodies([ticker_body(ticks)])
    expected = [
        fields["sequence"] if fields["sequence"] > 0 else made_up_one_by_one(ticks, place)
        for place, fields in enumerate(ticks)
        if isfinite(fields["price"])
    ]
    assert [row[1] for row in out.pushed.get("HK.00700", [])] == expected


def test_many_ticks_without_a_sequence_cost_no_more_than_each_alone() -> None:
    """12,000 in one push, equal and not: the work grows as their number does, not as its square."""
    compared = 0

    class Counted(float):
        """A price that counts how often it is compared."""

        def __eq__(self, other: object) -> bool:
            nonlocal compared
            compared += 1
            return float.__eq__(self, other)  # type: ignore[arg-type]

        __hash__ = float.__hash__

    class Tick:
        """A tick without a sequence."""

        time, sequence, dir, volume, turnover, type = LOCAL, 0, 1, 100, 1.0, 1

        def __init__(self, price: float) -> None:
            self.price = Counted(price)

    ticks: Any = [Tick(n % 6000) for n in range(12_000)]
    made_up = mapping.MadeUp(ticks)
    assert len({made_up.seq(place) for place in range(12_000)}) == 12_000
    assert 6000 <= compared <= 12_000 * 4


def test_a_sequence_of_one_is_used_as_it_is() -> None:
    """Other markets count from 0: only what is not positive is replaced."""
    assert map_one(sequence=1).seq == 1


def test_a_replay_gives_the_same_rows() -> None:
    """The same bodies at the same times, in a new process or an old one, with all kinds of ticks among them."""
    ticks = [TICK, tick(time=LATE), tick(sequence=0), tick(time="16:04:41"), tick(price=float("nan"))]
    bodies = [ticker_body(ticks), ticker_body(ticks[1:2], code="00005"), refusal(), b"\xff"]
    mapper = Mapper()
    first, again, anew = (map_bodies(bodies, mapper=m)[0] for m in (mapper, mapper, Mapper()))
    assert vars(first) == vars(again) == vars(anew)


def test_a_full_memory_of_times_is_begun_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is only a memory: with room for one time each row is the same."""
    bodies = [ticker_body([one]) for one in PUBLISHED_TICKS]
    expected = [vars(map_bodies([body])[0]) for body in bodies]
    monkeypatch.setattr(mapping, "_TIMES_MAX", 0)
    mapper = Mapper()
    assert [vars(map_bodies([body], mapper=mapper)[0]) for body in bodies] == expected


def test_an_unreadable_time_in_one_body_does_not_spoil_the_next_batch() -> None:
    """What a mapper has learnt of one batch holds for the next, and no more."""
    mapper = Mapper()
    assert map_bodies([ticker_body([tick(time="soon")])], mapper=mapper)[0].bad
    out, _ = map_bodies([ticker_body([TICK])], mapper=mapper)
    assert [row[2] for row in out.pushed["HK.00700"]] == [TICK_TS_MS]


_TICKS = st.builds(
    tick,
    time=st.sampled_from(
        [LOCAL, LOCAL, LOCAL, LATE, EARLY, "16:04:41", "160441", "20200330", "1585555481", "soon", ""]
    ),
    sequence=st.sampled_from([seq_at(LOCAL, n) for n in range(4)] + [seq_at(LATE), 0, -1, 7]),
    price=st.sampled_from([372.4, 372.4, 372.6, float("nan"), 1e308]),
    timestamp=st.sampled_from([None, 0.0, sec_at(LOCAL), sec_at(LATE), float("nan")]),
    type=st.sampled_from([6, 6, None]),
)
_BODIES = st.one_of(
    st.builds(
        ticker_body,
        st.lists(_TICKS, max_size=3),
        code=st.sampled_from(["00700", "00700", "00005", ""]),
        market=st.sampled_from([1, 1, 1, 99]),
        ret_type=st.sampled_from([0, 0, 0, 0, -1]),
    ),
    st.builds(ticker_body, st.lists(st.just(TICK), min_size=1, max_size=2), code=st.sampled_from(["00700", "00005"])),
    st.just(refusal()),
    st.binary(max_size=5),
)


def _mapped(bodies: list[bytes], cuts: list[int], push_type: PushType, mapper: Mapper) -> tuple[object, ...]:
    """What bodies become when they are mapped in groups that end at these cuts; `body` counted over all of them."""
    out, count = Mapped(), 0
    bad: list[BadTick] = []
    for begin, end in pairwise(sorted({0, len(bodies), *(cut % (len(bodies) + 1) for cut in cuts)})):
        received = [TICK_TS_MS + 1000 * n for n in range(begin, end)]
        count += mapper.map_bodies(bodies[begin:end], received, push_type, INSERTED_MS, out)
        bad += [one._replace(body=one.body + begin) for one in out.bad]
        out.bad.clear()
    return count, out.pushed, out.fetched, sorted(out.corrections), sorted(bad)


@given(st.lists(_BODIES, max_size=8), st.lists(st.integers(0, 100), max_size=8), st.sampled_from(PushType))
def test_any_grouping_gives_the_same_rows(bodies: list[bytes], cuts: list[int], push_type: PushType) -> None:
    """All at once, one by one, or anything between: the same rows in the same order, corrections and bad ones."""
    alone = _mapped(bodies, list(range(9)), push_type, Mapper())
    assert _mapped(bodies, [], push_type, Mapper()) == alone
    mapper = Mapper()
    assert _mapped(bodies, cuts, push_type, mapper) == alone
    assert _mapped(bodies, [], push_type, mapper) == alone
    assert all(rows for by_symbol in alone[1:3] for rows in by_symbol.values())  # type: ignore[attr-defined]


def test_a_time_far_ahead_with_no_witness_is_kept_aside() -> None:
    """It would make a day file of the future, which is then the newest for good."""
    recv_ms = TICK_TS_MS
    written = parse_time("2099-01-01 10:00:00")
    with pytest.raises(BadTickError, match="more than a day in the future"):
        decide_time(written, 0.0, 0, recv_ms)
    assert decide_time(written, written.ms / 1000, 0, recv_ms).ts_ms == written.ms
