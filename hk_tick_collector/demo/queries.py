"""Three questions about the recorded day, as lines to paste into a shell."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from hk_tick_collector.demo.place import Place


class Query(NamedTuple):
    """The question, and the SQL that answers it."""

    title: str
    sql: str


# The SQL must not contain a double quote, dollar sign or backquote: it is printed inside a shell's double quotes.
QUERIES: Final = (
    Query(
        "Which symbols trade most?",
        """\
SELECT symbol, count(*) AS ticks, sum(volume) AS shares,
       round(sum(turnover) / 1e6, 1) AS turnover_millions
FROM ticks GROUP BY symbol ORDER BY ticks DESC LIMIT 10""",
    ),
    Query(
        "One-minute bars of the busiest",
        """\
SELECT strftime('%H:%M', minute * 60 + 28800, 'unixepoch') AS hk_time,
       max(price) FILTER (WHERE first) AS open, max(price) AS high,
       min(price) AS low, max(price) FILTER (WHERE last) AS close,
       sum(volume) AS volume
FROM (SELECT ts_ms / 60000 AS minute, price, volume,
             row_number() OVER up = 1 AS first, row_number() OVER down = 1 AS last
      FROM ticks WHERE symbol =
        (SELECT symbol FROM symbol_stats ORDER BY rows DESC LIMIT 1)
      WINDOW up AS (PARTITION BY ts_ms / 60000 ORDER BY seq),
             down AS (PARTITION BY ts_ms / 60000 ORDER BY seq DESC))
GROUP BY minute ORDER BY minute LIMIT 15""",
    ),
    Query(
        "How many ticks were pushed, how many had to be fetched after an accident, and of when are they?",
        """\
SELECT push_type, count(*) AS ticks, count(DISTINCT symbol) AS symbols,
       strftime('%H:%M:%S', min(ts_ms) / 1000 + 28800, 'unixepoch') AS first_hk,
       strftime('%H:%M:%S', max(ts_ms) / 1000 + 28800, 'unixepoch') AS last_hk
FROM ticks GROUP BY push_type ORDER BY ticks DESC""",
    ),
)


def command_line(place: Place, query: Query) -> str:
    """The command to paste into a shell; it spans several lines."""
    return f'{program()} sql --data-root {shlex.quote(str(place.shown_data_root))} -e "\n{query.sql}"'


def script(place: Place) -> str:
    """All of them, as a shell script that works from any directory."""
    lines = ["#!/bin/sh", "# Queries of the demo's day: change them, or paste one into a shell.", ""]
    lines.append(f"cd {shlex.quote(str(Path.cwd()))} || exit")
    for query in QUERIES:
        lines += ["", f"echo {shlex.quote(f'# {query.title}')}", command_line(place, query)]
    return "\n".join(lines) + "\n"


def program() -> str:
    """How to call this program from the current directory: `.venv/bin/hk-tick-collector` in a fresh clone."""
    installed = Path(sys.executable).with_name("hk-tick-collector")
    if not installed.exists():
        return f"{shlex.quote(sys.executable)} -m hk_tick_collector.cli.app"
    if shutil.which(installed.name) == str(installed):
        return installed.name
    here = Path.cwd()
    return shlex.quote(str(installed.relative_to(here) if installed.is_relative_to(here) else installed))
