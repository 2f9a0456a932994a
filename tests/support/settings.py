"""Settings of a recorder's parts as the operator gets them by default, with some of them changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hk_tick_collector import wiring
from hk_tick_collector.config import Settings
from hk_tick_collector.opend.crypto import PacketEncAlgo
from hk_tick_collector.symbols import SymbolSpec

if TYPE_CHECKING:
    from pathlib import Path

    from hk_tick_collector.session.state import ClientSettings
    from hk_tick_collector.watch.watchdog import WatchdogSettings
    from hk_tick_collector.writer.settings import WriterSettings


def writer_settings(data_root: Path, **changed: Any) -> WriterSettings:  # noqa: ANN401
    """The writer's."""
    return wiring.writer_settings(Settings(), data_root)._replace(**changed)


def client_settings(*symbols: str, **changed: Any) -> ClientSettings:  # noqa: ANN401
    """The session's, in plain text, with an OpenD that is not there."""
    made = wiring.client_settings(Settings(), SymbolSpec(symbols, ()), None, PacketEncAlgo.NONE)
    return made._replace(**{"host": "127.0.0.1", "port": 1, **changed})


def watchdog_settings() -> WatchdogSettings:
    """The watchdog's."""
    return wiring.watchdog_settings(Settings())
