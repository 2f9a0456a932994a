"""The subscriptions of all connections, and the quota that they use.

Owns the quota. Each (symbol, type) uses one, shared by all connections, while at least one connection holds it, plus
the time that it lingers. Times are monotonic seconds, passed in by the caller. Never touches a socket.

The rules are from the published documents, such as "a minute before unsubscribing" and "refuses the whole batch".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from hk_tick_collector.errors import CallRefusedError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable


class Key(NamedTuple):
    """What one unit of the quota is used for."""

    symbol: str
    sub_type: int


@dataclass(slots=True)
class _Holding:
    since: dict[int, float] = field(default_factory=dict)  # connection → when it subscribed
    free_at: float = 0.0  # once no connection holds it: until then it still counts


class Subscriptions:
    """The subscriptions of all connections.

    Attributes:
        quota: how many (symbol, type) pairs may be held at once; lowering it keeps existing subscriptions.
    """

    def __init__(self, *, quota: int, linger_sec: float, hold_min_sec: float) -> None:
        """Start without subscriptions.

        Args:
            quota: how many (symbol, type) pairs may be held at once.
            linger_sec: how long a pair still counts after the connection of its last holder has closed.
            hold_min_sec: unsubscribing earlier than this after subscribing is refused.
        """
        self.quota = quota
        self._linger_sec = linger_sec
        self._hold_min_sec = hold_min_sec
        self._holdings: dict[Key, _Holding] = {}
        self._of_conn: dict[int, set[Key]] = {}

    def used(self, now: float) -> int:
        """Quota in use."""
        self._forget_lingered(now)
        return len(self._holdings)

    def remaining(self, now: float) -> int:
        """Quota left."""
        return max(0, self.quota - self.used(now))

    def connections(self) -> list[int]:
        """The connections that have at least one subscription."""
        return [conn_id for conn_id, keys in self._of_conn.items() if keys]

    def held_by(self, conn_id: int) -> Collection[Key]:
        """What a connection has subscribed to."""
        return self._of_conn.get(conn_id, set())

    def since(self, conn_id: int, key: Key) -> float | None:
        """When a connection subscribed; None if it has not."""
        holding = self._holdings.get(key)
        return None if holding is None else holding.since.get(conn_id)

    def subscribe(self, conn_id: int, keys: Iterable[Key], now: float) -> None:
        """Subscribe to all of them, or raise CallRefusedError and subscribe to none."""
        wanted = list(dict.fromkeys(keys))
        self._forget_lingered(now)
        new = sum(key not in self._holdings for key in wanted)
        left = self.quota - len(self._holdings)
        if new > left:
            raise CallRefusedError(f"Subscription quota is not enough: {new} needed, {max(0, left)} remaining")
        own = self._of_conn.setdefault(conn_id, set())
        for key in wanted:
            self._holdings.setdefault(key, _Holding()).since.setdefault(conn_id, now)
            own.add(key)

    def unsubscribe(self, conn_id: int, keys: Iterable[Key], now: float) -> None:
        """Unsubscribe from all of them, or raise CallRefusedError and from none. Ignores keys that are not held."""
        own = self._of_conn.get(conn_id, set())
        given_back = [key for key in dict.fromkeys(keys) if key in own]
        for key in given_back:
            held_sec = now - self._holdings[key].since[conn_id]
            if held_sec < self._hold_min_sec:
                raise CallRefusedError(
                    f"{key.symbol} was subscribed {held_sec:.0f} s ago; "
                    f"unsubscribing is allowed {self._hold_min_sec:.0f} s after subscribing"
                )
        for key in given_back:
            self._release(conn_id, key, now)

    def drop(self, conn_id: int, now: float) -> None:
        """Drop a closed connection; what only it held is free after the linger time."""
        for key in list(self._of_conn.pop(conn_id, ())):
            self._release(conn_id, key, now + self._linger_sec)

    def _release(self, conn_id: int, key: Key, free_at: float) -> None:
        holding = self._holdings[key]
        del holding.since[conn_id]
        holding.free_at = max(holding.free_at, free_at)
        self._of_conn.get(conn_id, set()).discard(key)

    def _forget_lingered(self, now: float) -> None:
        for key in [k for k, h in self._holdings.items() if not h.since and h.free_at <= now]:
            del self._holdings[key]
