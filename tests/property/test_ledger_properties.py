"""Whatever is lost, whenever and however some of it comes late: the ledger hides no loss, and tells of none in vain."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import pytest
from structlog.testing import capture_logs
from support.once import made_once
from support.stories import MOMENT_MS, Gap, Kind, Story, draw
from support.telling import Outcome, tell

from hk_tick_collector import writer as writer_module

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Losses have been hidden in the first four: behind one that had come late, within a gap that was filled, by a tick that
# counted for two gaps, and by a snapshot right behind an outage.
SEEDS: Final = (2635, 314, 597, 4728, *range(2674, 2970))
CHUNK: Final = 50
CHUNKS: Final = range(len(SEEDS) // CHUNK)

Told = Callable[[int], list[Outcome]]
each_chunk = pytest.mark.parametrize("chunk", CHUNKS)


@cache
def stories(chunk: int) -> list[Story]:
    """Some of all."""
    return [draw(seed) for seed in SEEDS[chunk * CHUNK :][:CHUNK]]


@pytest.fixture
def told(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Told:
    """What has become of a chunk of the stories, each of which is told once for all tests; nobody hears the writers."""
    monkeypatch.setattr(writer_module, "send", lambda _message: None)

    def tell_chunk(chunk: int) -> list[Outcome]:
        def tell_all(directory: Path) -> None:
            with capture_logs():
                made = [tell(story, directory / str(story.seed))[1:] for story in stories(chunk)]
            (directory / "outcomes.json").write_text(json.dumps(made), encoding="utf-8")

        path = made_once(tmp_path_factory, f"stories-{chunk}", tell_all) / "outcomes.json"
        return [
            Outcome(story, [Gap(*gap) for gap in gaps], doubts, rows)
            for story, (gaps, doubts, rows) in zip(stories(chunk), json.loads(path.read_bytes()), strict=True)
        ]

    return tell_chunk


def assert_none(outcomes: list[Outcome], faults_of: Callable[[Outcome], Iterator[str]]) -> None:
    """No story has such a fault; the first one that has is told."""
    found = [(outcome, faults) for outcome in outcomes if (faults := list(faults_of(outcome)))]
    lines = [f"seed {outcome.story.seed}: {'; '.join(faults)}" for outcome, faults in found]
    assert not found, "\n".join([*lines, "", str(found[0][0])])


def hidden_losses(outcome: Outcome) -> Iterator[str]:
    """Trades that never came, where neither a gap nor a doubt says so."""
    if outcome.doubts:
        return
    for trade in outcome.story.missing:
        if not outcome.is_told(trade):
            yield f"{trade.ordinal} is missing, and inside of no open gap"


def untrue_gaps(outcome: Outcome) -> Iterator[str]:
    """Gaps that tell of more than was lost in them."""
    for gap in outcome.gaps:
        lost = outcome.story.missing_by(gap)
        if not lost:
            yield f"nothing was missing in gap {gap}"
        if gap.evidence == "ordinals" and not outcome.story.counts_by_ordinals:
            yield f"ordinals show nothing in gap {gap}"
        if gap.missing is not None and gap.missing > len(lost):
            yield f"{len(lost)} ticks were missing in gap {gap}"
        if gap.missing_volume is not None and gap.missing_volume > sum(trade.volume for trade in lost):
            yield f"{sum(trade.volume for trade in lost)} shares were missing in gap {gap}"


def false_fillings(outcome: Outcome) -> Iterator[str]:
    """Gaps that are told to be filled, while some of them is missing that no other gap tells of."""
    for gap in outcome.gaps:
        if gap.state == "filled":
            for trade in outcome.story.missing:
                if gap.covers(trade.key) and not outcome.is_told(trade):
                    yield f"{trade.ordinal} is missing in gap {gap}"


def stale_gaps(outcome: Outcome) -> Iterator[str]:
    """Open gaps in which nothing is missing any more."""
    for gap in outcome.gaps:
        if gap.state == "open" and not any(gap.covers(trade.key) for trade in outcome.story.missing):
            yield f"nothing is missing any more in gap {gap}"


@each_chunk
def test_no_story_is_impossible(chunk: int) -> None:
    """Pushes and snapshots are less than a moment apart, snapshots never nearer than one, and time goes on."""
    for story in stories(chunk):
        assert all(abs(trade.pushed_ms - trade.counted_ms) < MOMENT_MS for trade in story.trades), story.seed
        times = [record.at_ms for record in story.records]
        assert times == sorted(times), story.seed
        snapshots = [record for record in story.records if record.kind is Kind.SNAPSHOT]
        assert all(b.at_ms - a.at_ms >= MOMENT_MS for a, b in pairwise(snapshots)), story.seed
        assert all(a.volume <= b.volume for a, b in pairwise(snapshots)), story.seed


@each_chunk
def test_all_that_came_is_stored_once(told: Told, chunk: int) -> None:
    """However often it came, and whatever writer was at work."""

    def wrong_rows(outcome: Outcome) -> Iterator[str]:
        if outcome.rows != len(outcome.story.came):
            yield f"{outcome.rows} ticks are stored of {len(outcome.story.came)} that came"

    assert_none(told(chunk), wrong_rows)


@each_chunk
def test_what_is_missing_is_inside_an_open_gap_or_in_doubt(told: Told, chunk: int) -> None:
    """No loss is hidden by another one, by what comes late, or by what is under way."""
    assert_none(told(chunk), hidden_losses)


@each_chunk
def test_a_gap_tells_of_no_more_than_was_missing_in_it(told: Told, chunk: int) -> None:
    """When it was found, something was missing, and at least so many ticks and shares; sparse ordinals show nothing."""
    assert_none(told(chunk), untrue_gaps)


@each_chunk
def test_nothing_is_missing_in_a_filled_gap(told: Told, chunk: int) -> None:
    """Unless another gap, that is open, tells of it."""
    assert_none(told(chunk), false_fillings)


def test_hardly_a_gap_stays_open_that_has_nothing_missing(told: Told) -> None:
    """It may where gaps overlap, but of fifty gaps less than one does."""
    outcomes = [outcome for chunk in CHUNKS for outcome in told(chunk)]
    stale = [f"seed {outcome.story.seed}: {fault}" for outcome in outcomes for fault in stale_gaps(outcome)]
    assert len(stale) * 50 < sum(len(outcome.gaps) for outcome in outcomes), "\n".join(stale)


def test_the_stories_tell_of_every_kind_of_gap(told: Told) -> None:
    """Properties of nothing would always hold."""
    gaps = [gap for chunk in CHUNKS for outcome in told(chunk) for gap in outcome.gaps]
    counts = Counter((gap.evidence, gap.state) for gap in gaps)
    least = {
        ("totals", "open"): 150, ("totals", "filled"): 50, ("ordinals", "open"): 20, ("ordinals", "filled"): 5,
    }  # fmt: skip
    assert all(counts[kind] >= least[kind] for kind in least), counts
