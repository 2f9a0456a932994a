"""The read API beside a recorder that runs, and beside the official SDK."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.recorder_process import RecorderProcess
from support.simulator_process import SimulatorProcess
from support.ticks import TENCENT

from hk_tick_collector.read.data_root import DataRoot

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.witness
pytest.importorskip("futu")
pandas = pytest.importorskip("pandas")
witness = pytest.importorskip("support.witness")


def test_a_live_day_is_what_the_sdk_gets_from_opend(tmp_path: Path) -> None:
    """The same DataFrame: recorded and read here, and asked for by the SDK. The recorder goes on meanwhile."""
    futu = witness.futu
    with (
        SimulatorProcess(tmp_path, "--now", "--hold", "--rate", "200", "--symbols", TENCENT) as sim,
        RecorderProcess(tmp_path, sim.port, (TENCENT,)) as recorder,
        witness.quote_context(sim.port) as context,
    ):
        recorder.wait_for("backfill_done")
        code, reason = context.subscribe([TENCENT], [futu.SubType.TICKER], is_first_push=False, subscribe_push=False)
        assert code == futu.RET_OK, reason
        sim.command("pause")
        sim.command("burst", ticks=300, symbols=[TENCENT])
        code, theirs = context.get_rt_ticker(TENCENT, 250)
        assert code == futu.RET_OK, theirs
        recorder.wait_until_stored(sim)
        assert recorder.is_running
        data = DataRoot(recorder.data_root)
        ours = data.ticks(TENCENT, data.days()[-1]).to_futu().tail(250).reset_index(drop=True)
    assert len(theirs) == 250
    theirs["name"] = "N/A"  # not recorded
    pandas.testing.assert_frame_equal(ours, theirs)
