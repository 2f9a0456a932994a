"""A record of which writers die, or hang, stops nothing twice: all others are stored, and its bytes are kept."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from support.odd_gateway import OddGateway
from support.recorder_process import until

from hk_tick_collector.journal.segments import DIRECTORY
from hk_tick_collector.opend import opend_pb2 as pb
from hk_tick_collector.opend.frames import encode
from hk_tick_collector.opend.numbers import ProtoId
from hk_tick_collector.simulator.verdict import compare
from hk_tick_collector.store.schema import day_files

if TYPE_CHECKING:
    from support.bench import Bench
    from support.recorder_process import RecorderProcess

pytestmark = pytest.mark.faults

KILLER: Final = Path(__file__).parents[1] / "support" / "killer"
KILLS, HANGS = "66666", "77777"


def odd_push(code: str) -> bytes:
    """A push of a symbol of which whoever makes rows dies."""
    push = pb.Qot_UpdateTicker.Response(retType=0)
    push.s2c.security.market, push.s2c.security.code = 1, code
    push.s2c.tickerList.add(
        time="2026-11-30 10:00:00", sequence=5, price=1, volume=1, turnover=1, dir=1, type=1, typeSign=0
    )
    return push.SerializeToString()


def killed(log: Path) -> int:
    """How many writers have died so, or hung."""
    return len(log.read_text().splitlines()) if log.exists() else 0


def record_with(bench: Bench, gateway: OddGateway, log: Path, code: str, failures_max: int) -> RecorderProcess:
    """Start a recorder whose writers die of such a code, and send one when all else is fetched.

    Args:
        bench: starts it.
        gateway: OpenD, for it.
        log: where deaths are counted.
        code: KILLS or HANGS.
        failures_max: failed recoveries until the recorder ends.
    """
    recorder = bench.record(
        gateway.port,
        PYTHONPATH=KILLER,
        KILLER_LOG=log,
        WATCHDOG_STALL_SEC=3,
        CHECK_INTERVAL_SEC=0.5,
        WATCHDOG_RECOVERY_MAX_FAILURES=failures_max,
    )
    recorder.wait_for("backfill_done")
    gateway.send(encode(ProtoId.QOT_UPDATE_TICKER, 0, odd_push(code)))
    return recorder


def is_put_aside(recorder: RecorderProcess) -> bool:
    """Whether the record is kept aside."""
    return bool(recorder.log_lines("record_killed_writers"))


@pytest.mark.parametrize("code", [KILLS, HANGS])
def test_the_recorder_finds_it_and_goes_on(bench: Bench, tmp_path: Path, code: str) -> None:
    """After a few deaths; what was pushed besides is all stored, and the record's bytes are in `bad_ticks`."""
    log = tmp_path / "killed"
    sim = bench.simulate(rate=100)
    with OddGateway(sim.port) as gateway:
        recorder = record_with(bench, gateway, log, code, failures_max=20)
        until(lambda: killed(log) >= 1, lambda: "a writer dies of it")
        until(lambda: is_put_aside(recorder), lambda: f"it is found: {killed(log)}", 90)
        deaths = killed(log)
        sim.command("pause")
        recorder.wait_until_stored(sim)
        assert recorder.stop() == 0
        sim.command("sync")
    assert killed(log) == deaths
    assert deaths in {4, 5}, "two that were careful; and before them two that began at it, or were not done before"
    verdict = compare(sim.ledger_path, recorder.data_root)
    assert not verdict.missing
    assert not verdict.wrong
    assert recorder.query(f"SELECT count(*) FROM bad_ticks WHERE instr(raw, CAST('{code}' AS BLOB)) > 0") == [(1,)]  # noqa: S608
    if code == KILLS:
        rebuilt = json.loads(recorder.shown("rebuild", "--day", day_files(recorder.data_root)[-1].stem, "--json"))
        assert rebuilt["same"], "a rebuild finds it as well"
        assert killed(log) == deaths + 3, "one that was not careful, and two that were"
    assert not list((recorder.data_root / DIRECTORY).glob("attempt*"))


def test_a_recorder_that_ends_after_one_recovery_finds_it_over_several_starts(bench: Bench, tmp_path: Path) -> None:
    """With WATCHDOG_RECOVERY_MAX_FAILURES=1 no recorder sees two writers hang; the supervisor starts the next one."""
    log = tmp_path / "killed"
    sim = bench.simulate(rate=100)
    with OddGateway(sim.port) as gateway:
        recorder = record_with(bench, gateway, log, HANGS, failures_max=1)
        ends = 0
        while not is_put_aside(recorder):
            if not recorder.is_running:
                assert recorder.wait() == 1
                ends += 1
                recorder.start()
            assert ends < 6, f"it is never found: {killed(log)} writers have hung"
            time.sleep(0.1)
        assert ends >= 2, "the recorder really has ended"
        sim.command("pause")
        recorder.wait_until_stored(sim)
        assert recorder.stop() == 0
        sim.command("sync")
    verdict = compare(sim.ledger_path, recorder.data_root)
    assert not verdict.missing
    assert not verdict.wrong
    assert not list((recorder.data_root / DIRECTORY).glob("[au]*")), "nothing of it is left"
