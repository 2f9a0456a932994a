"""`python -m bench`: each target of the README, measured on this machine, as a table.

The machine may be shared and noisy, so what counts are the ratios within this run. The simulator's frames are prepared
before each clock starts.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import apsw
from rich.console import Console
from rich.table import Table

from bench import proving, snapshots
from bench.rig import SYMBOLS, Receiver, Recorder, simulator, wait_until, write_symbols
from hk_tick_collector.db import _INSERT_NEW, DayDatabase, Pragmas
from hk_tick_collector.store.opening import open_readonly
from hk_tick_collector.store.schema import day_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PROBE_SYMBOL = "HK.00700"
PARTS = ("journal", "stored", "sdk", "latency", "audit", "snapshots", "proof", "day")
STORED = "SELECT sum(rows) FROM symbol_stats"


class Figure(NamedTuple):
    """One line of the table. `ok` is None where there is no target."""

    name: str
    value: float
    unit: str
    target: str
    ok: bool | None


class Bench:
    """All measurements of one run."""

    def __init__(self, directory: Path, *, scale: float, rounds: int) -> None:
        self.directory = directory
        self.symbols = write_symbols(directory)
        self.rounds = rounds
        self.burst = int(600_000 * scale)
        self.probes = int(400 * scale)
        self.proven = int(1_000_000 * scale)
        self.day_sec = 120 * scale

    def journal(self) -> Iterator[Figure]:
        """Socket → journal."""
        rates = [self._receive("journal", self.burst) for _ in range(self.rounds)]
        rate = statistics.median(rates)
        yield Figure("socket → journal", rate, "frames/s", "≥ 300,000", rate >= 300_000)

    def stored(self) -> Iterator[Figure]:
        """Socket → committed with FULL, beside apsw alone on the same rows."""
        ours, alone = [], []
        for number in range(self.rounds):
            root = self.directory / f"stored{number}"
            ours.append(self._store(root))
            alone.append(self._apsw_alone(root))
        rate, ratio = statistics.median(ours), statistics.median(a / b for a, b in zip(ours, alone, strict=True))
        yield Figure("socket → committed, FULL", rate, "ticks/s", "≥ 100,000", rate >= 100_000)
        yield Figure("apsw alone, same rows, schema, pragmas", statistics.median(alone), "ticks/s", "", None)
        yield Figure("  ours / apsw alone", 100 * ratio, "%", "≥ 50", ratio >= 0.5)

    def sdk(self) -> Iterator[Figure]:
        """The official SDK's handler on the same frames."""
        bare = self._receive("sdk", 20_000)
        frames = self._receive("sdk-frames", 4_000)
        yield Figure("futu-api handler, bare", bare, "ticks/s", "", None)
        yield Figure("futu-api handler, DataFrames", frames, "ticks/s", "", None)

    def latency(self) -> Iterator[Figure]:
        """Push → readable by another process, at 2,000 ticks/s over 900 symbols; CPU; memory; bytes a tick."""
        root = self.directory / "latency"
        with simulator(self.directory, "--now", "--rate", "2000", name="latency") as sim:
            with Recorder(root, sim.port, self.symbols) as recorder:
                sim.command("resume")
                wait_until(lambda: recorder.rows() > 4000, 60)
                rows, cpu = recorder.rows(), recorder.cpu_sec()
                waits_ms = sorted(self._probe(sim.command, root) for _ in range(self.probes))
                per_million = (recorder.cpu_sec() - cpu) / (recorder.rows() - rows) * 1e6
                pss_mb = recorder.pss_mb()
                sim.command("pause")
            size, rows = self._size(root)
        p50, p99 = waits_ms[len(waits_ms) // 2], waits_ms[int(len(waits_ms) * 0.99)]
        yield Figure("push → readable elsewhere, p50, at 2,000 ticks/s", p50, "ms", "≤ 150", p50 <= 150)
        yield Figure("push → readable elsewhere, p99", p99, "ms", "≤ 300", p99 <= 300)
        yield Figure("CPU of both processes", per_million, "s / million ticks", "", None)
        yield Figure("memory of both processes (Pss)", pss_mb, "MB", "≤ 100", pss_mb <= 100)
        yield Figure("database", size / rows, "bytes a tick", "≤ 90", size / rows <= 90)

    def audit(self) -> Iterator[Figure]:
        """One audit of all symbols as it is paced by default, and what it costs beside the same stream without it."""
        with simulator(self.directory, "--now", "--rate", "500", name="audit") as sim:
            sim.command("resume")
            with Recorder(self.directory / "audit", sim.port, self.symbols) as recorder:
                cycle_sec, audited_sec = self._audit_cycle(sim.command, recorder)
            with Recorder(self.directory / "alone", sim.port, self.symbols, FUTU_POLL_ENABLED="false") as recorder:
                time.sleep(2.0)
                cpu = recorder.cpu_sec()
                time.sleep(cycle_sec)
                cpu_sec = audited_sec - (recorder.cpu_sec() - cpu)
            sim.command("pause")
        yield Figure(f"audit cycle, {SYMBOLS} symbols", cycle_sec, "s", "≤ 30", cycle_sec <= 30)
        yield Figure("  CPU of both processes for it", cpu_sec, "s", "", None)

    def _audit_cycle(self, command: Callable[..., dict[str, object]], recorder: Recorder) -> tuple[float, float]:
        """Seconds from the first call of a cycle to its last, and the recorder's CPU seconds meanwhile, for all."""

        def asked() -> int:
            return int(str(command("stats")["get_ticker"]))

        for _ in range(2):  # the first is deeper: it has no audit before it to go by
            before = asked()
            wait_until(lambda before=before: asked() > before, 90)  # type: ignore[misc]
            began, cpu = time.perf_counter(), recorder.cpu_sec()
            wait_until(lambda before=before: asked() >= before + SYMBOLS, 90)  # type: ignore[misc]
            cycle = time.perf_counter() - began, recorder.cpu_sec() - cpu
        return cycle

    def snapshots(self) -> Iterator[Figure]:
        """What a snapshot of 900 symbols costs the writer, at 150 ticks/s."""
        costs = snapshots.measure(self.directory / "snapshots")
        name = f"snapshot of {snapshots.SYMBOLS} symbols: the writer's CPU, p50"
        yield Figure(name, costs.median_ms, "ms", "≤ 100", costs.median_ms <= 100)
        yield Figure("  at most", costs.most_ms, "ms", "", None)
        yield Figure(f"  where {costs.gaps:,} gaps are found at once", costs.gaps_ms, "ms", "", None)

    def proof(self) -> Iterator[Figure]:
        """The hashes of a whole day, from SQLite and from its Parquet file, on one core."""
        costs = proving.measure(self.directory / "proof", self.proven, self.rounds)
        rates = {name: costs.ticks / getattr(costs, name) for name in ("hashes", "quarters", "file", "writing")}
        yield Figure("hashes of a day from SQLite", rates["hashes"], "ticks/s", "", None)
        ratio = costs.quarters / costs.hashes
        yield Figure("  by quarter-hour as well, of its time", 100 * ratio, "%", "≤ 110", ratio <= 1.1)
        yield Figure("verify FILE.parquet, with all checks", rates["file"], "ticks/s", "", None)
        ratio = rates["file"] / rates["hashes"]
        yield Figure("  as fast as from SQLite", ratio, "times", "≥ 1.3", ratio >= 1.3)
        yield Figure("writing FILE.parquet", rates["writing"], "ticks/s", "", None)
        ratio = costs.writing / costs.hashes
        yield Figure("  of the time of the hashes", 100 * ratio, "%", "≤ 200", ratio <= 2)
        yield Figure("FILE.parquet", costs.file_bytes / costs.ticks, "bytes a tick", "", None)
        yield Figure("side file of the certificate", costs.side_bytes / 1e6, "MB", "", None)

    def day(self) -> Iterator[Figure]:
        """Memory over a simulated day: it must not grow with what was recorded."""
        root = self.directory / "day"
        speed = 8 * 3600 / self.day_sec
        day = ("--date", "20260616", "--start", "09:00", "--stay")
        args = (*day, "--speed", f"{speed:.0f}", "--ticks-per-day", "1000000")
        samples: list[float] = []
        with simulator(self.directory, *args, name="day") as sim, Recorder(root, sim.port, self.symbols) as recorder:
            sim.command("resume")

            def done() -> bool:
                if recorder.rows() > 10_000:
                    samples.append(recorder.pss_mb())
                return bool(sim.command("stats")["done"])

            wait_until(done, self.day_sec * 4 + 60, every_sec=1.0)
            rows = recorder.rows()
        first, last = statistics.median(samples[: len(samples) // 4]), statistics.median(samples[-len(samples) // 4 :])
        yield Figure(f"memory at most, over a day of {rows:,} ticks", max(samples), "MB", "≤ 100", max(samples) <= 100)
        yield Figure("  growth, last quarter over first", 100 * (last / first - 1), "%", "≤ 15", last <= first * 1.15)

    def _receive(self, kind: str, ticks: int) -> float:
        """Ticks per second of one of bench.receivers."""
        with tempfile.TemporaryDirectory(dir=self.directory) as name:
            directory = Path(name)
            with simulator(directory, "--now", "--rate", "1") as sim:
                receiver = Receiver(kind, sim.port, ticks, self.symbols, directory)
                receiver.wait_ready()
                sim.command("pause")
                sim.command("burst", ticks=ticks)
                told = receiver.result()
        return float(told["ticks"] / told["sec"])

    def _store(self, root: Path) -> float:
        with (
            simulator(self.directory, "--now", "--rate", "1", name=root.name) as sim,
            Recorder(root, sim.port, self.symbols) as recorder,
        ):
            sim.command("pause")
            sim.command("tick", symbol=PROBE_SYMBOL)  # makes the day's database
            wait_until(lambda: recorder.rows() > 0, 10)
            con = open_readonly(day_files(root)[-1])
            wanted = con.execute(STORED).get + self.burst
            answer = sim.command("burst", ticks=self.burst)
            began = time.perf_counter() - answer["write_sec"]
            # Looking takes CPU from those that are looked at: seldom, and little.
            wait_until(lambda: con.execute(STORED).get >= wanted, 120, every_sec=0.05)
            rate = self.burst / (time.perf_counter() - began)
            con.close()
            return rate

    def _apsw_alone(self, root: Path) -> float:
        """The same rows in the same transactions, from memory, by apsw and nothing else."""
        con = open_readonly(day_files(root)[-1])
        batches: dict[int, list[tuple[object, ...]]] = {}
        columns = "symbol, seq, ts_ms, price, volume, turnover, direction_id, tick_type_id, push_type_id, push_data_type, recv_ts_ms, inserted_at_ms"  # noqa: E501
        for row in con.execute(f"SELECT {columns} FROM ticks ORDER BY inserted_at_ms, recv_ts_ms, seq"):  # noqa: S608
            batches.setdefault(row[-1], []).append(row)
        con.close()
        alone = root / "alone"
        alone.mkdir()
        database = DayDatabase(alone / "20260101.db", Pragmas())
        began = time.perf_counter()
        for rows in batches.values():
            database._con.execute("BEGIN IMMEDIATE")
            database._con.executemany(_INSERT_NEW, rows)
            database._con.execute("COMMIT")
        rate = sum(map(len, batches.values())) / (time.perf_counter() - began)
        database.close()
        return rate

    def _probe(self, command: Callable[..., dict[str, object]], root: Path) -> float:
        """One tick: from just before it is pushed until another process (this one) can read it, in ms."""
        con = open_readonly(day_files(root)[-1])
        began = time.perf_counter()
        seq = command("tick", symbol=PROBE_SYMBOL)["seq"]
        query = "SELECT 1 FROM ticks WHERE symbol = ? AND seq = ?"
        while not con.execute(query, (PROBE_SYMBOL, seq)).fetchall():
            time.sleep(0.002)
        waited_ms = (time.perf_counter() - began) * 1000
        con.close()
        time.sleep(0.037)  # not in step with the commits
        return waited_ms

    def _size(self, root: Path) -> tuple[int, int]:
        path = day_files(root)[-1]
        con = open_readonly(path)
        rows = con.execute("SELECT count(*) FROM ticks").get
        con.close()
        return path.stat().st_size, rows


def main() -> int:
    """Measure, show, and say by the exit code whether every target was met."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--only", choices=PARTS, action="append")
    parser.add_argument("--scale", type=float, default=1.0, help="less is faster and noisier")
    parser.add_argument("--rounds", type=int, default=3, help="of the throughput measurements; the median counts")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    console = Console(stderr=True)
    directory = Path(tempfile.mkdtemp(prefix="bench-", dir=Path.cwd()))
    figures: list[Figure] = []
    try:
        bench = Bench(directory, scale=args.scale, rounds=args.rounds)
        for name in args.only or PARTS:
            with console.status(f"measuring {name} …"):
                figures += getattr(bench, name)()
    finally:
        shutil.rmtree(directory)
    if args.json:
        print(json.dumps([figure._asdict() for figure in figures], indent=2))
    else:
        show(figures)
    return 0 if all(figure.ok is not False for figure in figures) else 1


def show(figures: list[Figure]) -> None:
    """The table for people."""
    table = Table(title=f"SQLite {apsw.sqlite_lib_version()}, Python {sys.version.split()[0]}", header_style="bold")
    table.add_column("what")
    table.add_column("measured", justify="right")
    table.add_column("unit")
    table.add_column("target", justify="right")
    table.add_column("")
    for figure in figures:
        digits = 0 if figure.value >= 1000 else 1
        mark = {True: "[green]met[/]", False: "[red]missed[/]", None: ""}[figure.ok]
        table.add_row(figure.name, f"{figure.value:,.{digits}f}", figure.unit, figure.target, mark)
    Console(width=110).print(table)


if __name__ == "__main__":
    sys.exit(main())
