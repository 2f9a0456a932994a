"""The project's own rules, held by reading the source: sizes, docstrings, errors, imports, names and places.

A rule is one test that names all offenders.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

ROOT: Final = Path(__file__).parents[1]
PACKAGE: Final = ROOT / "hk_tick_collector"
TESTS: Final = ROOT / "tests"
UNIT: Final = TESTS / "unit"

MODULE_LINES_MAX: Final = 400
FUNCTION_LINES_MAX: Final = 70

# Supervisors: here a bug must end in one line and not in a traceback. Nowhere else.
MAY_CATCH_EVERYTHING: Final = {"cli/app.py", "store/content_errors.py"}

# The SDK, pandas and the second SQLite never come along; what they would be wanted for is done otherwise.
NEVER_IMPORTED: Final = {"sqlite3", "pandas", "numpy", "futu"}

# Names that say nothing: a module is called after what it owns.
NAMES_OF_NOTHING: Final = {"utils", "util", "helper", "helpers", "manager", "managers", "common", "misc"}

TOP_FILES_MAX: Final = 16
TOP_FOLDERS_MAX: Final = 20

# Modules without a test file of their name, and where they are tested: by the module that uses them, or as a process.
TESTED_BY: Final = {
    "archive/days": "unit/cli/test_archive_cmd.py",
    "archive/proving": "unit/archive/test_publishing.py",
    "audit/figures": "unit/audit/test_day.py",
    "audit/reading": "unit/audit/test_day.py",
    "audit/verdict": "unit/audit/test_day.py",
    "cli/audit_table": "unit/cli/test_audit_cmd.py",
    "cli/completion": "unit/cli/test_app.py",
    "cli/console": "unit/cli/test_terminal.py",
    "cli/days_cmd": "unit/cli/test_seal_cmd.py",
    "cli/demo_cmd": "integration/test_demo.py",
    "cli/doctor_cmd": "integration/test_doctor.py",
    "cli/gaps_cmd": "unit/cli/test_seal_cmd.py",
    "cli/listing": "unit/cli/test_terminal.py",
    "cli/options": "unit/cli/test_app.py",
    "cli/progress": "unit/cli/test_terminal.py",
    "cli/run_cmd": "faults/test_process_faults.py",
    "cli/sealed": "unit/cli/test_seal_cmd.py",
    "cli/simulate_cmd": "integration/test_simulator.py",
    "cli/sql_shell": "unit/cli/test_sql_cmd.py",
    "demo/children": "integration/test_demo.py",
    "demo/end_screen": "integration/test_demo.py",
    "demo/gauges": "integration/test_demo.py",
    "demo/place": "integration/test_demo.py",
    "demo/play": "integration/test_demo.py",
    "demo/proof": "integration/test_demo.py",
    "demo/queries": "integration/test_demo.py",
    "demo/view": "integration/test_demo.py",
    "journal/contents": "unit/cli/test_journal_cmd.py",
    "journal/marks": "unit/writer/test_loop.py",
    "ledger/filling": "unit/ledger/test_day.py",
    "ledger/judge": "unit/ledger/test_day.py",
    "ledger/rows": "unit/ledger/test_day.py",
    "ledger/told": "unit/ledger/test_totals.py",
    "migrate/from_archive": "unit/migrate/test_importing.py",
    "migrate/from_ticks": "unit/migrate/test_importing.py",
    "migrate/new_day": "unit/migrate/test_days.py",
    "migrate/tick_source": "unit/migrate/test_futu_csv.py",
    "opend/codes": "unit/opend/test_messages.py",
    "opend/numbers": "unit/opend/test_messages.py",
    "opend/purpose": "unit/opend/test_messages.py",
    "parquet/arrow": "unit/parquet/test_proof.py",
    "parquet/checks": "unit/parquet/test_proof.py",
    "parquet/columns": "unit/parquet/test_proof.py",
    "parquet/decoders": "unit/parquet/test_proof.py",
    "parquet/extra": "unit/parquet/test_opening.py",
    "parquet/hashes": "unit/parquet/test_proof.py",
    "parquet/ledger_file": "unit/archive/test_publishing.py",
    "parquet/reception": "unit/parquet/test_proof.py",
    "parquet/ticks_file": "unit/parquet/test_proof.py",
    "parquet/writing": "unit/parquet/test_proof.py",
    "read/bar_figures": "unit/read/test_bars.py",
    "read/numbers": "unit/read/test_bars.py",
    "read/wanted": "unit/read/test_sqlite_day.py",
    "repair/backup": "unit/repair/test_times.py",
    "repair/compare": "unit/cli/test_rebuild_cmd.py",
    "repair/filled": "unit/repair/test_union.py",
    "repair/layout": "unit/repair/test_times.py",
    "repair/rebuild": "unit/cli/test_rebuild_cmd.py",
    "repair/scratch": "unit/cli/test_rebuild_cmd.py",
    "repair/stats": "unit/repair/test_times.py",
    "repair/tick_file": "unit/repair/test_times.py",
    "seal/due": "unit/seal/test_day.py",
    "seal/nightly_process": "unit/seal/test_nightly.py",
    "seal/open_day": "unit/seal/test_day.py",
    "seal/recheck_archive": "faults/test_archive_faults.py",
    "session/opend_state": "unit/test_futu_client.py",
    "session/rates": "unit/test_futu_client.py",
    "session/state": "unit/test_futu_client.py",
    "session/stored": "unit/session/test_fetch.py",
    "simulator/amendments": "integration/test_simulator.py",
    "simulator/calls": "integration/test_simulator.py",
    "simulator/control": "integration/test_simulator.py",
    "simulator/faults": "integration/test_simulator.py",
    "simulator/fields": "integration/test_simulator.py",
    "simulator/lasting": "integration/test_simulator.py",
    "simulator/opend": "integration/test_simulator.py",
    "simulator/premise_faults": "integration/test_simulator_premises.py",
    "simulator/premises": "integration/test_simulator_premises.py",
    "simulator/rates": "integration/test_simulator.py",
    "simulator/reference": "integration/test_simulator.py",
    "simulator/server": "integration/test_simulator.py",
    "simulator/service": "integration/test_simulator.py",
    "simulator/shaping": "integration/test_simulator.py",
    "simulator/subscriptions": "integration/test_simulator.py",
    "status/findings": "unit/status/test_health.py",
    "status/health_storing": "unit/status/test_health.py",
    "status/metrics": "integration/test_metrics_server.py",
    "status/state": "unit/status/test_description.py",
    "status/trouble_table_storing": "unit/status/test_trouble_table.py",
    "status/troubles": "unit/status/test_trouble_table.py",
    "store/certificate_file": "unit/seal/test_certificate.py",
    "store/content_errors": "unit/writer/test_apart.py",
    "store/imported": "unit/migrate/test_days.py",
    "store/known_days": "unit/writer/test_waiting.py",
    "store/opening": "unit/test_db.py",
    "store/pragmas": "unit/test_db.py",
    "store/sealed": "unit/seal/test_day.py",
    "store/stored": "unit/test_db.py",
    "store/tick_hash": "unit/seal/test_certificate.py",
    "wiring": "unit/test_main.py",
    "writer/batch": "unit/writer/test_loop.py",
    "writer/day_databases": "unit/test_db.py",
    "writer/intake": "unit/writer/test_loop.py",
    "writer/lane": "unit/writer/test_loop.py",
    "writer/open_days": "unit/writer/test_loop.py",
    "writer/pipe": "faults/test_writer_process.py",
    "writer/settings": "unit/writer/test_loop.py",
    "writer/storing": "unit/writer/test_loop.py",
}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def sources(directory: Path) -> list[Path]:
    """All modules that a person has written."""
    return sorted(path for path in directory.rglob("*.py") if not path.name.endswith("_pb2.py"))


def offenders(paths: Iterable[Path], fault: Callable[[Path], object]) -> dict[str, object]:
    """Those with a fault, by name."""
    return {name_of(path): found for path in paths if (found := fault(path))}


def name_of(path: Path) -> str:
    """A module's path, for people."""
    return path.relative_to(ROOT).as_posix()


