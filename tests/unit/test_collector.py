"""The recorder's end of the persist loop: a writer that dies is built again, and no end loses what is journaled."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from typing import TYPE_CHECKING, Any

import apsw
import pytest
from support.settings import writer_settings
from support.ticks import DAY, OPEN_MS, TENCENT, pushes, seq_at
from support.writer_process import WriterBench

from hk_tick_collector import collector as collector_module
from hk_tick_collector.collector import Collector
from hk_tick_collector.writer.progress import Counters, Message

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from pathlib import Path

pytestmark = pytest.mark.processes

WAIT_SEC = 60.0


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector_module, "RESTART_SEC_MIN", 0.05)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[WriterBench]:
    """A journal that is at work."""
    made = WriterBench(tmp_path)
    yield made
    made.end()


def collector_of(bench: WriterBench, **settings: Any) -> Collector:  # noqa: ANN401
    """A collector that is quick."""
    return Collector(
        writer_settings(
            bench.root,
            **{"max_wait_ms": 10, "busy_timeout_ms": 1000, "retry_backoff_sec": 0.05,
               "days_wait": False, **settings}
        )
    )  # fmt: skip


async def until(what: Callable[[], bool]) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(WAIT_SEC):
        while not what():  # noqa: ASYNC110 - it is another process that makes it true
            await asyncio.sleep(0.01)


def run(collector: Collector, work: Coroutine[Any, Any, None]) -> None:
    """Do something while the collector runs, which must have ended by itself then."""

    async def both() -> None:
        task = asyncio.create_task(collector.run())
        try:
            await work
            async with asyncio.timeout(WAIT_SEC):
                await task
        finally:
            task.cancel()

    asyncio.run(both())


def keys(ordinals: range) -> list[tuple[str, int]]:
    """What is stored of `pushes` of these."""
    return [(TENCENT, seq_at(n)) for n in ordinals]


@pytest.mark.parametrize("how", ["it dies", "recovery is asked for"])
def test_a_writer_that_ends_is_built_again_and_totals_go_on(bench: WriterBench, how: str) -> None:
    """The next writer goes on from the cursor, and what is told are totals over all of them."""
    collector = collector_of(bench)
    state = collector.state

    async def store(life: int) -> None:
        bench.feed(pushes(TENCENT, range(life * 100, life * 100 + 100)))
        await until(lambda: state.totals.inserted == life * 100 + 100)
        assert state.last_commit_monotonic is not None
        assert time.monotonic() - state.last_commit_monotonic < WAIT_SEC
        assert state.max_ts_ms == OPEN_MS

    async def end(life: int) -> None:
        pid = state.writer_pid
        assert pid is not None
        if how == "it dies":
            os.kill(pid, signal.SIGKILL)
        else:
            assert await collector.request_writer_recovery("test")
        await until(lambda: state.recoveries == life + 1)
        await until(lambda: state.writer_pid != pid)

    async def work() -> None:
        await store(0)
        await end(0)
        await store(1)
        await end(1)
        await store(2)
        assert await collector.stop(WAIT_SEC)

    run(collector, work())
    assert state.recoveries == 2
    assert state.totals.inserted == state.totals.rows == 300
    assert bench.keys() == keys(range(300))


def test_recovery_of_a_writer_that_is_not_there_does_nothing(bench: WriterBench) -> None:
    """Asking for a recovery before the first writer was started is harmless."""
    assert asyncio.run(collector_of(bench).request_writer_recovery("test"))
    assert bench.keys() == []


def test_a_recovery_does_not_wait_for_the_backoff(bench: WriterBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither one that ends the writer, nor one that is asked for while a dead writer's next is held back."""
    monkeypatch.setattr(collector_module, "RESTART_SEC_MIN", 10 * WAIT_SEC)
    monkeypatch.setattr(collector_module, "RESTART_SEC_MAX", 10 * WAIT_SEC)
    collector = collector_of(bench)
    state = collector.state

    async def store(count: int) -> None:
        bench.feed(pushes(TENCENT, range(count - 100, count)))
        await until(lambda: state.totals.inserted == count)

    async def work() -> None:
        await store(100)
        assert await collector.request_writer_recovery("it hangs")
        await store(200)
        assert state.dead_since is None
        assert collector.living_pid is not None
        os.kill(collector.living_pid, signal.SIGKILL)
        await until(lambda: state.dead_since is not None)
        assert collector.living_pid is None
        assert await collector.request_writer_recovery("it is gone")
        await store(300)
        assert await collector.stop(WAIT_SEC)

    run(collector, work())
    assert state.recoveries == 2
    assert bench.keys() == keys(range(300))


