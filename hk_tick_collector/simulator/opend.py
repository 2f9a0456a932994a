"""OpenD's state apart from its sockets: the market it receives from, the ticks it caches, the connections it pushes to.

    market ──made──► upstream ──received──► cache (last 1000 per symbol) ──► pushes, shaped by faults ──► connections

Owns that path and its lines in the ledger: each tick is in the ledger *before* any client gets it, and a tick that
OpenD never got is recorded as unreachable. Invariant: every tick that is not unreachable was in the cache, so GetTicker
could have returned it. Never touches a socket: a connection is a `Receiver`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import Enum
from time import monotonic
from typing import TYPE_CHECKING, Literal, Protocol

from hk_tick_collector.opend import frames
from hk_tick_collector.opend.numbers import REPLAYED_MAX, TICKER_REPLY_MAX, ProtoId, PushDataType
from hk_tick_collector.simulator import wire
from hk_tick_collector.simulator.premises import Premises
from hk_tick_collector.simulator.rates import RateLimits
from hk_tick_collector.simulator.shaping import PushShaper
from hk_tick_collector.simulator.subscriptions import Subscriptions
from hk_tick_collector.simulator.wire import Push, PushFrame

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hk_tick_collector.opend.crypto import RsaKey
    from hk_tick_collector.opend.frames import Cipher
    from hk_tick_collector.simulator.clock import MarketClock
    from hk_tick_collector.simulator.ending import Ending
    from hk_tick_collector.simulator.ledger import LedgerWriter
    from hk_tick_collector.simulator.market import Market
    from hk_tick_collector.simulator.tape import MadeTick

UpdateTimeOfUntraded = Literal["before", "empty", "impossible"]

WITHHELD = "withheld"  # why a trade is unreachable that the `withhold` command kept from OpenD


class Upstream(Enum):
    """Whether ticks from the exchange reach OpenD."""

    UP = "up"
    LOST = "upstream"  # the link is down: the last `made_good_max` per symbol are replayed afterwards
    FROZEN = "frozen"  # the link is down, and OpenD has not noticed
    DOWN = "down"  # OpenD itself is down
    RESTARTING = "restart"  # OpenD is restarting


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenDOptions:
    """How this OpenD behaves. Defaults are those of the real OpenD where they are published."""

    one_tick_frames: bool = True
    keep_alive_interval_sec: int = 10
    connections_max: int = 128
    quota: int = 1000
    quota_linger_sec: float = 0.0
    unsubscribe_after_sec: float = 60.0
    warmup_sec: float = 0.0
    write_buffer_max_bytes: int = 64 * 1024 * 1024
    rate_limits: bool = True
    rsa: RsaKey | None = None
    update_time_of_untraded: UpdateTimeOfUntraded = "before"


@dataclass(slots=True)
class Counters:
    """What happened since the start."""

    made: int = 0
    received: int = 0
    unreachable: int = 0
    pushes: int = 0  # frames, each counted once however many connections got it
    pushed: int = 0  # frames times connections
    get_ticker: int = 0
    connected: int = 0
    protocol_errors: int = 0


class Receiver(Protocol):
    """A connection, as seen by the push path."""

    conn_id: int
    tickers: set[str]
    wants_notices: bool

    @property
    def cipher(self) -> Cipher | None:
        """The cipher for its bodies."""

    def send(self, data: bytes) -> None:
        """Send whole frames to the client; never blocks."""


@dataclass(slots=True)
class _Outage:
    """What was made while the exchange was lost: each symbol's last ticks, which OpenD may replay."""

    missed: dict[str, deque[MadeTick]] = field(default_factory=dict)


