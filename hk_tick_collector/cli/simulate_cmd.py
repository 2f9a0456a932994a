"""`simulate`: run a scriptable OpenD. Reads its options, says on one line where it listens; the rest is `simulator`."""

import datetime as dt
import json
import logging
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from hk_tick_collector.errors import ConfigError, LocalProtocolError
from hk_tick_collector.opend.crypto import RsaKey
from hk_tick_collector.opend.messages import security_of
from hk_tick_collector.simulator.opend import OpenDOptions
from hk_tick_collector.simulator.service import SimulatorSettings, serve
from hk_tick_collector.simulator.universe import universe

_MIB = 1024 * 1024
_DAY = "A simulated day"
_NOW = "By the wall clock"
_MARKET = "Market"
_OPEND = "OpenD"


def simulate_command(  # noqa: PLR0913 - each is an option
    *,
    date: Annotated[
        str | None, typer.Option(metavar="YYYYMMDD", help="The Hong Kong day to simulate.", rich_help_panel=_DAY)
    ] = None,
    speed: Annotated[
        float, typer.Option(min=0.01, max=10_000, help="Simulated seconds a second.", rich_help_panel=_DAY)
    ] = 1.0,
    start: Annotated[
        str | None, typer.Option(metavar="HH:MM", help="Where the day begins (09:00).", rich_help_panel=_DAY)
    ] = None,
    ticks_per_day: Annotated[
        int, typer.Option(min=1, max=50_000_000, help="Trades of the day, all symbols together.", rich_help_panel=_DAY)
    ] = 1_000_000,
    now: Annotated[
        bool, typer.Option("--now", help="An even stream with the time of now, always open.", rich_help_panel=_NOW)
    ] = False,
    rate: Annotated[
        float, typer.Option(min=0.001, max=1_000_000, help="Trades a second.", rich_help_panel=_NOW)
    ] = 100.0,
    symbols: Annotated[
        str,
        typer.Option(metavar="N|LIST", help="How many symbols, or which: HK.00700,HK.00005.", rich_help_panel=_MARKET),
    ] = "50",
    seed: Annotated[int, typer.Option(help="The same seed makes the same market.", rich_help_panel=_MARKET)] = 0,
    ordinals: Annotated[
        Literal["contiguous", "sparse", "none"],
        typer.Option(
            help="What sequences count: every trade, with holes, or nothing (no time in them either).",
            rich_help_panel=_MARKET,
        ),
    ] = "contiguous",
    hold: Annotated[
        bool, typer.Option("--hold", help="Make no trade until somebody has subscribed.", rich_help_panel=_MARKET)
    ] = False,
    ledger: Annotated[
        Path, typer.Option(metavar="PATH", help="Where the truth is written, a JSON object a line.")
    ] = Path("simulator.ledger.jsonl"),
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="OpenD's port; 0: any free one.")] = 11111,
    control_port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port for commands, on the loopback only; 0: any free one.")
    ] = 0,
    quota: Annotated[int, typer.Option(min=0, help="Subscription quota.", rich_help_panel=_OPEND)] = 1000,
    quota_linger: Annotated[
        float,
        typer.Option(
            min=0, metavar="SEC", help="How long a gone connection's quota stays used.", rich_help_panel=_OPEND
        ),
    ] = 0.0,
    unsubscribe_after: Annotated[
        float,
        typer.Option(min=0, metavar="SEC", help="Unsubscribing sooner is refused.", rich_help_panel=_OPEND),
    ] = 60.0,
    keep_alive: Annotated[
        int,
        typer.Option(
            min=1, metavar="SEC", help="keepAliveInterval; three without one end a connection.", rich_help_panel=_OPEND
        ),
    ] = 10,
    warmup_sec: Annotated[
        float, typer.Option(min=0, max=3, help="GetTicker waits so long after subscribing.", rich_help_panel=_OPEND)
    ] = 0.0,
    one_tick_frames: Annotated[
        bool, typer.Option(help="One push a trade, or one a symbol and pump step.", rich_help_panel=_OPEND)
    ] = True,
    pump_ms: Annotated[
        int, typer.Option(min=1, max=1000, help="How often trades are pushed.", rich_help_panel=_OPEND)
    ] = 20,
    write_limit_mb: Annotated[
        int, typer.Option(min=1, help="A client that is further behind loses its connection.", rich_help_panel=_OPEND)
    ] = 64,
    rate_limits: Annotated[
        bool, typer.Option(help="Refuse calls beyond the published limits.", rich_help_panel=_OPEND)
    ] = True,
    rsa_key: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH", help="PEM that both sides hold: InitConnect is encrypted.", rich_help_panel=_OPEND
        ),
    ] = None,
) -> None:
    """Run an OpenD that is none: the real protocol, a Hong Kong day from a seed, faults on command.

    Prints one line of JSON with its ports, then serves until it is stopped. What it made is in the ledger;
    `verdict` compares it with what a recorder stored.
    """
    if (date is None) != now:
        raise ConfigError("either --date YYYYMMDD or --now is needed, and not both")
    settings = SimulatorSettings(
        symbols=_symbols(symbols, seed),
        ledger=ledger,
        seed=seed,
        date=_date(date),
        start=_start(start, now=now),
        speed=speed,
        ticks_per_day=ticks_per_day,
        rate=rate,
        ordinals=ordinals,
        hold=hold,
        pump_ms=pump_ms,
        host=host,
        port=port,
        control_port=control_port,
        opend=OpenDOptions(
            one_tick_frames=one_tick_frames,
            keep_alive_interval_sec=keep_alive,
            quota=quota,
            quota_linger_sec=quota_linger,
            unsubscribe_after_sec=unsubscribe_after,
            warmup_sec=warmup_sec,
            write_buffer_max_bytes=write_limit_mb * _MIB,
            rate_limits=rate_limits,
            rsa=_rsa_key(rsa_key),
        ),
    )
    import uvloop  # noqa: PLC0415 - the other commands don't need it

    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    uvloop.run(serve(settings, _announce))


