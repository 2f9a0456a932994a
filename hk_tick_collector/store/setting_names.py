"""Names that are not settings of ours: typos, names of other programs, and the older recorder's settings.

Owns the one table of the older recorder's settings and of what became of each, which the warnings of `run` and `config`
and `migrate --env` share; and the rule by which an unknown name is an error. Reads nothing and knows no value.
"""

import difflib
import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

CONFIG_NAME: Final = "HK_TICK_CONFIG"
"""Not a setting: it names the TOML file with the settings, in the environment or in `.env`."""

# A name that begins like this is meant for us. BATCH_, DATA_ and MAX_ are too common: there only a near miss is ours.
CLAIMED: Final = re.compile(
    r"(FUTU|WATCHDOG|PERSIST|SQLITE|RECONNECT|SEED_RECENT|BACKFILL|STOP_FLUSH|SEAL|DRIFT_WARN|CHECK_INTERVAL|JOURNAL|METRICS"
    r"|HK_TICK|MAX_WAIT)_|DATA_ROOT",
    re.IGNORECASE,
)
# Names that begin like ours and belong to others: systemd's for each service (JOURNAL_STREAM, WATCHDOG_PID,
# WATCHDOG_USEC), those of SQLite's library and shell, Kubernetes' and Docker's links to services, and those of OpenD's
# containers and of trading programs, which share an env file with us (accounts, passwords, their own ports).
_FOREIGN: Final = re.compile(
    r"JOURNAL_STREAM|WATCHDOG_(PID|USEC)|SQLITE_(HISTORY|TMPDIR|FORCE_PROXY_LOCKING)"
    r"|[A-Z0-9_]+_SERVICE_(HOST|PORT(_\w+)?)|[A-Z0-9_]+_PORT_[0-9]+_(TCP|UDP)(_(ADDR|PORT|PROTO))?"
    r"|FUTU_(OPEND|ACCOUNT|ACC|LOGIN|USER|PWD|PASSWORD|UNLOCK|TRADE|TRD|SECURITY)(_\w*)?"
)
# LOGLEVEL and INSTANCE_IDS are as often other programs' names as typos.
_NO_NEAR_MISS: Final = frozenset({"LOG_LEVEL", "INSTANCE_ID"})

OLDER_RECORDER: Final = "the older recorder (futu_tick_downloader)"


class Fate(StrEnum):
    """What became of a setting of the older recorder."""

    TAKEN = "taken over"  # the same meaning here
    DEFAULT = "default"  # the same name here, but its value was chosen for another design
    REPLACED = "replaced"  # something else does this here
    DROPPED = "not needed"


class Older(NamedTuple):
    """What became of a setting of the older recorder.

    Attributes:
        fate: see `Fate`.
        why: for TAKEN the name here; else the reason, or what replaces it.
    """

    fate: Fate
    why: str

    def __str__(self) -> str:
        if self.fate is Fate.TAKEN:
            return f"taken over as {self.why}"
        if self.fate is Fate.REPLACED:
            return f"replaced by {self.why}"
        return f"not needed: {self.why}" if self.fate is Fate.DROPPED else f"left at the default here: {self.why}"


def _each(names: str, fate: Fate, why: str = "") -> dict[str, Older]:
    return {name: Older(fate, why or name) for name in names.split()}


_TELEGRAM: Final = Older(
    Fate.REPLACED, "METRICS_PORT and the alert rules in deploy/prometheus-alerts.yml; Alertmanager can send to Telegram"
)
_SCRIPTS: Final = Older(
    Fate.DROPPED, "a setting of its archive and copy scripts; here days are sealed, and stay in DATA_ROOT"
)

