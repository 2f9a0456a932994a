"""Reconnecting: how soon while Hong Kong may trade, how seldom at night, and how many lines are written of it."""

from __future__ import annotations

from typing import Any

import pytest
from support.kept_log import KeptLog, keep_log
from support.recorder_state import FRIDAY, hk_ms
from support.settings import client_settings

from hk_tick_collector.journal.events import Cause
from hk_tick_collector.session import reconnect
from hk_tick_collector.session.outages import Outage
from hk_tick_collector.session.reconnect import Reconnects
from hk_tick_collector.session.state import ClientState

NIGHT_MS = hk_ms(FRIDAY, "22:00:00")
REFUSED = "127.0.0.1:1: Connection refused"
AWAY = Outage(Cause.OPEND_DOWN, None)


class Clock:
    """Monotonic time as a test says."""

    def __init__(self) -> None:
        self.now = 5000.0

    def monotonic(self) -> float:
        """Seconds."""
        return self.now


class Trial:
    """Attempts that fail, one after the other."""

    def __init__(self, clock: Clock, **settings: Any) -> None:  # noqa: ANN401 - settings
        self.clock = clock
        self.state = ClientState()
        self.reconnects = Reconnects(client_settings("HK.00700", **settings), self.state)
        self.last_push_at: float | None = None

    def fail(self, now_ms: int, reason: str = REFUSED, *, outage: Outage = AWAY, session_sec: float = 0.0) -> float:
        """One attempt fails; seconds until the next."""
        return self.reconnects.ended(reason, session_sec, outage, self.last_push_at, now_ms)

    def last_for(self, sec: float, now_ms: int) -> list[float]:
        """Attempts fail for so long; the delays."""
        end, delays = self.clock.now + sec, []
        while self.clock.now < end:
            delays.append(self.fail(now_ms + int((self.clock.now - end + sec) * 1000)))
            self.clock.now += delays[-1]
        return delays


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The module's."""
    made = Clock()
    monkeypatch.setattr(reconnect, "time", made)
    return made


@pytest.fixture(autouse=True)
def logged(monkeypatch: pytest.MonkeyPatch) -> KeptLog:
    """The lines that are logged."""
    return keep_log(reconnect, monkeypatch)


@pytest.mark.parametrize("at", ["09:00:00", "10:30:00", "12:30:00", "16:09:00"])
def test_in_trading_hours_each_attempt_comes_within_two_seconds(clock: Clock, at: str) -> None:
    """For as long as OpenD is away, by the clock alone; lunch is too short to grow slow in."""
    delays = Trial(clock).last_for(600, hk_ms(FRIDAY, at) - (600_000 if at == "16:09:00" else 0))
    assert 1 <= min(delays) <= max(delays) <= 2
    assert len(set(delays[2:])) > 10, "not all recorders at the same moment"


def test_at_night_the_delay_grows_to_its_limit(clock: Clock) -> None:
    """It doubles, with jitter, up to RECONNECT_MAX_DELAY; and the opening is not slept through."""
    trial = Trial(clock)
    delays = trial.last_for(3600, NIGHT_MS)
    assert delays[0] <= 2
    assert 30 <= min(delays[8:]) <= max(delays) <= 60
    assert trial.fail(hk_ms("2026-11-23", "08:59:30")) <= 2
    assert trial.fail(hk_ms("2026-11-22", "10:30:00")) >= 30, "a Sunday"


def test_a_market_that_trades_out_of_hours_counts_too(clock: Clock) -> None:
    """By OpenD's last word or by a push, for an hour: after that it is night whatever was said."""
    by_opend, by_push = Trial(clock), Trial(clock)
    by_opend.state.market, by_opend.state.market_at = "MORNING", clock.now
    by_push.last_push_at = clock.now
    closed = Trial(clock)
    closed.state.market, closed.state.market_at = "CLOSED", clock.now
    for trial in (by_opend, by_push, closed):
        trial.reconnects.failures = 20
    assert by_opend.fail(NIGHT_MS) <= 2
    assert by_push.fail(NIGHT_MS) <= 2
    assert closed.fail(NIGHT_MS) >= 30
    clock.now += 3601
    assert by_opend.fail(NIGHT_MS) >= 30
    assert by_push.fail(NIGHT_MS) >= 30


