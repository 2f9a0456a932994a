"""The words for troubles of storing, of the symbols' list, and of what `verify` finds; see `trouble_table`."""

from __future__ import annotations

from typing import Final

from hk_tick_collector.status.troubles import Effect, Entry, Trouble

MAKE_SPACE: Final = (
    "Make space now: delete other programs' files, `*.bak-*` and `*.damaged-*`, or move sealed days to another disk"
    " (`hk-tick-collector days` lists them). Never delete anything in journal/"
)

STORING: Final = {
    Trouble.NOTHING_STORED_YET: Entry(
        "ticks are arriving but none is stored yet",
        "The writer has just started, or it fails",
        "Wait a moment; then look for `persist_failed` in the log",
        Effect.DELAYED,
    ),
    Trouble.ROOT_GONE: Entry(
        "DATA_ROOT is gone, or another directory",
        "A mount has disappeared or covers it, or the directory was deleted or replaced",
        "Stop the recorder, mount the directory or move it back, and start the recorder; do it before more is lost",
        Effect.STOPPED,
    ),
    Trouble.DISK_FULL: Entry(
        "disk full",
        "The file system of `DATA_ROOT` has no space left; ticks are held in memory",
        MAKE_SPACE,
        Effect.DELAYED,
    ),
    Trouble.DISK_NEARLY_FULL: Entry(
        "disk nearly full",
        "The file system of `DATA_ROOT` has space for a few minutes only",
        MAKE_SPACE,
    ),
    Trouble.DISK_FILLING: Entry(
        "disk: … left, for about … trading days",
        "The file system of `DATA_ROOT` fills up",
        "Move sealed days to another disk (`hk-tick-collector days` lists them), or lower JOURNAL_KEEP_DAYS",
    ),
    Trouble.UNSAVED: Entry(
        "recorder.json can't be written",
        "The disk is full or faulty, or the directory belongs to another user",
        f"{MAKE_SPACE}. If there is space, correct the owner of DATA_ROOT",
    ),
    Trouble.JOURNAL_FULL: Entry(
        "journal full",
        "The disk accepts no writes, and the memory for what came meanwhile (`JOURNAL_BUFFER_MB`) is used up",
        MAKE_SPACE,
        Effect.STOPPED,
    ),
    Trouble.JOURNAL_FAULT: Entry(
        "journal can't be written",
        "The disk is full or faulty; ticks are held in memory",
        MAKE_SPACE,
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
        "Another program writes to today's database, or reads it in a way that locks it (anything but `mode=ro`)",
        "End that program: `kill` and its pid. The recorder then stores what waits. If no program is named,"
        " `fuser -v {root}/*.db*` shows which have it open",
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
    Trouble.TODAY_OLDER: Entry(
        "… has today's database open, which was made by the older recorder",
        "The older recorder records to the same DATA_ROOT",
        "Stop the older recorder: its file is then moved to `older-recorder/`, and today is stored from the journal",
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
        "`fuser -v {root}/*.db` shows who has one open: end it",
    ),
    Trouble.WAL_HELD: Entry(
        "a long-running reader has blocked WAL truncation",
        "A program has kept a query open for that long, so the log can't be emptied",
        "`fuser -v {root}/*.db` shows who has one open: end that query",
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
        "Correct FUTU_SYMBOLS, and restart the recorder. If a right is missing, get it from Futu: then nothing else is"
        " needed",
    ),
    Trouble.NO_QUOTA: Entry(
        "… symbols without quota",
        "The account's subscription quota is used up: one unit for each symbol, over all programs on this account",
        "End other programs that subscribe, and the recorder subscribes these by itself; or get a larger quota from"
        " Futu; or shorten FUTU_SYMBOLS, and restart the recorder",
    ),
    Trouble.PREMISE_FAILED: Entry(
        "… premises failed",
        "OpenD behaves differently from what is assumed; what depends on that is switched off for the symbol",
        "`premise_failed` in the log names it; `hk-tick-collector audit` says what is not proven now",
    ),
}

VERIFY: Final = {
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
