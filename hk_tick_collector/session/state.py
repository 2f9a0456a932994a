"""The settings of a session with OpenD, and its current state.

Owns the values that the parts of the session share. Never acts on them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

from hk_tick_collector.clock import HostClock
from hk_tick_collector.session.deadlines import Interruption, Rates, Risk, keeps_hours, risks

if TYPE_CHECKING:
    from hk_tick_collector.opend.crypto import RsaKey
    from hk_tick_collector.opend.numbers import PacketEncAlgo


class ClientSettings(NamedTuple):
    """The settings that the session needs. Their defaults are in `config`; `wiring` passes them on."""

    host: str
    port: int
    symbols: tuple[str, ...]
    plates: tuple[str, ...]
    rsa_key: RsaKey | None
    encryption: PacketEncAlgo
    connect_timeout_sec: float
    request_timeout_sec: float
    dead_link_sec: float
    reconnect_min_delay_sec: float
    reconnect_max_delay_sec: float
    backfill_n: int
    poll_enabled: bool
    poll_interval_sec: float
    poll_num: int
    poll_stale_sec: float
    totals_interval_sec: float


Asked = Literal["state", "quota", "trade_dates"]  # a session continues without an answer to these


class TotalsRefusal(NamedTuple):
    """Why OpenD does not give a symbol's totals, and when (monotonic) to ask again."""

    reason: str
    retry_at: float


class Fetched(NamedTuple):
    """How far a fetch reached: its highest sequence (0: it had no ticks), and when (monotonic) it was made."""

    newest: int
    at: float


class Stored(Protocol):
    """What the session asks about the stored ticks; called off the event loop."""

    def rows_by_symbol(self) -> dict[str, int]:
        """Rows stored today, by symbol; while there are none, those of the newest recent day that has any."""


class ClientState:
    """The current state of the session, for its parts, `status`, health and tests."""

    def __init__(self, clock: HostClock | None = None) -> None:
        self.clock = HostClock() if clock is None else clock
        self.connected = False
        self.session = 0
        self.since_ms = 0
        self.up_at: float | None = None  # monotonic: when the last session began; None: no session yet
        self.opend_version = 0
        self.qot_logined: bool | None = None
        self.clock_offset_ms: int | None = None
        self.subscribed: list[str] = []
        self.refused: dict[str, str] = {}
        self.left_out: list[str] = []
        self.quota_used: int | None = None  # units, by the last answer and what was subscribed since
        self.quota_left: int | None = None
        self.connects = 0
        self.disconnects = 0
        self.last_disconnect: str | None = None
        self.down_at: float | None = None  # monotonic: when the last session ended; None: no session yet, or one is up
        self.frames = 0
        self.bytes_received = 0
        self.backfills = 0
        self.poll_cycles = 0
        self.resubscribes = 0  # because pushes were missing
        self.market: str | None = None  # OpenD's name for the state of the Hong Kong market
        self.market_at: float | None = None  # monotonic: when OpenD reported it
        self.last_fetched_at: float | None = None  # monotonic: when a fetch last found a tick new to its connection
        self.fetched: dict[str, Fetched] = {}  # each symbol's last fetch, on any connection
        self.totals_refused: dict[str, TotalsRefusal] = {}  # outlives connections: finding them costs calls
        self.polls_failed = 0  # calls in a row
        self.poll_fault: str | None = None  # why the last call failed; None: it did not
        self.totals_failed = 0  # rounds in a row
        self.totals_fault: str | None = None  # why the last round failed; None: it did not
        self.unanswered: dict[Asked, str] = {}  # what OpenD currently does not answer, and why
        self.totals_asked_at: float | None = None  # monotonic: on any connection
        self.rates = Rates()  # of the symbols, from what was stored while nothing was missed
        self.fetches = 0  # backfills, also of symbols added later: their ticks were not traded just then

    def note_answer(self, asked: Asked, fault: Exception | None = None) -> None:
        """Record that OpenD has answered a request; with a `fault`, that it has not, and why."""
        if fault is None:
            self.unanswered.pop(asked, None)
        else:
            self.unanswered[asked] = str(fault)

    def opend_ms(self) -> int:
        """OpenD's clock; while it is not known, the host's. UTC epoch ms."""
        now_ms = self.clock.now_ms()  # first: it may notice a step of the host's clock, which changes the offset
        return now_ms + (self.clock_offset_ms or 0)

    def risks(self, since_ms: int, reach: int, now_ms: int, *, is_open: bool) -> list[Risk]:
        """Until when an outage can be recovered in full, by symbol, the nearest deadline first.

        Args:
            since_ms: the last moment at which the stream was whole, by the host's clock.
            reach: how many ticks of a symbol can be recovered when it is over.
            now_ms: the host's clock.
            is_open: whether the market is known to be open, by more than the calendar.
        """
        offset_ms = self.clock_offset_ms or 0
        by_hours = keeps_hours(is_open=is_open, now_ms=now_ms + offset_ms)
        return risks(self.rates.by_symbol(), Interruption(since_ms, reach, offset_ms, by_hours=by_hours), now_ms)

    def shift(self, step_ms: int) -> None:
        """The host's clock was set forward by `step_ms`: convert the kept times to the new clock."""
        self.since_ms += step_ms
        if self.clock_offset_ms is not None:
            self.clock_offset_ms -= step_ms
