"""Mixtures of faults by a seed: a recorder that goes through one after the other, and what must be true after each.

A lane is one simulator and one recorder, which live on from mixture to mixture, since to start them takes longer than
most mixtures do. Several lanes run side by side, each with another kind of ordinals, with audits or without.

After each mixture every trade is stored or inside an open gap, a gap's cause is that of the fault that did it, and no
gap says that it was filled while it was not. An open gap has a trade in it that was lost; where none was, that is
kept. What OpenD itself misses may be missed while nobody is there to be told of it.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from random import Random
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from hk_tick_collector.journal.events import Cause, gravest
from hk_tick_collector.simulator.universe import universe
from support.calm import calm, show_types
from support.gap_row import GapRow
from support.needs import mount
from support.recorder_process import RecorderProcess, until
from support.simulator_process import SimulatorProcess
from support.trading_time import JumpingClock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hk_tick_collector.simulator.ledger import Key

SYMBOLS: Final = universe(3, 0)
ORDINALS: Final = ("contiguous", "sparse", "none")
DISK_BYTES: Final = 160 << 20
# Ticks are timed by the second, and what was under way when a fault began is older than it.
SLACK_MS: Final = 2000
BUFFER_TICKS: Final = 18_000  # more than JOURNAL_BUFFER_MB=1 holds
DECIDED_SEC: Final = 30.0
CALM_ROUNDS: Final = 4  # of each symbol
IDLE_SEC: Final = 5.0

# Why a trade is not stored, where the simulator's ledger says it.
_CAUSE_OF = {
    "upstream": Cause.EXCHANGE_LOST,
    "down": Cause.OPEND_DOWN,
    "restart": Cause.OPEND_DOWN,
    "withheld": Cause.UNKNOWN,
    "lost": Cause.UNKNOWN,
}
# OpenD itself never heard of these; the others were in its memory.
_NEVER_HEARD = {"upstream", "down", "withheld"}
# While these are going on, a recorder does not hear what happens to OpenD.
_NOT_CONNECTED = {
    *("cut", "garbage", "bad_hash", "oversize"), *("refuse", "down", "restart", "recorder_down", "journal_full")
}  # fmt: skip


class Trade(NamedTuple):
    """One that was made, as far as its loss goes; `why` it can be lost: by the ledger, or None."""

    ts_ms: int
    volume: int
    why: str | None


class Fault:
    """One that was done. It is over when all is fetched that it had kept away."""

    def __init__(self, kind: str, cause: Cause, begin_ms: int) -> None:
        self.kind = kind
        self.cause = cause
        self.begin_ms = begin_ms
        self.end_ms: int | None = None

    def touches(self, begin_ms: int, end_ms: int) -> bool:
        """Whether it was going on at some moment of that time, about."""
        own_end_ms = end_ms if self.end_ms is None else self.end_ms
        return self.begin_ms - SLACK_MS <= end_ms and begin_ms <= own_end_ms + SLACK_MS

    def __repr__(self) -> str:
        return f"{self.kind}({self.cause} {self.begin_ms}…{self.end_ms})"


class Lane:
    """A simulator and a recorder, with a disk of their own."""

    def __init__(self, directory: Path, number: int) -> None:
        """Start both, and wait until the day's beginning is proven. The number decides what they are like."""
        directory.mkdir()
        self._directory = directory
        self.ordinals = ORDINALS[number % 3]
        self.has_audits = bool(number // 3 % 2)
        self.depth = 1000 if number in {2, 3} else 200  # a window that is passed by fewer trades saves them
        self.log: list[str] = []
        self.idle: list[str] = []  # open gaps in which nothing is missing
        self._faults: list[Fault] = []
        self._made: dict[Key, Trade] = {}  # in this mixture
        self._read_to = 0
        self._base: dict[str, int] = {}  # the last sequence of the mixtures before
        self._lost: set[Key] = set()  # of this mixture
        self._gone: set[Key] = set()  # of the mixtures before; an audit may bring some of it yet
        self._seen: set[tuple[str, int, str]] = set()  # gaps of the mixtures before
        self._endless: set[tuple[str, int, str]] = set()  # of those, that end with the first tick of this one
        self._open: dict[tuple[str, int, str], list[Key]] = {}  # what those lack that are open
        self._ends: list[Callable[[], None]] = []
        self._clock = JumpingClock(directory)
        self._begin_ms = 0  # of this mixture
        (directory / "recorder").mkdir()
        mount(directory / "recorder", f"size={DISK_BYTES}")
        self.sim = SimulatorProcess(
            directory,
            *("--now", "--hold", "--rate", "30", "--symbols", str(len(SYMBOLS)), "--no-rate-limits"),
            *("--ordinals", self.ordinals),
            env=self._clock.env,
        )
        self.recorder = RecorderProcess(directory, 0, SYMBOLS)
        try:
            self._begin()
        except BaseException:
            self.end()
            raise

    def _begin(self) -> None:
        self.sim.start()
        self.recorder = RecorderProcess(
            self._directory,
            self.sim.port,
            SYMBOLS,
            **self._clock.env,
            FUTU_TOTALS_INTERVAL_SEC=0.4,
            FUTU_POLL_ENABLED=str(self.has_audits).lower(),
            BACKFILL_N=self.depth,
            RECONNECT_MAX_DELAY=0.4,
            JOURNAL_BUFFER_MB=1,
            STOP_FLUSH_TIMEOUT_SEC=10,
        ).start()
        self.recorder.wait_for("backfill_done")
        self.sim.command("burst", ticks=400)  # enough for ordinals to be measured
        for symbol in SYMBOLS:
            show_types(self._clock, self.sim, SYMBOLS)
            self._calm(symbol)
        self.settle()

    def end(self) -> None:
        """End what runs, and give the disk back."""
        self.recorder.end()
        self.sim.stop()
        subprocess.run(["umount", "-l", self._directory / "recorder"], check=False, capture_output=True)

    # ---- a mixture

    def run(self, seed: int) -> None:
        """Go through the mixture of a seed. AssertionError with what is wrong after it."""
        random = Random(seed)
        self._begin_ms = self._now_ms() - 1000
        self.log = [f"seed {seed}, {self.ordinals} ordinals, audits {self.has_audits}, depth {self.depth}"]
        self.sim.command("resume")
        kinds = list(_KINDS)
        for _ in range(random.randint(2, 4)):
            random.shuffle(kinds)
            next(kind for kind in kinds if _KINDS[kind](self, random))
            if ticks := random.choice([0, 20, 60, self.depth * 5 // 4, self.depth * 3 // 2]):
                self._tell("burst", ticks=ticks, symbols=[random.choice([SYMBOLS[0], *SYMBOLS])])
            time.sleep(random.choice([0.0, 0.1, 0.3, 1.0]))
            if random.random() < 0.6:
                self._finish()
        self._finish()
        self.settle()

    def _tell(self, command: str, **fields: object) -> bool:
        answer = self.sim.try_command(command, **fields)
        self.log.append(f"{self._now_ms()} {command} {fields} → {answer}")
        return bool(answer["ok"])

    def _now_ms(self) -> int:
        return self._clock.now_ms

    def _calm(self, symbol: str) -> None:
        calm(self._clock, self.sim, self.recorder, symbol, len(SYMBOLS))

    def _did(self, kind: str, cause: Cause) -> None:
        self._faults.append(Fault(kind, cause, self._now_ms()))

    def _finish(self) -> None:
        """End what does not end by itself, and wait until the recorder has everything again that it can have."""
        while self._ends:
            self._ends.pop()()
        if not self.recorder.is_running:
            self.recorder.start()
        self.sim.wait_for(lambda stats: not stats["faults"])
        open_faults = [fault for fault in self._faults if fault.end_ms is None]
        if open_faults:
            # The same stream of pushes, or a backfill after all of them: then a trade that is made now is pushed.
            self.sim.wait_for(lambda stats: stats["subscribed"] == len(SYMBOLS))
            time.sleep(0.1)
            for fault in open_faults:
                fault.end_ms = self._now_ms()

    # ---- the kinds of faults; each tells whether it could be done

    def _is_connected(self) -> bool:
        return self.recorder.is_running and self.sim.stats()["subscribed"] == len(SYMBOLS)

    def cut(self, random: Random) -> bool:
        """The connection ends, in one of the ways in which they do."""
        command: str
        fields: dict[str, Any]
        command, fields = random.choice(
            [("cut", {}), ("cut", {"mid_frame": True}), ("garbage", {}), ("bad_hash", {}), ("oversize", {})]
        )
        self._did(command, Cause.CONNECTION_LOST)
        return self._done(self._is_connected() and self._tell(command, **fields))

    def refuse(self, random: Random) -> bool:
        """OpenD can't be reached; it hears the exchange, or not."""
        sec, keeps = round(random.uniform(0.6, 1.2), 1), random.random() < 0.5
        if not keeps and not self._is_connected():
            return False
        self._did("refuse" if keeps else "down", Cause.OPEND_DOWN)
        return self._done(self._tell("refuse", sec=sec, keep_cache=keeps))

    def restart(self, random: Random) -> bool:
        """OpenD is gone for a while and remembers nothing."""
        self._did("restart", Cause.OPEND_DOWN)
        return self._done(self._tell("restart", sec=round(random.uniform(0.6, 1.2), 1)))

    def outage(self, random: Random) -> bool:
        """OpenD does not hear the exchange."""
        if not self._is_connected():
            return False
        self._did("outage", Cause.EXCHANGE_LOST)
        return self._done(self._tell("outage", sec=round(random.uniform(0.3, 1.2), 1)))

    def kick(self, random: Random) -> bool:
        """Another login has the quote right."""
        self._did("kick", Cause.KICKED_OUT)
        return self._done(self._tell("kick", sec=round(random.uniform(0.3, 1.2), 1)))

    def recorder_down(self, random: Random) -> bool:
        """The recorder is killed, or stopped, and is started again later."""
        if not self.recorder.is_running:
            return False
        self._did("recorder_down", Cause.RECORDER_DOWN)
        if random.random() < 0.7:
            self.log.append(f"{self._now_ms()} kill")
            self.recorder.kill_all()
        else:
            self.log.append(f"{self._now_ms()} stop")
            said = self._said_not_stored()
            code = self.recorder.stop()
            is_told = self._said_not_stored() > said  # the disk was full: then it must end with 1
            assert code == int(is_told), f"exit {code}, said {is_told}: {self._tale()}"
        return True

    def _said_not_stored(self) -> int:
        """How often a recorder has said that it could not store everything before it ended."""
        return sum(len(self.recorder.log_lines(event)) for event in ("stop_flush_timeout", "stop_journal_timeout"))

    def journal_full(self, random: Random) -> bool:
        """No byte fits on the disk, what is held in memory is full, and then the connection ends."""
        if random.random() < 0.5 or not self._is_connected():  # it takes long
            return False
        self._did("journal_full", Cause.JOURNAL_FULL)
        self.log.append(f"{self._now_ms()} journal_full")
        said = len(self.recorder.log_lines("journal_full"))
        ballast = self.recorder.data_root / "ballast"
        with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            for size in (1 << 20, 4096):
                with contextlib.suppress(OSError):
                    while True:
                        file.write(bytes(size))
        self._ends.append(ballast.unlink)

        def is_full() -> bool:
            if len(self.recorder.log_lines("journal_full")) > said:
                return True
            self.sim.command("burst", ticks=BUFFER_TICKS // 3, paced=False)
            time.sleep(0.2)  # so much is received meanwhile
            return False

        until(is_full, self._tale, DECIDED_SEC)
        return self._tell("cut")

    def lose(self, random: Random) -> bool:
        """Pushes don't come."""
        self._did("lose", Cause.UNKNOWN)
        return self._done(self._is_connected() and self._tell("lose", n=random.randint(1, 4), timeout_sec=3))

    def withhold(self, random: Random) -> bool:
        """Trades never reach OpenD."""
        self._did("withhold", Cause.UNKNOWN)
        return self._done(self._tell("withhold", n=random.randint(1, 3), timeout_sec=3))

    def harmless(self, random: Random) -> bool:
        """Pushes come twice or in another order: nothing is missing.

        None comes again with other content: then totals bound a loss no closer than what the revision may hide, for the
        rest of the day. `tests/worlds` has such days.
        """
        command = random.choice(["duplicate", "reorder"])
        return self._is_connected() and self._tell(command, n=random.randint(2, 6))

    def _done(self, done: bool) -> bool:  # noqa: FBT001
        if not done:
            self._faults.pop()
        return done

    # ---- what must be true

    def settle(self) -> None:
        """Let calm moments tell what is missing, until each trade is stored or explained, and nothing else is said."""

        def decided() -> bool:
            self._read_ledger()
            doubted = {symbol for symbol, *_ in self._doubts()} - self._told_by_ordinals()
            return (self.ordinals == "none" or not doubted) and not self._unexplained()

        for number, symbol in enumerate(SYMBOLS * CALM_ROUNDS):
            if number > 1 and decided():
                break
            self._calm(symbol)

        def idle() -> list[GapRow]:
            self._lost = self._missing()
            return [gap for gap in self._news() if gap.state == "open" and not self._lacks(gap)]

        until(decided, self._tale, DECIDED_SEC)
        with contextlib.suppress(AssertionError):
            until(lambda: not idle(), "", IDLE_SEC)
        for symbol in SYMBOLS * 2:  # an audit has brought what was missing: totals tell it in calm moments
            if not idle():
                break
            self._calm(symbol)
            self._read_ledger()
        if not self.has_audits:  # what an audit brings while a gap is being found may leave it open until the day's end
            self.idle += [f"{gap}\n{self._history(gap)}\n{self._tale()}" for gap in idle()]
        wrong = [f"{gap}: {problem}" for gap in self._news() if self._lost_in(gap) and (problem := self._problem(gap))]
        by_ordinals = self._told_by_ordinals()
        untold = {key for key in self._lost if key[0] not in by_ordinals and not self._is_told(key)}
        if untold := sorted(untold & self._missing()):  # an audit may just have brought it
            wrong.append(f"of {len(untold)} no gap tells the cause: {[(key, self._made[key]) for key in untold[:5]]}")
        wrong += [
            f"{gap}: it is filled, and lacks {lacks}" for gap in self.gaps() if (lacks := self._wrongly_filled(gap))
        ]
        assert not wrong, "\n".join([*wrong, self._tale()])
        self._open.update({gap.key: self._lost_in(gap) for gap in self._news() if gap.state == "open"})
        self._seen = {gap.key for gap in self.gaps()}
        self._gone |= self._lost
        self._endless = {gap.key for gap in self.gaps() if gap.after_seq is None}
        for symbol, seq in self._made:
            self._base[symbol] = max(seq, self._base.get(symbol, 0))
        self._made.clear()

    def _news(self) -> list[GapRow]:
        """The gaps that this mixture has brought: those before were looked at in theirs."""
        return [gap for gap in self.gaps() if gap.key not in self._seen]

    def _wrongly_filled(self, gap: GapRow) -> int:
        """How many of the ticks that an older gap lacked are still missing, and in no other, though it says so."""
        if gap.state != "filled" or gap.key not in self._open:
            return 0
        lacked = self._open.pop(gap.key)
        is_open = [other for other in self.gaps() if other.state == "open"]
        alone = {key for key in lacked if not any(other.covers(key) for other in is_open)}
        return len(alone) - len(self._stored_of(alone))

    def gaps(self) -> list[GapRow]:
        """The ledger of the recorder."""
        return [GapRow(*row) for row in self.recorder.query(f"SELECT {', '.join(GapRow._fields)} FROM gaps")]  # noqa: S608

    def _doubts(self) -> list[tuple[Any, ...]]:
        return self.recorder.query("SELECT * FROM doubts")

    def _totals(self) -> list[tuple[Any, ...]]:
        return self.recorder.query(f"SELECT * FROM exchange_totals WHERE at_ms >= {self._begin_ms}")  # noqa: S608

    def _problem(self, gap: GapRow) -> str | None:
        """What is wrong with a gap, if anything is: it need not be the gap of all that is missing within its bounds."""
        if gap.state == "filled":
            return None
        inside = self._lost_in(gap)
        if not any(self._fits(gap, key) for key in inside):
            return f"its cause is that of nothing in it; {self._faults}"
        is_counted = gap.missing is not None and gap.after_seq is not None  # without an end, more may be missing
        if is_counted and not self.has_audits and (gap.missing or 0) < len(inside):
            return f"{len(inside)} are missing in it"
        return None

    def _is_told(self, key: Key) -> bool:
        """Whether a gap has the cause of this one; those of the mixture before were looked at there."""
        covering = [gap for gap in self.gaps() if gap.state == "open" and gap.covers(key)]
        return any(gap.key in self._seen or self._fits(gap, key) for gap in covering)

    def _fits(self, gap: GapRow, key: Key) -> bool:
        """Whether a gap's cause is what kept this tick away, or a graver one of the same time, or of one outage."""
        trade = self._made[key]
        doers = self._doers(trade)
        if self.ordinals == "none":  # all since the day's beginning is one outage: nothing has bounded it from above
            return gap.cause in {Cause.RECORDER_DOWN, *doers, *(fault.cause for fault in self._faults)}
        near = {fault.cause for fault in self._near(trade.ts_ms, trade.ts_ms)}
        # Outages between which no totals could be compared are one, with the gravest of their causes.
        one_ms = gap.since_ms if gap.since_ms is not None else gap.resumed_ms
        near |= {fault.cause for fault in self._near(one_ms, gap.found_ms)}
        if Cause.KICKED_OUT in near and any(fault.kind in _NOT_CONNECTED for fault in self._near(one_ms, trade.ts_ms)):
            doers.add(Cause.EXCHANGE_LOST)  # who comes back then is told that OpenD is not logged in, and not why
        graver = {cause for cause in near if any(gravest(cause, doer) is cause for doer in doers)}
        return gap.cause in doers | graver

    def _lacks(self, gap: GapRow) -> bool:
        """Whether something is missing in a gap, that this mixture has lost or one before.

        Or was, by the simulator's own word: where gaps overlap, what has come late may have come into another one.
        """
        if self._lost_in(gap) or any(trade.why and gap.covers(key) for key, trade in self._made.items()):
            return True
        older = {key for key in self._gone if gap.covers(key)}
        return len(self._stored_of(older)) < len(older)

    def _lost_in(self, gap: GapRow) -> list[Key]:
        return [key for key in self._lost if gap.covers(key)]

    def _doers(self, trade: Trade) -> set[Cause]:
        near = self._near(trade.ts_ms, trade.ts_ms)
        told = _CAUSE_OF.get(trade.why or "")
        causes = {fault.cause for fault in near}
        if told is None:
            return causes
        if trade.why not in _NEVER_HEARD:  # it was in OpenD's memory: something else has kept it from being fetched
            return causes | {told}
        told_ones = {told, *(fault.cause for fault in near if fault.kind in {"kick", "outage"})}  # it names one of them
        # Whoever was not there can't know why OpenD has not heard of it.
        unseen = {fault.cause for fault in near if fault.kind in _NOT_CONNECTED and fault.cause is not told}
        return {*told_ones, Cause.UNKNOWN, *unseen} if unseen else told_ones

    def _near(self, begin_ms: int, end_ms: int) -> list[Fault]:
        return [fault for fault in self._faults if fault.touches(begin_ms, end_ms + 1000)]

    def _read_ledger(self) -> None:
        """Take in what was made since the last look."""
        self.sim.command("sync")
        with self.sim.ledger_path.open("rb") as file:
            file.seek(self._read_to)
            lines = file.readlines()
            self._read_to = file.tell()
        for line in lines:
            entry = json.loads(line)
            match entry["k"]:
                case "t":
                    self._made[entry["s"], entry["q"]] = Trade(entry["ts"], entry["v"], None)
                case "u" | "l":
                    key = entry["s"], entry["q"]
                    if key in self._made and self._made[key].why is None:
                        self._made[key] = self._made[key]._replace(why=entry.get("why", "lost"))

    def _missing(self) -> set[Key]:
        """What was made in this mixture and is not stored."""
        stored = {
            (symbol, seq)
            for symbol in SYMBOLS
            for (seq,) in self.recorder.query(
                f"SELECT seq FROM ticks WHERE symbol = '{symbol}' AND seq > {self._base.get(symbol, 0)}"  # noqa: S608
            )
        }
        return self._made.keys() - stored

    def _stored_of(self, keys: set[Key]) -> set[Key]:
        found = set()
        for symbol, seq in keys:
            if self.recorder.query(f"SELECT 1 FROM ticks WHERE symbol = '{symbol}' AND seq = {seq}"):  # noqa: S608
                found.add((symbol, seq))
        return found

    def _unexplained(self) -> set[Key]:
        missing = self._missing()
        if not missing:
            return set()
        news = {gap.key for gap in self._news()} | self._endless
        gaps = [gap for gap in self.gaps() if gap.state == "open" and (gap.key in news or gap.after_seq is None)]
        by_ordinals = self._told_by_ordinals()
        return {key for key in missing if key[0] not in by_ordinals and not any(gap.covers(key) for gap in gaps)}

    def _told_by_ordinals(self) -> set[str]:
        """Symbols with an open gap by ordinals of this mixture.

        Nobody knows its shares, so that totals tell no other loss until a calm moment has bounded them: docs/proof.md.
        """
        return {gap.symbol for gap in self._news() if gap.state == "open" and gap.evidence == "ordinals"}

    def _history(self, gap: GapRow) -> str:
        """What was ever known of a symbol in which a gap tells of nothing that is missing."""
        older = {key for key in self._gone if gap.covers(key)}
        where = f"WHERE symbol = '{gap.symbol}'"
        around = f"{where} AND seq BETWEEN {gap.before_seq or 0} AND {gap.after_seq or 1 << 62}"
        return "\n".join(
            [
                f"lost in it before: {len(older)}, of which {len(self._stored_of(older))} are stored",
                f"stored in it: {self.recorder.query(f'SELECT count(*) FROM ticks {around}')}",  # noqa: S608
                *(str(other) for other in self.gaps() if other.symbol == gap.symbol),
                f"decided: {self.recorder.query(f'SELECT * FROM decided {where}')}",  # noqa: S608
                f"ordinals: {self.recorder.query(f'SELECT * FROM ordinals {where}')}",  # noqa: S608
            ]
        )

    def _tale(self) -> str:
        """What has happened, for who must find out."""
        unexplained = sorted(self._unexplained())
        return "\n".join(
            [
                *self.log,
                f"faults: {self._faults[-8:]}",
                f"unexplained: {len(unexplained)} {[(k, self._made[k]) for k in unexplained[:5]]}",
                *(
                    f"nothing is missing in {gap}"
                    for gap in self._news()
                    if gap.state == "open" and not self._lacks(gap)
                ),
                f"doubts: {self._doubts()}",
                *(str(gap) for gap in self.gaps() if gap.resumed_ms >= self._begin_ms - 10_000),
                "exchange_totals:",
                *(str(row) for row in self._totals()),
                f"log: {self.recorder.log_path.read_text()[-6000:]}",
            ]
        )


_KINDS: Final[dict[str, Callable[[Lane, Random], bool]]] = {
    "cut": Lane.cut,
    "refuse": Lane.refuse,
    "restart": Lane.restart,
    "outage": Lane.outage,
    "kick": Lane.kick,
    "recorder_down": Lane.recorder_down,
    "journal_full": Lane.journal_full,
    "lose": Lane.lose,
    "withhold": Lane.withhold,
    "harmless": Lane.harmless,
}