def test_a_writer_that_can_not_be_killed_is_a_failed_recovery(
    bench: WriterBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that waits for a disk outlives SIGKILL: that is told in time, and no second writer is started beside it."""
    monkeypatch.setattr(collector_module, "KILL_WAIT_SEC", 0.2)
    collector = Collector(writer_settings(bench.root, max_wait_ms=10), join_timeout_sec=0.2)

    async def work() -> None:
        task = asyncio.create_task(collector.run())
        await until(lambda: collector.state.last_alive_monotonic is not None)
        pid = collector.living_pid
        process = collector._process
        assert process is not None
        assert pid is not None
        kill = os.kill
        for owner in (type(process), collector_module.os):
            monkeypatch.setattr(owner, "kill", lambda *_args: None)
        kill(pid, signal.SIGSTOP)
        assert not await collector.request_writer_recovery("it hangs")
        assert collector.living_pid == collector.state.writer_pid == pid
        assert not await collector.stop(0.2), "a stop does not wait for it either"
        assert collector.living_pid == pid
        kill(pid, signal.SIGKILL)
        async with asyncio.timeout(WAIT_SEC):
            await task

    asyncio.run(work())


def test_each_commit_is_told_on(bench: WriterBench) -> None:
    """Whoever counts commits gets the time that each took, and its rows."""
    told: list[tuple[float, int]] = []
    collector = Collector(
        writer_settings(bench.root, max_wait_ms=10), on_commit=lambda ms, rows: told.append((ms, rows))
    )

    async def work() -> None:
        bench.feed(pushes(TENCENT, range(100)))
        await until(lambda: collector.state.totals.inserted == 100)
        assert await collector.stop(WAIT_SEC)

    run(collector, work())
    assert sum(rows for _, rows in told) == 100
    assert all(ms > 0 for ms, _ in told)


def test_a_reader_that_holds_the_wal_is_known_from_any_message(bench: WriterBench) -> None:
    """An idle writer tells of it too, and one of an older version, which tells nothing, is no fault."""
    state = (collector := collector_of(bench)).state
    collector._hear(Message("alive", wal_bytes=7, wal_held_sec=61.5))
    assert (state.wal_bytes, state.wal_held_sec) == (7, 61.5)
    collector._hear(Message("alive"))
    assert (state.wal_bytes, state.wal_held_sec) == (7, 61.5)


def test_writers_that_keep_dying_are_counted_until_one_lives(bench: WriterBench) -> None:
    """Each gives a sign of life as it begins, so that alone says nothing."""
    state = collector_of(bench).state
    state.deaths, state.started_monotonic = 2, 1000.0
    assert state.deaths_in_a_row(1010.0) == 2
    assert state.deaths_in_a_row(1100.0) == 0, "this one has lived for a while"
    state.dead_since = 1050.0
    assert state.deaths_in_a_row(1100.0) == 2


def test_an_error_of_the_writer_is_known(bench: WriterBench) -> None:
    """What the writer could not do is told with its time, and goes on being counted."""
    collector = collector_of(bench)
    state = collector.state
    (bench.root / f"{DAY}.db").mkdir()

    async def work() -> None:
        bench.feed(pushes(TENCENT, range(10)))
        await until(lambda: state.totals.errors >= 2)
        assert (state.last_exception or "").startswith("CantOpenError")
        assert state.last_exception_monotonic is not None
        (bench.root / f"{DAY}.db").rmdir()
        assert await collector.stop(WAIT_SEC)

    run(collector, work())
    assert bench.keys() == keys(range(10))


def test_a_stop_stores_all_that_the_journal_holds(bench: WriterBench) -> None:
    """Nothing that was appended before the stop is left."""
    collector = collector_of(bench, batch_size=100)

    async def work() -> None:
        await until(lambda: collector.state.last_alive_monotonic is not None)
        bench.feed(pushes(TENCENT, range(5000)))
        assert await collector.stop(WAIT_SEC)

    run(collector, work())
    assert bench.keys() == keys(range(5000))
    assert collector.state.totals.inserted == 5000


def test_a_stop_while_the_writer_is_being_started_stops_that_one(bench: WriterBench) -> None:
    """There are never two writers: a stop waits for the one that is on its way, and has it store all."""
    collector = collector_of(bench)
    bench.feed(pushes(TENCENT, range(100)))
    started: list[int | None] = []
    start = collector._start

    async def counting() -> asyncio.subprocess.Process:
        await asyncio.sleep(0.05)
        process = await start()
        started.append(process.pid)
        return process

    collector._start = counting  # type: ignore[method-assign]

    async def work() -> None:
        await asyncio.sleep(0)
        assert await collector.stop(WAIT_SEC)

    run(collector, work())
    assert len(started) == 1
    assert bench.keys() == keys(range(100))


def test_a_stop_before_the_start_still_stores(bench: WriterBench) -> None:
    """One that was never run has a writer store what the journal holds, and one that was stopped starts none."""
    collector = collector_of(bench)
    bench.feed(pushes(TENCENT, range(100)))

    async def work() -> None:
        assert await collector.stop(WAIT_SEC)
        await collector.run()

    asyncio.run(work())
    assert bench.keys() == keys(range(100))
    assert collector.state.totals.inserted == 100


def test_a_stop_after_the_writer_died_still_stores(bench: WriterBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the next writer is held back after a death, a stop starts one at once."""
    monkeypatch.setattr(collector_module, "RESTART_SEC_MIN", 1.0)
    collector = collector_of(bench)

    async def work() -> None:
        await until(lambda: collector.state.last_alive_monotonic is not None)
        pid = collector.state.writer_pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await until(lambda: collector.state.recoveries == 1)
        bench.feed(pushes(TENCENT, range(100)))
        assert await collector.stop(WAIT_SEC)

    run(collector, work())
    assert bench.keys() == keys(range(100))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_writer_that_somebody_ends_meanwhile_still_stores(bench: WriterBench, number: signal.Signals) -> None:
    """A stop that has begun goes on with another writer where one is killed, and wakes one that is stopped."""
    collector = collector_of(bench)

    async def work() -> None:
        await until(lambda: collector.state.last_alive_monotonic is not None)
        pid = collector.state.writer_pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)  # so that it can't end before
        bench.feed(pushes(TENCENT, range(100)))
        if number == signal.SIGKILL:
            os.kill(pid, number)
        assert await collector.stop(WAIT_SEC)

    run(collector, work())
    assert bench.keys() == keys(range(100))


