"""The control port: commands over TCP on the loopback, one JSON object per line in each direction.

Owns the names of the commands. Every line gets an answer, `{"ok":true,…}` or `{"ok":false,"error":…}`; no input ends
the simulator. Commands from one connection run one after the other.
"""

from __future__ import annotations

import asyncio
import json
import logging
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from hk_tick_collector.errors import CommandError
from hk_tick_collector.simulator import reference
from hk_tick_collector.simulator.amendments import Amendments
from hk_tick_collector.simulator.faults import Faults
from hk_tick_collector.simulator.fields import Fields
from hk_tick_collector.simulator.premise_faults import PremiseFaults
from hk_tick_collector.simulator.tape import TYPES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from hk_tick_collector.simulator.lasting import Lasting
    from hk_tick_collector.simulator.server import Connection, Server
    from hk_tick_collector.simulator.wire import PushFrame

_log = logging.getLogger(__name__)

LINE_BYTES_MAX: Final = 64 * 1024
_QUOTA_MAX: Final = 100_000
_BURST_TICKS_MAX: Final = 2_000_000
_BURST_PREPARED_AT_ONCE: Final = 5000  # ticks between two yields to the event loop
_CLOSE_SEC: Final = 0.2
_BURST_CHUNK_FRAMES: Final = 500  # about 60 KB per write


