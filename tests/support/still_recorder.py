"""The parts of a recorder that does nothing, to be described."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from hk_tick_collector.collector import RuntimeState
from hk_tick_collector.config import Settings
from hk_tick_collector.journal.append import Journal
from hk_tick_collector.journal.segments import DIRECTORY
from hk_tick_collector.session.outages import Outage, Outages
from hk_tick_collector.session.state import ClientState
from hk_tick_collector.status.description import Describer, Parts
from hk_tick_collector.status.reporter import Reporter
from hk_tick_collector.store.data_root import STATE_NAME
from support.ticks import TENCENT

if TYPE_CHECKING:
    from pathlib import Path

    from hk_tick_collector.journal.events import Cause


class StillRecorder:
    """The parts of a recorder that does nothing, and the reporter of them."""

    def __init__(self, data_root: Path) -> None:
        self.data_root = data_root
        self.journal = Journal(data_root / DIRECTORY, segment_bytes=1 << 20, buffer_bytes=1 << 20, sync_ms=20)
        self.journal.start()
        self.collector: Any = SimpleNamespace(state=RuntimeState())
        self.client: Any = SimpleNamespace(
            state=ClientState(),
            pushes=0,
            bytes_received=0,
            last_heard_at=None,
            last_push_at=None,
            outage=None,
            outages=Outages(),
        )
        self.watchdog: Any = SimpleNamespace(is_stalled=False, stalls=0, recoveries_failed=0, last_reason=None)
        self.reporter = Reporter(
            Settings(futu_symbols=TENCENT, instance_id="test"),
            data_root,
            Parts(self.journal, self.collector, self.client, self.watchdog),
        )

    @property
    def describer(self) -> Describer:
        """What describes it."""
        return self.reporter._describer

    @property
    def writer(self) -> RuntimeState:
        """What is known of the writer."""
        state: RuntimeState = self.collector.state
        return state

    @property
    def session(self) -> ClientState:
        """Where the session stands."""
        state: ClientState = self.client.state
        return state

    def lose(self, cause: Cause, since_ms: int | None, rates: dict[str, float]) -> None:
        """An outage of that cause, after symbols have traded at these rates."""
        self.client.outage = None if since_ms is None else Outage(cause, since_ms)
        self.session.rates.begin_anew()
        self.session.rates.take(0.0, dict.fromkeys(rates, 0))
        self.session.rates.take(100.0, {symbol: int(rate * 100) for symbol, rate in rates.items()})

    def describe(self) -> dict[str, Any]:
        """The newest description, as other processes read it."""
        asyncio.run(self.reporter.save())
        told = json.loads((self.data_root / STATE_NAME).read_text())
        assert isinstance(told, dict)
        return told
