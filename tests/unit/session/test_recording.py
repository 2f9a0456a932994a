"""What the journal is told of what is recorded: when, and with which symbols."""

from __future__ import annotations

import json

from support.events import read_recording
from support.ticks import OPEN_MS

from hk_tick_collector.clock import HostClock
from hk_tick_collector.journal.events import RECORDING, Recording
from hk_tick_collector.session.recording import NO_QUOTA, RecordingTeller
from hk_tick_collector.session.state import ClientState

SYMBOLS = ["HK.00700", "HK.00005", "HK.09988"]


class Session:
    """A session by a clock of one's choice, and what it has told."""

    def __init__(self) -> None:
        self.now_ms = OPEN_MS
        self.state = ClientState(HostClock(lambda: self.now_ms, lambda: self.now_ms))
        self.told: list[Recording] = []
        self.teller = RecordingTeller(self.state, self._note)

    def _note(self, event: str, **fields: object) -> None:
        told = read_recording(json.dumps({"event": event, **fields}).encode())
        assert event == RECORDING
        assert told is not None
        self.told.append(told)

    def tells(self, symbols: list[str]) -> list[Recording]:
        """What is told of these now."""
        self.told.clear()
        self.teller.tell(symbols)
        return list(self.told)


def test_what_is_recorded_is_told_once_while_it_stays_so() -> None:
    """In each session; and again when a symbol is added, accepted, refused or left out."""
    session = Session()
    state = session.state
    state.subscribed = ["HK.00700"]
    state.refused = {"HK.00005": "Unknown stock", "plate:HK.BK1001": "Unknown plate", "HK.00001": "left its plate"}
    state.left_out = ["HK.09988"]
    first = Recording(tuple(SYMBOLS), 1, {"HK.09988": NO_QUOTA, "HK.00005": "Unknown stock"})
    assert session.tells(SYMBOLS) == [first]
    assert session.tells(list(SYMBOLS)) == []
    state.refused["HK.00005"] = "Unknown stock, asked 2 times"
    assert session.tells(SYMBOLS) == [], "the words of a refusal are no news"
    state.subscribed, state.left_out = ["HK.00700", "HK.09988"], []
    assert [(told.subscribed, [*told.without]) for told in session.tells(SYMBOLS)] == [(2, ["HK.00005"])]
    assert [told.symbols for told in session.tells([*SYMBOLS, "HK.00001"])] == [(*SYMBOLS, "HK.00001")]
    session.teller = RecordingTeller(state, session._note)
    assert len(session.tells(SYMBOLS)) == 1, "another session"


def test_each_hong_kong_day_is_told_what_it_is_to_record() -> None:
    """By OpenD's clock, where that is known."""
    session = Session()
    assert len(session.tells(SYMBOLS)) == 1
    session.now_ms += 13 * 3_600_000
    assert session.tells(SYMBOLS) == []
    session.state.clock_offset_ms = 3_600_000
    assert len(session.tells(SYMBOLS)) == 1
    assert session.tells(SYMBOLS) == []
    session.now_ms += 86_400_000
    assert len(session.tells(SYMBOLS)) == 1
