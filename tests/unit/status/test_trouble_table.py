"""Each trouble has its cause and its cure, in code and in the table that operators see first."""

from __future__ import annotations

import re
from pathlib import Path

from hk_tick_collector.status.trouble_table import ENTRIES, START, cure, effect
from hk_tick_collector.status.troubles import Effect, Trouble

ROOT = Path(__file__).parents[3]
OPERATIONS = ROOT / "docs" / "operations.md"


def test_each_trouble_has_its_words() -> None:
    """No finding can be made without one, so no reason exists without a cure; all are one line without a full stop."""
    assert set(ENTRIES) == set(Trouble)
    for entry in ENTRIES.values():
        for words in (entry.symptom, entry.cause, entry.cure):
            assert words
            assert words.isprintable()
            assert not words.endswith(".")
            assert words.count("`") % 2 == 0
            assert "|" not in words
        assert entry.cause[0].isupper() or entry.cause.startswith("`")
        assert entry.cure[0].isupper() or entry.cure.startswith("`")


def test_a_cure_says_how_the_recorder_is_started_here_and_where_it_records() -> None:
    """Only these are filled in: a command can be pasted as it is."""
    assert "`fuser -v /srv/ticks/*.db*`" in cure(Trouble.DAY_LOCKED, root="/srv/ticks")
    assert "`fuser -v DATA_ROOT/*.db*`" in cure(Trouble.DAY_LOCKED)
    assert cure(Trouble.NO_REPORT, "`run it`") == "Start it: `run it`"
    assert cure(Trouble.NO_REPORT) == f"Start it: {START}"
    for trouble, entry in ENTRIES.items():
        assert not set(re.findall(r"\{.*?\}", entry.cure)) - {"{start}", "{root}"}, trouble
        assert "{" not in cure(trouble)


def test_no_trouble_is_forgotten() -> None:
    """Each is reported somewhere: a row of the table that never comes true would mislead."""
    source = "\n".join(path.read_text() for path in (ROOT / "hk_tick_collector").rglob("*.py"))
    told = set(re.findall(r"Trouble\.(\w+)(?!\w|: Entry)", source))
    assert told == set(Trouble.__members__)


def test_the_worst_stops_the_recording() -> None:
    """What it does to the recording decides the first answer of `status`."""
    assert effect(Trouble.KICKED_OUT) is Effect.STOPPED
    assert effect(Trouble.DAY_LOCKED) is Effect.DELAYED
    assert effect(Trouble.REFUSED) is Effect.NONE


def test_operators_see_the_same_table_first() -> None:
    """docs/operations.md opens with it, row by row."""
    text = OPERATIONS.read_text(encoding="utf-8")
    assert re.findall(r"^## (.*)$", text, re.MULTILINE)[:2] == ["Symptom, cause, action", "Status"]
    section = text.partition("\n## Symptom, cause, action\n")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("|")][2:]
    assert rows == [f"| {entry.symptom} | {entry.cause} | {cure(one)} |" for one, entry in ENTRIES.items()]