def _announce(where: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(where) + "\n")
    sys.stdout.flush()


def _symbols(text: str, seed: int) -> tuple[str, ...]:
    if text.isascii() and text.isdigit():
        return tuple(universe(int(text), seed))
    symbols = tuple(symbol.strip() for symbol in text.split(","))
    for symbol in symbols:
        try:
            market, code = security_of(symbol)
        except ValueError:
            market, code = 0, ""
        if market != 1 or not (code.isascii() and code.isdigit()):
            raise ConfigError(
                f"--symbols has {symbol!r}, expected a number of symbols or a list like HK.00700,HK.00005"
            )
    return symbols


def _date(text: str | None) -> dt.date | None:
    if text is None:
        return None
    try:
        return dt.datetime.strptime(text, "%Y%m%d").date()  # noqa: DTZ007 - a date has no zone
    except ValueError:
        raise ConfigError(f"--date is {text!r}, expected YYYYMMDD, as in 20261120") from None


def _start(text: str | None, *, now: bool) -> dt.time | None:
    if text is None:
        return None
    if now:
        raise ConfigError("--start is for a simulated day, not for --now")
    try:
        return dt.datetime.strptime(text, "%H:%M").time()  # noqa: DTZ007 - Hong Kong's, by definition
    except ValueError:
        raise ConfigError(f"--start is {text!r}, expected HH:MM, as in 09:30") from None


def _rsa_key(path: Path | None) -> RsaKey | None:
    if path is None:
        return None
    try:
        return RsaKey(path.read_bytes())
    except OSError as exc:
        raise ConfigError(f"can't read --rsa-key {path}: {exc.strerror}") from exc
    except LocalProtocolError as exc:
        raise ConfigError(f"--rsa-key {path} is {exc}") from exc


def main() -> None:
    """Run this command alone, without the other ones: `python -m hk_tick_collector.cli.simulate_cmd`."""
    try:
        typer.run(simulate_command)
    except ConfigError as exc:
        sys.stderr.write(f"{exc}\n")
        sys.exit(2)


if __name__ == "__main__":
    main()
