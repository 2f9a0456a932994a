"""Settings of each part of a recorder, taken from the operator's settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hk_tick_collector.errors import ConfigError, LocalProtocolError
from hk_tick_collector.opend.numbers import PacketEncAlgo
from hk_tick_collector.session.state import ClientSettings
from hk_tick_collector.store.wal import PACE_SEC_MAX
from hk_tick_collector.watch.watchdog import WatchdogSettings
from hk_tick_collector.writer.settings import WriterSettings

if TYPE_CHECKING:
    from pathlib import Path

    from hk_tick_collector.config import Settings
    from hk_tick_collector.opend.crypto import RsaKey
    from hk_tick_collector.symbols import SymbolSpec


def encryption_of(settings: Settings) -> tuple[RsaKey | None, PacketEncAlgo]:
    """The key of an encrypted session, and how its packets are encrypted; (None, NONE): it is not encrypted.

    Raises:
        ConfigError: the key can't be read.
    """
    path = settings.require_rsa_key_file()
    if path is None:
        return None, PacketEncAlgo.NONE
    from hk_tick_collector.opend.crypto import RsaKey  # noqa: PLC0415 - only with a key

    try:
        return RsaKey(path.read_bytes()), PacketEncAlgo[settings.futu_encryption.upper()]
    except (OSError, LocalProtocolError) as exc:
        raise ConfigError(f"FUTU_RSA_KEY_FILE {path}: {exc}") from exc


def client_settings(
    settings: Settings, spec: SymbolSpec, rsa_key: RsaKey | None, encryption: PacketEncAlgo
) -> ClientSettings:
    """Settings for the session with OpenD."""
    return ClientSettings(
        host=settings.futu_host,
        port=settings.futu_port,
        symbols=spec.symbols,
        plates=spec.plates,
        rsa_key=rsa_key,
        encryption=encryption,
        connect_timeout_sec=settings.futu_connect_timeout_sec,
        request_timeout_sec=settings.futu_request_timeout_sec,
        dead_link_sec=settings.futu_dead_link_sec,
        reconnect_min_delay_sec=settings.reconnect_min_delay,
        reconnect_max_delay_sec=settings.reconnect_max_delay,
        backfill_n=settings.backfill_n,
        poll_enabled=settings.futu_poll_enabled,
        poll_interval_sec=settings.futu_poll_interval_sec,
        poll_num=settings.futu_poll_num,
        poll_stale_sec=settings.futu_poll_stale_sec,
        totals_interval_sec=settings.futu_totals_interval_sec,
    )


def writer_settings(settings: Settings, data_root: Path) -> WriterSettings:
    """Settings for the writer process. A commit is never delayed until the watchdog would take it for a stall."""
    return WriterSettings(
        data_root=str(data_root),
        batch_size=settings.batch_size,
        max_wait_ms=settings.max_wait_ms,
        busy_timeout_ms=settings.sqlite_busy_timeout_ms,
        synchronous=settings.sqlite_synchronous,
        wal_autocheckpoint_pages=settings.sqlite_wal_autocheckpoint,
        retry_max_attempts=settings.persist_retry_max_attempts,
        retry_backoff_sec=settings.persist_retry_backoff_sec,
        retry_backoff_max_sec=settings.persist_retry_backoff_max_sec,
        drift_warn_sec=settings.drift_warn_sec,
        log_level=settings.log_level,
        pace_sec_max=min(PACE_SEC_MAX, settings.watchdog_stall_sec / 3),
    )


def watchdog_settings(settings: Settings) -> WatchdogSettings:
    """Settings for the watchdog."""
    return WatchdogSettings(
        check_interval_sec=settings.check_interval_sec,
        stall_sec=settings.watchdog_stall_sec,
        upstream_window_sec=settings.watchdog_upstream_window_sec,
        queue_threshold_rows=settings.watchdog_queue_threshold_rows,
        recovery_max_failures=settings.watchdog_recovery_max_failures,
    )
