"""How the page of an audit looks: its style sheet and its legend, as text."""

from __future__ import annotations

from typing import Final

# Each colour has a word or a pattern beside it: nothing is told by colour alone.
STYLE: Final = """
:root{color-scheme:light dark;--bg:#fff;--ink:#1c2024;--dim:#687076;--line:#e3e6e8;--session:#eef2f6;--bar:#5b7fa6;
--green:#18794e;--yellow:#8a6100;--red:#c62a2f;--open:#e5484dcc;--outage:#f5c86b99;--doubt:#80808099;--track:#fafbfc}
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


# `@WIDTH@` is how long a bar lasts.
LEGEND: Final = (
    '<div class="legend">'
    + _sample('<path class="r" d="M2 9V5h4V2h4V6h4V4h4V9z"/>', "ticks @WIDTH@, by the root; full: the symbol's most")
    + _sample('<rect class="s" width="20" height="9"/>', "a session")
    + _sample('<rect class="o" width="20" height="9"/>', "an interruption of the stream")
    + _sample('<rect class="g" width="20" height="9"/>', "a gap: ticks are missing, somewhere in it")
    + _sample('<rect class="f" width="20" height="9"/>', "a gap that was filled later")
    + _sample('<rect class="d" width="20" height="9"/>', "in doubt: not proven")
    + "</div>"
)
