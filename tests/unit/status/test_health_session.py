"""Why OpenD is not connected, and why symbols are not subscribed: each with the cure that helps."""

from __future__ import annotations

from typing import Any, Final

import pytest
from support.recorder_state import FRIDAY, healthy_state, hk_ms

from hk_tick_collector.status.findings import Verdict
from hk_tick_collector.status.health import assess_health
from hk_tick_collector.status.health_session import down_trouble
from hk_tick_collector.status.state import Session
from hk_tick_collector.status.troubles import Trouble

DEGRADED, UNPROVEN, FAILING = Verdict.DEGRADED, Verdict.UNPROVEN, Verdict.FAILING
CLOSED: Final = {"state": "CLOSED", "is_open": False, "source": "opend"}
REFUSED: Final = {"HK.99999": "Unknown stock HK.99999"}
QUOTA: Final = {"left_out": ["HK.1", "HK.2"], "quota_used": 900, "quota_left": 0}
NO_QUOTA: Final = "2 symbols without quota: HK.1, HK.2 (quota: 900 units used, 0 left)"


@pytest.mark.parametrize(
    ("why", "connects", "down_sec", "trouble"),
    [
        ("127.0.0.1:11111: Connection refused", 1, 60.0, Trouble.OPEND_DOWN),
        ("opend.example:11111: Name or service not known", 0, 60.0, Trouble.OPEND_DOWN),
        ("no connection to 10.0.0.7:11111 within 10 s", 0, 60.0, Trouble.OPEND_DOWN),
        (None, 0, 1.0, Trouble.OPEND_DOWN),
        ("no answer from 127.0.0.1:11111 within 10 s", 0, 12.0, Trouble.OPEND_HANGS),
        ("dead link: no whole frame for 26.1 s", 1, 2.0, Trouble.OPEND_HANGS),
        ("GET_GLOBAL_STATE: no answer within 15 s", 1, 2.0, Trouble.OPEND_HANGS),
        ("connection closed by OpenD", 0, 1.0, Trouble.OPEND_CLOSES),
        ("protocol error: a frame begins with b'HT', expected b'FT'", 0, 1.0, Trouble.OPEND_CLOSES),
        ("connection closed by OpenD", 1, 2.0, Trouble.OPEND_DOWN),
        ("connection closed by OpenD", 1, 8.0, Trouble.OPEND_CLOSES),
    ],
)
def test_why_opend_is_not_connected(why: str | None, connects: int, down_sec: float, trouble: Trouble) -> None:
    """Each has a cure of its own; an OpenD that was just ended has closed its connection, too."""
    assert down_trouble(Session(connected=False, last_disconnect=why, connects=connects, down_sec=down_sec)) is trouble


@pytest.mark.parametrize(
    ("changes", "up_sec", "found"),
    [
        ({"refused": REFUSED}, 8, [(FAILING, Trouble.ALL_REFUSED,
          "no symbol is subscribed: 1 symbol refused: HK.99999 (Unknown stock HK.99999)")]),
        (QUOTA, 8, [(FAILING, Trouble.ALL_WITHOUT_QUOTA, f"no symbol is subscribed: {NO_QUOTA}")]),
        ({**QUOTA, "refused": REFUSED}, 8, [
            (FAILING, Trouble.ALL_WITHOUT_QUOTA, f"no symbol is subscribed: {NO_QUOTA}"),
            (DEGRADED, Trouble.REFUSED, "1 symbol refused: HK.99999 (Unknown stock HK.99999)"),
        ]),
        ({"refused": REFUSED}, 3, [
            (UNPROVEN, Trouble.JUST_CONNECTED, "OpenD is connected, and no symbol is subscribed yet")]),
        ({}, 8, [(UNPROVEN, Trouble.JUST_CONNECTED, "OpenD is connected, and no symbol is subscribed yet")]),
        ({}, 120, [(FAILING, Trouble.NOT_SUBSCRIBED, "no symbol is subscribed, 120 s after OpenD was connected")]),
    ],
)  # fmt: skip
def test_that_nothing_is_subscribed_is_one_trouble_with_its_reason(
    changes: dict[str, Any], up_sec: int, found: list[tuple[Verdict, Trouble, str]]
) -> None:
    """As soon as OpenD has answered: nobody has to wait a minute for it, or for a trade that can't come."""
    since_ms = hk_ms(FRIDAY, "10:00:00") - up_sec * 1000
    session = {"subscribed": 0, "since_ms": since_ms, "last_push_age_sec": None, **changes}
    state = healthy_state(session=session, frames=0, writer={"rows": 0, "last_commit_age_sec": None, "lag_ms": None})
    assert [tuple(one) for one in assess_health(state).findings] == found


def test_at_night_it_can_wait() -> None:
    """No tick is missed."""
    session = {"subscribed": 0, "since_ms": 1, "refused": REFUSED}
    (found,) = assess_health(healthy_state(clock="03:00:00", session=session, market=CLOSED)).findings
    assert (found.verdict, found.trouble) == (DEGRADED, Trouble.ALL_REFUSED)
