"""Times: every form of a moment reads as that moment, and no value does anything but be a time or not."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hk_tick_collector.errors import BadTickError, TimeFormatError
from hk_tick_collector.hktime import (
    DAY_MS,
    EPOCH_MS_MAX,
    EPOCH_MS_MIN,
    Form,
    WrittenTime,
    hk_day,
    hk_midnight_ms,
    hk_text,
    parse_time,
    utc_text,
)
from hk_tick_collector.mapping import AGREE_MS, EIGHT_HOURS_MS, FUTURE_MS, decide_time

EAST_8 = timezone(timedelta(hours=8))
MOMENTS_MS = st.integers(EPOCH_MS_MIN, EPOCH_MS_MAX - 1)
# Of 13 digits as epoch ms, of 10 as epoch seconds.
LATER_MOMENTS_MS = st.integers(1_000_000_000_000, EPOCH_MS_MAX - 1)
# A day from the ends of what reads as a time: a jitter or 8 h must not push a witness out of it.
SECONDS = st.integers(1_000_000_000, EPOCH_MS_MAX // 1000 - 86_400)
JITTER_MS = st.integers(-AGREE_MS // 2, AGREE_MS // 2)


def in_hong_kong(ts_ms: int, form: str) -> str:
    """A moment as `strftime` writes it."""
    return datetime.fromtimestamp(ts_ms // 1000, EAST_8).strftime(form)


@given(MOMENTS_MS)
def test_what_is_written_for_people_reads_back(ts_ms: int) -> None:
    """To the ms, in both spellings, and with Hong Kong's also without its zone."""
    assert parse_time(hk_text(ts_ms)) == WrittenTime(Form.ZONED, ts_ms)
    assert parse_time(utc_text(ts_ms)) == WrittenTime(Form.ZONED, ts_ms)
    assert parse_time(hk_text(ts_ms).removesuffix("+08:00")) == WrittenTime(Form.LOCAL, ts_ms)


@given(LATER_MOMENTS_MS)
def test_every_form_of_a_moment_is_the_same_moment(ts_ms: int) -> None:
    """Text and number, local, compact and epoch."""
    fraction = ts_ms % 1000
    compact = in_hong_kong(ts_ms, "%Y%m%d%H%M%S")
    value: str | float
    for value in (f"{compact}.{fraction:03}", f"{compact}{fraction:03}", int(f"{compact}{fraction:03}")):
        assert parse_time(value) == WrittenTime(Form.LOCAL, ts_ms)
    for value in (ts_ms, str(ts_ms), float(ts_ms), ts_ms / 1000, f"{ts_ms // 1000}.{fraction:03}"):
        assert parse_time(value) == WrittenTime(Form.EPOCH, ts_ms)
    for value in (compact, int(compact), float(compact)):
        assert parse_time(value) == WrittenTime(Form.LOCAL, ts_ms - fraction)