def test_opends_clock_tells_the_hour(clock: Clock) -> None:
    """A host whose clock is twelve hours off does not take the morning for night."""
    trial = Trial(clock)
    trial.reconnects.failures = 20
    trial.state.clock_offset_ms = 12 * 3_600_000 + 1_800_000
    assert trial.fail(NIGHT_MS - 86_400_000) <= 2


def test_the_least_delay_is_kept_always(clock: Clock) -> None:
    """RECONNECT_MIN_DELAY is the operator's word, also in trading hours and for a deadline."""
    trial = Trial(clock, reconnect_min_delay_sec=5.0)
    assert set(trial.last_for(100, hk_ms(FRIDAY, "10:30:00"))) == {5.0}


def test_an_attempt_is_made_for_a_deadline(clock: Clock) -> None:
    """Some seconds before the nearest one that can still be met, however long the backoff has grown."""
    trial = Trial(clock, reconnect_max_delay_sec=600.0)
    since_ms = NIGHT_MS - 60_000
    rates = trial.state.rates
    rates.take(0.0, {"HK.00700": 0, "HK.00005": 0, "HK.00001": 0})
    # By the hours of Hong Kong nothing is due at night: a market that OpenD calls open has none.
    rates.take(100.0, {"HK.00700": 1000, "HK.00005": 10_000, "HK.00001": 1})
    trial.state.market = "MORNING"
    trial.reconnects.failures = 20
    outage = Outage(Cause.CONNECTION_LOST, since_ms)
    # HK.00005 was due after 10 s, which is past; HK.00700 is due 100 s after the beginning: in 40 s.
    assert trial.fail(NIGHT_MS, outage=outage) == 30
    assert trial.fail(NIGHT_MS + 35_000, outage=outage) == 1
    assert trial.fail(NIGHT_MS + 41_000, outage=outage) >= 300


def test_a_session_that_lasted_starts_the_backoff_anew(clock: Clock) -> None:
    """One that ended at once does not."""
    trial = Trial(clock)
    trial.reconnects.failures = 7
    trial.state.connected = True
    trial.fail(NIGHT_MS, "closed by OpenD", session_sec=9.9)
    assert trial.reconnects.failures == 8
    assert trial.fail(NIGHT_MS, "closed by OpenD", session_sec=10.0) == 1.0
    assert trial.reconnects.failures == 0


# ---- lines


def test_an_hour_of_refusals_is_a_line_a_minute(clock: Clock, logged: KeptLog) -> None:
    """The first at once; each of the others tells how many were held back before it."""
    delays = Trial(clock).last_for(3600, hk_ms(FRIDAY, "10:00:00"))
    assert len(delays) > 1800
    assert 55 <= len(logged.lines) <= 61
    held = [fields["repeated"] for _, fields in logged.lines]
    assert held[0] == 0
    assert min(held[1:]) >= 29
    assert sum(held) + len(held) >= len(delays) - 60
    assert logged.lines[0][1]["reason"] == REFUSED
    assert logged.lines[0][1]["attempt"] == 1


def test_each_change_of_reason_and_each_session_is_told(clock: Clock, logged: KeptLog) -> None:
    """A line that was held back is counted in the next, whatever that is of."""
    trial = Trial(clock)
    for reason in (REFUSED, REFUSED, REFUSED, "no route", "no route", REFUSED):
        trial.fail(NIGHT_MS, reason)
        clock.now += 1
    trial.state.connected = True
    for _ in range(3):
        trial.fail(NIGHT_MS, "closed by OpenD")
    trial.state.connected = False
    trial.fail(NIGHT_MS, REFUSED)
    told = [(fields["reason"], fields["repeated"]) for _, fields in logged.lines]
    assert told == [
        (REFUSED, 0), ("no route", 2), (REFUSED, 1), ("closed by OpenD", 0), ("closed by OpenD", 0),
        ("closed by OpenD", 0), (REFUSED, 0),
    ]  # fmt: skip


def test_reasons_that_change_each_second_do_not_fill_the_disk(clock: Clock, logged: KeptLog) -> None:
    """An OpenD whose refusals are never the same twice has ten lines a minute."""
    trial = Trial(clock)
    for number in range(600):
        trial.fail(NIGHT_MS, f"refused: {number}")
        clock.now += 1
    assert 60 <= len(logged.lines) <= 110
