"""A recorded journal as a market: the same ticks, in the same order, at the pace at which they were received."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hk_tick_collector.errors import ConfigError
from hk_tick_collector.journal.append import Journal
from hk_tick_collector.opend import messages
from hk_tick_collector.opend.frames import TICKER_PUSH, encode
from hk_tick_collector.opend.market import MarketState
from hk_tick_collector.simulator.replay import ReplayMarket

if TYPE_CHECKING:
    from pathlib import Path

OPEN_MS = 1_795_138_200_000  # 2026-11-20 09:30:00 in Hong Kong
OPEN_SEC = OPEN_MS // 1000


def push(symbol: str, *ordinals: int, price: float = 10.0) -> bytes:
    """A push frame of ticks at 09:30:00."""
    s2c = messages.pb.Qot_UpdateTicker.S2C(security=messages.pb.Security(market=1, code=symbol[3:]))
    for n in ordinals:
        s2c.tickerList.add(
            time="2026-11-20 09:30:00", sequence=OPEN_SEC << 32 | n, dir=1, price=price, volume=n, turnover=price * n
        )
    body = messages.pb.Qot_UpdateTicker.Response(retType=0, s2c=s2c).SerializeToString()
    return encode(TICKER_PUSH, 1, body)


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Three records, a second apart; the last repeats a tick with another price."""
    appender = Journal(tmp_path / "journal", segment_bytes=1 << 20, buffer_bytes=1 << 20, sync_ms=10)
    appender.start()
    appender.append_frames(1, OPEN_MS + 100, push("HK.00700", 1, 2))
    appender.append_event(1, OPEN_MS + 200, {"event": "opend_notice"})
    appender.append_frames(1, OPEN_MS + 1100, push("HK.00005", 1) + push("HK.00700", 3))
    appender.append_frames(1, OPEN_MS + 2100, push("HK.00700", 3, price=11.0) + push("HK.00700", 4))
    assert appender.close(10)
    return tmp_path / "journal"


def test_ticks_come_in_their_order_and_at_their_pace(journal: Path) -> None:
    """Each when it had been received, to the last bit; the busiest symbol is the first."""
    market = ReplayMarket(journal)
    assert market.symbols == ("HK.00700", "HK.00005")
    assert market.start_ts_ms == OPEN_MS + 100
    assert market.ticks_until(OPEN_MS + 99) == []
    first = market.ticks_until(OPEN_MS + 1099)
    assert [(tick.symbol, tick.seq & 0xFFFFFFFF, tick.volume) for tick in first] == [
        ("HK.00700", 1, 1),
        ("HK.00700", 2, 2),
    ]
    assert {(tick.ts_ms, tick.time, tick.price) for tick in first} == {(OPEN_MS, "2026-11-20 09:30:00", 10.0)}
    assert [tick.symbol for tick in market.ticks_until(OPEN_MS + 1100)] == ["HK.00005", "HK.00700"]
    assert not market.done


def test_a_tick_that_was_pushed_twice_comes_once(journal: Path) -> None:
    """With what was pushed first, so that the ledger has one truth."""
    market = ReplayMarket(journal)
    made = market.ticks_until(OPEN_MS + 10_000)
    assert market.done
    keys = [(tick.symbol, tick.seq) for tick in made]
    assert len(keys) == len(set(keys)) == 5
    assert {tick.price for tick in made} == {10.0}
    totals = market.totals("HK.00700")
    assert (totals.ticks, totals.volume, totals.turnover) == (4, 10, 100.0)


def test_totals_can_be_corrected(journal: Path) -> None:
    """Volume and turnover change, and nothing else."""
    market = ReplayMarket(journal)
    market.ticks_until(OPEN_MS + 10_000)
    before = market.totals("HK.00700")
    market.correct("HK.00700", -4, -40.0)
    assert market.totals("HK.00700") == before._replace(volume=6, turnover=60.0)


def test_what_is_skipped_is_never_made(journal: Path) -> None:
    """Going on from a later moment leaves out what was received before it."""
    market = ReplayMarket(journal)
    market.skip_to(OPEN_MS + 2100)
    assert [tick.seq & 0xFFFFFFFF for tick in market.ticks_until(OPEN_MS + 9999)] == [4]


def test_the_market_state_is_the_calendars(journal: Path) -> None:
    """Open at 09:30 of a trade date, closed on a Sunday."""
    market = ReplayMarket(journal)
    assert market.state_at(OPEN_MS) == MarketState.MORNING
    assert market.state_at(OPEN_MS + 2 * 86_400_000) == MarketState.CLOSED


def test_it_makes_no_tick_of_its_own(journal: Path) -> None:
    """A burst or a single tick would have a sequence that never was."""
    market = ReplayMarket(journal)
    with pytest.raises(ValueError, match="makes no tick"):
        market.make("HK.00700", OPEN_MS)
    with pytest.raises(ValueError, match="makes no tick"):
        market.burst(5, OPEN_MS)
    with pytest.raises(ValueError, match=r"HK\.09999"):
        market.totals("HK.09999")


def test_no_journal_is_one_line(tmp_path: Path) -> None:
    """An empty directory, and a journal without a push: what was expected is said."""
    with pytest.raises(ConfigError, match="no journal in"):
        ReplayMarket(tmp_path)
    appender = Journal(tmp_path, segment_bytes=1 << 20, buffer_bytes=1 << 20, sync_ms=10)
    appender.start()
    appender.append_event(1, OPEN_MS, {"event": "session_up"})
    assert appender.close(10)
    with pytest.raises(ConfigError, match="no ticker push"):
        ReplayMarket(tmp_path)
