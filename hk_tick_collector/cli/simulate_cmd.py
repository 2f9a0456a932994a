"""`simulate`: run a scriptable OpenD. Reads options, prints its ports on one line; the rest is `simulator`."""

import asyncio
import datetime as dt
import json
import logging
import shlex
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from hk_tick_collector.cli.dates import day_of
from hk_tick_collector.errors import ConfigError, LocalProtocolError
from hk_tick_collector.simulator.opend import OpenDOptions
from hk_tick_collector.simulator.service import SimulatorSettings, serve
from hk_tick_collector.simulator.tape import TYPES
from hk_tick_collector.simulator.universe import universe
from hk_tick_collector.store.portable import event_loop_factory
from hk_tick_collector.symbols import symbols_of

if TYPE_CHECKING:
    from hk_tick_collector.opend.crypto import RsaKey

_MIB = 1024 * 1024
_PROGRAM = "hk-tick-collector"
_DATA_ROOT = "rehearsal"  # in lines to paste
_SYMBOLS_SHOWN = 3
_TRADING_SEC = 5.5 * 3600
_PORT = 11111  # OpenD's own, where a recorder looks without any setting
_DAY = "A simulated day"
_NOW = "By the wall clock"
_MARKET = "Market"
_OPEND = "OpenD"


_Date = Annotated[str | None, typer.Option(metavar="DAY", help="The Hong Kong day to simulate.", rich_help_panel=_DAY)]
_Speed = Annotated[float, typer.Option(min=0.01, max=10_000, help="Simulated seconds a second.", rich_help_panel=_DAY)]
_Start = Annotated[
    str | None, typer.Option(metavar="HH:MM", help="Where the day begins (09:00).", rich_help_panel=_DAY)
]
_TicksPerDay = Annotated[
    int, typer.Option(min=1, max=50_000_000, help="Trades of the day, all symbols together.", rich_help_panel=_DAY)
]
_Now = Annotated[
    bool, typer.Option("--now", help="An even stream with the time of now, always open.", rich_help_panel=_NOW)
]
_Journal = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="A recorder's journal, to be played again at --speed.", rich_help_panel=_DAY),
]
_Rate = Annotated[float, typer.Option(min=0.001, max=1_000_000, help="Trades a second.", rich_help_panel=_NOW)]
_Symbols = Annotated[
    str,
    typer.Option(metavar="N|LIST", help="How many symbols, or which: HK.00700,HK.00005.", rich_help_panel=_MARKET),
]
_Seed = Annotated[int, typer.Option(help="The same seed makes the same market.", rich_help_panel=_MARKET)]
_Ordinals = Annotated[
    Literal["contiguous", "sparse", "none"],
    typer.Option(
        help="What sequences count: every trade, with holes, or nothing (no time in them either).",
        rich_help_panel=_MARKET,
    ),
]
_TotalsWithout = Annotated[
    str,
    typer.Option(metavar="TYPES", help="Not in the exchange's totals: ODD_LOT,OVERSEAS.", rich_help_panel=_MARKET),
]
_TimeForm = Annotated[
    Literal["seconds", "fraction", "colon"],
    typer.Option(help="How a tick's time ends: :05, :05.123 or :05:123.", rich_help_panel=_MARKET),
]
_Hold = Annotated[
    bool | None,
    typer.Option(
        "--hold/--no-hold",
        help="Make no trade until somebody has subscribed. The default with --date.",
        show_default=False,
        rich_help_panel=_MARKET,
    ),
]
_Clock = Annotated[
    Path | None,
    typer.Option(
        metavar="PATH",
        help="Where the simulated day's clock is written, for `run --rehearse`; beside the ledger if not given.",
        rich_help_panel=_DAY,
    ),
]
_SkipLunch = Annotated[bool, typer.Option("--skip-lunch", help="Jump from 12:01 to 12:59.", rich_help_panel=_DAY)]
_UsualTypes = Annotated[
    bool,
    typer.Option(
        "--usual-types",
        help="No rare types of ticks: on a day of few ticks, nothing proves that they are in the totals.",
        rich_help_panel=_DAY,
    ),
]
_Stay = Annotated[bool, typer.Option("--stay", help="Go on after the day's end, until stopped.", rich_help_panel=_DAY)]
_Ledger = Annotated[Path, typer.Option(metavar="PATH", help="Where the truth is written, a JSON object a line.")]
_Host = Annotated[str, typer.Option(help="Address to listen on.")]
_Port = Annotated[int, typer.Option(min=0, max=65535, help="OpenD's port; 0: any free one.")]
_ControlPort = Annotated[
    int, typer.Option(min=0, max=65535, help="Port for commands, on the loopback only; 0: any free one.")
]
_Quota = Annotated[int, typer.Option(min=0, help="Subscription quota.", rich_help_panel=_OPEND)]
_QuotaLinger = Annotated[
    float,
    typer.Option(min=0, metavar="SEC", help="How long a gone connection's quota stays used.", rich_help_panel=_OPEND),
]
_UnsubscribeAfter = Annotated[
    float,
    typer.Option(min=0, metavar="SEC", help="Unsubscribing sooner is refused.", rich_help_panel=_OPEND),
]
_KeepAlive = Annotated[
    int,
    typer.Option(
        min=1, metavar="SEC", help="keepAliveInterval; three without one end a connection.", rich_help_panel=_OPEND
    ),
]
_WarmupSec = Annotated[
    float, typer.Option(min=0, max=3, help="GetTicker waits so long after subscribing.", rich_help_panel=_OPEND)
]
_OneTickFrames = Annotated[
    bool, typer.Option(help="One push a trade, or one a symbol and pump step.", rich_help_panel=_OPEND)
]
_PumpMs = Annotated[int, typer.Option(min=1, max=1000, help="How often trades are pushed.", rich_help_panel=_OPEND)]
_WriteLimitMb = Annotated[
    int, typer.Option(min=1, help="A client that is further behind loses its connection.", rich_help_panel=_OPEND)
]
_RateLimits = Annotated[bool, typer.Option(help="Refuse calls beyond the published limits.", rich_help_panel=_OPEND)]
_UpdateTimeOfUntraded = Annotated[
    Literal["before", "empty", "impossible"],
    typer.Option(
        help="Update time of a snapshot where there was no trade: of a day before, none, or 0000-00-00.",
        rich_help_panel=_OPEND,
    ),
]
_RsaKey = Annotated[
    Path | None,
    typer.Option(metavar="PATH", help="PEM that both sides hold: InitConnect is encrypted.", rich_help_panel=_OPEND),
]