PATHS: Final = sources(PACKAGE) + sources(TESTS)
MODULES: Final = [path for path in PATHS if PACKAGE in path.parents]
TEST_MODULES: Final = [path for path in PATHS if path.name.startswith("test_")]


@cache
def tree_of(path: Path) -> ast.Module:
    """A module's syntax tree: parsed when a rule asks for it, and not by each worker that collects the tests."""
    return ast.parse(path.read_text(encoding="utf-8"))


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
    assert {"hk_tick_collector/opend/frames.py", "tests/test_style.py"} <= {name_of(path) for path in PATHS}
    assert len(MODULES) > 40


def test_a_module_is_short() -> None:
    """More than 400 lines are two concepts."""

    def lines(path: Path) -> int:
        found = len(path.read_text(encoding="utf-8").splitlines())
        return found if found > MODULE_LINES_MAX else 0

    assert not offenders(MODULES, lines), f"at most {MODULE_LINES_MAX} lines expected"


def test_a_function_is_short() -> None:
    """From its `def` to its last line; decorators, which hold a test's data, stand in front of it."""

    def too_long(path: Path) -> dict[str, int]:
        return {
            node.name: lines
            for node in functions(tree_of(path))
            if (lines := (node.end_lineno or 0) - node.lineno + 1) > FUNCTION_LINES_MAX
        }

    assert not offenders(PATHS, too_long), f"at most {FUNCTION_LINES_MAX} lines expected"


