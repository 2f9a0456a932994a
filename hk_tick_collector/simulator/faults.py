"""The faults of the connection, the pushes and OpenD itself, on command.

A fault answers once it *is applied*. Its `n` is how much it touched: connections, pushes or notices. Applying it writes
one "f" line to the ledger; a fault that lasts writes a second line, named …_over, when it ends. The one-shot faults of
a connection are refused if none is open; an armed fault that waits fails if too few pushes come. So no test passes
because its fault never happened.

`lasting` owns which faults are active; `server` and `opend` own the means. `premise_faults` makes OpenD's answers
wrong.
"""

from __future__ import annotations

import asyncio
from random import Random
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from hk_tick_collector.errors import CommandError
from hk_tick_collector.opend import frames
from hk_tick_collector.opend import opend_pb2 as pb
from hk_tick_collector.opend.numbers import GtwEvent, NotifyType, ProtoId, RetType
from hk_tick_collector.simulator.lasting import Arming, seconds
from hk_tick_collector.simulator.opend import Upstream
from hk_tick_collector.simulator.shaping import Armed
from hk_tick_collector.simulator.tape import TYPES

if TYPE_CHECKING:
    from hk_tick_collector.simulator.fields import Fields
    from hk_tick_collector.simulator.lasting import Lasting
    from hk_tick_collector.simulator.opend import SimulatedOpenD
    from hk_tick_collector.simulator.server import Connection, Server

_GARBAGE_BYTES_MAX: Final = 1_000_000
_DIGEST_AT: Final = 16  # offset of the SHA-1 in a header
_OVERSIZE: Final = 0x7FFFFFFF
_THROTTLE_STEP_SEC: Final = 0.02


