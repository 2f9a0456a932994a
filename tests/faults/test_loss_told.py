"""What was lost today is told everywhere until the day is over: how much, of what, from when to when, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.bench import faults_of
from support.ports import free_port
from support.probe import health, metrics, wait_for_health
from support.recorder_process import until

from hk_tick_collector.hktime import hk_text

if TYPE_CHECKING:
    from support.fault_rig import FaultRig

pytestmark = pytest.mark.faults

BUSIEST = "HK.00700"


def test_a_login_elsewhere_is_named_with_its_cure_and_then_what_it_has_cost(rig: FaultRig) -> None:
    """While it lasts: who has the right, since when, and how to get it back. Afterwards: ok, and what was lost."""
    port = free_port()
    rig.begin("--ordinals", "contiguous", METRICS_PORT=port)
    assert wait_for_health(port, 200, "ok").lost_today == ""
    assert metrics(port)["hktick_lost_today_gaps"] == 0
    assert rig.sim.command("kick", sec=6)["n"] == 1
    rig.sim.command("burst", ticks=1400, symbols=[BUSIEST])
    reason = wait_for_health(port, 503, "failing").reasons[0]
    away = rig.recorder.state()["session"]["away"]
    assert reason.startswith(f"another login took the quote right at {hk_text(away['since_ms'])[11:19]} HK")
    assert "request_highest_quote_right" in reason
    until(lambda: bool(faults_of(rig.sim, "kick_over")), "the right is back")
    rig.recorder.wait_for("backfill_done", 2)
    rig.tell()
    missing = len(rig.lost())
    assert missing >= 400
    until(lambda: health(port).lost_today != "", lambda: f"the loss is told: {health(port)}")
    text = wait_for_health(port, 200, "ok").lost_today
    assert rig.recorder.state()["session"]["away"] is None
    assert text.startswith(f"{missing:,} ticks of 1 symbol, ")
    assert text.endswith("(another login had the quote right)")
    served = metrics(port)
    assert (served["hktick_lost_today_ticks"], served["hktick_lost_today_symbols"]) == (missing, 1)
    status = rig.recorder.shown("status")
    assert [" ".join(line.split()) for line in status.splitlines() if line.startswith("lost ")] == [
        f"lost today {text}"
    ]
    assert rig.recorder.stop() == 0