OLDER: Final[Mapping[str, Older]] = {
    **_each(
        "FUTU_HOST FUTU_PORT FUTU_SYMBOLS FUTU_POLL_ENABLED RECONNECT_MIN_DELAY RECONNECT_MAX_DELAY WATCHDOG_STALL_SEC "
        "WATCHDOG_UPSTREAM_WINDOW_SEC DRIFT_WARN_SEC STOP_FLUSH_TIMEOUT_SEC SQLITE_BUSY_TIMEOUT_MS INSTANCE_ID "
        "LOG_LEVEL",
        Fate.TAKEN,
    ),
    **_each("HKTC_OPEND_HOST", Fate.TAKEN, "FUTU_HOST"),
    **_each("HKTC_OPEND_PORT", Fate.TAKEN, "FUTU_PORT"),
    **_each("HKTC_SYMBOLS", Fate.TAKEN, "FUTU_SYMBOLS"),
    **_each("HKTC_LOG_LEVEL", Fate.TAKEN, "LOG_LEVEL"),
    **_each(
        "DATA_ROOT HKTC_DATA_DIR HOST_SQLITE_DIR",
        Fate.REPLACED,
        "a DATA_ROOT of its own: the old databases stay where they are",
    ),
    **_each("BATCH_SIZE MAX_WAIT_MS", Fate.DEFAULT, "commits are grouped in another way"),
    **_each("BACKFILL_N", Fate.DEFAULT, "less than 1000 leaves holes after an outage"),
    **_each("CHECK_INTERVAL_SEC SEED_RECENT_DB_DAYS", Fate.DEFAULT, "the old value was chosen for another design"),
    **_each(
        "FUTU_POLL_INTERVAL_SEC FUTU_POLL_NUM FUTU_POLL_STALE_SEC",
        Fate.DEFAULT,
        "polls only check the pushes, so they are rarer",
    ),
    **_each(
        "PERSIST_RETRY_MAX_ATTEMPTS PERSIST_RETRY_BACKOFF_SEC PERSIST_RETRY_BACKOFF_MAX_SEC "
        "PERSIST_HEARTBEAT_INTERVAL_SEC WATCHDOG_QUEUE_THRESHOLD_ROWS WATCHDOG_RECOVERY_MAX_FAILURES "
        "WATCHDOG_RECOVERY_JOIN_TIMEOUT_SEC",
        Fate.DEFAULT,
        "the writer is a process that can be restarted without a loss",
    ),
    **_each("SQLITE_SYNCHRONOUS", Fate.DEFAULT, "with NORMAL or OFF a power cut loses ticks"),
    **_each("SQLITE_WAL_AUTOCHECKPOINT", Fate.DEFAULT, "the writer empties the log between commits"),
    **_each("SQLITE_JOURNAL_MODE", Fate.DROPPED, "a day is always recorded in WAL mode"),
    **_each("MAX_QUEUE_SIZE", Fate.REPLACED, "JOURNAL_BUFFER_MB: what is not stored yet is in the journal on disk"),
    **_each("HKTC_BATCH_SIZE HKTC_MAX_WAIT_MS", Fate.DROPPED, "commits are grouped in another way"),
    **_each("HKTC_BACKFILL_ENABLED HKTC_BACKFILL_NUM", Fate.DROPPED, "1000 ticks are fetched after each outage"),
    **_each("HKTC_OPEND_SESSION HKTC_CONFIG_PATH", Fate.DROPPED, "there is nothing of the kind here"),
    **_each("HKTC_HEALTH_ENABLED HKTC_HEALTH_PORT", Fate.REPLACED, "METRICS_PORT, and `hk-tick-collector status`"),
    **_each(
        "FUTU_POLL_TRADING_ONLY FUTU_POLL_PREOPEN_ENABLED FUTU_POLL_OFFHOURS_PROBE_INTERVAL_SEC "
        "FUTU_POLL_OFFHOURS_PROBE_NUM",
        Fate.DROPPED,
        "polls become rare by themselves while no push comes",
    ),
    **_each("FUTU_HOLIDAYS FUTU_HOLIDAY_FILE", Fate.DROPPED, "OpenD is asked for the exchange's calendar"),
    **_each("TRADING_TZ TRADING_SESSIONS", Fate.DROPPED, "Hong Kong's time and sessions are built in"),
    **_each(
        "GAP_ENABLED GAP_THRESHOLD_SEC GAP_ACTIVE_WINDOW_SEC GAP_ACTIVE_MIN_TICKS GAP_STALL_WARN_SEC",
        Fate.REPLACED,
        "`audit` and `gaps`: losses are proven by sequences and totals, without thresholds",
    ),
    **_each(
        "HEALTH_INTERVAL_SEC HEALTH_FIXED_INTERVAL_SEC HEALTH_TRADING_INTERVAL_SEC HEALTH_OFFHOURS_INTERVAL_SEC",
        Fate.REPLACED,
        "`hk-tick-collector status`, and METRICS_PORT",
    ),
    **dict.fromkeys(
        ("ALERT_COOLDOWN_SEC", "ALERT_ESCALATION_STEPS"),
        Older(Fate.REPLACED, "the alert rules in deploy/prometheus-alerts.yml"),
    ),
    **dict.fromkeys(
        (
            *("ARCHIVE_DIR", "RAW_KEEP_DAYS", "KEEP_LOCAL_DB", "LOCAL_EXPORT_ROOT", "PULL_RETRY_SEC"),
            *("PULL_WAIT_MINUTES", "REMOTE_ARCHIVE_DIR", "REPO_ROOT", "SERVICE_NAME", "SSH_HOST", "SSH_PORT"),
        ),
        _SCRIPTS,
    ),
}
_OF_TELEGRAM: Final = re.compile(
    r"(TG|TELEGRAM)_(ENABLED|TOKEN|BOT_TOKEN|CHAT_ID|MESSAGE_THREAD_ID|THREAD_\w+|MODE_\w+|PARSE_MODE|HEALTH_\w+"
    r"|ALERT_\w+|RATE_LIMIT_PER_MIN|INCLUDE_\w+|DIGEST_\w+|SQLITE_\w+|INTERACTIVE_ENABLED|ADMIN_\w+|ACTION_\w+)"
)