def simulate_command(  # noqa: PLR0913 - each is an option
    *,
    date: _Date = None,
    speed: _Speed = 1.0,
    start: _Start = None,
    ticks_per_day: _TicksPerDay = 1_000_000,
    now: _Now = False,
    journal: _Journal = None,
    rate: _Rate = 100.0,
    symbols: _Symbols = "50",
    seed: _Seed = 0,
    ordinals: _Ordinals = "contiguous",
    totals_without: _TotalsWithout = "",
    time_form: _TimeForm = "seconds",
    hold: _Hold = None,
    clock: _Clock = None,
    skip_lunch: _SkipLunch = False,
    usual_types: _UsualTypes = False,
    stay: _Stay = False,
    ledger: _Ledger = Path("simulator.ledger.jsonl"),
    host: _Host = "127.0.0.1",
    port: _Port = _PORT,
    control_port: _ControlPort = 0,
    quota: _Quota = 1000,
    quota_linger: _QuotaLinger = 0.0,
    unsubscribe_after: _UnsubscribeAfter = 60.0,
    keep_alive: _KeepAlive = 10,
    warmup_sec: _WarmupSec = 0.0,
    one_tick_frames: _OneTickFrames = True,
    pump_ms: _PumpMs = 20,
    write_limit_mb: _WriteLimitMb = 64,
    rate_limits: _RateLimits = True,
    update_time_of_untraded: _UpdateTimeOfUntraded = "before",
    rsa_key: _RsaKey = None,
) -> None:
    """Run a simulated OpenD: the real protocol, a Hong Kong day from a seed, faults on command.

    Prints one line of JSON with its ports, then serves until it is stopped. A day of --date also ends by itself, once
    it is over and a recorder has its totals. What it made is in the ledger; `verdict` compares it with what a recorder
    stored.
    """
    _expect_one(date is not None, now, journal is not None)
    settings = SimulatorSettings(
        symbols=_symbols(symbols, seed), ledger=ledger, seed=seed, date=_date(date), journal=journal,
        start=_start(start, dated=date is not None), speed=speed, ticks_per_day=ticks_per_day, rate=rate,
        ordinals=ordinals, uncounted=_types(totals_without), time_form=time_form, usual_types=usual_types,
        hold=date is not None if hold is None else hold, clock=_clock(clock, ledger, is_simulated=not now),
        skip_lunch=skip_lunch, stay=stay, pump_ms=pump_ms, host=host, port=port, control_port=control_port,
        opend=OpenDOptions(
            one_tick_frames=one_tick_frames, keep_alive_interval_sec=keep_alive, quota=quota,
            quota_linger_sec=quota_linger, unsubscribe_after_sec=unsubscribe_after, warmup_sec=warmup_sec,
            write_buffer_max_bytes=write_limit_mb * _MIB, rate_limits=rate_limits,
            update_time_of_untraded=update_time_of_untraded, rsa=_rsa_key(rsa_key),
        ),
    )  # fmt: skip
    _run(settings)


