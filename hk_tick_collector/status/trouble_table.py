"""Every trouble that is reported about a recorder: how it shows, what causes it, and what to do about it.

Owns the words for cause and cure, once for all: `status`, the supervisor's status line, health's reasons and `verify`
take them from here, and docs/operations.md opens with the same table (a test compares them). Pure. Invariant: nothing
is reported without a cure, since a finding can't be made without its trouble.
"""

from __future__ import annotations

from typing import Final

from hk_tick_collector.status.trouble_table_storing import MAKE_SPACE, STORING, VERIFY
from hk_tick_collector.status.troubles import Effect, Entry, Trouble

START: Final = "`systemctl start hk-tick-collector`, or `hk-tick-collector run` without systemd"
ROOT: Final = "DATA_ROOT"

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
        "It was stopped",
        "Start it: {start}",
        Effect.STOPPED,
    ),
    Trouble.ENDED: Entry(
        "no recorder is running: did not stop cleanly, or by a fault",
        "It was killed (`kill -9`, or no memory was left), the machine went down, or a fault has ended it",
        "Start it: {start}. The end of its log says why it ended; `dmesg` says if memory ran out",
        Effect.STOPPED,
    ),
    Trouble.NOT_RUNNING_FULL: Entry(
        "no recorder is running, and the disk is full",
        "The file system of `DATA_ROOT` has no space left: a recorder that is started now holds ticks in memory only",
        f"{MAKE_SPACE}. Then start it: {{start}}",
        Effect.STOPPED,
    ),
    Trouble.WRONG_SETTING: Entry(
        "no recorder is running: it refused to start: …",
        "A setting or file is wrong (exit code 2), and the line that says which is shown. systemd does not try again",
        "Do what the line says (settings are in /etc/hk-tick-collector.env), then {start}. If no line is shown:"
        " `journalctl -u hk-tick-collector -n 20`",
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
        MAKE_SPACE,
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
        "Start OpenD there: the recorder then connects by itself. Or correct FUTU_HOST and FUTU_PORT, and restart the"
        " recorder",
        Effect.STOPPED,
    ),
    Trouble.OPEND_HANGS: Entry(
        "OpenD not connected: no answer, or a dead link",
        "OpenD accepts the connection and then says nothing: it hangs, or the network swallows what it sends",
        "Restart OpenD: end its process, with `kill -9` if need be, and start it again. The recorder then connects by"
        " itself. If that does not help, check the network in between",
        Effect.STOPPED,
    ),
    Trouble.OPEND_CLOSES: Entry(
        "OpenD not connected: connection closed by OpenD, again and again, or a protocol error",
        "Another program has that port; or only one of OpenD and the recorder has an RSA key, or they have two",
        "Set FUTU_PORT to OpenD's api_port (11111 if it names none), not to its telnet or WebSocket port; set"
        " FUTU_RSA_KEY_FILE to the key in OpenD's rsa_private_key, or to nothing if OpenD has none. Then"
        " restart the recorder",
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
        "Close that login. If no tick comes within a minute, run `request_highest_quote_right` on OpenD's telnet port"
        " (telnet_port in its settings), or restart OpenD",
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
        "no symbol is subscribed, … after OpenD was connected",
        "OpenD does not answer the subscription, or does not say which symbols a plate has",
        "Look for `subscribe_retry_failed`, `plate_refused` and `futu_disconnected` in the log; restart OpenD",
        Effect.STOPPED,
    ),
    Trouble.ALL_REFUSED: Entry(
        "no symbol is subscribed: … symbols refused",
        "OpenD does not know any of these codes, or the account has no right to them; its reason is shown",
        "Correct FUTU_SYMBOLS, and restart the recorder. If a right is missing, get it from Futu: then nothing else is"
        " needed",
        Effect.STOPPED,
    ),
    Trouble.ALL_WITHOUT_QUOTA: Entry(
        "no symbol is subscribed: … symbols without quota",
        "Other programs on this account have used up its subscription quota: one unit for each symbol",
        "End other programs that subscribe: the recorder then subscribes by itself. Or get a larger quota from Futu",
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

ENTRIES: Final[dict[Trouble, Entry]] = {**_PRESENCE, **_OPEND, **STORING, **VERIFY}


def cure(trouble: Trouble, start: str = START, root: str = ROOT) -> str:
    """What to do about a trouble, as a sentence.

    Args:
        trouble: which one.
        start: how the recorder is started on this machine.
        root: where it records.
    """
    return ENTRIES[trouble].cure.replace("{start}", start).replace("{root}", root)


def effect(trouble: Trouble) -> Effect:
    """What a trouble does to the recording."""
    return ENTRIES[trouble].effect