class Faults:
    """The faults of one simulator."""

    def __init__(self, server: Server, lasting: Lasting) -> None:
        self._server = server
        self._opend: SimulatedOpenD = server.opend
        self._lasting = lasting
        self._random = Random(0)

    # ---- faults of a connection

    async def cut(self, fields: Fields) -> dict[str, Any]:
        """Close every connection; with `mid_frame`, after `at` bytes of a frame (default: header and half the body)."""
        mid_frame = fields.flag("mid_frame", default=False)
        at = fields.integer("at", low=1, high=frames.HEADER_SIZE + 20) if fields.has("at") else None
        fields.finish()
        conns = self._connections()
        if mid_frame:
            body, proto_id = self._one_frame_body()
            for conn in conns:
                whole = frames.encode(proto_id, self._opend.next_serial(), body, conn.cipher)
                conn.close_flushed(whole[: at or (frames.HEADER_SIZE + len(whole)) // 2])
        else:
            for conn in conns:
                conn.abort()
        return self._lasting.applied("cut", len(conns), mid_frame=mid_frame)

    async def garbage(self, fields: Fields) -> dict[str, Any]:
        """Put `bytes` random bytes into every stream, between two frames."""
        size = fields.integer("bytes", 64, low=1, high=_GARBAGE_BYTES_MAX)
        fields.finish()
        conns = self._connections()
        junk = self._random.randbytes(size)
        if b"F".startswith(junk[:1]):  # it must not look like the beginning of a frame
            junk = b"\x00" + junk[1:]
        for conn in conns:
            conn.send(junk)
        return self._lasting.applied("garbage", len(conns), bytes=size)

    async def bad_hash(self, fields: Fields) -> dict[str, Any]:
        """Send every connection a push whose SHA-1 does not match its body. The cache keeps the tick itself."""
        fields.finish()
        conns = self._connections()
        body, proto_id = self._one_frame_body()
        for conn in conns:
            broken = bytearray(frames.encode(proto_id, self._opend.next_serial(), body, conn.cipher))
            broken[_DIGEST_AT] ^= 0xFF
            conn.send(bytes(broken))
        return self._lasting.applied("bad_hash", len(conns))

    async def oversize(self, fields: Fields) -> dict[str, Any]:
        """Send every connection a header that claims a body of 2 GiB."""
        fields.finish()
        conns = self._connections()
        for conn in conns:
            serial_no = self._opend.next_serial()
            conn.send(
                frames.HEADER.pack(b"F", b"T", frames.TICKER_PUSH, 0, 0, serial_no, _OVERSIZE, bytes(20), bytes(8))
            )
        return self._lasting.applied("oversize", len(conns))

    async def silent(self, fields: Fields) -> dict[str, Any]:
        """For `sec`, accept connections and calls but answer nothing; ticks go only into the cache."""
        sec = seconds(fields)
        fields.finish()
        self._lasting.begin("silent", sec, self._end_silent)
        self._opend.silent = True
        return self._lasting.applied("silent", len(self._server.connections), sec=sec)

    async def freeze(self, fields: Fields) -> dict[str, Any]:
        """For `sec`, read, write and close nothing; then write what was held back."""
        sec = seconds(fields)
        fields.finish()
        self._lasting.begin("freeze", sec, self._end_freeze)
        self._server.frozen = True
        for conn in self._server.connections.values():
            conn.freeze()
        return self._lasting.applied("freeze", len(self._server.connections), sec=sec)

    async def slow(self, fields: Fields) -> dict[str, Any]:
        """For `sec`, write at most `bytes_per_sec` to each connection."""
        rate = fields.number("bytes_per_sec", low=1, high=1e9)
        sec = seconds(fields)
        fields.finish()
        self._lasting.begin("slow", sec, self._end_slow)
        self._server.throttled = True
        for conn in self._server.connections.values():
            conn.hold()
        self._lasting.start(self._throttle(rate))
        return self._lasting.applied("slow", len(self._server.connections), sec=sec, bytes_per_sec=rate)

    # ---- faults of the stream of pushes

    async def lose(self, fields: Fields) -> dict[str, Any]:
        """The next `n` ticks that a client would get are cached but not pushed."""
        return await self._arm("lose", fields)

    async def withhold(self, fields: Fields) -> dict[str, Any]:
        """The next `n` trades (of `symbols`, of `types`) count in the totals, but never reach OpenD."""
        symbols = frozenset(fields.symbols("symbols", self._opend.caches))
        types = frozenset(TYPES[name] for name in fields.choices("types", TYPES, "type of tick"))
        return await self._arm("withhold", fields, symbols=symbols, types=types)

    async def duplicate(self, fields: Fields) -> dict[str, Any]:
        """The next `n` pushes are sent twice."""
        return await self._arm("duplicate", fields)

    async def reorder(self, fields: Fields) -> dict[str, Any]:
        """The next `n` pushes are collected, then sent in a different order."""
        return await self._arm("reorder", fields, low=2)

    # ---- faults of OpenD itself

    async def refuse(self, fields: Fields) -> dict[str, Any]:
        """For `sec`, no port and no connections; with `keep_cache`, OpenD still receives from the exchange."""
        keep_cache = fields.flag("keep_cache", default=True)
        sec = seconds(fields)
        fields.finish()
        self._lasting.begin("refuse", sec, self._end_refuse)
        if not keep_cache:
            self._opend.upstream = Upstream.DOWN
        self._server.refuse()
        conns = list(self._server.connections.values())
        for conn in conns:
            conn.abort()
        return self._lasting.applied("refuse", len(conns), sec=sec, keep_cache=keep_cache)

    async def restart(self, fields: Fields) -> dict[str, Any]:
        """For `sec`, OpenD is down; it comes back with empty caches (unless `keep_cache`)."""
        keep_cache = fields.flag("keep_cache", default=False)
        sec = seconds(fields)
        fields.finish()
        self._lasting.begin("restart", sec, self._end_restart)
        self._opend.upstream = Upstream.RESTARTING
        self._server.refuse()
        conns = list(self._server.connections.values())
        for conn in conns:
            conn.close_flushed()
        forgotten = 0 if keep_cache else self._opend.forget()
        return self._lasting.applied("restart", len(conns), sec=sec, keep_cache=keep_cache, forgotten=forgotten)

    async def outage(self, fields: Fields) -> dict[str, Any]:
        """For `sec`, OpenD has lost the exchange; then it replays up to `made_good_max` missed ticks per symbol."""
        sec = seconds(fields)
        fields.finish()
        self._lasting.begin("outage", sec, self._end_outage)
        self._opend.upstream = Upstream.LOST
        return self._lasting.applied("outage", self._opend.notify(_connect_status(logined=False)), sec=sec)

    async def kick(self, fields: Fields) -> dict[str, Any]:
        """For `sec`, another login has the quote right: no pushes; GetTicker returns only what was cached before."""
        sec = seconds(fields)
        fields.finish()
        self._lasting.begin("kick", sec, self._end_kick)
        self._opend.stale = {symbol: tuple(cache) for symbol, cache in self._opend.caches.items()}
        return self._lasting.applied("kick", self._opend.notify(_kicked_out()), sec=sec)

    # ---- the ends

    async def _end_silent(self) -> int:
        self._opend.silent = False
        for conn in self._server.connections.values():
            conn.alive_at = monotonic()  # its KeepAlives were ignored
        return len(self._server.connections)

    async def _end_freeze(self) -> int:
        self._server.frozen = False
        conns = list(self._server.connections.values())
        for conn in conns:
            conn.thaw()
        return len(conns)

    async def _end_slow(self) -> int:
        self._server.throttled = False
        conns = list(self._server.connections.values())
        for conn in conns:
            conn.release()
        return len(conns)

    async def _end_refuse(self) -> int:
        self._opend.upstream = Upstream.UP
        await self._server.listen(self._server.port)
        return 1

    async def _end_restart(self) -> int:
        return await self._end_refuse()

    async def _end_outage(self) -> int:
        made_good, pushes = self._opend.regain_upstream()
        self._opend.notify(_connect_status(logined=self._opend.is_logged_in))
        self._opend.tell(pushes)
        return made_good

    async def _end_kick(self) -> int:
        self._opend.stale = None
        return self._opend.notify(_connect_status(logined=self._opend.is_logged_in))

    # ---- the means

    async def _throttle(self, bytes_per_sec: float) -> None:
        """Release each connection's share of bytes, a little at a time."""
        began = monotonic()
        written: dict[int, int] = {}
        while self._server.throttled:
            due = int((monotonic() - began) * bytes_per_sec)
            for conn in list(self._server.connections.values()):
                # An unused share expires: a quiet connection can't save up for a burst.
                share = due - written.get(conn.conn_id, 0)
                if share > 0:
                    conn.release(share)
                written[conn.conn_id] = due
            await asyncio.sleep(_THROTTLE_STEP_SEC)

    async def _arm(self, name: str, fields: Fields, *, low: int = 1, **only: frozenset[Any]) -> dict[str, Any]:
        """Arm a fault for the next pushes."""
        arming = Arming.of(fields, low=low)
        fields.finish()
        shaper = self._opend.shaper
        if getattr(shaper, name) is not None:
            raise CommandError(f"{name} is armed already")
        armed = Armed(arming.wanted, **only)
        setattr(shaper, name, armed)
        return await self._lasting.arm(
            name, armed, arming, "pushes", lambda: self._opend.tell(self._opend.shaper.disarm(name))
        )

    def _connections(self) -> list[Connection]:
        conns = self._server.ready
        if not conns:
            raise CommandError("no open connection to do this to")
        return conns

    def _one_frame_body(self) -> tuple[bytes, int]:
        """A body to break, and its protoID: a tick made for this, which stays in the cache; otherwise a notice."""
        watched = self._opend.watched()
        if watched and self._opend.upstream is Upstream.UP:
            tick = self._opend.market.make(watched[0], self._opend.clock.now_ms)
            pushes = self._opend.make_known([tick])
            if pushes:
                return pushes[0].body, frames.TICKER_PUSH
        return _connect_status(logined=True), ProtoId.NOTIFY


def _connect_status(*, logined: bool) -> bytes:
    s2c = pb.Notify.S2C(
        type=NotifyType.CONN_STATUS, connectStatus=pb.Notify.ConnectStatus(qotLogined=logined, trdLogined=False)
    )
    return pb.Notify.Response(retType=RetType.SUCCEED, s2c=s2c).SerializeToString()


def _kicked_out() -> bytes:
    event = pb.Notify.GtwEvent(eventType=GtwEvent.KICKED_OUT, desc="Kicked out by another login")
    s2c = pb.Notify.S2C(type=NotifyType.GTW_EVENT, event=event)
    return pb.Notify.Response(retType=RetType.SUCCEED, s2c=s2c).SerializeToString()
