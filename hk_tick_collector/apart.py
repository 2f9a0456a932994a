"""Storing a record of which something can't be stored for its own sake: all but that.

Owns what is taken apart, and what is put aside for it in `bad_ticks`: the bytes, the error, and the place in the
journal. It is slow, and made for what nobody has thought of: usually the mapper has put aside what makes no sense.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hk_tick_collector import logs
from hk_tick_collector.batch import Chunk, DayShare, bad_row, share_by_day
from hk_tick_collector.content import storing_content
from hk_tick_collector.day_databases import is_away, of_day
from hk_tick_collector.errors import ContentError, OddMarkError
from hk_tick_collector.journal import Position
from hk_tick_collector.mapping import BadTick
from hk_tick_collector.quality.late import found_at_rest
from hk_tick_collector.storing import Storing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hk_tick_collector.batch import BadRow, Bodies, Mark, Part
    from hk_tick_collector.mapping import PushType, Row
    from hk_tick_collector.storing import Tools

log = logs.get_logger()

_NOWHERE: Final = (Position(0, 0, -1), -1)


class Apart(Storing):
    """Stores one record, body by body, and where that must be row by row."""

    def __init__(self, tools: Tools, odd: Mapping[int, str]) -> None:
        """Nothing is begun yet.

        Args:
            tools: what it is stored with.
            odd: the parts whose marks can't be judged, and why.
        """
        super().__init__(tools)
        self._odd = odd

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
        """Insert one body, as far as it can be; what was fetched with it."""
        chunk = Chunk()
        raw, recv_ts_ms, place = held.bodies[body], held.recv_ts_ms[body], held.place(body)
        try:
            with storing_content():
                chunk.rows = self._tools.mapper.map_bodies([raw], [recv_ts_ms], push_type, self._now_ms, chunk.mapped)
        except ContentError as exc:
            chunk = Chunk()
            chunk.mapped.bad.append(BadTick(0, -1, "", str(exc), raw))
        chunk.bad = [bad_row(bad, recv_ts_ms, *place) for bad in chunk.mapped.bad]
        self._insert(chunk, place)
        return chunk.mapped.fetched

    def _insert(self, chunk: Chunk, place: tuple[Position, int] = _NOWHERE) -> None:
        self._judge.heard(chunk.mapped.pushed)
        for day, share in sorted(share_by_day(chunk).items()):
            if self._tools.takes(day):
                with of_day(day):
                    chunk.bad += self._insert_apart(day, share, place)
        self._note(chunk)

    def _insert_apart(self, day: str, share: DayShare, place: tuple[Position, int]) -> list[BadRow]:
        """Insert what can be inserted of a share; the rest is put aside."""
        path = self._tools.root / f"{day}.db"
        if day not in self._begun and (is_away(path) or found_at_rest(path, share) is not None):
            self._insert_share(day, share)
            return []
        con = self._begin(day).connection
        con.execute("SAVEPOINT apart")
        try:
            with storing_content():
                self._insert_share(day, share)
        except ContentError as exc:
            con.execute("ROLLBACK TO apart")
            pieces = share.pieces()
            if len(pieces) > 1:
                return [bad for piece in pieces for bad in self._insert_apart(day, piece, place)]
            instead = DayShare()
            instead.bad = share.put_aside(str(exc), place)
            if not instead.bad:
                log.error("not_even_put_aside", day=day, error=exc, at=place)
                return []
            log.error("tick_put_aside", day=day, error=exc, at=place)
            self._insert_apart(day, instead, place)
            return instead.bad
        finally:
            if con.in_transaction:  # a full disk has ended it already, and must be what is told
                con.execute("RELEASE apart")
        return []

    def _put_mark_aside(self, mark: Mark, error: str) -> None:
        """Keep what can't be judged among what can't be read."""
        raw = mark.totals or mark.trade_dates or repr(mark.event).encode()
        position = Position(mark.place.segment, mark.place.offset, -1)
        log.error("record_put_aside", error=error, at=mark.place)
        chunk = Chunk()
        chunk.bad = [bad_row(BadTick(0, -1, "", error, raw), mark.recv_ts_ms, position, mark.place.frame)]
        self._insert(chunk)
