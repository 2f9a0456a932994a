"""What the cases are told with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.day_story import DayStory

from hk_tick_collector.writer import loop as writer_module

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., DayStory]]:
    """Begins a story, each in a DATA_ROOT of its own; nobody listens to its writers."""
    monkeypatch.setattr(writer_module, "send", lambda _message: None)
    made: list[DayStory] = []

    def one(*symbols: str, **options: Any) -> DayStory:  # noqa: ANN401 - those of a story
        given = (symbols,) if symbols else ()
        made.append(DayStory(tmp_path / f"{len(made)}", *given, **options))
        return made[-1]

    yield one
    for story in made:
        story.stop()