def _clock(clock: Path | None, ledger: Path, *, is_simulated: bool) -> Path | None:
    if not is_simulated:
        if clock is not None:
            raise ConfigError("--clock is for a simulated day: with --now, the clock is the host's")
        return None
    return clock or ledger.with_name(f"{ledger.name.removesuffix('.jsonl').removesuffix('.ledger')}.clock.json")


def _run(settings: SimulatorSettings) -> None:
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    with asyncio.Runner(loop_factory=event_loop_factory()) as runner:
        runner.run(serve(settings, partial(_announce, settings)))


def _expect_one(*kinds_of_market: bool) -> None:
    if sum(kinds_of_market) != 1:
        raise ConfigError("one of --date YYYYMMDD, --now and --journal DIR is needed, and not two of them")


def _announce(settings: SimulatorSettings, told: dict[str, Any]) -> None:
    begun = _begun if settings.clock is not None else _begun_now
    sys.stderr.write((begun if told["event"] == "listening" else _over)(settings, told))
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


def _begun(settings: SimulatorSettings, told: dict[str, Any]) -> str:
    what, where = settings.date or settings.journal, f"{told['host']}:{told['port']}"
    waits = ", and begins when a recorder subscribes" if settings.hold else ""
    per_sec = settings.ticks_per_day * settings.speed / _TRADING_SEC
    pace = f", about {per_sec:,.0f} ticks/s," if settings.date else ""
    return (
        f"Simulating {what} at {settings.speed:g} x speed{pace} on {where}{waits}.\n"
        "Record it in another terminal:\n"
        f"  {_PROGRAM} run --rehearse {shlex.quote(str(settings.clock))} --data-root {_DATA_ROOT}\n"
    )


def _begun_now(settings: SimulatorSettings, told: dict[str, Any]) -> str:
    port = "" if told["port"] == _PORT else f"FUTU_PORT={told['port']} "
    return (
        f"Simulating {settings.rate:g} ticks/s with the time of now on {told['host']}:{told['port']}, until Ctrl-C.\n"
        "Record it in another terminal:\n"
        f"  {port}FUTU_SYMBOLS={','.join(settings.symbols[:_SYMBOLS_SHOWN])} {_PROGRAM} run\n"
    )


def _over(settings: SimulatorSettings, told: dict[str, Any]) -> str:
    return (
        f"The simulated day is over, at {told['time'][11:16]}; {told['made']:,} ticks were made. "
        "Stop the recorder with Ctrl-C, then:\n"
        f"  {_PROGRAM} audit --data-root {_DATA_ROOT}\n"
        f"  {_PROGRAM} seal --day {settings.date:%Y%m%d} --data-root {_DATA_ROOT}\n"
        f"  {_PROGRAM} verdict {shlex.quote(str(settings.ledger))} {_DATA_ROOT}\n"
    )


def _symbols(text: str, seed: int) -> tuple[str, ...]:
    if text.isascii() and text.isdigit():
        return tuple(universe(int(text), seed))
    symbols = symbols_of([text], "--symbols")
    if not symbols:
        raise ConfigError(f"--symbols has {text!r}, expected a number of symbols or a list such as HK.00700,HK.00005")
    return symbols


def _types(text: str) -> frozenset[int]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in TYPES:
            raise ConfigError(f"--totals-without has {name!r}, expected types of ticks, as in ODD_LOT,OVERSEAS")
    return frozenset(TYPES[name] for name in names)


def _date(text: str | None) -> dt.date | None:
    if text is None:
        return None
    return dt.date.fromisoformat(day_of(text, "--date"))


def _start(text: str | None, *, dated: bool) -> dt.time | None:
    if text is None:
        return None
    if not dated:
        raise ConfigError("--start is for a simulated day, not for --now or --journal")
    try:
        return dt.datetime.strptime(text, "%H:%M").time()  # noqa: DTZ007 - Hong Kong's, by definition
    except ValueError:
        raise ConfigError(f"--start is {text!r}, expected HH:MM, as in 09:30") from None


def _rsa_key(path: Path | None) -> "RsaKey | None":
    if path is None:
        return None
    from hk_tick_collector.opend.crypto import RsaKey  # noqa: PLC0415 - only with a key

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
