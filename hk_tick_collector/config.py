"""Settings: what the operator wrote, from the command line, the environment, `.env` or a TOML file, validated.

Owns every setting's name, default, limits and description, and where a value came from. Loading reads only the files it
is given. What else `run` needs (symbol files, the key, a writable directory) is checked by the `require_*` and
`prepare_*` methods, so that `status` works for a user who may not read the key. Invariant: a `Settings` holds valid
values only, and never changes. Every mistake of the operator is a `ConfigError` of one line.

Precedence: command line > environment > `.env` > TOML > default. An empty value counts as not set, so that `NAME=` in
an env file means the default. In `.env`, `${…}` is not expanded.
"""

import io
import os
import re
import socket
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple, get_args, get_origin

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, ValidationInfo
from pydantic import field_validator as check_field

from hk_tick_collector.errors import ConfigError
from hk_tick_collector.store.data_root import prepare
from hk_tick_collector.store.pragmas import BUSY_MS, SYNCHRONOUS, WAL_PAGES
from hk_tick_collector.store.setting_names import CLAIMED, CONFIG_NAME, better_unset, fault_of, is_only_older, older
from hk_tick_collector.symbols import SymbolSpec, check_symbols, read_symbols, read_text

TOML_DEFAULT, ENV_FILE_DEFAULT = "hk-tick-collector.toml", ".env"
SECRET_FIELDS: frozenset[str] = frozenset()
"""The settings (upper case) whose values are never shown, neither by `config` nor in an error. None is secret yet."""

MASK: Final = "•••"


def _path(value: object) -> object:
    if not isinstance(value, str):
        return value
    if "PRIVATE KEY" in value:
        raise ValueError("this is a key itself, expected the path of the file that holds it")
    if not value.isprintable():
        raise ValueError("it holds characters that can't be printed, expected a path")
    try:
        return Path(value).expanduser()
    except RuntimeError as error:
        raise ValueError(f"{error}, expected a path in full") from None


def _host(value: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9._-]{1,253}|[0-9A-Fa-f]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f.]*(%[A-Za-z0-9._-]+)?", value):
        return value
    raise ValueError("expected a host name or an address alone, such as 127.0.0.1, without the port")


def _instance(value: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9._-]{1,64}", value):
        return value
    raise ValueError("expected 1 to 64 of A-Z a-z 0-9 . _ - , such as hk-recorder-1")


def _host_name() -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname())[:64] or "hk-tick-collector"


def _number(default: float, least: float, most: float, description: str) -> Any:  # noqa: ANN401 - as pydantic's Field
    return Field(default, ge=least, le=most, description=description)


def _other(default: object, description: str) -> Any:  # noqa: ANN401
    return Field(default, description=description)


_Host = Annotated[str, AfterValidator(_host)]
_Instance = Annotated[str, AfterValidator(_instance)]
_Symbols = Annotated[str, AfterValidator(check_symbols)]
_Path = Annotated[Path, BeforeValidator(_path)]