def test_all_that_is_public_says_what_it_is() -> None:
    """Module, classes, functions and methods have a docstring."""

    def silent(path: Path) -> list[str]:
        tree = tree_of(path)
        names = [name for name, node in public(tree.body) if not ast.get_docstring(node)]
        return names if ast.get_docstring(tree) else ["the module", *names]

    assert not offenders(MODULES, silent), "a docstring expected"


def test_a_test_says_in_a_sentence_what_holds() -> None:
    """Each has a docstring that ends as sentences do."""

    def silent(path: Path) -> list[str]:
        tree = tree_of(path)
        names = [
            node.name
            for node in functions(tree)
            if node.name.startswith("test_") and not (ast.get_docstring(node) or "").endswith((".", "?", "!"))
        ]
        return names if ast.get_docstring(tree) else ["the module", *names]

    assert not offenders(TEST_MODULES, silent), "a sentence expected"


def catches_everything(handler: ast.ExceptHandler) -> bool:
    """`except:`, `except Exception` or `except BaseException`, unless it raises again what it caught."""
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    broad = any(kind is None or (isinstance(kind, ast.Name) and kind.id == "Exception") for kind in kinds)
    base = any(isinstance(kind, ast.Name) and kind.id == "BaseException" for kind in kinds)
    last = handler.body[-1]
    return broad or (base and not (isinstance(last, ast.Raise) and last.exc is None))


def test_only_supervisors_catch_everything() -> None:
    """A broad except hides bugs; cleaning up and raising again is none. Who is listed needs the place."""

    def lines(path: Path) -> list[int]:
        nodes = (node for node in ast.walk(tree_of(path)) if isinstance(node, ast.ExceptHandler))
        return [node.lineno for node in nodes if catches_everything(node)]

    assert offenders(MODULES, lines).keys() == {name_of(PACKAGE / name) for name in MAY_CATCH_EVERYTHING}


def test_what_never_comes_along_is_not_imported() -> None:
    """Neither at the top nor inside a function."""

    def imported(path: Path) -> set[str]:
        found = set()
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                found.add((node.module or "").partition(".")[0])
        return found & NEVER_IMPORTED

    assert not offenders(MODULES, imported)


def test_text_files_have_an_encoding() -> None:
    """Else Windows takes that of its language, in which `…` is another byte or is missing."""

    def lines(path: Path) -> list[int]:
        calls = (node for node in ast.walk(tree_of(path)) if isinstance(node, ast.Call))
        return [node.lineno for node in calls if opens_text(node) and not names_encoding(node)]

    assert not offenders(MODULES, lines), 'encoding="utf-8" expected'


def opens_text(call: ast.Call) -> bool:
    """`path.read_text()`, `path.write_text(…)`, `path.open("w")`, and not `path.open("rb")`."""
    if not isinstance(call.func, ast.Attribute):
        return False
    if call.func.attr in {"read_text", "write_text"}:
        return True
    modes = [str(arg.value) for arg in call.args[:1] if isinstance(arg, ast.Constant)]
    return call.func.attr == "open" and bool(modes) and re.fullmatch("[rwax+t]+", modes[0]) is not None


