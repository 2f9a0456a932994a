"""The page of an audit: one HTML file with a timeline of the day for each symbol. Pure: values in, text out.

Owns what the page shows and how large it may get. It needs no network and no script, and has a light and a dark colour
scheme. All timelines have the same axis, in minutes of Hong Kong's day. What is the same for all symbols (sessions,
hours, interruptions) is drawn once and referenced by each.
"""

from __future__ import annotations

from html import escape
from itertools import pairwise
from math import ceil, sqrt
from typing import TYPE_CHECKING, Final, NamedTuple

from hk_tick_collector.audit import wording
from hk_tick_collector.audit.activity import MINUTE_MS
from hk_tick_collector.audit.day import Verdict
from hk_tick_collector.hktime import hk_midnight_ms, hk_text, parse_time
from hk_tick_collector.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from hk_tick_collector.audit.activity import Activity, Doubt
    from hk_tick_collector.audit.day import DayAudit, Gap, SymbolAudit

# Number of bar heights, so that a height is one digit: the page has up to 900 symbols and has to fit into a mail.
LEVELS: Final = 9
BARS_CHARS_MAX: Final = 800_000
BAR_MINUTES: Final = (1, 2, 5, 10, 30)
GAPS_TOLD_MAX: Final = 1_500  # per day, with a text; more are drawn and counted, and `--json` has them all
REASONS_SHOWN: Final = 4
REASON_CHARS_MAX: Final = 240
INTERRUPTIONS_SHOWN: Final = 200

_NARROWEST: Final = 1.5  # minutes: anything shorter is drawn this wide, to be visible
_EDGE: Final = 98  # per cent: beyond it, or as near to the left edge, an hour's label would not fit
_HALF_HOUR: Final = 30
_USUAL_BEGIN_MIN: Final = 9 * 60
_USUAL_END_MIN: Final = 16 * 60 + 30
_DAY_MIN: Final = 24 * 60


class Axis(NamedTuple):
    """The drawn part of the day: `minutes` minutes from `begin_min` on."""

    midnight_ms: int
    begin_min: int
    minutes: int

    def x(self, ts_ms: int) -> float:
        """The position of a moment, limited to the drawing."""
        at = (ts_ms - self.midnight_ms) / MINUTE_MS - self.begin_min
        return round(min(max(at, 0.0), self.minutes), 1)


def page(audit: DayAudit, activity: Activity, of_day: int) -> str:
    """The page. It has all of the audit except what the limits above cut off, and says what it leaves out.

    Args:
        audit: of all symbols of the day, or of some.
        activity: of the same symbols.
        of_day: how many symbols the day has.
    """
    audit = audit._replace(
        outages=tuple(o._replace(since_ms=o.since_ms or activity.received.get(o.resumed_ms)) for o in audit.outages)
    )
    axis = _axis(audit, activity)
    bar_min, bars = _bars(axis, activity.ticks)
    told = 0
    items = []
    for symbol in audit.symbols:
        tellable = max(0, GAPS_TOLD_MAX - told)
        told += min(len(symbol.gaps), tellable)
        drawn = _gaps(axis, symbol.gaps, audit.day, tellable)
        doubts = _doubts(axis, activity.doubts.get(symbol.symbol, ()), audit.day)
        items.append(_item(symbol, audit, axis, f"{bars.get(symbol.symbol, '')}{doubts}{drawn}"))
    day = f"{audit.day[:4]}-{audit.day[4:6]}-{audit.day[6:]}"
    body = "\n".join(items) or '<p class="none">Nothing is stored of this day, so nothing is proven.</p>'
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<meta name="color-scheme" content="light dark"><title>{day} {audit.verdict}</title>'
        f"<style>{_STYLE}</style></head><body>\n{_header(audit, day, of_day)}\n{_shared(audit, axis)}\n"
        f"{_legend(bar_min)}\n{_hours(axis)}\n<main>\n{body}\n</main>\n</body></html>\n"
    )


