"""The examples of the read API run as they stand, on two days of three symbols."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from support.reading import archive_day, store_day
from support.ticks import row

from hk_tick_collector.hktime import day_begin_ms

ROOT: Final = Path(__file__).parents[2]
DOC: Final = ROOT / "docs" / "research-part-ticks.md"
EXAMPLES: Final = re.findall(r"^```python\n(.*?)^```$", DOC.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
OPEN_MS: Final = (9 * 60 + 30) * 60_000


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with `data/`: an archived day, and one that is over."""
    made = tmp_path_factory.mktemp("examples")
    for day in ("20261119", "20261120"):
        begin_ms = day_begin_ms(day) + OPEN_MS
        rows = [
            row(
                symbol, (begin_ms // 1000 + n << 32) + n, begin_ms + n * 1000, price=400 + n % 7, tick_type_id=1 + n % 7
            )
            for symbol in ("HK.00700", "HK.09988", "HK.00005")
            for n in range(60)
        ]
        path = store_day(made / "data" / f"{day}.db", rows)
        if day == "20261119":
            archive_day(path)
    return made


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_runs(example: str, place: Path) -> None:
    """It prints something and no error. A process of its own, as a reader's."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", example],
        cwd=place,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert done.stdout.strip()


def test_each_part_has_an_example() -> None:
    """A wrong pattern would find none."""
    told = "\n".join(EXAMPLES)
    assert len(EXAMPLES) >= 8
    for name in ("ticks(", "condition(", "follow(", "to_futu(", "require=", "NoDataError"):
        assert name in told, name
