"""Storing a record that is partly unstorable because of its content: everything else in it is stored.

Owns how a record is taken apart, and what is put aside in `bad_ticks`: the bytes, the error, and the place in the
journal. It is slow, and made for the unforeseen: usually the mapper has already put aside what makes no sense.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hk_tick_collector import logs
from hk_tick_collector.errors import ContentError, OddMarkError
from hk_tick_collector.journal.segments import BEGINNING, Position
from hk_tick_collector.mapping import BadTick
from hk_tick_collector.store.content_errors import storing_content
from hk_tick_collector.writer.batch import Chunk, DayShare, bad_row
from hk_tick_collector.writer.storing import Storing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hk_tick_collector.journal.marks import Mark
    from hk_tick_collector.mapping import PushType, Row
    from hk_tick_collector.writer.batch import Bodies, Part
    from hk_tick_collector.writer.storing import Tools

log = logs.get_logger()


class Apart(Storing):
    """Stores one record body by body, and row by row where that is needed."""

    def __init__(self, tools: Tools, odd: Mapping[int, str]) -> None:
        """Nothing is begun yet.

        Args:
            tools: what it is stored with.
            odd: the parts whose marks can't be judged, and why.
        """
        super().__init__(tools)
        self._odd = odd
        self._place = (BEGINNING, -1)  # of what is being stored: the record, and the number of the frame in it

    def _take_mark(self, number: int, part: Part, fetched: dict[str, list[Row]]) -> None:
        assert part.mark is not None
        if number in self._odd:
            self._put_mark_aside(part.mark, self._odd[number])
            return
        try:
            with storing_content():
                super()._take_mark(number, part, fetched)
        except ContentError as exc:
            raise OddMarkError(number, str(exc)) from exc

    def _insert_part(self, part: Part) -> dict[str, list[Row]]:
        fetched: dict[str, list[Row]] = {}
        for push_type, held in part.bodies.items():
            for body in range(len(held)):
                fetched = self._insert_body(held, body, push_type)
        return fetched

    def _insert_body(self, held: Bodies, body: int, push_type: PushType) -> dict[str, list[Row]]:
        """Insert what can be inserted of one body; returns what was fetched with it."""
        chunk = Chunk()
        raw, recv_ts_ms = held.bodies[body], held.recv_ts_ms[body]
        self._place = held.place(body)
        try:
            with storing_content():
                chunk.rows = self._tools.mapper.map_bodies([raw], [recv_ts_ms], push_type, self._now_ms, chunk.mapped)
        except ContentError as exc:
            chunk = Chunk()
            chunk.mapped.bad.append(BadTick(0, -1, "", str(exc), raw))
        chunk.bad = [bad_row(bad, recv_ts_ms, *self._place) for bad in chunk.mapped.bad]
        self._insert(chunk)
        return chunk.mapped.fetched

    def _insert_share(self, day: str, share: DayShare) -> None:
        """Insert what can be inserted of a share; the rest is put aside."""
        con = self._days.get(day).connection
        con.execute("SAVEPOINT apart")
        try:
            with storing_content():
                super()._insert_share(day, share)
        except ContentError as exc:
            con.execute("ROLLBACK TO apart")
            pieces = share.pieces()
            if len(pieces) > 1:
                for piece in pieces:
                    self._insert_share(day, piece)
            else:
                self._put_aside(day, share, str(exc))
        finally:
            if con.in_transaction:  # a full disk has ended it already, and that error must be the one raised
                con.execute("RELEASE apart")

    def _put_aside(self, day: str, share: DayShare, error: str) -> None:
        """Store a tick that can't be inserted in `bad_ticks` instead."""
        instead = DayShare()
        instead.bad = share.put_aside(error, self._place)
        if not instead.bad:
            log.error("not_even_put_aside", day=day, error=error, at=self._place)
            return
        log.error("tick_put_aside", day=day, error=error, at=self._place)
        self._insert_share(day, instead)
        self._outcome.bad += instead.bad

    def _put_mark_aside(self, mark: Mark, error: str) -> None:
        """Store a mark that can't be judged in `bad_ticks`."""
        raw = mark.totals or mark.trade_dates or repr(mark.event).encode()
        self._place = Position(mark.place.segment, mark.place.offset, -1), mark.place.frame
        log.error("record_put_aside", error=error, at=mark.place)
        chunk = Chunk()
        chunk.bad = [bad_row(BadTick(0, -1, "", error, raw), mark.recv_ts_ms, *self._place)]
        self._insert(chunk)
