"""docs/research.md: each example runs, in the order of the page, on days that were recorded and proven."""

from __future__ import annotations

import datetime as dt
import json
import re
import shlex
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from support.once import made_once
from support.whole_day import SYMBOLS, WholeDay

from hk_tick_collector.read.bars import bar_schema

if TYPE_CHECKING:
    from hk_tick_collector.simulator.ledger import Key

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = (ROOT / "docs" / "research.md").read_text(encoding="utf-8")
LOSSY, COMPLETE = dt.date(2026, 11, 19), dt.date(2026, 11, 20)
TICKS: Final = 3000

# Runs all fences in one namespace, as somebody types them one after the other.
RUNNER: Final = """
import json, sys
names = {}
for number, text in enumerate(json.load(sys.stdin)):
    print(f"--- {number}", flush=True)
    exec(compile(text, f"fence {number}", "exec"), names)
"""


def fences(language: str) -> list[str]:
    """The blocks of a language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with `data/`: a day with losses, and one that is complete."""
    made = made_once(tmp_path_factory, "research", record)
    return shutil.copytree(made, tmp_path_factory.mktemp("research"), dirs_exist_ok=True)


def record(directory: Path) -> None:
    """Both days by the real writer, each with an OpenD of its own."""
    calm = whole_day(directory / "calm", LOSSY)
    lost = next(tick for tick in calm.made[TICKS // 2 :] if tick.symbol == SYMBOLS[0])
    whole_day(directory / "lossy", LOSSY, withheld=(lost.symbol, lost.seq))
    whole_day(directory / "complete", COMPLETE)
    (directory / "data").mkdir()
    for name, date in (("lossy", LOSSY), ("complete", COMPLETE)):
        (directory / name / f"{date:%Y%m%d}.db").rename(directory / "data" / f"{date:%Y%m%d}.db")
    for name in ("calm", "lossy", "complete"):
        shutil.rmtree(directory / name)


def whole_day(root: Path, date: dt.date, *, withheld: Key | None = None) -> WholeDay:
    """A day without interruptions; with a trade that OpenD never hears of, something is missing."""
    return WholeDay(root, ticks=TICKS, ordinals="contiguous", date=date, is_calm=True, withheld=withheld)


def test_the_examples_of_the_page_run_in_order(recorded: Path) -> None:
    """Each prints something of the recorded days. Without matplotlib, a plot is made up to its data."""
    texts = fences("python")
    assert len(texts) > 10
    if find_spec("matplotlib") is None:
        texts = [text.partition("import matplotlib")[0] for text in texts]
    done = subprocess.run(
        [sys.executable, "-c", RUNNER], input=json.dumps(texts), cwd=recorded, capture_output=True, text=True,
        timeout=100, check=False, env={"PATH": "", "MPLBACKEND": "agg", "MPLCONFIGDIR": str(recorded)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    _, *printed = re.split(r"^--- \d+\n", done.stdout, flags=re.MULTILINE)
    assert len(printed) == len(texts)
    assert [text for text, said in zip(texts, printed, strict=True) if not said.strip()] == []
    page = "\n".join(printed)
    assert "[datetime.date(2026, 11, 19), datetime.date(2026, 11, 20)]" in page
    assert 'require="complete" does not hold for HK.00700 on 2026-11-19 (INCOMPLETE: ' in page
    assert re.search(r"^1 days, \d{3} bars$", page, re.MULTILINE)


def commands() -> list[str]:
    """The commands of the page, but the one that installs."""
    lines = [line.removeprefix("$ ") for fence in fences("console") for line in fence.splitlines()]
    return [line for line in lines if not line.startswith("pip ")]


@pytest.mark.parametrize("command", commands())
def test_the_commands_of_the_page_run(command: str, recorded: Path) -> None:
    """Each writes the file that it names."""
    name, *args = shlex.split(command)
    assert name == "hk-tick-collector"
    done = subprocess.run(
        [sys.executable, "-m", name.replace("-", "_"), *args, "--force"],
        cwd=recorded, capture_output=True, text=True, timeout=60, check=False, env={"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (recorded / args[args.index("--out") + 1]).stat().st_size > 1000


def test_each_column_of_bars_is_explained() -> None:
    """The table has the columns of the schema, in their order."""
    _, _, table = PAGE.partition("\n| column | type | unit | meaning |\n")
    rows: list[str] = []
    for line in table.splitlines()[1:]:
        if not line.startswith("|"):
            break
        rows += re.findall(r"`([^`]+)`", line.split("|")[1])
    names: list[Any] = bar_schema().names
    assert rows == names