@given(MOMENTS_MS)
def test_a_clock_time_survives_the_loss_of_its_leading_zeros(ts_ms: int) -> None:
    """HHMMSS as text, as number, and as a number's text."""
    clock = in_hong_kong(ts_ms, "%H%M%S")
    expected = WrittenTime(Form.CLOCK, (ts_ms - hk_midnight_ms(ts_ms)) // 1000 * 1000)
    for value in (clock, int(clock), str(int(clock)), float(clock), in_hong_kong(ts_ms, "%H:%M:%S")):
        assert parse_time(value) == expected


@given(st.integers(EPOCH_MS_MIN + DAY_MS, EPOCH_MS_MAX - DAY_MS))
def test_a_date_is_a_date_in_every_form(ts_ms: int) -> None:
    """Eight digits are never seconds since 1970; the day's name is the same text."""
    expected = WrittenTime(Form.DATE, hk_midnight_ms(ts_ms))
    for value in (hk_day(ts_ms), int(hk_day(ts_ms)), in_hong_kong(ts_ms, "%Y-%m-%d"), in_hong_kong(ts_ms, "%Y/%m/%d")):
        assert parse_time(value) == expected


@given(MOMENTS_MS)
def test_midnight_is_at_most_a_day_before_and_has_the_same_day(ts_ms: int) -> None:
    """Hong Kong's, on the way from any moment of the day."""
    midnight = hk_midnight_ms(ts_ms)
    assert 0 <= ts_ms - midnight < DAY_MS
    assert hk_day(midnight) == hk_day(ts_ms) != hk_day(midnight - 1)


@given(st.one_of(st.text(), st.text("0123456789-/:. TZ+", max_size=30), st.integers(), st.floats()))
def test_any_value_is_a_time_or_is_refused(value: str | float) -> None:
    """Nothing else is raised, and what is a time lies in this century or on a clock."""
    try:
        found = parse_time(value)
    except TimeFormatError:
        return
    if found.form is Form.CLOCK:
        assert 0 <= found.ms < DAY_MS
    else:
        assert EPOCH_MS_MIN <= found.ms < EPOCH_MS_MAX


@given(SECONDS, JITTER_MS, JITTER_MS, st.integers(0, 2**32 - 1), MOMENTS_MS, st.sampled_from([-1, 0, 1]))
def test_two_witnesses_that_agree_are_never_overruled(
    sec: int, jitter_ms: int, seq_jitter_ms: int, ordinal: int, recv_ts_ms: int, shift: int
) -> None:
    """Whatever the host's clock says, and whether the time is right or 8 h off: what they say is believed."""
    timestamp_sec = (sec * 1000 + jitter_ms) / 1000
    seq = (sec * 1000 + seq_jitter_ms) // 1000 << 32 | ordinal
    written = WrittenTime(Form.LOCAL, sec * 1000 + shift * EIGHT_HOURS_MS)
    decision = decide_time(written, timestamp_sec, seq, recv_ts_ms)
    assert (decision.ts_ms, decision.original_ts_ms) == (sec * 1000, written.ms)
    assert (decision.evidence is None) == (shift == 0)


@given(LATER_MOMENTS_MS, st.integers(-2 * DAY_MS, 2 * DAY_MS))
def test_a_time_alone_is_corrected_in_the_window_only(ts_ms: int, ahead_ms: int) -> None:
    """More than 2 h and at most 8 h (and some minutes) ahead of the host's clock; else it stays as it is.

    More than a day ahead it is none: it would make a day file of the future.
    """
    if ahead_ms > DAY_MS:
        with pytest.raises(BadTickError, match="more than a day in the future"):
            decide_time(WrittenTime(Form.LOCAL, ts_ms), 0.0, 0, ts_ms - ahead_ms)
        return
    decision = decide_time(WrittenTime(Form.LOCAL, ts_ms), 0.0, 0, ts_ms - ahead_ms)
    is_fault = FUTURE_MS < ahead_ms <= EIGHT_HOURS_MS + AGREE_MS
    assert decision.ts_ms == ts_ms - is_fault * EIGHT_HOURS_MS
    assert decision.original_ts_ms == ts_ms


@given(
    st.sampled_from([Form.LOCAL, Form.ZONED, Form.EPOCH]), MOMENTS_MS, st.floats(), st.integers(-(2**63), 2**63 - 1),
    MOMENTS_MS,
)  # fmt: skip
def test_a_dated_time_is_kept_or_moved_by_8_hours_and_never_otherwise(
    form: Form, ts_ms: int, timestamp_sec: float, seq: int, recv_ts_ms: int
) -> None:
    """Any witnesses, senseless ones too: no third value ever comes out, and a moved one says why."""
    try:
        decision = decide_time(WrittenTime(form, ts_ms), timestamp_sec, seq, recv_ts_ms)
    except BadTickError:
        assert ts_ms - recv_ts_ms > DAY_MS  # and no witness; the only time that is not believed at all
        return
    assert decision.original_ts_ms == ts_ms
    assert decision.ts_ms - ts_ms in {0, -EIGHT_HOURS_MS, EIGHT_HOURS_MS}
    assert (decision.evidence is None) == (decision.ts_ms == ts_ms)
    assert decision == decide_time(WrittenTime(form, ts_ms), timestamp_sec, seq, recv_ts_ms)


@given(ts_ms=LATER_MOMENTS_MS, recv_ts_ms=MOMENTS_MS, by_seq=st.booleans())
def test_a_clock_time_gets_its_day_from_its_witness_and_not_from_the_host(
    ts_ms: int, recv_ts_ms: int, *, by_seq: bool
) -> None:
    """The host may be days off: the tick stays in its own day, across every midnight."""
    clock = WrittenTime(Form.CLOCK, ts_ms - hk_midnight_ms(ts_ms))
    timestamp_sec, seq = (0.0, ts_ms // 1000 << 32) if by_seq else (ts_ms / 1000, 0)
    assert decide_time(clock, timestamp_sec, seq, recv_ts_ms).ts_ms == ts_ms


@given(LATER_MOMENTS_MS, st.integers(-FUTURE_MS, DAY_MS - FUTURE_MS - 1))
def test_a_clock_time_alone_is_the_last_such_moment(ts_ms: int, age_ms: int) -> None:
    """Received up to nearly a day later, or a little before by a clock that is behind: it keeps its day."""
    clock = WrittenTime(Form.CLOCK, ts_ms - hk_midnight_ms(ts_ms))
    found = decide_time(clock, 0.0, 0, ts_ms + age_ms).ts_ms
    # Where the host stands on the other side of midnight, a clock that is behind sees yesterday's.
    assert found == ts_ms or (age_ms < 0 and found == ts_ms - DAY_MS)
