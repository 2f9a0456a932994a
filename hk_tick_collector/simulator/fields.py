"""The fields of a control command: read and checked one by one; unknown fields are an error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hk_tick_collector.errors import CommandError

if TYPE_CHECKING:
    from collections.abc import Container

MISSING: Any = object()


class Fields:
    """The fields of one command. Each getter removes its field, so that `finish` can report unknown ones."""

    def __init__(self, fields: dict[str, Any]) -> None:
        self._fields = dict(fields)

    def number(self, name: str, default: float = MISSING, *, low: float, high: float) -> float:
        """A number from `low` to `high`."""
        value = self._take(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise CommandError(f"{name} is {value!r}, expected a number from {low:g} to {high:g}")
        return float(value)

    def integer(self, name: str, default: int = MISSING, *, low: int, high: int) -> int:
        """A whole number from `low` to `high`."""
        value = self._take(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise CommandError(f"{name} is {value!r}, expected a whole number from {low} to {high}")
        return value

    def text(self, name: str) -> str:
        """Any string."""
        value = self._take(name, MISSING)
        if not isinstance(value, str):
            raise CommandError(f"{name} is {value!r}, expected a text")
        return value

    def flag(self, name: str, *, default: bool) -> bool:
        """True or false."""
        value = self._take(name, default)
        if not isinstance(value, bool):
            raise CommandError(f"{name} is {value!r}, expected true or false")
        return value

    def symbols(self, name: str, known: Container[str]) -> tuple[str, ...]:
        """A list of known symbols; missing or null: empty."""
        return self.choices(name, known, "symbol of this market")

    def choices(self, name: str, known: Container[str], what: str) -> tuple[str, ...]:
        """A list of values from `known`; missing or null: empty. `what` names their kind in errors."""
        value = self._take(name, None)
        if value is None:
            return ()
        if not isinstance(value, list):
            raise CommandError(f"{name} is {value!r}, expected a list")
        for word in value:
            if not isinstance(word, str) or word not in known:
                raise CommandError(f"{name} has {word!r}, which is no {what}")
        return tuple(value)

    def symbol(self, name: str, known: Container[str]) -> str:
        """One known symbol."""
        return self.choice(name, known, "symbol of this market")

    def choice(self, name: str, known: Container[str], what: str, default: str = MISSING) -> str:
        """One value from `known`; `what` names its kind in errors."""
        value = self._take(name, default)
        if not isinstance(value, str) or value not in known:
            raise CommandError(f"{name} is {value!r}, which is no {what}")
        return value

    def has(self, name: str) -> bool:
        """Whether a field was given. A null counts as missing and is removed."""
        if self._fields.get(name) is not None:
            return True
        self._fields.pop(name, None)
        return False

    def finish(self) -> None:
        """Raise CommandError if a field is left that the command does not know."""
        if self._fields:
            raise CommandError(f"unknown field {min(self._fields)!r}")

    def _take(self, name: str, default: Any) -> Any:  # noqa: ANN401 - JSON
        value = self._fields.pop(name, None)
        if value is not None:
            return value
        if default is MISSING:
            raise CommandError(f"{name} is missing")
        return default
