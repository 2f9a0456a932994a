"""A module's log, whose lines a test looks at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import ModuleType

    import pytest


class KeptLog:
    """Keeps each line, of whatever level, as its event and its fields."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, Any]]] = []

    def _keep(self, event: str, **fields: Any) -> None:  # noqa: ANN401
        self.lines.append((event, fields))

    debug = info = warning = error = _keep

    def events(self) -> list[str]:
        """Their names, in order."""
        return [event for event, _ in self.lines]


def keep_log(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> KeptLog:
    """Puts one in the place of the module's."""
    kept = KeptLog()
    monkeypatch.setattr(module, "log", kept)
    return kept
