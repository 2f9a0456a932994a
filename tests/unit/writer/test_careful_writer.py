"""A careful writer that dies at one place or another: what is put aside, and what is not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from support.settings import writer_settings
from support.ticks import TENCENT, pushes

from hk_tick_collector.errors import ContentError
from hk_tick_collector.journal.cursor import save_cursor
from hk_tick_collector.journal.segments import DIRECTORY
from hk_tick_collector.writer.apart import Apart
from hk_tick_collector.writer.loop import Writer
from hk_tick_collector.writer.storing import Storing

if TYPE_CHECKING:
    import pytest
    from support.scenario import Scenario


class DiedError(BaseException):
    """The process is gone: nothing that would be done after it is done."""


def lives(scenario: Scenario, number: int) -> int:
    """Have careful writers store what there is, each after the one before has died; how many have."""
    for deaths in range(number):
        writer = Writer(writer_settings(scenario.root, is_careful=True))
        try:
            while writer.step():
                pass
        except DiedError:
            for database, _ in writer._lane.databases._open.values():
                database.close()
            continue
        writer.close()
        return deaths
    return number


def test_a_record_that_raises_an_error_first_and_then_kills_is_found(
    scenario: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error does not begin the count anew: two die of it, the third puts it aside."""

    def run(self: Storing, batch: Any) -> Any:  # noqa: ANN401
        if batch.pushes:
            raise ContentError("odd")
        return storing_run(self, batch)

    def run_apart(self: Apart, batch: Any) -> Any:  # noqa: ANN401
        if batch.pushes:
            raise DiedError
        return storing_run(self, batch)

    storing_run = Storing.run
    monkeypatch.setattr(Storing, "run", run)
    monkeypatch.setattr(Apart, "run", run_apart)
    scenario.hear(pushes(TENCENT, range(5)))
    assert lives(scenario, 10) == 2


def test_a_writer_that_dies_when_a_record_is_stored_has_not_died_of_it(
    scenario: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it puts down what it knows, or its place: the record is whole, and none is put aside."""
    deaths = 0

    def save(*args: Any) -> None:  # noqa: ANN401
        nonlocal deaths
        if deaths < 6:
            deaths += 1
            raise DiedError
        save_cursor(*args)

    monkeypatch.setattr("hk_tick_collector.writer.loop.save_cursor", save)
    scenario.hear(pushes(TENCENT, range(5)))
    scenario.hear(pushes(TENCENT, range(5, 10)))
    assert lives(scenario, 20) == 6
    assert scenario.stored_ordinals("20260731") == list(range(10))
    assert scenario.query("SELECT count(*) FROM bad_ticks") == [(0,)]
    assert not list((scenario.root / DIRECTORY).glob("attempt*"))
