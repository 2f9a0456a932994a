"""Every trouble that is reported about a recorder: how it shows, what causes it, and what to do about it.

Owns the words for cause and cure, once for all: `status`, the supervisor's status line, health's reasons and `verify`
take them from here, and docs/operations.md opens with the same table (a test compares them). Pure. Invariant: nothing
is reported without a cure, since a finding can't be made without its trouble.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from hk_tick_collector.status.troubles import Effect, Trouble

START: Final = "`systemctl start hk-tick-collector`, or `hk-tick-collector run` without systemd"


class Entry(NamedTuple):
    """The words for a trouble.

    Attributes:
        symptom: how it shows, in short, for the table in docs/operations.md.
        cause: why it happens.
        cure: what to do. `{start}`: how to start the recorder on this machine.
        effect: what it does to the recording.
    """

    symptom: str
    cause: str
    cure: str
    effect: Effect = Effect.NONE


_MAKE_SPACE: Final = (
    "Make space now: delete other programs' files, `*.bak-*` and `*.damaged-*`, or move sealed days to another disk"
    " (`hk-tick-collector days` lists them). Never delete anything in journal/"
)

_PRESENCE: Final = {
    Trouble.NO_REPORT: Entry(
        "no recorder state yet",
        "No recorder has run on this `DATA_ROOT`, or its file `recorder.json` is damaged",
        "Start it: {start}",
        Effect.STOPPED,
    ),
    Trouble.NOT_REPORTED: Entry(
        "pid … runs, and has not reported yet",
        "It has just started, or it hangs, or it can't write `recorder.json`",
        "Wait half a minute. If it lasts, check disk space and the owner of DATA_ROOT; if both are right, restart it",
        Effect.STOPPED,
    ),
    Trouble.NOT_RUNNING: Entry(
        "no recorder is running",
        "It was stopped, or it has ended: by a fault, out of memory, or with the machine",
        "Start it: {start}. If it did not stop cleanly, the end of its log says why; `dmesg` says if memory ran out",
        Effect.STOPPED,
    ),
    Trouble.WRONG_SETTING: Entry(
        "no recorder is running: it refused to start",
        "A setting or file is wrong (exit code 2). systemd does not try again",
        "`journalctl -u hk-tick-collector -n 20` says which; correct it in /etc/hk-tick-collector.env, then {start}",
        Effect.STOPPED,
    ),
    Trouble.SILENT: Entry(
        "no state update for …",
        "The recorder hangs, most often on a disk that does not answer",
        "`kill -USR1` of its pid writes to the log where it hangs; check the disk, then restart the recorder",
        Effect.STOPPED,
    ),
    Trouble.SILENT_FULL: Entry(
        "no state update for …: the disk is full",
        "The file system of `DATA_ROOT` has no space left, so recorder.json can't be written",
        _MAKE_SPACE,
        Effect.DELAYED,
    ),
    Trouble.FROM_THE_FUTURE: Entry(
        "recorder.json is dated … in the future",
        "A clock was set back, so the age of the report is unknown",
        "Check this host's time service (`timedatectl`)",
    ),
}

_OPEND: Final = {
    Trouble.OPEND_DOWN: Entry(
        "OpenD not connected",
        "OpenD does not run, or not at this address; or the network in between is down",
        "Start OpenD there, or correct FUTU_HOST and FUTU_PORT. Without OpenD, try `hk-tick-collector simulate --now`",
        Effect.STOPPED,
    ),
    Trouble.OPEND_MUTE: Entry(
        "connected, but OpenD has sent nothing for …",
        "OpenD hangs, or the network swallows everything",
        "Restart OpenD, unless the recorder's own reconnect helps within a minute",
        Effect.STOPPED,
    ),
    Trouble.NOT_LOGGED_IN: Entry(
        "OpenD is not logged in",
        "OpenD has no session with the quote server: a password, a verification code or its network is missing",
        "Log OpenD in, or restore its network: its window or log says what it waits for",
        Effect.STOPPED,
    ),
    Trouble.KICKED_OUT: Entry(
        "another login took the quote right",
        "Only one login gets the quotes, and a phone, a desktop app or another OpenD has logged in with this account",
        "Close that login, or run `request_highest_quote_right` on OpenD's telnet port (telnet_port in its settings)",
        Effect.STOPPED,
    ),
    Trouble.NO_QUOTE_RIGHT: Entry(
        "OpenD's quote right gives no pushes",
        "The account has only BMP quotes for Hong Kong: basic ones, which OpenD does not push",
        "Get LV1 or LV2 quotes for the account; if it has them, another login holds them: close that login",
        Effect.STOPPED,
    ),
    Trouble.EXCHANGE_LOST: Entry(
        "OpenD lost the exchange",
        "OpenD's own connection to the quote server is down",
        "Check the network of OpenD's host; OpenD reconnects by itself",
        Effect.STOPPED,
    ),
    Trouble.NOT_SUBSCRIBED: Entry(
        "no symbol is subscribed",
        "OpenD has refused every symbol, or the account's quota is used up",
        "Look for `symbol_refused` and `subscription_quota_short` in the log; correct FUTU_SYMBOLS, or free quota",
        Effect.STOPPED,
    ),
    Trouble.JUST_CONNECTED: Entry(
        "OpenD is connected, and no symbol is subscribed yet",
        "The session has just begun",
        "Wait a minute",
        Effect.STOPPED,
    ),
    Trouble.LOSING_TICKS: Entry(
        "… can no longer be fully recovered",
        "The stream has been interrupted for longer than OpenD can replay (1000 ticks of each symbol)",
        "Restore the stream now: each second costs more ticks",
    ),
    Trouble.STREAM_INTERRUPTED: Entry(
        "everything missed can be recovered until …",
        "The stream is interrupted, for not longer than OpenD can replay",
        "Restore the stream before that time, and nothing is lost",
    ),
    Trouble.NO_PUSH: Entry(
        "no push for … while the market is open",
        "OpenD has stopped pushing, though it says that Hong Kong trades",
        "Compare with the quotes in OpenD or the app; restart OpenD",
        Effect.STOPPED,
    ),
    Trouble.PERHAPS_NO_PUSH: Entry(
        "no push for …; it is trading time",
        "A holiday, or OpenD does not answer",
        "On a trading day: check OpenD, and restart it",
    ),
    Trouble.NO_PUSH_YET: Entry(
        "no push since the start",
        "The recorder has just started, or its few symbols are quiet",
        "Wait for a trade. If a symbol trades elsewhere and not here, restart OpenD",
    ),
    Trouble.NO_TICK_YET: Entry(
        "no tick has come since the start",
        "Nothing is traded now, so nothing has shown yet that it works",
        "Nothing outside trading hours. In trading hours: check OpenD",
    ),
    Trouble.UNANSWERED: Entry(
        "OpenD does not answer or does not say …",
        "OpenD refuses these requests (a rate limit, most often) or is slow",
        "Restart OpenD if it lasts; end other programs that use the same OpenD heavily",
    ),
}

_STORING: Final = {
    Trouble.NOTHING_STORED_YET: Entry(
        "ticks are arriving but none is stored yet",
        "The writer has just started, or it fails",
        "Wait a moment; then look for `persist_failed` in the log",
        Effect.DELAYED,
    ),
    Trouble.ROOT_GONE: Entry(
        "DATA_ROOT is gone, or another directory",
        "A mount has disappeared or covers it, or the directory was deleted or replaced",
        "Put it back and restart the recorder, before more is lost",
        Effect.STOPPED,
    ),
    Trouble.DISK_FULL: Entry(
        "disk full",
        "The file system of `DATA_ROOT` has no space left; ticks are held in memory",
        _MAKE_SPACE,
        Effect.DELAYED,
    ),
    Trouble.DISK_NEARLY_FULL: Entry(
        "disk nearly full",
        "The file system of `DATA_ROOT` has space for a few minutes only",
        _MAKE_SPACE,
    ),
    Trouble.DISK_FILLING: Entry(
        "disk: … left, for about … trading days",
        "The file system of `DATA_ROOT` fills up",
        "Move sealed days to another disk (`hk-tick-collector days` lists them), or lower JOURNAL_KEEP_DAYS",
    ),
    Trouble.UNSAVED: Entry(
        "recorder.json can't be written",
        "The disk is full or faulty, or the directory belongs to another user",
        f"{_MAKE_SPACE}. If there is space, correct the owner of DATA_ROOT",
    ),
    Trouble.JOURNAL_FULL: Entry(
        "journal full",
        "The disk accepts no writes, and the memory for what came meanwhile (`JOURNAL_BUFFER_MB`) is used up",
        _MAKE_SPACE,
        Effect.STOPPED,
    ),
    Trouble.JOURNAL_FAULT: Entry(
        "journal can't be written",
        "The disk is full or faulty; ticks are held in memory",
        _MAKE_SPACE,
        Effect.DELAYED,
    ),
    Trouble.STALLED: Entry(
        "storing is stalled",
        "The writer does not get on: a locked database, a full or slow disk, or a bug",
        "The watchdog replaces the writer by itself. `persist_failed` and the stacks in the log say what blocks it",
        Effect.DELAYED,
    ),
    Trouble.NO_WRITER: Entry(
        "writer: none has begun to store",
        "The system gives it no process or memory, or it ends at once",
        "Look for `writer_not_started`, `writer_failed` and `writer_ended` in the log; free memory",
        Effect.DELAYED,
    ),
    Trouble.WRITER_SILENT: Entry(
        "writer: no sign of life for …",
        "The writer hangs, most often on a disk",
        "The watchdog kills it if ticks wait for long; `kill -9` of the writer's pid does so now, and loses nothing",
        Effect.DELAYED,
    ),
    Trouble.WRITERS_DIE: Entry(
        "… writers in a row ended by themselves",
        "Each new writer dies soon after its start: out of memory, a damaged file, or a bug",
        "`writer_ended` in the log and the lines before it say why; nothing is lost meanwhile",
        Effect.DELAYED,
    ),
    Trouble.DAY_LOCKED: Entry(
        "writer: … is locked",
        "Another program holds a lock on today's database",
        "End that program, or its transaction; only `mode=ro` is safe. If none is named: `fuser -v DATA_ROOT/*.db*`",
        Effect.DELAYED,
    ),
    Trouble.STORE_FAULT: Entry(
        "writer: error (… failures), … rows waiting",
        "The database can't be written, for the reason shown",
        "Remove that cause: a full or faulty disk, or changed permissions. What has come is safe in the journal",
        Effect.DELAYED,
    ),
    Trouble.STORES_AGAIN: Entry(
        "writer: error …; it stores again",
        "A fault that is over",
        "Nothing, unless it repeats: then remove its cause",
    ),
    Trouble.BEHIND: Entry(
        "writer: … behind, … rows waiting",
        "More comes than is stored: a slow disk, or a busy machine",
        "See what else uses the disk and the processors (`iostat`, `top`)",
    ),
    Trouble.TODAY_WAITS: Entry(
        "today is not stored",
        "Today's database can't be written, for the reason shown",
        "Remove that cause; what has come is in the journal, and is stored as soon as it can be written",
        Effect.DELAYED,
    ),
    Trouble.DAY_WAITS: Entry(
        "… waits, all other days are stored",
        "The database of a past day can't be written: locked, damaged, moved away, or on a disk that is not there",
        "Repair or put back that file; if it is damaged: `hk-tick-collector rebuild`",
    ),
    Trouble.CATCHING_UP: Entry(
        "… is being caught up from the journal",
        "Its database could not be written for a while, or was made again",
        "Wait until it has caught up",
    ),
    Trouble.UNREADABLE_TICKS: Entry(
        "… of … ticks of the last half minute can't be read",
        "OpenD sends something that this version does not understand",
        "`bad_tick_kept_aside` in the log says what; the bytes are kept. Report it",
        Effect.DELAYED,
    ),
    Trouble.DRIFT: Entry(
        "live ticks bear a time far from now",
        "A clock is wrong: this host's, or OpenD's",
        "`ts_drift_warn` in the log says by how much; check the time service of both hosts (`timedatectl`)",
    ),
    Trouble.CLOCK_OFF: Entry(
        "clock … behind or ahead of OpenD's",
        "This host's clock or that of OpenD's host is wrong",
        "Check the time service of both hosts (`timedatectl`, `chronyc tracking`)",
    ),
    Trouble.OTHER_WRITER: Entry(
        "another program writes to a day's database",
        "Only the recorder may write there",
        "`fuser -v DATA_ROOT/*.db` shows who has one open: end it",
    ),
    Trouble.WAL_HELD: Entry(
        "a long-running reader has blocked WAL truncation",
        "A program has kept a query open for that long, so the log can't be emptied",
        "`fuser -v DATA_ROOT/*.db` shows who has one open: end that query",
    ),
    Trouble.SHARED_DISK: Entry(
        "DATA_ROOT is on a shared file system",
        "`DATA_ROOT_ALLOW_SHARED` is set, and there databases can be damaged",
        "Move DATA_ROOT to a local disk; copies may be anywhere",
    ),
    Trouble.NO_BACKFILL: Entry(
        "BACKFILL_N=0",
        "Nothing is fetched after an outage, so every outage leaves a gap",
        "Set BACKFILL_N to 1000, and restart the recorder",
    ),
    Trouble.REFUSED: Entry(
        "… symbols refused",
        "OpenD does not know these codes, or the account has no right to them; its reason is shown",
        "Correct FUTU_SYMBOLS, and restart the recorder",
    ),
    Trouble.NO_QUOTA: Entry(
        "… symbols without quota",
        "The account's subscription quota is used up: one unit for each symbol, over all programs on this account",
        "Shorten FUTU_SYMBOLS, end other programs that subscribe, or get a larger quota from Futu",
    ),
    Trouble.PREMISE_FAILED: Entry(
        "… premises failed",
        "OpenD behaves differently from what is assumed; what depends on that is switched off for the symbol",
        "`premise_failed` in the log names it; `hk-tick-collector audit` says what is not proven now",
    ),
}

_VERIFY: Final = {
    Trouble.DAY_UNREADABLE: Entry(
        "a day's database can't be read",
        "It is locked, damaged, of another program, or on a disk that does not answer",
        "End the program that holds it; if it is damaged: `hk-tick-collector rebuild`",
    ),
    Trouble.FUTURE_TICKS: Entry(
        "ts_ms is in the future",
        "Hong Kong time was taken for UTC, or a clock is wrong",
        "`hk-tick-collector repair` corrects stored times; check the clocks of both hosts",
    ),
    Trouble.NO_NEW_ROWS: Entry(
        "no new rows while the market is open",
        "No tick comes, or none is stored",
        "`hk-tick-collector status` names the cause. On a holiday: --market closed",
    ),
    Trouble.NOT_WAL: Entry(
        "journal_mode is not wal",
        "Another program has changed the database",
        "End that program; the recorder sets it again when it next opens the day",
    ),
    Trouble.BUSY_TIMEOUT: Entry(
        "busy_timeout too low or unknown",
        "SQLITE_BUSY_TIMEOUT_MS is too low, or neither log nor writer could be read",
        "Set SQLITE_BUSY_TIMEOUT_MS to 5000, or pass --log FILE; with systemd, run it with sudo",
    ),
    Trouble.GAVE_UP: Entry(
        "WATCHDOG persistent_stall",
        "The writer could not be made to store, and the recorder was restarted",
        "The stacks in the log say what blocked it: a lock, a disk, or a bug; an older stall is left out by --since",
    ),
    Trouble.NOT_AS_SEALED: Entry(
        "sealed days NOT as sealed",
        "A sealed file was changed, or its disk has damaged it",
        "Put back a copy of that day, or make it again: `hk-tick-collector rebuild`; check the disk",
    ),
}

ENTRIES: Final[dict[Trouble, Entry]] = {**_PRESENCE, **_OPEND, **_STORING, **_VERIFY}


def cure(trouble: Trouble, start: str = START) -> str:
    """What to do about a trouble, as a sentence.

    Args:
        trouble: which one.
        start: how the recorder is started on this machine.
    """
    return ENTRIES[trouble].cure.replace("{start}", start)


def effect(trouble: Trouble) -> Effect:
    """What a trouble does to the recording."""
    return ENTRIES[trouble].effect
