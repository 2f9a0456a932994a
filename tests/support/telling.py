"""Stories as a journal tells them, and what the ledger makes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hk_tick_collector.opend.purpose import Purpose
from hk_tick_collector.quality.filling import MADE_GOOD
from hk_tick_collector.resumption import EVENT, Resumption
from support.stories import Gap, Kind, Record, Story, Trade
from support.tale import Tale, snapshot
from support.ticks import TENCENT, push, reply

if TYPE_CHECKING:
    from pathlib import Path


class Outcome(NamedTuple):
    """What writers have made of a story; `rows`: how many ticks are stored."""

    story: Story
    gaps: list[Gap]
    doubts: list[str]
    rows: int

    def is_told(self, trade: Trade) -> bool:
        """Whether an open gap covers it."""
        return any(gap.state == "open" and gap.covers(trade.key) for gap in self.gaps)

    def __str__(self) -> str:
        gaps = [f"gap {gap}" for gap in self.gaps]
        return "\n".join([*self.story.lines(), *gaps, *(f"doubt {doubt}" for doubt in self.doubts)])


def tell(story: Story, root: Path) -> Outcome:
    """Tell a story to writers, in a directory of its own."""
    tale = Tale(root)
    try:
        for number, record in enumerate(story.records):
            if record.outage is not None:
                event = Resumption(record.outage.cause, record.outage.since_ms, 1000, 0, (TENCENT,))
                tale.journal.append_event(1, record.at_ms, {"event": EVENT, **event.fields()})
            else:
                tale.journal.append_frames(1, record.at_ms, _frame(record))
            if number in story.writers_end or number == len(story.records) - 1:
                assert tale.journal.flush(60)
                tale.write()
        doubts = [" ".join(map(str, doubt)) for doubt in tale.query("SELECT * FROM doubts")]
        ((rows,),) = tale.query("SELECT rows FROM symbol_stats")
        return Outcome(story, [Gap(*row) for row in tale.gaps(", ".join(Gap._fields))], doubts, rows)
    finally:
        tale.journal.close(5)


def _frame(record: Record) -> bytes:
    if record.kind is Kind.SNAPSHOT:
        return snapshot(record.at_ms, tencent=record.volume)
    if record.kind in (Kind.PUSH, Kind.MADE_GOOD):
        fields = {"pushDataType": MADE_GOOD} if record.kind is Kind.MADE_GOOD else {}
        return push(TENCENT, *(trade.ticker(**fields) for trade in record.trades))
    purpose = Purpose.BACKFILL if record.kind is Kind.BACKFILL else Purpose.AUDIT
    return reply(TENCENT, *(trade.ticker() for trade in record.trades), purpose=purpose)