def names_encoding(call: ast.Call) -> bool:
    """Whether a keyword says it."""
    return any(keyword.arg == "encoding" for keyword in call.keywords)


def test_a_module_is_called_after_what_it_owns() -> None:
    """Neither it nor its directory nor a part of its name says nothing."""

    def words(path: Path) -> set[str]:
        parts = path.relative_to(ROOT).with_suffix("").parts
        return {word for part in parts for word in part.split("_")} & NAMES_OF_NOTHING

    assert not offenders(PATHS, words)


# ---- where things are


def test_the_top_floor_can_be_taken_in_at_a_glance() -> None:
    """The package has few files and folders on top: the architecture, and not its parts."""
    files = [path for path in MODULES if path.parent == PACKAGE]
    folders = {path.parent for path in MODULES if path.parent.parent == PACKAGE}
    assert len(files) <= TOP_FILES_MAX
    assert len(folders) <= TOP_FOLDERS_MAX
    assert {path.parent for path in MODULES} == {PACKAGE, *folders}, "no folder in a folder"


def test_a_folder_says_what_it_is() -> None:
    """Its `__init__` is its page: what stands in it, and nothing that runs."""

    def runs(path: Path) -> list[str]:
        return [type(node).__name__ for node in tree_of(path).body[1:]] if path.parent != PACKAGE else []

    assert not offenders((path for path in MODULES if path.name == "__init__.py"), runs)


def test_each_module_has_its_tests_or_a_note_where_they_are() -> None:
    """`tests/unit` mirrors the package; what is tested by others, or as a process, is listed with where."""
    expected = {
        path.relative_to(PACKAGE).with_suffix("").as_posix(): UNIT
        / path.relative_to(PACKAGE).parent
        / f"test_{path.name}"
        for path in MODULES
        if not path.name.startswith("__")
    }
    without = {name for name, path in expected.items() if not path.exists()}
    assert without == TESTED_BY.keys(), "each without a test file of its name is listed, and no other"
    gone = {where for where in TESTED_BY.values() if not (TESTS / where).exists()}
    assert not gone


def test_the_page_of_the_architecture_names_each_folder_and_door() -> None:
    """Once, in its table; and every module or file that it and the contract name is there."""
    page = (ROOT / "docs" / "architecture.md").read_text()
    rows = [re.findall(r"`([a-z_]+)/?`", line.split("|")[1]) for line in page.splitlines() if line.startswith("| `")]
    named = Counter(name for row in rows for name in row)
    on_top = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in MODULES} - {"__init__"}
    assert {name for name in named if named[name] == 1} >= on_top
    for text in (page, (ROOT / "docs" / "contract.md").read_text()):
        for name in re.findall(r"`((?:\w+/)+\w+\.\w+)`", text):
            assert (ROOT / name).exists(), name
        for folder, module in re.findall(r"`(\w+)\.([a-z_]+)", text):
            if (PACKAGE / folder).is_dir():
                assert (PACKAGE / folder / f"{module}.py").exists(), f"{folder}.{module}"


def test_unit_tests_stand_in_the_folder_of_what_they_test() -> None:
    """A folder of tests/unit is one of the package; a file on top tests a module on top."""
    folders = {path.relative_to(UNIT).parent.as_posix() for path in TEST_MODULES if UNIT in path.parents}
    assert folders <= {path.relative_to(PACKAGE).parent.as_posix() for path in MODULES}
    on_top = {path.name.removeprefix("test_") for path in TEST_MODULES if path.parent == UNIT}
    assert on_top <= {path.name for path in MODULES if path.parent == PACKAGE}


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


@pytest.mark.parametrize(
    ("source", "is_fault"),
    [
        ("path.read_text()", True),
        ("path.write_text('x')", True),
        ("path.open('w')", True),
        ("path.read_text(encoding='utf-8')", False),
        ("path.open('rb')", False),
        ("os.open('/dev/null', 0)", False),
        ("connection.open()", False),
    ],
)
def test_the_rule_about_encodings_finds_what_has_none(source: str, *, is_fault: bool) -> None:
    """Reading, writing and opening; bytes have no encoding."""
    (call,) = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    assert (opens_text(call) and not names_encoding(call)) is is_fault
