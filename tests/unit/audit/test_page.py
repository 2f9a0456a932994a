"""The page of an audit: whole and self-contained, with each gap, doubt and interruption at its place, and small."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from random import Random
from typing import Final

import pytest
from support.audits import at, day_audit, filled, gap, incomplete, symbol_audit, unprovable

from hk_tick_collector.audit.activity import Activity, Doubt
from hk_tick_collector.audit.day import DayAudit, Outage, Verdict
from hk_tick_collector.audit.page import GAPS_TOLD_MAX, INTERRUPTIONS_SHOWN, LEVELS, page

QUIET: Final = Activity({}, {})
OPENING: Final = at("09:30:00") // 60_000
VOID: Final = {"meta"}


class Element:
    """An element: its name, attributes, text and children."""

    def __init__(self, name: str, attributes: dict[str, str]) -> None:
        """It has no content yet."""
        self.name, self.attributes = name, attributes
        self.text = ""
        self.children: list[Element] = []

    def all(self, name: str, kind: str = "") -> list[Element]:
        """Those inside of it with that name (and class), in order."""
        found = []
        for child in self.children:
            if child.name == name and kind in {"", child.attributes.get("class", "")}:
                found.append(child)
            found += child.all(name, kind)
        return found

    def said(self) -> str:
        """Its text and that of its children."""
        return self.text + "".join(child.said() for child in self.children)


class Reader(HTMLParser):
    """Reads a page strictly: what is opened is closed, in order."""

    def __init__(self) -> None:
        """At the beginning."""
        super().__init__()
        self.root = Element("", {})
        self._open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element begins."""
        made = Element(tag, {name: value or "" for name, value in attrs})
        self._open[-1].children.append(made)
        if tag not in VOID:
            self._open.append(made)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element without content."""
        self._open[-1].children.append(Element(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        """It must be the one that was opened last."""
        assert self._open.pop().name == tag

    def handle_data(self, data: str) -> None:
        """Text."""
        self._open[-1].text += data

    def end(self) -> Element:
        """The page, which must be whole."""
        self.close()
        assert self._open == [self.root]
        return self.root


def read(audit: DayAudit, activity: Activity = QUIET, of_day: int | None = None) -> Element:
    """The page of it, as a browser would see it."""
    reader = Reader()
    reader.feed(page(audit, activity, len(audit.symbols) if of_day is None else of_day))
    return reader.end()


def place(rect: Element) -> tuple[float, float]:
    """From which minute of the axis, and how long."""
    return float(rect.attributes["x"]), float(rect.attributes["width"])


def titled(parent: Element, kind: str) -> list[str]:
    """What the rectangles of a kind say when one points at them."""
    return [title.text for rect in parent.all("rect", kind) for title in rect.all("title")]


def test_the_symbols_stand_in_the_audits_order_with_their_verdicts() -> None:
    """Worst first, as the audit has them; the day's verdict in the heading."""
    root = read(day_audit(incomplete("HK.00001"), unprovable("HK.00002"), symbol_audit("HK.00003")))
    assert [h2.said() for h2 in root.all("h2")] == [
        "HK.00001 INCOMPLETE", "HK.00002 UNPROVABLE", "HK.00003 COMPLETE",
    ]  # fmt: skip
    assert root.all("h1")[0].said() == "2026-11-20 INCOMPLETE"
    assert [b.attributes["class"] for b in root.all("b")] == [
        "v INCOMPLETE", "v INCOMPLETE", "v UNPROVABLE", "v COMPLETE",
    ]  # fmt: skip
    assert "1 COMPLETE, 1 INCOMPLETE, 1 UNPROVABLE" in root.all("header")[0].said()


def test_it_needs_neither_network_nor_script() -> None:
    """Nothing is loaded from elsewhere, and nothing runs."""
    text = page(day_audit(incomplete()), QUIET, 1)
    assert not re.search(r"<script|<link|<img|@import|https?:|//|\bon\w+=", text)
    assert set(re.findall(r'(?:href|url)[=(]"?([^")]+)', text)) == {"#day", "#filled"}


