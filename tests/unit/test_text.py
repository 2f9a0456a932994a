"""Text from outside: what may pass, what is replaced, and how much of it is kept."""

from __future__ import annotations

import json
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hk_tick_collector.text import TEXT_MAX, plain


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("Unknown stock", "Unknown stock"),
        ("未知股票 騰訊　é", "未知股票 騰訊　é"),
        ("\x1b[31mred\x1b]0;title\x07", "\ufffd[31mred\ufffd]0;title\ufffd"),
        ("a\x00b\x7fc\x9bd", "a\ufffdb\ufffdc\ufffdd"),
        ("HK.\u202e00700\u2066", "HK.\ufffd00700\ufffd"),
        ("two\nlines\tand\r\nmore\u2028end", "two lines and  more\ufffdend"),
        ("half \ud83d of a pair", "half \ufffd of a pair"),
        (b"in UTF-8: \xe6\x9c\xaa", "in UTF-8: 未"),
        ("未知股票".encode("gbk"), "δ֪\ufffd\ufffdƱ"),
        (b"\x1b[2J\xff", "\ufffd[2J\ufffd"),
        (700, "700"),
        (None, "None"),
    ],
)
def test_what_could_steer_a_terminal_is_replaced(text: object, expected: str) -> None:
    """Control characters, marks of direction and what can't be decoded; all else stays as it is."""
    assert plain(text) == expected


@pytest.mark.parametrize("text", ["x" * 501, b"x" * 100_000_000, "\x1b" * 501])
def test_a_long_text_is_cut(text: str | bytes) -> None:
    """To 500 characters, and it says so."""
    assert len(plain(text)) == TEXT_MAX + 1
    assert plain(text).endswith("…")
    assert plain(text[:500]).rstrip("…") == plain(text[:500])
    assert plain("abcdef", 3) == "abc…"


@given(st.one_of(st.text(st.characters()), st.binary()))
def test_any_text_can_be_stored_and_printed(text: Any) -> None:  # noqa: ANN401 - text or bytes
    """It is UTF-8, survives JSON, and holds nothing unsafe; made plain twice it is the same."""
    made = plain(text)
    assert made.encode().decode() == json.loads(json.dumps(made)) == made == plain(made)
    assert not {unicodedata.category(c) for c in made} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
