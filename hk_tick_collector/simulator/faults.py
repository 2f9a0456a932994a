"""Everything that can go wrong between a recorder and OpenD, on command.

Each fault answers once it *is applied*, with `n`, how much it touched: connections, pushes or notices. Each is one "f"
line in the ledger, written when it is applied; one that lasts has a second line, named …_over, when it ends. A fault of
connections or pushes that finds none is refused, so that no test passes because its fault never happened.

Faults that would take the same thing from each other (the port, the writes, the exchange) exclude each other; all
others may overlap. Owns what is active; `server` and `opend` own the means.
"""

from __future__ import annotations

import asyncio
import logging
from random import Random
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from hk_tick_collector.opend import frames
from hk_tick_collector.opend import opend_pb2 as pb
from hk_tick_collector.opend.messages import GtwEvent, NotifyType, ProtoId, RetType
from hk_tick_collector.simulator import wire
from hk_tick_collector.simulator.fields import CommandError
from hk_tick_collector.simulator.opend import Upstream
from hk_tick_collector.simulator.shaping import Armed
from hk_tick_collector.simulator.tape import TYPES
from hk_tick_collector.simulator.wire import PushDataType

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from hk_tick_collector.simulator.fields import Fields
    from hk_tick_collector.simulator.opend import SimulatedOpenD
    from hk_tick_collector.simulator.server import Connection, Server

_log = logging.getLogger(__name__)

SEC_MAX: Final = 3600.0
_COUNT_MAX: Final = 1_000_000
_GARBAGE_BYTES_MAX: Final = 1_000_000
_DIGEST_AT: Final = 16  # where the SHA-1 begins in a header
_OVERSIZE: Final = 0x7FFFFFFF
_THROTTLE_STEP_SEC: Final = 0.02
_REVISE_NEWEST: Final = 50  # of each symbol's cache, where revisions are taken from

# What each lasting fault takes for itself.
_TAKES: Final[dict[str, frozenset[str]]] = {
    "refuse": frozenset({"port", "exchange"}),
    "restart": frozenset({"port", "exchange", "right"}),
    "outage": frozenset({"exchange"}),
    "kick": frozenset({"right"}),
    "freeze": frozenset({"writes"}),
    "slow": frozenset({"writes"}),
    "silent": frozenset({"answers"}),
}


