"""Sequences that are not what everything that removes duplicates rests on.

13. GetTicker gives each tick under a sequence of that reply alone, with the second as it is and another ordinal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.day_story import ALIBABA, HSBC, SEC, SYMBOLS, TENCENT, of, reasons, verdicts

from hk_tick_collector.audit.day import Verdict
from hk_tick_collector.journal.events import Cause
from hk_tick_collector.opend.purpose import Purpose

if TYPE_CHECKING:
    from support.day_story import Begin

COMPLETE, INCOMPLETE, UNPROVABLE = Verdict.COMPLETE, Verdict.INCOMPLETE, Verdict.UNPROVABLE


# case 13
@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("lost", ["nothing", "a push", "a tick"])
def test_sequences_of_a_reply_alone_double_nothing_and_are_told(begin: Begin, lost: str, *, own: bool) -> None:
    """Replies with other sequences than pushes store each trade once, and fail their premise, by symbol."""
    story = begin()
    story.open()
    story.trade_until("11:00:00")
    story.window(TENCENT, 50, purpose=Purpose.POLL, own=own)
    story.trade_until("13:30:00")
    story.to(story.now_ms + 20 * SEC)
    story.trade(TENCENT, 900, lost=lost == "a tick", unpushed=lost == "a push")
    story.look()
    for symbol in (TENCENT, HSBC):
        story.window(symbol, 50, purpose=Purpose.POLL, own=own)
    story.trade_until("14:30:00")
    since_ms = story.host_ms - 5 * SEC
    story.opend_state()
    story.resume(Cause.CONNECTION_LOST, since_ms)
    for symbol in SYMBOLS:
        story.window(symbol, own=own)
    story.trade_until("16:00:00")
    story.close()
    audit = story.audit()
    made = story.exchange[TENCENT].volume
    assert of(audit, TENCENT).volume == made - (900 if lost == "a tick" else 0)
    failed = dict(story.query("SELECT symbol, failed FROM premises WHERE name = 'same_sequence'"))
    assert failed == {symbol: int(own) for symbol in SYMBOLS}
    rest = dict.fromkeys((HSBC, ALIBABA), COMPLETE)
    # What only a reply has told is stored under a made-up sequence, which forbids COMPLETE.
    found = UNPROVABLE if own else COMPLETE
    expected = {"nothing": COMPLETE, "a push": found, "a tick": INCOMPLETE}[lost]
    assert verdicts(audit) == {TENCENT: expected, **rest}, reasons(audit)
