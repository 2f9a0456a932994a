"""Makes the pictures of the README: the demo's screen, and the page of its audit.

    .venv/bin/python scripts/pictures.py [--seconds 60]

Plays the demo in a temporary directory, as `make demo` does, and writes docs/pictures/demo.svg and audit.svg. The
market is the same each time; how long the accidents take is not.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.text import Text

from hk_tick_collector.demo import place as places
from hk_tick_collector.demo import queries
from hk_tick_collector.demo.end_screen import end_screen
from hk_tick_collector.demo.play import Play, Script, title
from hk_tick_collector.demo.view import LiveView

if TYPE_CHECKING:
    from rich.console import RenderableType

PICTURES: Final = Path(__file__).resolve().parents[1] / "docs" / "pictures"
BYTES_MAX: Final = 300_000
COLUMNS: Final = 80
PAGE_WIDTH: Final = 1100
PAGE_HEIGHT: Final = 900
SYMBOLS: Final = 50


def main() -> None:
    """Make both."""
    parser = argparse.ArgumentParser(description="Make the pictures of the README.")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long the demo plays its day")
    seconds = parser.parse_args().seconds
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as directory:
        os.chdir(directory)
        place = places.prepare(Path("demo-data"))
        place.queries.write_text(queries.script(place))
        screen = Console(file=io.StringIO(), force_terminal=True, width=COLUMNS, height=60)
        script = Script(seconds, SYMBOLS, 0)
        with LiveView(screen, title(script), seconds) as view:
            outcome = Play(script, place, view).run()
        write("demo.svg", terminal(Text("$ make demo"), view.frame(), end_screen(outcome, place)))
        write("audit.svg", embedded(place.page.read_text()))


def terminal(*parts: RenderableType) -> str:
    """A terminal with these parts in it."""
    console = Console(file=io.StringIO(), record=True, force_terminal=True, width=COLUMNS, highlight=False)
    for part in parts:
        console.print(part, soft_wrap=True)
    return console.export_svg(title="hk-tick-collector", unique_id="demo")


def embedded(page: str) -> str:
    """The top of an HTML page as an SVG picture, which follows the colours of the reader's system."""
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    body = re.search(r"<body>(.*)</body>", page, re.DOTALL)
    if style is None or body is None:
        raise SystemExit("the audit's page has no style or no body any more: see hk_tick_collector/audit/page.py")
    articles = body[1].split("<article>")
    shown = "<article>".join(articles[: 1 + PAGE_HEIGHT // 84])
    if len(articles) > 1 + PAGE_HEIGHT // 84:
        shown += "</main>"
    shown = shown.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ')  # an SVG picture is XML, a page is not
    css = style[1].replace("body{", ".page{")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{PAGE_WIDTH}" height="{PAGE_HEIGHT}" '
        f'viewBox="0 0 {PAGE_WIDTH} {PAGE_HEIGHT}"><style>{css}.page{{height:100%;overflow:hidden}}</style>'
        f'<foreignObject width="100%" height="100%"><div xmlns="http://www.w3.org/1999/xhtml" class="page">'
        f"{shown}</div></foreignObject></svg>\n"
    )


def write(name: str, picture: str) -> None:
    """Write a picture, if it is small enough for a README."""
    size = len(picture.encode())
    if size > BYTES_MAX:
        raise SystemExit(f"{name} has {size:,} bytes, expected at most {BYTES_MAX:,}: show less of it")
    (PICTURES / name).write_text(picture)
    print(f"{PICTURES / name}: {size:,} bytes")  # noqa: T201 - for whoever runs it


if __name__ == "__main__":
    main()