class Faults:
    """The faults of one simulator."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._opend: SimulatedOpenD = server.opend
        self._random = Random(0)
        self._until: dict[str, float] = {}  # lasting fault → monotonic end
        self._tasks: set[asyncio.Task[None]] = set()

    def active(self) -> dict[str, float]:
        """The lasting faults and the seconds that they have left."""
        now = monotonic()
        return {name: round(max(0.0, until - now), 3) for name, until in self._until.items()}

    def cancel(self) -> None:
        """The simulator stops: no fault ends any more."""
        for task in self._tasks:
            task.cancel()

    # ---- faults of a connection

    async def cut(self, fields: Fields) -> dict[str, Any]:
        """Close every connection; with `mid_frame`, after `at` bytes of a frame (default: half of it)."""
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
        return self._applied("cut", len(conns), mid_frame=mid_frame)

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
        return self._applied("garbage", len(conns), bytes=size)

    async def bad_hash(self, fields: Fields) -> dict[str, Any]:
        """Send every connection a push whose SHA-1 is not its body's. The tick itself is in the cache."""
        fields.finish()
        conns = self._connections()
        body, proto_id = self._one_frame_body()
        for conn in conns:
            broken = bytearray(frames.encode(proto_id, self._opend.next_serial(), body, conn.cipher))
            broken[_DIGEST_AT] ^= 0xFF
            conn.send(bytes(broken))
        return self._applied("bad_hash", len(conns))

    async def oversize(self, fields: Fields) -> dict[str, Any]:
        """Send every connection a header that claims a body of 2 GiB."""
        fields.finish()
        conns = self._connections()
        for conn in conns:
            serial_no = self._opend.next_serial()
            conn.send(
                frames.HEADER.pack(b"F", b"T", frames.TICKER_PUSH, 0, 0, serial_no, _OVERSIZE, bytes(20), bytes(8))
            )
        return self._applied("oversize", len(conns))

    async def silent(self, fields: Fields) -> dict[str, Any]:
        """For `sec`, accept connections and calls and answer none; ticks go only into the cache."""
        sec = self._seconds(fields)
        self._begin("silent", sec, self._end_silent)
        self._opend.silent = True
        return self._applied("silent", len(self._server.connections), sec=sec)

    async def freeze(self, fields: Fields) -> dict[str, Any]:
        """For `sec`, read nothing and write nothing and close nothing; then write what was kept back."""
        sec = self._seconds(fields)
        self._begin("freeze", sec, self._end_freeze)
        self._server.frozen = True
        for conn in self._server.connections.values():
            conn.freeze()
        return self._applied("freeze", len(self._server.connections), sec=sec)

    async def slow(self, fields: Fields) -> dict[str, Any]:
        """For `sec`, write at most `bytes_per_sec` to each connection."""
        rate = fields.number("bytes_per_sec", low=1, high=1e9)
        sec = self._seconds(fields)
        self._begin("slow", sec, self._end_slow)
        self._server.throttled = True
        for conn in self._server.connections.values():
            conn.hold()
        self._start(self._throttle(rate))
        return self._applied("slow", len(self._server.connections), sec=sec, bytes_per_sec=rate)

    # ---- faults of the stream of pushes

    async def lose(self, fields: Fields) -> dict[str, Any]:
        """The next `n` ticks that somebody would get are cached and not pushed."""
        return await self._arm("lose", fields)

    async def withhold(self, fields: Fields) -> dict[str, Any]:
        """The next `n` trades (of `symbols`, of `types`) are made and in the totals; OpenD never hears of them."""
        symbols = frozenset(fields.symbols("symbols", self._opend.caches))
        types = frozenset(TYPES[name] for name in fields.choices("types", TYPES, "type of tick"))
        return await self._arm("withhold", fields, symbols=symbols, types=types)

    async def duplicate(self, fields: Fields) -> dict[str, Any]:
        """The next `n` pushes are sent twice."""
        return await self._arm("duplicate", fields)

    async def reorder(self, fields: Fields) -> dict[str, Any]:
        """The next `n` pushes are collected and sent in another order."""
        return await self._arm("reorder", fields, low=2)

    async def revise(self, fields: Fields) -> dict[str, Any]:
        """Send `n` ticks that were pushed before again: same sequence, other price and volume."""
        count = fields.integer("n", 1, low=1, high=_COUNT_MAX)
        fields.finish()
        pushed = [
            (symbol, entry)
            for symbol in self._opend.watched()
            for entry in list(self._opend.caches[symbol])[-_REVISE_NEWEST:]
            if wire.kind_of(entry) is not PushDataType.CACHE
        ]
        if len(pushed) < count:
            raise CommandError(f"{count} ticks to revise, but only {len(pushed)} recent ones were pushed to anybody")
        revised = []
        for symbol, entry in self._random.sample(pushed, count):
            ticker = wire.ticker_of(entry)
            ticker.price = round(ticker.price * 1.01 + 0.01, 3)
            ticker.volume += 100
            ticker.turnover = round(ticker.price * ticker.volume, 3)
            self._opend.ledger.note(
                "r", s=symbol, q=ticker.sequence, p=ticker.price, v=ticker.volume, o=ticker.turnover
            )
            revised.append((symbol, wire.entry_of_ticker(ticker, PushDataType.REALTIME)))
        self._opend.ledger.flush()
        self._opend.tell(self._opend.pushes_of(revised))
        return self._applied("revise", count)

    # ---- faults of OpenD itself

    async def refuse(self, fields: Fields) -> dict[str, Any]:
        """For `sec`, no port and no connections; with `keep_cache`, OpenD still hears the exchange."""
        keep_cache = fields.flag("keep_cache", default=True)
        sec = self._seconds(fields)
        self._begin("refuse", sec, self._end_refuse)
        if not keep_cache:
            self._opend.upstream = Upstream.DOWN
        self._server.refuse()
        conns = list(self._server.connections.values())
        for conn in conns:
            conn.abort()
        return self._applied("refuse", len(conns), sec=sec, keep_cache=keep_cache)

    async def restart(self, fields: Fields) -> dict[str, Any]:
        """For `sec`, OpenD is gone; afterwards it remembers nothing of before (unless `keep_cache`)."""
        keep_cache = fields.flag("keep_cache", default=False)
        sec = self._seconds(fields)
        self._begin("restart", sec, self._end_restart)
        self._opend.upstream = Upstream.RESTARTING
        self._server.refuse()
        conns = list(self._server.connections.values())
        for conn in conns:
            conn.close_flushed()
        forgotten = 0 if keep_cache else self._opend.forget()
        return self._applied("restart", len(conns), sec=sec, keep_cache=keep_cache, forgotten=forgotten)

    async def outage(self, fields: Fields) -> dict[str, Any]:
        """For `sec`, OpenD does not hear the exchange; then it makes good at most the last 50 ticks of each symbol."""
        sec = self._seconds(fields)
        self._begin("outage", sec, self._end_outage)
        self._opend.upstream = Upstream.LOST
        return self._applied("outage", self._opend.notify(_connect_status(logined=False)), sec=sec)

    async def kick(self, fields: Fields) -> dict[str, Any]:
        """For `sec`, another login has the quote right: no pushes, and GetTicker tells only what was there before."""
        sec = self._seconds(fields)
        self._begin("kick", sec, self._end_kick)
        self._opend.stale = {symbol: tuple(cache) for symbol, cache in self._opend.caches.items()}
        return self._applied("kick", self._opend.notify(_kicked_out()), sec=sec)

    # ---- the ends

    async def _end_silent(self) -> int:
        self._opend.silent = False
        for conn in self._server.connections.values():
            conn.alive_at = monotonic()  # its signs of life were not heard
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

    def _seconds(self, fields: Fields) -> float:
        """Read the last field of a lasting fault."""
        sec = fields.number("sec", low=0.01, high=SEC_MAX)
        fields.finish()
        return sec

    def _begin(self, name: str, sec: float, end: Callable[[], Awaitable[int]]) -> None:
        """Enter a lasting fault, if nothing that it needs is taken, and see to its end."""
        for other in self._until:
            if _TAKES[other] & _TAKES[name]:
                left = self.active()[other]
                raise CommandError(f"{name} can't be while {other} is, which lasts another {left:.1f} s")
        self._until[name] = monotonic() + sec
        self._start(self._end_after(name, sec, end))

    async def _end_after(self, name: str, sec: float, end: Callable[[], Awaitable[int]]) -> None:
        await asyncio.sleep(sec)
        touched = await end()
        self._server.note_fault(f"{name}_over", n=touched)
        del self._until[name]

    async def _throttle(self, bytes_per_sec: float) -> None:
        """Let each connection have its share, a little at a time."""
        began = monotonic()
        written: dict[int, int] = {}
        while self._server.throttled:
            due = int((monotonic() - began) * bytes_per_sec)
            for conn in list(self._server.connections.values()):
                # What was not used is gone: a connection that was quiet gets no burst for it.
                share = due - written.get(conn.conn_id, 0)
                if share > 0:
                    conn.release(share)
                written[conn.conn_id] = due
            await asyncio.sleep(_THROTTLE_STEP_SEC)

    async def _arm(self, name: str, fields: Fields, *, low: int = 1, **only: frozenset[Any]) -> dict[str, Any]:
        """Arm a fault of the next pushes; answer when it has touched them all, or at once if not to `wait`."""
        count = fields.integer("n", low, low=low, high=_COUNT_MAX)
        wait = fields.flag("wait", default=True)
        timeout_sec = fields.number("timeout_sec", 30.0, low=0.01, high=SEC_MAX)
        fields.finish()
        shaper = self._opend.shaper
        if getattr(shaper, name) is not None:
            raise CommandError(f"{name} is armed already")
        armed = Armed(count, **only)
        setattr(shaper, name, armed)
        ending = self._start(self._finish_armed(name, armed, timeout_sec))
        if not wait:
            return {"n": 0, "armed": count}
        await ending
        if armed.left > 0:
            raise CommandError(f"only {armed.touched} of {count} pushes came within {timeout_sec:g} s")
        return {"n": armed.touched}

    async def _finish_armed(self, name: str, armed: Armed, timeout_sec: float) -> None:
        try:
            await asyncio.wait_for(armed.done.wait(), timeout_sec)
        except TimeoutError:
            self._opend.tell(self._opend.shaper.disarm(name))
        if armed.touched:
            self._server.note_fault(name, n=armed.touched)
            self._opend.ledger.flush()

    def _applied(self, fault: str, n: int, **details: object) -> dict[str, Any]:
        self._server.note_fault(fault, n=n, **details)
        self._opend.ledger.flush()
        return {"n": n, **details}

    def _connections(self) -> list[Connection]:
        conns = self._server.ready
        if not conns:
            raise CommandError("no open connection to do this to")
        return conns

    def _one_frame_body(self) -> tuple[bytes, int]:
        """A body worth breaking, and its protoID: a tick made for it, which stays in the cache; else a notice."""
        watched = self._opend.watched()
        if watched and self._opend.upstream is Upstream.UP:
            tick = self._opend.market.make(watched[0], self._opend.clock.now_ms)
            pushes = self._opend.make_known([tick])
            if pushes:
                return pushes[0].body, frames.TICKER_PUSH
        return _connect_status(logined=True), ProtoId.NOTIFY

    def _start(self, coroutine: Any) -> asyncio.Task[None]:  # noqa: ANN401 - Coroutine[Any, Any, None]
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _log.error("a fault could not be ended", exc_info=task.exception())


def _connect_status(*, logined: bool) -> bytes:
    s2c = pb.Notify.S2C(
        type=NotifyType.CONN_STATUS, connectStatus=pb.Notify.ConnectStatus(qotLogined=logined, trdLogined=False)
    )
    return pb.Notify.Response(retType=RetType.SUCCEED, s2c=s2c).SerializeToString()


def _kicked_out() -> bytes:
    event = pb.Notify.GtwEvent(eventType=GtwEvent.KICKED_OUT, desc="Kicked out by another login")
    s2c = pb.Notify.S2C(type=NotifyType.GTW_EVENT, event=event)
    return pb.Notify.Response(retType=RetType.SUCCEED, s2c=s2c).SerializeToString()