def test_a_stop_with_a_locked_database_ends_in_time(bench: WriterBench) -> None:
    """What can't be stored in the time of the stop stays in the journal, and the next start stores it."""
    collector = collector_of(bench)
    con = apsw.Connection(str(bench.root / f"{DAY}.db"))

    async def work() -> None:
        bench.feed(pushes(TENCENT, range(100)))
        await until(lambda: collector.state.totals.inserted == 100)
        con.execute("BEGIN IMMEDIATE")
        bench.feed(pushes(TENCENT, range(100, 200)))
        await until(lambda: collector.state.totals.errors > 0)
        started = time.monotonic()
        assert not await collector.stop(0.3)
        assert time.monotonic() - started < WAIT_SEC / 2

    run(collector, work())
    con.close()
    assert bench.keys() == keys(range(100))

    again = collector_of(bench)

    async def stop() -> None:
        await until(lambda: again.state.totals.inserted == 100)
        assert await again.stop(WAIT_SEC)

    run(again, stop())
    assert bench.keys() == keys(range(200))


def test_a_line_that_was_cut_is_passed_over(bench: WriterBench) -> None:
    """What the writer could not say whole is no fault of the recorder; the next line tells more."""
    collector = collector_of(bench)

    class Process:
        stdout = asyncio.StreamReader

    async def listen() -> None:
        process: Any = Process()
        process.stdout = asyncio.StreamReader()
        process.stdout.feed_data(b'{"event":"comm\n\xff\xfe\n\n{"event":"error","error":"e","totals":{"rows":7}}\n')
        process.stdout.feed_eof()
        await collector._listen(process)

    asyncio.run(listen())
    assert collector.state.totals == Counters(rows=7)
    assert collector.state.last_exception == "e"