# ---- the axis and what all symbols share


def _axis(audit: DayAudit, activity: Activity) -> Axis:
    """The sessions, and the ticks outside of them on that day, rounded to half hours."""
    midnight_ms = hk_midnight_ms(parse_time(f"{audit.day}120000").ms)
    first_min = midnight_ms // MINUTE_MS
    seen = [minute - first_min + n for counts in activity.ticks.values() for minute in counts for n in (0, 1)]
    seen += [(ms - midnight_ms) // MINUTE_MS for s in audit.sessions for ms in (s.begin_ms, s.end_ms)]
    seen = [minute for minute in seen if 0 <= minute <= _DAY_MIN]
    begin = min(seen, default=_USUAL_BEGIN_MIN) // _HALF_HOUR * _HALF_HOUR
    end = ceil(max(seen, default=_USUAL_END_MIN) / _HALF_HOUR) * _HALF_HOUR
    return Axis(midnight_ms, begin, max(end - begin, 2 * _HALF_HOUR))


def _hours_of(axis: Axis) -> range:
    """The minutes of the day with an hour line: every hour, or every two hours on a long axis."""
    step = 60 if axis.minutes <= 10 * 60 else 120
    return range(ceil(axis.begin_min / step) * step, axis.begin_min + axis.minutes + 1, step)


def _shared(audit: DayAudit, axis: Axis) -> str:
    """Shapes that each timeline references: session shading, interruptions, hour lines; and the hatching."""
    shades = "".join(_rect("s", axis, s.begin_ms, s.end_ms, s.name) for s in audit.sessions)
    outages = "".join(
        _rect("o", axis, o.since_ms, o.resumed_ms, _outage_text(o.cause, o.since_ms, o.resumed_ms, audit.day))
        for o in audit.outages[:INTERRUPTIONS_SHOWN]
    )
    lines = "".join(f"M{minute - axis.begin_min} 0v{LEVELS}" for minute in _hours_of(axis))
    return (
        '<svg width="0" height="0" class="defs"><defs>'
        '<pattern id="filled" width="3" height="3" patternUnits="userSpaceOnUse">'
        '<path class="hatch" d="M-1 1l2-2M0 3l3-3M2 4l2-2"/></pattern>'
        f'<g id="day">{shades}{outages}<path class="h" d="{lines}"/></g></defs></svg>'
    )


def _outage_text(cause: str, since_ms: int | None, resumed_ms: int, day: str) -> str:
    return f"{cause} {wording.span_text(since_ms, resumed_ms, day)}"


def _hours(axis: Axis) -> str:
    """The hour labels, which stay visible while scrolling."""
    marks = []
    for minute in _hours_of(axis):
        left = (minute - axis.begin_min) * 100 / axis.minutes
        edge = ' class="end"' if left > _EDGE else ' class="begin"' if left < 100 - _EDGE else ""
        marks.append(f'<span{edge} style="left:{left:.2f}%">{minute // 60:02}:00</span>')
    return f'<div class="axis" aria-hidden="true">{"".join(marks)}</div>'


def _header(audit: DayAudit, day: str, of_day: int) -> str:
    lines = "".join(f"<li>{escape(line)}</li>" for line in wording.notes(audit))
    interruptions = ""
    if audit.outages:
        rows = "".join(
            f"<li>{escape(_outage_text(o.cause, o.since_ms, o.resumed_ms, audit.day))}"
            f": {escape(counted(o.symbols, 'symbol'))}</li>"
            for o in audit.outages[:INTERRUPTIONS_SHOWN]
        )
        more = len(audit.outages) - INTERRUPTIONS_SHOWN
        rest = f"<li>and {more:,} more, which are not drawn either</li>" if more > 0 else ""
        total = counted(len(audit.outages), "interruption")
        interruptions = f"<details><summary>{total}</summary><ul>{rows}{rest}</ul></details>"
    part = f"{len(audit.symbols):,} of {counted(of_day, 'symbol')}: " if len(audit.symbols) < of_day else ""
    return (
        f'<header><h1>{day} {part}<b class="v {audit.verdict}">{audit.verdict}</b></h1>'
        f"<p>{escape(wording.headline(audit))}</p><ul>{lines}</ul>{interruptions}"
        f'<p class="dim">Audited {hk_text(audit.audited_ms)[:19]}. All times are Hong Kong\'s.</p></header>'
    )


def _legend(bar_min: int) -> str:
    width = "a minute" if bar_min == 1 else f"in {bar_min} minutes"
    return _LEGEND.replace("@WIDTH@", width)


# ---- bars


def _bars(axis: Axis, ticks: Mapping[str, Mapping[int, int]]) -> tuple[int, dict[str, str]]:
    """The minutes per bar, and each symbol's bars: the narrowest bars that fit into `BARS_CHARS_MAX`."""
    drawn: dict[str, str] = {}
    for width in BAR_MINUTES:
        drawn = {symbol: _outline(axis, counts, width) for symbol, counts in ticks.items()}
        if sum(map(len, drawn.values())) <= BARS_CHARS_MAX:
            return width, drawn
    return BAR_MINUTES[-1], drawn


def _outline(axis: Axis, counts: Mapping[int, int], width: int) -> str:
    """The bars as one outline; heights are square roots of tick counts, so that quiet minutes are visible, too."""
    begin = axis.midnight_ms // MINUTE_MS + axis.begin_min
    bars: dict[int, int] = {}
    for minute, count in counts.items():
        if 0 <= minute - begin < axis.minutes:
            place = (minute - begin) // width
            bars[place] = bars.get(place, 0) + count
    if not bars:
        return ""
    scale = LEVELS / sqrt(max(bars.values()))
    levels = [max(1, round(scale * sqrt(bars[p]))) if p in bars else 0 for p in range(min(bars), max(bars) + 1)]
    most = max(bars, key=lambda place: bars[place])
    at = axis.begin_min + most * width
    told = f"<title>most: {counted(bars[most], 'tick')} at {at // 60:02}:{at % 60:02}</title>"
    # Equal heights in a row are one stroke.
    changes = [0, *(n for n, (a, b) in enumerate(pairwise(levels), 1) if a != b), len(levels)]
    strokes = "".join(f"V{LEVELS - levels[a]}h{(b - a) * width}" for a, b in pairwise(changes))
    return f'<path class="r" d="M{min(bars) * width} {LEVELS}{strokes}V{LEVELS}z">{told}</path>'


# ---- a symbol


def _item(symbol: SymbolAudit, audit: DayAudit, axis: Axis, drawing: str) -> str:
    why = list(symbol.reasons[:REASONS_SHOWN])
    if len(symbol.reasons) > len(why):
        why.append(f"and {len(symbol.reasons) - len(why):,} more reasons: --json")
    reasons = "".join(f"<li>{escape(_short(reason))}</li>" for reason in why)
    name = escape(symbol.symbol)
    return (
        f'<article><h2>{name} <b class="v {symbol.verdict}">{symbol.verdict}</b></h2>'
        f"<p>{escape(' · '.join(_figures(symbol, audit)))}</p>"
        f'<svg viewBox="0 0 {axis.minutes} {LEVELS}" preserveAspectRatio="none" role="img" aria-label="{name}">'
        f'<use href="#day"/>{drawing}</svg>{f"<ul>{reasons}</ul>" if reasons else ""}</article>'
    )


def _short(text: str) -> str:
    return text if len(text) <= REASON_CHARS_MAX else f"{text[: REASON_CHARS_MAX - 1]}…"


def _figures(symbol: SymbolAudit, audit: DayAudit) -> Iterator[str]:
    """The figures of a symbol, worded as in the terminal's table."""
    if symbol.verdict is not Verdict.COMPLETE:
        yield f"missing: {wording.missing_text(symbol)}"
    yield counted(symbol.rows, "row")
    if symbol.exchange_volume is None:
        yield f"volume {symbol.volume:,}, not compared with the exchange"
    else:
        volume, turnover = wording.volume_delta(symbol), wording.turnover_delta(symbol)
        at = "" if symbol.totals_ms is None else f" at {wording.clock_text(symbol.totals_ms, audit.day)}"
        yield f"volume {symbol.volume:,} of {symbol.exchange_volume:,}{at} (Δ {wording.signed_text(volume)})"
        yield f"turnover Δ {wording.signed_text(turnover, 2)}"
    yield f"ordinals {wording.ordinals_text(symbol.ordinals)}"
    if symbol.sessions:
        yield ", ".join(f"{name} {rows:,}" for name, rows in symbol.sessions.items() if rows)
    if symbol.gaps:
        yield f"gaps: {wording.gaps_text(symbol)}"
    if symbol.doubts:
        yield counted(symbol.doubts, "doubt")


def _gaps(axis: Axis, gaps: Sequence[Gap], day: str, tellable: int) -> str:
    """The gaps, open ones above filled ones: `tellable` of them with a text, all others as one shape per state."""
    by_state = sorted(gaps, key=lambda gap: gap.state == "open")  # what is drawn last is on top, and gets the texts
    silent, told = by_state[: max(0, len(by_state) - tellable)], by_state[-tellable:] if tellable else []
    drawn = []
    for kind, is_open in (("f", False), ("g", True)):
        shape = "".join(_box(axis, *wording.bounds_of(gap)) for gap in silent if (gap.state == "open") is is_open)
        if shape:
            drawn.append(f'<path class="{kind}" d="{shape}"/>')
    for gap in told:
        kind = "g" if gap.state == "open" else "f"
        drawn.append(_rect(kind, axis, *wording.bounds_of(gap), wording.gap_text(gap, day)))
    return "".join(drawn)


def _doubts(axis: Axis, doubts: Sequence[Doubt], day: str) -> str:
    drawn = []
    for doubt in doubts:
        begin_ms = doubt.since_ms if doubt.before_ts_ms is None else doubt.before_ts_ms
        told = f"in doubt: {doubt.cause}, {wording.span_text(begin_ms, doubt.resumed_ms, day)}"
        drawn.append(_rect("d", axis, begin_ms, doubt.resumed_ms, told))
    return "".join(drawn)


def _rect(kind: str, axis: Axis, begin_ms: int | None, end_ms: int | None, told: str) -> str:
    """A time span, with a tooltip."""
    begin, width = _place(axis, begin_ms, end_ms)
    place = f'x="{begin:g}" width="{width:g}" height="{LEVELS}"'
    return f'<rect class="{kind}" {place}><title>{escape(told)}</title></rect>'


def _box(axis: Axis, begin_ms: int | None, end_ms: int | None) -> str:
    """A time span, as a part of a path."""
    begin, width = _place(axis, begin_ms, end_ms)
    return f"M{begin:g} 0h{width:g}v{LEVELS}h-{width:g}z"


def _place(axis: Axis, begin_ms: int | None, end_ms: int | None) -> tuple[float, float]:
    """The position and the visible width of a time span; an unknown end reaches to the edge."""
    begin = 0.0 if begin_ms is None else axis.x(begin_ms)
    end = float(axis.minutes) if end_ms is None else axis.x(end_ms)
    width = max(round(end - begin, 1), _NARROWEST)
    return min(begin, axis.minutes - width), width


# ---- how it looks

# Each colour comes with a word or a pattern: nothing is shown by colour alone.
_STYLE: Final = """
:root{color-scheme:light dark;--bg:#fff;--ink:#1c2024;--dim:#687076;--line:#e3e6e8;--session:#eef2f6;--bar:#5b7fa6;
--green:#18794e;--yellow:#8a6100;--red:#c62a2f;--open:#e5484dcc;--outage:#f5c86b99;--doubt:#80808099;--track:#fafbfc}
@media (max-width: 480px) { .axis > :nth-child(even) { display: none } }
@media (prefers-color-scheme:dark){:root{--bg:#15181b;--ink:#e6e8ea;--dim:#9ba1a6;--line:#2b3035;--session:#20262c;
--bar:#7fa6d1;--green:#4cc38a;--yellow:#e2b340;--red:#ff6369;--open:#f2555acc;--outage:#8a6a1fb3;--doubt:#9a9a9a88;
--track:#191d21}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:1400px;padding:1rem 1.5rem 3rem;background:var(--bg);color:var(--ink);
font:14px/1.45 system-ui,sans-serif;font-variant-numeric:tabular-nums}
h1{font-size:1.5rem;margin:0 0 .3rem}h2{font-size:.95rem;margin:0;display:inline}
header p,header ul{margin:.2rem 0}ul{padding-left:1.2rem}
.v{font-size:.8em;padding:.05em .5em;border:1px solid;border-radius:.3em;white-space:nowrap}
.COMPLETE{color:var(--green)}.INCOMPLETE{color:var(--red)}.UNPROVABLE{color:var(--yellow)}
.dim,article p,article ul{color:var(--dim)}
.defs{position:absolute}
.legend{display:flex;flex-wrap:wrap;gap:.3rem 1.2rem;margin:1rem 0 .4rem;font-size:.85rem}
.legend svg{width:2.2rem;height:1rem;vertical-align:-.15rem;margin-right:.4rem;border:1px solid var(--line)}
.axis{position:sticky;top:0;z-index:1;height:1.6rem;background:var(--bg);border-bottom:1px solid var(--line);
font-size:.75rem;color:var(--dim)}
.axis span{position:absolute;bottom:.1rem;transform:translateX(-50%)}
.axis .begin{transform:none}.axis .end{transform:translateX(-100%)}
article{padding:.55rem 0 .5rem;border-bottom:1px solid var(--line);content-visibility:auto;
contain-intrinsic-size:auto 84px}
article p{display:inline;margin:0 0 0 .6rem;font-size:.85rem}
article svg{display:block;width:100%;height:34px;margin-top:.3rem;background:var(--track)}
article ul{margin:.3rem 0 0;font-size:.85rem}
.s{fill:var(--session)}.o{fill:var(--outage)}.r{fill:var(--bar)}.g{fill:var(--open)}.d{fill:var(--doubt)}
.f{fill:url(#filled);stroke:var(--red);stroke-width:1;vector-effect:non-scaling-stroke}
.h{stroke:var(--line);vector-effect:non-scaling-stroke}
.hatch{stroke:var(--red);stroke-width:.6}
@media print{.axis{position:static}}
""".strip()

_SAMPLE: Final = '<svg viewBox="0 0 20 9" preserveAspectRatio="none">{}</svg>'


def _sample(drawing: str, words: str) -> str:
    return f"<span>{_SAMPLE.format(drawing)}{words}</span>"


# `@WIDTH@` is replaced with the minutes per bar.
_LEGEND: Final = (
    '<div class="legend">'
    + _sample(
        '<path class="r" d="M2 9V5h4V2h4V6h4V4h4V9z"/>',
        "ticks @WIDTH@ (square-root scale; full height = the symbol's busiest)",
    )
    + _sample('<rect class="s" width="20" height="9"/>', "a session")
    + _sample('<rect class="o" width="20" height="9"/>', "an interruption of the stream")
    + _sample('<rect class="g" width="20" height="9"/>', "a gap: ticks are missing, somewhere in it")
    + _sample('<rect class="f" width="20" height="9"/>', "a gap that was filled later")
    + _sample('<rect class="d" width="20" height="9"/>', "in doubt: not proven")
    + "</div>"
)