class SimulatedOpenD:
    """The state that all connections share."""

    def __init__(self, market: Market, clock: MarketClock, ledger: LedgerWriter, options: OpenDOptions) -> None:
        self.market = market
        self.clock = clock
        self.ledger = ledger
        self.options = options
        self.names = {symbol: f"Stock {symbol.partition('.')[2]}" for symbol in market.symbols}
        self.caches: dict[str, deque[bytes]] = {s: deque(maxlen=TICKER_REPLY_MAX) for s in market.symbols}
        self.subscriptions = Subscriptions(
            quota=options.quota, linger_sec=options.quota_linger_sec, hold_min_sec=options.unsubscribe_after_sec
        )
        self.shaper = PushShaper()
        self.rate_limits = RateLimits()
        self.counters = Counters()
        self.upstream = Upstream.UP
        self.made_good_max = REPLAYED_MAX
        self.premises = Premises(market)
        self.ending: Ending | None = None
        self.silent = False  # no pushes, no answers
        self.stale: dict[str, tuple[bytes, ...]] | None = None  # the old caches, while kicked out
        self.held = 0  # how many callers hold the market now (bursts being written)
        self.hold_until_subscribed = False
        self._receivers: dict[int, Receiver] = {}
        self._watchers: dict[str, int] = {}  # symbol → connections that get its pushes
        self._bodies = wire.TickerBodies(self.names)
        self._outage = _Outage()
        self._serial_no = 0

    @property
    def is_logged_in(self) -> bool:
        """Whether OpenD reports a connection to the quote server."""
        return self.upstream in {Upstream.UP, Upstream.FROZEN} and self.stale is None

    # ---- the market's side

    def step(self) -> None:
        """Advance time: make the ticks that are due and push them. Called a few dozen times per second."""
        now_ms = self.clock.step(monotonic())
        if not (self.clock.paused or self.held):
            ticks = self.market.ticks_until(now_ms)
            if ticks:
                self.tell(self.make_known(ticks))
        self.market.come_to(now_ms)
        self.premises.history.come_to(now_ms)
        self.ledger.flush_due()

    def pause(self) -> None:
        """Stop making ticks."""
        self.clock.paused = True

    def resume(self) -> None:
        """Make ticks again, from now on: ticks of the pause are not made up."""
        if self.clock.paused and self.clock.is_wall:
            self.market.skip_to(self.clock.now_ms)
        self.clock.paused = False
        self.hold_until_subscribed = False

    def make_known(self, ticks: Sequence[MadeTick]) -> list[Push]:
        """Write ticks of the exchange to the ledger, receive them if the link is up, and return their pushes."""
        self.counters.made += len(ticks)
        self.ledger.ticks(ticks)
        self.premises.history.changed({tick.symbol for tick in ticks}, self.clock.now_ms)
        if self.shaper.withhold is not None:
            ticks = self._not_withheld(ticks)
        self.ledger.flush()  # before any client gets them
        if self.upstream is Upstream.UP:
            return self.receive(ticks, PushDataType.REALTIME)
        if self.upstream is Upstream.LOST:
            for tick in ticks:
                missed = self._outage.missed.setdefault(tick.symbol, deque())
                missed.append(tick)
                self._give_up(missed, but=self.made_good_max)
        else:
            self.premises.missed(len(ticks))
            for tick in ticks:
                self.unreachable(tick, self.upstream.value)
        return []

    def _not_withheld(self, ticks: Sequence[MadeTick]) -> list[MadeTick]:
        heard = []
        for tick in ticks:
            if self.shaper.withholds(tick):
                self.unreachable(tick, WITHHELD)
            else:
                heard.append(tick)
        return heard

    def receive(self, ticks: Iterable[MadeTick], kind: PushDataType) -> list[Push]:
        """Put ticks into the cache and return their pushes, in order."""
        recv_time_sec = self.clock.now_ms / 1000
        muted = self.silent or self.stale is not None
        watchers, caches, loses = self._watchers, self.caches, self.shaper.loses
        received = 0
        told: list[tuple[str, bytes]] = []
        for tick in ticks:
            received += 1
            symbol = tick.symbol
            entry = wire.entry_of(tick, recv_time_sec, kind)
            if muted or not watchers.get(symbol):
                caches[symbol].append(wire.as_kind(entry, PushDataType.CACHE))
            elif loses():
                caches[symbol].append(wire.as_kind(entry, PushDataType.CACHE))
                self.ledger.note("l", s=symbol, q=tick.seq)
            else:
                caches[symbol].append(entry)
                told.append((symbol, entry))
        self.counters.received += received
        return self.pushes_of(told)

    def pushes_of(self, entries: Sequence[tuple[str, bytes]]) -> list[Push]:
        """One push per tick, or one per symbol with all its ticks, depending on the options."""
        if self.options.one_tick_frames:
            return [Push(symbol, self._bodies.body(symbol, (entry,))) for symbol, entry in entries]
        by_symbol: dict[str, list[bytes]] = {}
        for symbol, entry in entries:
            by_symbol.setdefault(symbol, []).append(entry)
        return [Push(symbol, self._bodies.body(symbol, some)) for symbol, some in by_symbol.items()]

    def unreachable(self, tick: MadeTick, why: str) -> None:
        """Record that OpenD never had a tick, so that the verdict does not count it as missing."""
        self.counters.unreachable += 1
        self.ledger.note("u", s=tick.symbol, q=tick.seq, why=why)

    # ---- the clients' side

    def tell(self, pushes: list[Push]) -> None:
        """Apply the armed faults to pushes and send them, with one write per connection."""
        framed = self.framed(self.shaper.shape(pushes))
        if not framed:
            return
        for receiver in self.receivers():
            data = self.joined(framed, receiver)
            if data:
                receiver.send(data)

    def framed(self, pushes: Sequence[Push]) -> list[PushFrame]:
        """Frame pushes, in their final order: serial numbers rise."""
        made = []
        for push in pushes:
            self._serial_no = (self._serial_no + 1) & frames.SERIAL_MAX
            made.append(wire.frame_of(push, self._serial_no))
        self.counters.pushes += len(made)
        return made

    def joined(self, framed: Sequence[PushFrame], receiver: Receiver) -> bytes:
        """The bytes of those pushes that a connection has registered for."""
        tickers, cipher = receiver.tickers, receiver.cipher
        wanted = [frame.for_cipher(cipher) for frame in framed if frame.symbol in tickers]
        self.counters.pushed += len(wanted)
        return b"".join(wanted)

    def notify(self, body: bytes) -> int:
        """Send a Notify to all connections that asked for notices, and return how many those are."""
        told = 0
        for receiver in self._receivers.values():
            if receiver.wants_notices:
                receiver.send(frames.encode(ProtoId.NOTIFY, self.next_serial(), body, receiver.cipher))
                told += 1
        return told

    def next_serial(self) -> int:
        """The next serial number of a push."""
        self._serial_no = (self._serial_no + 1) & frames.SERIAL_MAX
        return self._serial_no

    def ticker_reply(self, conn_id: int, symbol: str, count: int) -> bytes:
        """The body of a GetTicker reply: the last `count` ticks, oldest first."""
        cache: Sequence[bytes] = self.caches[symbol] if self.stale is None else self.stale[symbol]
        entries = [wire.as_kind(e, PushDataType.CACHE) for e in cache][-count:] if count > 0 else []
        bounds = {"first": wire.sequence_of(entries[0]), "last": wire.sequence_of(entries[-1])} if entries else {}
        told = self.premises.window(symbol, entries)
        self.ledger.note("g", s=symbol, n=len(told), conn=conn_id, **bounds)
        self.counters.get_ticker += 1
        return self._bodies.body(symbol, told)

    def cached_push(self, symbol: str) -> bytes | None:
        """The body of a first push: the whole cache of a symbol; None: the cache is empty."""
        entries = [wire.as_kind(entry, PushDataType.CACHE) for entry in self.caches[symbol]]
        return self._bodies.body(symbol, entries) if entries else None

    def join(self, receiver: Receiver) -> None:
        """Add an open connection."""
        self._receivers[receiver.conn_id] = receiver
        self.counters.connected += 1

    def leave(self, receiver: Receiver) -> None:
        """Remove a closed connection."""
        if self._receivers.pop(receiver.conn_id, None) is not None:
            self.unwatch(receiver, set(receiver.tickers))
            self.subscriptions.drop(receiver.conn_id, monotonic())

    def receivers(self) -> list[Receiver]:
        """The open connections that get pushes of at least one symbol."""
        return [receiver for receiver in self._receivers.values() if receiver.tickers]

    def watch(self, receiver: Receiver, symbols: Iterable[str]) -> list[str]:
        """Start pushing these symbols to a connection, and return those that are new to it."""
        fresh = [symbol for symbol in dict.fromkeys(symbols) if symbol not in receiver.tickers]
        for symbol in fresh:
            if symbol not in self._watchers:
                self.ledger.note("w", s=symbol)
            self._watchers[symbol] = self._watchers.get(symbol, 0) + 1
        receiver.tickers.update(fresh)
        if fresh and self.hold_until_subscribed:
            self.resume()
        return fresh

    def watched(self) -> list[str]:
        """The symbols that are pushed to at least one connection, busiest first."""
        return [symbol for symbol in self.market.symbols if self._watchers.get(symbol)]

    def unwatch(self, receiver: Receiver, symbols: Iterable[str]) -> None:
        """Stop pushing these symbols to a connection."""
        for symbol in receiver.tickers & set(symbols):
            receiver.tickers.discard(symbol)
            self._watchers[symbol] -= 1

    # ---- the upstream faults

    def regain_upstream(self) -> tuple[int, list[Push]]:
        """Receive again. After a lost link, replay each symbol's last ticks: (how many, their pushes)."""
        self.upstream = Upstream.UP
        missed, self._outage = self._outage.missed, _Outage()
        for ticks in missed.values():
            self._give_up(ticks, but=self.made_good_max)
        late = sorted((tick for ticks in missed.values() for tick in ticks), key=lambda tick: tick.ts_ms)
        return len(late), self.receive(late, PushDataType.BY_DISCONNECTION)

    def give_up_missed(self) -> None:
        """The simulator stops before the link is back: record all missed ticks as unreachable."""
        missed, self._outage = self._outage.missed, _Outage()
        for ticks in missed.values():
            self._give_up(ticks, but=0)

    def _give_up(self, missed: deque[MadeTick], *, but: int) -> None:
        """Record all but the last `but` missed ticks of a symbol as unreachable."""
        while len(missed) > but:
            self.unreachable(missed.popleft(), Upstream.LOST.value)

    def forget(self) -> int:
        """Empty the caches. Ticks that were never pushed become unreachable; returns how many."""
        unheard = 0
        for symbol, cache in self.caches.items():
            for entry in cache:
                if wire.kind_of(entry) is PushDataType.CACHE:
                    self.ledger.note("u", s=symbol, q=wire.sequence_of(entry), why=Upstream.RESTARTING.value)
                    unheard += 1
            cache.clear()
        self.counters.unreachable += unheard
        return unheard