class Settings(BaseModel):
    """All settings, frozen; attribute names are the operator's names in lower case, with the unit last."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)

    futu_host: _Host = _other("127.0.0.1", "Host of OpenD")
    futu_port: int = _number(11111, 1, 65535, "TCP port of OpenD's API")
    futu_symbols: _Symbols = _other("", "What to record: HK.00700,HK.00005, @path/to/file, plate:HK.BK1910")
    futu_rsa_key_file: _Path | None = _other(None, "PKCS#1 RSA private key file, as OpenD has; none: plain")
    futu_encryption: Annotated[Literal["none", "ftaes_ecb", "aes_ecb", "aes_cbc"], BeforeValidator(str.lower)] = _other(
        "aes_cbc", "Encryption asked of OpenD; used only with FUTU_RSA_KEY_FILE"
    )
    futu_connect_timeout_sec: float = _number(10, 0.1, 300, "Seconds to connect and be accepted by OpenD")
    futu_request_timeout_sec: float = _number(15, 0.1, 300, "Seconds to wait for OpenD's reply to a call")
    # Not below 11: OpenD's KeepAlive comes every 10 s.
    futu_dead_link_sec: float = _number(25, 11, 600, "Seconds without a frame before the link is considered dead")
    futu_poll_enabled: bool = _other(default=True, description="Poll each symbol with GetTicker while running")
    futu_poll_interval_sec: float = _number(30, 0.1, 86400, "Seconds between polls of a symbol")
    futu_poll_num: int = _number(20, 1, 1000, "Ticks fetched per symbol and poll, at least")
    futu_poll_stale_sec: float = _number(120, 0.1, 86400, "Seconds between polls while no push comes at all")
    futu_totals_interval_sec: float = _number(60, 0, 3600, "Seconds between snapshots of the exchange's totals; 0: off")
    data_root: _Path = _other(Path("data"), "Directory of the day databases and the journal")
    data_root_allow_shared: bool = _other(default=False, description="Record to a network file system all the same")
    batch_size: int = _number(20000, 1, 200000, "Approximate ticks per transaction")
    max_wait_ms: int = _number(100, 10, 5000, "Milliseconds a tick waits at most for its commit to begin")
    backfill_n: int = _number(1000, 0, 1000, "Ticks asked for each symbol after a (re)connect; 0: off")
    reconnect_min_delay: float = _number(1.0, 0.1, 3600, "Seconds before the first reconnect")
    reconnect_max_delay: float = _number(60.0, 0.1, 3600, "Seconds between reconnects at most")
    check_interval_sec: float = _number(10, 0.1, 3600, "Seconds between watchdog checks")
    watchdog_stall_sec: float = _number(180, 1, 86400, "Seconds without a commit until it is a stall")
    watchdog_upstream_window_sec: float = _number(
        60, 1, 86400, "How recent a tick must be for OpenD to count as active, in seconds"
    )
    watchdog_queue_threshold_rows: int = _number(1000, 1, 10_000_000, "Rows of backlog from which a stall is possible")
    watchdog_recovery_max_failures: int = _number(3, 1, 100, "Failed recoveries in a row until exit code 1")
    watchdog_recovery_join_timeout_sec: float = _number(3, 0.1, 300, "Seconds for a killed writer to be gone")
    drift_warn_sec: float = _number(120, 1, 86400, "Seconds between tick and receipt that are warned about")
    stop_flush_timeout_sec: float = _number(60, 1, 3600, "Seconds to store what was received when stopping")
    seed_recent_db_days: int = _number(5, 1, 366, "Recent days whose databases give the last sequences")
    persist_retry_max_attempts: int = _number(0, 0, 1_000_000, "Attempts to store a batch; 0: for as long as it takes")
    persist_retry_backoff_sec: float = _number(0.5, 0.01, 3600, "Seconds before the first retry to store")
    persist_retry_backoff_max_sec: float = _number(10, 0.01, 3600, "Seconds between such retries at most")
    persist_heartbeat_interval_sec: float = _number(30, 1, 3600, "Seconds between persist_loop_heartbeat")
    sqlite_busy_timeout_ms: int = _number(BUSY_MS, 1000, 600_000, "Milliseconds SQLite waits for a lock")
    sqlite_synchronous: Annotated[Literal["NORMAL", "FULL", "EXTRA"], BeforeValidator(str.upper)] = _other(
        SYNCHRONOUS, "SQLite's synchronous; in a power cut NORMAL may lose the last commits, and OFF is refused"
    )
    sqlite_wal_autocheckpoint: int = _number(WAL_PAGES, 100, 100_000, "Pages of WAL that start a checkpoint")
    journal_buffer_mb: int = _number(64, 1, 1024, "MB buffered in memory while the disk accepts no writes")
    journal_segment_mb: int = _number(64, 1, 1024, "MB of one journal segment")
    journal_sync_ms: int = _number(200, 10, 5000, "Milliseconds between syncs of the journal to disk")
    journal_keep_days: int = _number(7, 1, 3650, "Days the journal is kept once it is stored")
    seal_enabled: bool = _other(default=True, description="Seal each day when it is over")
    seal_delay_min: float = _number(30, 0, 1440, "Minutes after midnight in Hong Kong until a day is sealed")
    archive_enabled: bool = _other(
        default=False, description="Archive each sealed day as Parquet in the night; needs the extra: data"
    )
    archive_keep_days: int = _number(30, 0, 36500, "Days the database of an archived day is kept beside its archive")
    metrics_port: int = _number(0, 0, 65535, "TCP port of the Prometheus metrics; 0: off")
    metrics_host: _Host = _other("127.0.0.1", "Address on which the metrics are served")
    instance_id: _Instance = Field(default_factory=_host_name, description="This recorder's name in logs and metrics")
    log_level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], BeforeValidator(str.upper)] = _other(
        "INFO", "Lowest level that is logged"
    )

    _origins: Mapping[str, str] = {}

    def model_post_init(self, context: Mapping[str, str] | None, /) -> None:
        """Keep where the values came from (the validation's context), for the messages of `require_*`."""
        self._origins = dict(context or {})

    @check_field("reconnect_max_delay", "persist_retry_backoff_max_sec")
    @classmethod
    def _most_is_not_below_least(cls, value: float, info: ValidationInfo) -> float:
        name = {"reconnect_max_delay": "reconnect_min_delay"}.get(info.field_name or "", "persist_retry_backoff_sec")
        least = info.data.get(name)  # absent if it is itself wrong; then that is reported
        if least is not None and value < least:
            where = _where(info.context or {}, name.upper())
            raise ValueError(f"expected at least {name.upper()}={display_value(name.upper(), least)}{where}")
        return value

    def require_symbols(self) -> SymbolSpec:
        """What to record, with the `@path` files read.

        Raises:
            ConfigError: nothing is named, a file can't be read or is empty, or a code in it is wrong.
        """
        return read_symbols(self.futu_symbols, where=_where(self._origins, "FUTU_SYMBOLS"))

    def require_rsa_key_file(self) -> Path | None:
        """The RSA key's path, proven to be a file that this user can read; None: none is set.

        Raises:
            ConfigError: it is missing, not a file, or not readable.
        """
        if self.futu_rsa_key_file is None:
            return None
        try:
            with self.futu_rsa_key_file.open("rb") as file:
                file.read(1)
        except OSError as error:
            raise ConfigError(
                f"FUTU_RSA_KEY_FILE={str(self.futu_rsa_key_file)!r}{_where(self._origins, 'FUTU_RSA_KEY_FILE')}: "
                f"expected a key file that this user can read, {error.strerror}; it is the one that OpenD was given"
            ) from None
        return self.futu_rsa_key_file

    def prepare_data_root(self) -> Path:
        """Make DATA_ROOT (mode 755) and prove with a test file that it can be written.

        Returns:
            Its absolute path.

        Raises:
            ConfigError: it is not a directory, or this user can't make it or write in it; or it lies on a network or
                host-shared file system, and that is not allowed.
            JournalError: its disk is full or faulty. That may pass: the supervisor may start us again.
        """
        where = _where(self._origins, "DATA_ROOT")
        return prepare(self.data_root.absolute(), where, allows_shared=self.data_root_allow_shared)


class LoadedSettings(NamedTuple):
    """Settings, and where each value came from.

    Attributes:
        settings: the values in force.
        origins: by the operator's names (upper case).
        of_older: the older recorder's settings: by name, where it stands and what became of it. Nearly all have no
            effect here. Their values are not kept: some are secrets.
    """

    settings: Settings
    origins: Mapping[str, str]
    of_older: Mapping[str, str]


class _Source(NamedTuple):
    """Values as written. In a closed source every name must be ours; an open one is shared with other programs."""

    origin: str
    values: Mapping[str, str]
    closed: bool


NAMES: Final = tuple(name.upper() for name in Settings.model_fields)
"""Every setting by the operator's name, in the order in which they are documented."""


def load_settings(
    *,
    config_path: Path | None = None,
    env_file: Path | None = None,
    overrides: Mapping[str, str] | None = None,
    environ: Mapping[str, str] | None = None,
) -> LoadedSettings:
    """Gather and validate the settings.

    Args:
        config_path: a TOML file that must exist; None: HK_TICK_CONFIG's, else `hk-tick-collector.toml`, if it exists.
        env_file: an env file that must exist; None: `.env` in the working directory, if it exists.
        overrides: values given on the command line, by name in any case; they win.
        environ: the environment; None: `os.environ`.

    Returns:
        The settings and their origins: `command line`, `environment`, `.env (path)`, `TOML (path)` or `default`.

    Raises:
        ConfigError: in one line, every setting that is wrong or unknown, or the file that can't be read.
    """
    env = os.environ if environ is None else environ
    env_values = _read_env_file(env_file or Path(ENV_FILE_DEFAULT), required=env_file is not None)
    named = env.get(CONFIG_NAME, "").strip() or env_values.get(CONFIG_NAME, "").strip()
    toml_path = config_path or (Path(named) if named else None)
    toml_values = _read_toml(toml_path or Path(TOML_DEFAULT), required=toml_path is not None)
    sources = (
        _Source(f"TOML ({toml_path or TOML_DEFAULT})", toml_values, closed=True),
        _Source(f".env ({env_file or ENV_FILE_DEFAULT})", env_values, closed=False),
        _Source("environment", env, closed=False),
        _Source("command line", overrides or {}, closed=True),
    )
    values: dict[str, str] = {}
    origins = dict.fromkeys(NAMES, "default")
    problems: list[str] = []
    for source in sources:
        for key, value in source.values.items():
            name = key.upper() if source.closed else key
            if name not in origins:
                fault = fault_of(key, value, source.origin, NAMES, is_closed=source.closed)
                problems.extend([fault] if fault else [])
            elif value.strip():
                values[name], origins[name] = value.strip(), source.origin
    try:
        settings = Settings.model_validate({name.lower(): value for name, value in values.items()}, context=origins)
    except ValidationError as error:
        problems.extend(_problems(error, values, origins))
    else:
        if not problems:
            return LoadedSettings(settings, origins, _of_older(sources, origins))
    raise ConfigError("; ".join(problems))


def _of_older(sources: Iterable[_Source], origins: Mapping[str, str]) -> dict[str, str]:
    """The older recorder's settings, see `LoadedSettings`; beside them, also values that were chosen for it."""
    found: dict[str, str] = {}
    for source in sources:
        names = [] if source.closed else [key for key in source.values if is_only_older(key, NAMES)]
        found.update((name, f"({source.origin}) {older(name)}") for name in names)
        for name in NAMES if names else ():
            reason = better_unset(name) if origins[name] == source.origin else None
            if reason is not None:
                found[name] = f"({source.origin}) {reason}"
    return found


def problem_of(values: Mapping[str, str]) -> str | None:
    """Why these values, by name, are not accepted together, in one line; None: they are."""
    try:
        Settings.model_validate({name.lower(): value for name, value in values.items()}, context={})
    except ValidationError as error:
        return "; ".join(_problems(error, values, {}))
    return None


def display_value(name: str, value: object) -> str:
    """A value as an operator would write it; nothing for None, `•••` for a secret."""
    if value is None or name.upper() in SECRET_FIELDS:
        return "" if value is None else MASK
    text = str(value).lower() if isinstance(value, bool) else " ".join(str(value).split())
    return text.removesuffix(".0") if isinstance(value, float) else text


def _read_env_file(path: Path, *, required: bool) -> Mapping[str, str]:
    text = _read_text(path, required=required)
    if text is None:
        return {}
    from dotenv.parser import parse_stream  # noqa: PLC0415 - 1 MB that is needed only if there is such a file

    values: dict[str, str] = {}
    for binding in parse_stream(io.StringIO(text)):
        ours = binding.key is not None and (binding.key in NAMES or CLAIMED.match(binding.key))
        if binding.error or (ours and binding.value is None):  # the line itself may be a secret
            raise ConfigError(f"{str(path)!r} line {binding.original.line}: expected NAME=value, a comment or nothing")
        if binding.key is not None and binding.value is not None:
            values[binding.key] = binding.value
    return values


def _read_toml(path: Path, *, required: bool) -> Mapping[str, str]:
    text = _read_text(path, required=required)
    if text is None:
        return {}
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{str(path)!r} is not valid TOML: {error}; expected e.g. batch_size = 20000") from None
    values: dict[str, str] = {}
    for key, value in table.items():
        if key.upper() in values:
            raise ConfigError(f"{key.upper()} (TOML ({path})) is set twice, in upper and lower case")
        values[key.upper()] = _plain(key, value, path)
    return values


def _plain(key: str, value: object, path: Path) -> str:
    """A TOML value as it would stand in the environment, so that all sources are validated alike."""
    if isinstance(value, list) and key.upper() == "FUTU_SYMBOLS" and all(isinstance(item, str) for item in value):
        return "\n".join(value)
    if isinstance(value, str | int | float):
        return display_value("", value) if isinstance(value, bool) else str(value)
    if key.upper() not in NAMES:
        return ""  # reported as unknown
    raise ConfigError(
        f"{key.upper()} (TOML ({path})) is a {type(value).__name__}: expected a string, a number, true or false"
    )


def _read_text(path: Path, *, required: bool) -> str | None:
    try:
        return read_text(path)
    except (FileNotFoundError, IsADirectoryError) as error:  # .env is also a usual name for a virtual environment
        if not required:
            return None
        reason = f"{error.strerror}; check the path, or leave it out"
    except OSError as error:
        reason = f"{error.strerror}; check its permissions"
    except ValueError as error:
        reason = str(error)
    raise ConfigError(f"cannot read settings file {str(path)!r}: {reason}")


def _problems(error: ValidationError, values: Mapping[str, str], origins: Mapping[str, str]) -> Iterator[str]:
    for fault in error.errors(include_url=False):
        name = str(fault["loc"][0]).upper()
        own = fault.get("ctx", {}).get("error")
        what = str(own) if isinstance(own, ValueError) else _expected(name)
        seen = "" if name == "FUTU_SYMBOLS" else f"={_seen(name, values.get(name) or fault['input'])}"
        yield f"{name}{seen}{_where(origins, name)}: {what}"


def _expected(name: str) -> str:
    """What a setting takes, from its type and limits."""
    field = Settings.model_fields[name.lower()]
    if get_origin(field.annotation) is Literal:
        return "expected one of " + ", ".join(get_args(field.annotation))
    if field.annotation not in {int, float}:
        return "expected true or false" if field.annotation is bool else "expected readable text"
    limits = {key: getattr(item, key) for item in field.metadata for key in ("ge", "le") if hasattr(item, key)}
    kind = "a whole number" if field.annotation is int else "a number"
    return f"expected {kind} from {limits['ge']} to {limits['le']}, such as {display_value(name, field.default)}"


def _seen(name: str, value: object) -> str:
    text = display_value(name, value)
    if text == MASK or "PRIVATE KEY" in text:
        return MASK
    return repr(text if len(text) <= 60 else text[:60] + "…")  # noqa: PLR2004 - a line stays readable


def _where(origins: Mapping[str, str], name: str) -> str:
    return f" ({origins[name]})" if name in origins else ""
