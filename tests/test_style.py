"""The project's own rules, held by reading the source: sizes, docstrings, errors, imports and names."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parents[1]
PACKAGE: Final = ROOT / "hk_tick_collector"
TESTS: Final = ROOT / "tests"

MODULE_LINES_MAX: Final = 400
FUNCTION_LINES_MAX: Final = 70

# Supervisors: here a bug must end in one line and not in a traceback. Nowhere else.
MAY_CATCH_EVERYTHING: Final = {"cli/app.py", "content.py"}

# The SDK, pandas and the second SQLite never come along; what they would be wanted for is done otherwise.
NEVER_IMPORTED: Final = {"sqlite3", "pandas", "numpy", "futu"}

# Names that say nothing: a module is called after what it owns.
NAMES_OF_NOTHING: Final = {"utils", "util", "helper", "helpers", "manager", "managers", "common", "misc"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def sources(directory: Path) -> list[Path]:
    """All modules that a person has written."""
    return sorted(path for path in directory.rglob("*.py") if not path.name.endswith("_pb2.py"))


def name_of(path: Path) -> str:
    """A module's path, for people."""
    return path.relative_to(ROOT).as_posix()


TREES: Final = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sources(PACKAGE) + sources(TESTS)}
MODULES: Final = [path for path in TREES if PACKAGE in path.parents]
TEST_MODULES: Final = [path for path in TREES if path.name.startswith("test_")]


def functions(tree: ast.AST) -> Iterator[Function]:
    """All of them, methods and inner ones too."""
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def public(body: list[ast.stmt], prefix: str = "") -> Iterator[tuple[str, Function | ast.ClassDef]]:
    """Public classes and functions, and those of public classes; what a function holds is its own business."""
    for node in body:
        if not isinstance(node, Function | ast.ClassDef) or node.name.startswith("_"):
            continue
        yield prefix + node.name, node
        if isinstance(node, ast.ClassDef):
            yield from public(node.body, f"{prefix}{node.name}.")


def test_there_is_something_to_check() -> None:
    """A wrong path would make every rule hold."""
    assert {"hk_tick_collector/opend/frames.py", "tests/test_style.py"} <= {name_of(path) for path in TREES}
    assert len(MODULES) > 40


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_is_short(path: Path) -> None:
    """More than 400 lines are two concepts."""
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= MODULE_LINES_MAX, f"{name_of(path)} has {lines} lines, at most {MODULE_LINES_MAX} expected"


@pytest.mark.parametrize("path", TREES, ids=name_of)
def test_a_function_is_short(path: Path) -> None:
    """From its `def` to its last line; decorators, which hold a test's data, stand in front of it."""
    too_long = {
        node.name: lines
        for node in functions(TREES[path])
        if (lines := (node.end_lineno or 0) - node.lineno + 1) > FUNCTION_LINES_MAX
    }
    assert not too_long, f"{name_of(path)}: {too_long}, at most {FUNCTION_LINES_MAX} lines expected"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_all_that_is_public_says_what_it_is(path: Path) -> None:
    """Module, classes, functions and methods have a docstring."""
    tree = TREES[path]
    assert ast.get_docstring(tree), f"{name_of(path)} has no docstring"
    silent = [name for name, node in public(tree.body) if not ast.get_docstring(node)]
    assert not silent, f"{name_of(path)}: no docstring for {silent}"


@pytest.mark.parametrize("path", TEST_MODULES, ids=name_of)
def test_a_test_says_in_a_sentence_what_holds(path: Path) -> None:
    """Each has a docstring that ends as sentences do."""
    tree = TREES[path]
    assert ast.get_docstring(tree), f"{name_of(path)} has no docstring"
    silent = [
        node.name
        for node in functions(tree)
        if node.name.startswith("test_") and not (ast.get_docstring(node) or "").endswith((".", "?", "!"))
    ]
    assert not silent, f"{name_of(path)}: no sentence for {silent}"


def catches_everything(handler: ast.ExceptHandler) -> bool:
    """`except:`, `except Exception` or `except BaseException`, unless it raises again what it caught."""
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    broad = any(kind is None or (isinstance(kind, ast.Name) and kind.id == "Exception") for kind in kinds)
    base = any(isinstance(kind, ast.Name) and kind.id == "BaseException" for kind in kinds)
    last = handler.body[-1]
    return broad or (base and not (isinstance(last, ast.Raise) and last.exc is None))


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_only_supervisors_catch_everything(path: Path) -> None:
    """A broad except hides bugs; cleaning up and raising again is none."""
    if path.relative_to(PACKAGE).as_posix() in MAY_CATCH_EVERYTHING:
        return
    lines = [
        node.lineno
        for node in ast.walk(TREES[path])
        if isinstance(node, ast.ExceptHandler) and catches_everything(node)
    ]
    assert not lines, f"{name_of(path)} catches everything in lines {lines}"


def test_each_listed_supervisor_needs_its_place() -> None:
    """An exception that is not used any more must go from the list."""
    for name in MAY_CATCH_EVERYTHING:
        handlers = [node for node in ast.walk(TREES[PACKAGE / name]) if isinstance(node, ast.ExceptHandler)]
        assert any(catches_everything(handler) for handler in handlers), name


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_what_never_comes_along_is_not_imported(path: Path) -> None:
    """Neither at the top nor inside a function."""
    found = set()
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add((node.module or "").partition(".")[0])
    assert not found & NEVER_IMPORTED, name_of(path)


@pytest.mark.parametrize("path", list(TREES), ids=name_of)
def test_a_module_is_called_after_what_it_owns(path: Path) -> None:
    """Neither it nor its directory nor a part of its name says nothing."""
    words = {word for part in path.relative_to(ROOT).with_suffix("").parts for word in part.split("_")}
    assert not words & NAMES_OF_NOTHING, name_of(path)


@pytest.mark.parametrize(
    ("source", "is_broad"),
    [
        ("except: pass", True),
        ("except Exception: raise", True),
        ("except (OSError, Exception) as exc: raise ValueError from exc", True),
        ("except BaseException: pass", True),
        ("except BaseException: raise", False),
        ("except (OSError, ValueError): pass", False),
    ],
)
def test_the_rule_about_broad_excepts_finds_them(source: str, *, is_broad: bool) -> None:
    """A rule that finds nothing is no rule."""
    tree = ast.parse(f"try: pass\n{source}")
    (handler,) = (node for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler))
    assert catches_everything(handler) is is_broad


def test_the_rule_about_docstrings_finds_what_has_none() -> None:
    """Also a method of a public class, and nothing that is private or inside a function."""
    tree = ast.parse(
        "class A:\n  def b(self):\n    def c(): pass\n  def _d(self): pass\nclass _E:\n  def f(self): pass"
    )
    assert [name for name, _ in public(tree.body)] == ["A", "A.b"]
