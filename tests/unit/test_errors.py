"""The tree of errors: what its drawing says is what it is, and each class has its exit code's parent."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import pkgutil

import pytest

import hk_tick_collector
from hk_tick_collector import errors

CLASSES = {name: kind for name, kind in vars(errors).items() if inspect.isclass(kind)}


def drawn() -> dict[str, str]:
    """Each class in the module's drawing, with the one that it hangs from."""
    parents: dict[str, str] = {}
    branch: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        name = next((word for word in line.split() if word.endswith("Error")), None)
        if name is None or not set(line.split(name)[0]) <= set(" │├└─"):
            continue
        column = line.index(name)
        while branch and branch[-1][0] >= column:
            branch.pop()
        parents[name] = branch[-1][1] if branch else "Exception"
        branch.append((column, name))
    return parents


def test_the_drawing_is_the_tree() -> None:
    """Every class is drawn, under its first base; nothing is drawn that is not there."""
    assert drawn() == {name: kind.__bases__[0].__name__ for name, kind in CLASSES.items()}


def test_everything_raised_on_purpose_is_a_collector_error() -> None:
    """So catching that one catches no bug."""
    assert all(issubclass(kind, errors.CollectorError) for kind in CLASSES.values())
    assert not issubclass(errors.CollectorError, ValueError | OSError | RuntimeError)


@pytest.mark.parametrize(
    ("kind", "exit_code"),
    [
        (errors.AlreadyRunningError, 2),
        (errors.DatabaseNewerError, 2),
        (errors.ConfigError, 2),
        (errors.DatabaseError, 1),
        (errors.SessionError, 1),
        (errors.JournalError, 1),
        (errors.BadTickError, 1),
    ],
)
def test_what_the_operator_can_mend_exits_2(kind: type[Exception], exit_code: int) -> None:
    """ConfigError and its children; a newer database is both SQLite's matter and the operator's."""
    assert (2 if issubclass(kind, errors.ConfigError) else 1) == exit_code


def test_no_other_module_has_an_error_class() -> None:
    """So the drawing is the whole tree."""
    found = set()
    for info in pkgutil.walk_packages(hk_tick_collector.__path__, "hk_tick_collector."):
        if info.name.endswith("__main__"):
            continue
        spec = importlib.util.find_spec(info.name)
        assert spec is not None
        assert spec.origin is not None
        with open(spec.origin, encoding="utf-8") as file:  # noqa: PTH123 - a path as a module knows it
            tree = ast.parse(file.read())
        names = {node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name.endswith("Error")}
        for name in names:
            kind = getattr(importlib.import_module(info.name), name)
            assert issubclass(kind, errors.CollectorError), f"{info.name}.{name}"
            found.add(name)
    assert set(CLASSES) == found