class Control:
    """The control port of one simulator."""

    def __init__(self, server: Server, lasting: Lasting, stop: Callable[[], None]) -> None:
        self._server = server
        self._opend = server.opend
        self._stop = stop
        self._lasting = lasting
        self._listener: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()
        faults = Faults(server, lasting)
        amendments = Amendments(server, lasting)
        premises = PremiseFaults(server, lasting)
        self._commands: dict[str, Callable[[Fields], Awaitable[dict[str, Any]]]] = {
            "stats": self.stats,
            "sync": self.sync,
            "pause": self.pause,
            "resume": self.resume,
            "stop": self.stop,
            "burst": self.burst,
            "tick": self.tick,
            "quota": self.quota,
            "cut": faults.cut,
            "garbage": faults.garbage,
            "bad_hash": faults.bad_hash,
            "oversize": faults.oversize,
            "silent": faults.silent,
            "freeze": faults.freeze,
            "slow": faults.slow,
            "lose": faults.lose,
            "withhold": faults.withhold,
            "duplicate": faults.duplicate,
            "reorder": faults.reorder,
            "revise": amendments.revise,
            "cancel": amendments.cancel,
            "refuse": faults.refuse,
            "restart": faults.restart,
            "outage": faults.outage,
            "kick": faults.kick,
            "exchange_frozen": premises.exchange_frozen,
            "made_good": premises.made_good,
            "snapshot_late": premises.snapshot_late,
            "snapshot_frozen": premises.snapshot_frozen,
            "snapshot_low": premises.snapshot_low,
            "snapshot_refuse": premises.snapshot_refuse,
            "renumber": premises.renumber,
            "window_holes": premises.window_holes,
            "opend_clock": premises.opend_clock,
            "calendar": premises.calendar,
            "market_state": premises.market_state,
        }

    async def listen(self, port: int) -> int:
        """Listen on the loopback and return the port; 0 lets the system choose one."""
        self._listener = await asyncio.start_server(self._accept, "127.0.0.1", port, limit=LINE_BYTES_MAX)
        return int(self._listener.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Stop listening; commands that are running get 0.2 s to finish."""
        if self._listener is not None:
            self._listener.close()
        if self._serving:
            _, late = await asyncio.wait(self._serving, timeout=_CLOSE_SEC)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def execute(self, line: bytes) -> dict[str, Any]:
        """Run the command of one line and return its answer."""
        try:
            fields = json.loads(line)
        except (ValueError, RecursionError) as exc:
            return _refused(f"not a line of JSON: {exc}")
        try:
            if not isinstance(fields, dict):
                return _refused(f"a command is a JSON object, this is {type(fields).__name__}")
            name = fields.pop("cmd", None)
            command = self._commands.get(name) if isinstance(name, str) else None
            if command is None:
                return _refused(f"unknown cmd {name!r}, expected one of {', '.join(self._commands)}")
            return {"ok": True, **await command(Fields(fields))}
        except (CommandError, ValueError) as exc:  # a market raises ValueError for a tick that it can't make
            return _refused(str(exc))

    # ---- commands that are not faults

    async def stats(self, fields: Fields) -> dict[str, Any]:
        """Counters and state. `made`, `received`, `unreachable` are ticks; `pushed` is frames times connections."""
        fields.finish()
        opend, counters = self._opend, self._opend.counters
        now_ms = opend.clock.now_ms
        return {
            "made": counters.made,
            "received": counters.received,
            "unreachable": counters.unreachable,
            "pushes": counters.pushes,
            "pushed": counters.pushed,
            "get_ticker": counters.get_ticker,
            "connections": len(self._server.connections),
            "ready": len(self._server.ready),
            "connected": counters.connected,
            "protocol_errors": counters.protocol_errors,
            "subscribed": len(opend.watched()),
            "backlog_bytes": sum(conn.backlog_bytes for conn in self._server.connections.values()),
            "sim_time": reference.hk_time(now_ms),
            "sim_ts_ms": now_ms,
            "market_state": opend.market.state_at(now_ms),
            "paused": opend.clock.paused,
            "done": opend.market.done,
            "proven": opend.ending is not None and opend.ending.is_proven,
            "upstream": opend.upstream.name.lower(),
            "listening": self._server.is_listening,
            "faults": self._lasting.active(),
        }

    async def sync(self, fields: Fields) -> dict[str, Any]:
        """Flush the ledger, so that it has every tick made until now."""
        fields.finish()
        self._opend.ledger.flush()
        return {"made": self._opend.counters.made}

    async def pause(self, fields: Fields) -> dict[str, Any]:
        """Stop making ticks."""
        fields.finish()
        self._opend.pause()
        return {"made": self._opend.counters.made}

    async def resume(self, fields: Fields) -> dict[str, Any]:
        """Make ticks again."""
        fields.finish()
        self._opend.resume()
        return {}

    async def stop(self, fields: Fields) -> dict[str, Any]:
        """Flush the ledger and end the process, exit 0."""
        fields.finish()
        self._opend.ledger.flush()
        self._stop()
        return {"made": self._opend.counters.made}

    async def tick(self, fields: Fields) -> dict[str, Any]:
        """Make one tick of `symbol` now; optional: `price` (HK$), `volume` (shares), `type` (such as `ODD_LOT`)."""
        opend = self._opend
        symbol = fields.symbol("symbol", opend.caches)
        price = fields.number("price", low=0.001, high=1e6) if fields.has("price") else None
        volume = fields.integer("volume", low=1, high=10**12) if fields.has("volume") else None
        tick_type = fields.choice("type", TYPES, "type of tick") if fields.has("type") else "AUTO_MATCH"
        fields.finish()
        now_ms = opend.clock.now_ms
        tick = opend.market.make(symbol, now_ms, price=price, volume=volume, tick_type=TYPES[tick_type])
        opend.tell(opend.make_known([tick]))
        return {"n": 1, "symbol": symbol, "seq": tick.seq, "ts_ms": tick.ts_ms}

    async def quota(self, fields: Fields) -> dict[str, Any]:
        """Set the account's subscription quota to `n`; existing subscriptions stay."""
        self._opend.subscriptions.quota = fields.integer("n", low=0, high=_QUOTA_MAX)
        fields.finish()
        return {}

    async def burst(self, fields: Fields) -> dict[str, Any]:
        """Make `ticks` ticks: build all frames, then write them; if `paced`, only as fast as each client reads."""
        opend = self._opend
        count = fields.integer("ticks", low=1, high=_BURST_TICKS_MAX)
        symbols = fields.symbols("symbols", opend.caches)
        paced = fields.flag("paced", default=True)
        fields.finish()
        opend.held += 1  # the pump makes no tick meanwhile: a symbol's ticks stay in order
        try:
            framed: list[PushFrame] = []
            for start in range(0, count, _BURST_PREPARED_AT_ONCE):
                some = min(_BURST_PREPARED_AT_ONCE, count - start)
                made = opend.market.burst(some, opend.clock.now_ms, symbols)
                framed += opend.framed(opend.shaper.shape(opend.make_known(made)))
                await asyncio.sleep(0)
            began = perf_counter()
            await asyncio.gather(*(self._write(conn, framed, paced=paced) for conn in self._server.ready))
        finally:
            opend.held -= 1
        return {"n": count, "pushes": len(framed), "write_sec": round(perf_counter() - began, 6)}

    async def _write(self, conn: Connection, framed: list[PushFrame], *, paced: bool) -> None:
        """Write a connection the frames that it subscribed to, a chunk at a time."""
        for start in range(0, len(framed), _BURST_CHUNK_FRAMES):
            data = self._opend.joined(framed[start : start + _BURST_CHUNK_FRAMES], conn)
            if not data:
                continue
            if paced:
                await conn.room()
            if not conn.is_open:
                return
            conn.send(data)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                try:
                    line = await reader.readline()
                except ValueError:  # how asyncio reports a line over the limit; the next line's start is unknown
                    writer.write(_line(_refused(f"a line of more than {LINE_BYTES_MAX} bytes")))
                    break
                if not line:
                    break
                writer.write(_line(await self.execute(line)))
                await writer.drain()
                if self._listener is not None and not self._listener.is_serving():
                    break
        except OSError as exc:
            _log.info("a control connection ended: %s", exc)
        finally:
            writer.close()


def _refused(error: str) -> dict[str, Any]:
    return {"ok": False, "error": error}


def _line(answer: dict[str, Any]) -> bytes:
    return json.dumps(answer, separators=(",", ":")).encode() + b"\n"