def older(name: str) -> Older | None:
    """What became of a setting of the older recorder; None: it had none of that name."""
    return _TELEGRAM if _OF_TELEGRAM.fullmatch(name) else OLDER.get(name)


def is_only_older(name: str, ours: Sequence[str]) -> bool:
    """Whether a name in a shared environment shows that the older recorder's settings are in force there.

    The names of its scripts do not: they are as often other programs' names.
    """
    told = older(name)
    return told is not None and told is not _SCRIPTS and name not in ours


def better_unset(name: str) -> str | None:
    """Why a setting that stands among the older recorder's should be left out; None: it may stay."""
    told = older(name)
    if told is None or told.fate is not Fate.DEFAULT:
        return None
    return f"in force, and better left out: {told.why}"


def fault_of(key: str, value: str, origin: str, ours: Sequence[str], *, is_closed: bool) -> str | None:
    """The error for a name that is not a setting; None: it is another program's, or the older recorder's.

    Args:
        key: the name as written.
        value: its value, which is not shown.
        origin: where it stands, for the message.
        ours: every setting, in upper case.
        is_closed: every name there must be ours: a TOML file, or the command line.
    """
    was = older(key.upper() if is_closed else key)
    if was is not None:
        return f"unknown setting {key} ({origin}): {OLDER_RECORDER} had it; {was}; remove it" if is_closed else None
    foreign = key == CONFIG_NAME or _FOREIGN.fullmatch(key) or value.startswith(("tcp://", "udp://"))
    near_misses = [name for name in ours if name not in _NO_NEAR_MISS]
    meant = CLAIMED.match(key) or difflib.get_close_matches(key.upper(), near_misses, 1, cutoff=0.9)
    if not is_closed and (foreign or not meant):
        return None
    candidates = ours if is_closed else (*ours, CONFIG_NAME)
    nearest = difflib.get_close_matches(key.upper(), candidates, 1, cutoff=0)[0]
    near = difflib.get_close_matches(key.upper(), [nearest], 1)
    hint = f"did you mean {nearest}?" if near else f"remove it; the nearest known one is {nearest}"
    return f"unknown setting {key} ({origin}): {hint}"