def test_what_the_audit_says_is_text() -> None:
    """A bracket in a reason opens no element, nor does a cause's."""
    evil = "<b>&\"'"
    lacking = incomplete(reasons=(evil,), gaps=(gap(cause=evil),))
    root = read(day_audit(lacking, outages=(Outage(evil, None, at("10:00:00"), 1),)))
    (article,) = root.all("article")
    assert [li.said() for li in article.all("li")] == [evil]
    assert len(article.all("b")) == 1
    assert evil in titled(article, "g")[0]


def test_a_gap_is_where_its_ticks_are_missing() -> None:
    """Open ones in their own colour, filled ones hatched, each with its words; in minutes from 09:00."""
    root = read(day_audit(incomplete(gaps=(gap(), filled(before_ts_ms=at("14:00:00"), after_ts_ms=at("14:30:00"))))))
    (article,) = root.all("article")
    (opened,), (closed,) = article.all("rect", "g"), article.all("rect", "f")
    assert place(opened) == (61.1, 2.1)
    assert place(closed) == (300.0, 30.0)
    assert titled(article, "g") == ["open: 12 ticks, opend_down, 10:01:05 to 10:03:10, shown by ordinals"]
    assert titled(article, "f")[0].endswith("filled by poll at 10:09:00")


def test_a_short_gap_can_be_seen_and_an_open_end_reaches_the_edge() -> None:
    """One of a second is drawn wider; what is not known is not drawn as nothing."""
    short = gap(before_ts_ms=at("16:29:59"), after_ts_ms=at("16:30:00"))
    since = gap(since_ms=None, before_ts_ms=None, after_ts_ms=at("09:30:00"))
    audit = day_audit(incomplete(gaps=(short, since)))
    (article,) = read(audit, Activity({"HK.00700": {at("16:29:00") // 60_000: 1}}, {})).all("article")
    first, second = article.all("rect", "g")
    assert place(first) == (448.5, 1.5)
    assert place(second) == (0.0, 30.0)


def test_a_doubt_is_drawn_over_its_time() -> None:
    """From the last tick before it."""
    doubts = [Doubt("kicked_out", at("11:10:00"), at("11:00:00"), at("11:30:00")), Doubt("unknown", None, None, 0)]
    root = read(day_audit(unprovable()), Activity({}, {"HK.00700": doubts}))
    assert [place(rect) for rect in root.all("article")[0].all("rect", "d")] == [(120.0, 30.0), (0.0, 1.5)]
    assert titled(root, "d")[0] == "in doubt: kicked_out, 11:00:00 to 11:30:00"


def test_sessions_and_interruptions_are_drawn_once_for_all() -> None:
    """Each timeline uses the one drawing."""
    root = read(day_audit(*(symbol_audit(f"HK.{n:05d}") for n in range(5))))
    (shared,) = root.all("g")
    assert [place(rect) for rect in shared.all("rect", "s")] == [
        (0.0, 30.0),
        (30.0, 150.0),
        (240.0, 180.0),
        (420.0, 10.0),
    ]
    assert titled(shared, "o") == ["opend_down 10:01:04 to 10:03:12"]
    assert len(root.all("use")) == 5
    assert [span.text for span in root.all("div", "axis")[0].all("span")] == [f"{n:02}:00" for n in range(9, 17)]


def outline(root: Element) -> str:
    """The bars of the only symbol."""
    (path,) = root.all("article")[0].all("path", "r")
    return path.attributes["d"]


def test_bars_are_the_ticks_of_each_minute() -> None:
    """Their heights go by the root; equal neighbours are one stroke; a minute without a tick is empty."""
    counts = {OPENING: 81, OPENING + 1: 81, OPENING + 3: 1, OPENING + 4: 16}
    root = read(day_audit(symbol_audit()), Activity({"HK.00700": counts}, {}))
    assert outline(root) == f"M30 {LEVELS}V0h2V9h1V8h1V5h1V9z"
    assert root.all("path", "r")[-1].all("title")[0].text == "most: 81 ticks at 09:30"
    assert "ticks a minute" in root.all("div", "legend")[0].said()


def test_ticks_outside_of_the_sessions_are_inside_of_the_axis() -> None:
    """It grows by half hours; what is of another day is no part of it."""
    counts = {at("07:45:00") // 60_000: 1, at("20:05:00") // 60_000: 1, OPENING - 2880: 1}
    root = read(day_audit(symbol_audit()), Activity({"HK.00700": counts}, {}))
    assert outline(root).startswith("M15 9V0h1V9h739V0h1")
    assert root.all("article")[0].all("svg")[0].attributes["viewbox"] == "0 0 780 9"


def test_a_day_without_sessions_or_ticks_is_a_page_too() -> None:
    """It says that nothing is proven."""
    root = read(day_audit(sessions=(), outages=(), trade_date=None))
    assert root.all("h1")[0].said() == "2026-11-20 UNPROVABLE"
    assert "nothing is proven" in root.all("main")[0].said()


def test_a_page_of_some_symbols_says_so() -> None:
    """Its verdict is not the day's."""
    assert read(day_audit(symbol_audit()), of_day=900).all("h1")[0].said() == "2026-11-20 1 of 900 symbols: COMPLETE"


def test_the_figures_are_those_of_the_table() -> None:
    """With the moment of the exchange's totals; what was not compared is said not to be."""
    first, second = read(day_audit(incomplete("HK.00001"), unprovable("HK.00002"))).all("p")[-2:]
    assert first.text == (
        "missing: 12 ticks · 1,234 rows · volume 123,400 of 124,600 at 16:15:00 (Δ -1,200) · turnover Δ 0 · "
        "ordinals contiguous 100.00 % of 1,200 · pre-opening 4, morning 700, afternoon 529, closing auction 1 · "
        "gaps: 1 open"
    )
    assert second.text.startswith("missing: unknown · 1,234 rows · volume 123,400, not compared with the exchange · ")
    assert second.text.endswith(" · 1 doubt")


def test_900_busy_symbols_with_gaps_are_less_than_2_megabytes() -> None:
    """Of the worst kind: each minute another number, ten gaps each and long reasons; then bars are wider."""
    random = Random(1)
    names = [f"HK.{n:05d}" for n in range(900)]
    reasons = tuple(f"{n}: {'x' * 100}" for n in range(9))
    symbols = [incomplete(name, reasons=reasons, gaps=tuple(gap(name) for _ in range(10))) for name in names]
    outages = tuple(Outage("opend_down", at("10:00:00"), at("10:01:00"), 900) for _ in range(1000))
    ticks = {name: {OPENING + n: random.randint(1, 99) for n in range(400)} for name in names}
    text = page(day_audit(*symbols, outages=outages), Activity(ticks, {}), 900)
    assert len(text.encode()) < 2_000_000
    assert text.count("<title>open: ") == GAPS_TOLD_MAX
    assert text.count("M61.1 0h2.1v9h-2.1z") == 9000 - GAPS_TOLD_MAX
    assert f"and {1000 - INTERRUPTIONS_SHOWN} more" in text
    assert "ticks in 2 minutes" in text
    assert "and 5 more reasons: --json" in text


@pytest.mark.parametrize("verdict", list(Verdict))
def test_each_verdict_has_its_colour(verdict: Verdict) -> None:
    """Green is only COMPLETE's."""
    style = read(day_audit()).all("style")[0].text
    colour = {Verdict.COMPLETE: "green", Verdict.INCOMPLETE: "red", Verdict.UNPROVABLE: "yellow"}[verdict]
    assert f".{verdict}{{color:var(--{colour})}}" in style
