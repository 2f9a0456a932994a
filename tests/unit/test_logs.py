"""Log lines: one line each, cut out again by any tool, and not too many."""

from __future__ import annotations

import io
import os
import re
import threading
from typing import TYPE_CHECKING

import pytest
import structlog
from support.kept_log import KeptLog

from hk_tick_collector import logs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class Terminal(io.StringIO):
    """A stream that says a person looks at it."""

    def isatty(self) -> bool:
        """Yes."""
        return True


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    before = structlog.get_config()
    yield
    structlog.configure(**before)


@pytest.fixture
def written() -> Callable[..., str]:
    """Logs one event at INFO and gives the text of it."""

    def write(event: str, **fields: object) -> str:
        stream = io.StringIO()
        logs.configure("INFO", stream)
        logs.get_logger().info(event, **fields)
        return stream.getvalue()

    return write


def test_a_line_is_time_level_event_and_fields(written: Callable[..., str]) -> None:
    """UTC with Z, the level in a column of its own, then fields in the order given."""
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z INFO    persist_ticks rows=5 symbol=HK\.00700 ok=True last=None\n",
        written("persist_ticks", rows=5, symbol="HK.00700", ok=True, last=None),
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("", '""'),
        ("two words", '"two words"'),
        ("a=b", '"a=b"'),
        ('say "no"', r'"say \"no\""'),
        ("back\\slash", "back\\slash"),
        ("back\\ slash", r'"back\\ slash"'),
        ("one\ntwo", r'"one\ntwo"'),
        ("one\r\ntwo", r'"one\r\ntwo"'),
        ("a\tb", r'"a\tb"'),
        ("\x1b[2J", r'"\x1b[2J"'),
        ("騰訊", "騰訊"),
        (1.0, "1"),
        (0.0, "0"),
        (100.0, "100"),
        (1.23456, "1.235"),
        (0.5, "0.5"),
        (1e20, "100000000000000000000"),
        (float("nan"), "nan"),
        (7, "7"),
        (["a", 1], "\"['a', 1]\""),
        (ValueError("seen 1, expected 2"), '"seen 1, expected 2"'),
    ],
)
def test_a_value_can_be_cut_out_again(value: object, text: str, written: Callable[..., str]) -> None:
    """Quoted where it has blanks, escaped where it has quotes or lines, a number short."""
    assert written("e", key=value).split(" e key=", 1)[1] == text + "\n"


def test_a_long_value_is_cut(written: Callable[..., str]) -> None:
    """At 500 characters, with a mark; the journal holds the bytes."""
    assert written("e", key="x" * 501).endswith(" key=" + "x" * 500 + "…\n")
    assert written("e", key="x" * 500).endswith(" key=" + "x" * 500 + "\n")


def test_a_traceback_follows_its_line() -> None:
    """The event's own line stays whole; the traceback stands below it, with what was raised."""
    stream = io.StringIO()
    logs.configure("INFO", stream)
    try:
        int("boom")
    except ValueError as exc:
        logs.get_logger().error("persist_failed", failures=2, exc_info=exc)
    first, *rest = stream.getvalue().splitlines()
    assert first.endswith("ERROR   persist_failed failures=2")
    assert rest[0].startswith("Traceback")
    assert rest[-1].startswith("ValueError: invalid literal")


@pytest.mark.parametrize(("level", "said"), [("DEBUG", "diwe"), ("INFO", "iwe"), ("warning", "we"), ("ERROR", "e")])
def test_levels_below_the_one_asked_for_are_silent(level: str, said: str) -> None:
    """In any case of letters."""
    stream = io.StringIO()
    logs.configure(level, stream)
    log = logs.get_logger()
    log.debug("d")
    log.info("i")
    log.warning("w")
    log.error("e")
    assert "".join(line.split()[2] for line in stream.getvalue().splitlines()) == said


def test_colour_is_for_terminals_and_trouble_only() -> None:
    """A file never gets an escape sequence; a terminal gets them where it should look."""
    for stream, coloured in ((io.StringIO(), False), (Terminal(), True)):
        logs.configure("INFO", stream)
        logs.get_logger().info("fine")
        assert "\x1b" not in stream.getvalue()
        logs.get_logger().warning("trouble", a=1)
        assert ("\x1b[33mtrouble a=1\x1b[0m" in stream.getvalue()) is coloured


def test_without_a_stream_it_is_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    """Standard output stays free for what is asked for."""
    logs.configure()
    logs.get_logger().info("hello")
    out, err = capsys.readouterr()
    assert out == ""
    assert err.endswith("INFO    hello\n")


def test_what_the_limiter_held_back_is_told_if_no_later_line_tells_it() -> None:
    """Once its time is over, or at the end; each once."""
    now = 0.0
    limiter = logs.Limiter(30.0, clock=lambda: now)
    for key in ("a", "a", "a", "b"):
        limiter.allow(key)
    assert limiter.held() == {}
    now = 30.0
    assert limiter.held() == {"a": 2}
    assert limiter.held(is_end=True) == {}
    limiter.allow("b")
    limiter.allow("b")
    assert limiter.held() == {}
    assert limiter.held(is_end=True) == {"b": 1}


def test_the_limiter_lets_one_through_and_counts_the_rest() -> None:
    """The first at once, the next after the time with the number that was held back; each key for itself."""
    now = 0.0
    limiter = logs.Limiter(30.0, clock=lambda: now)
    assert limiter.allow("a") == 0
    assert limiter.allow("b") == 0
    now = 29.9
    assert [limiter.allow("a"), limiter.allow("a")] == [None, None]
    now = 30.0
    assert limiter.allow("a") == 2
    assert limiter.allow("b") == 0
    now = 59.9
    assert limiter.allow("a") is None
    now = 100.0
    assert limiter.allow("a") == 1


def test_the_journal_gets_priorities(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where systemd's journal reads the stream, each line begins with what `journalctl -p warning` goes by."""
    with (tmp_path / "log").open("w") as stream:
        status = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
        logs.configure("INFO", stream)
        log = logs.get_logger()
        log.info("a")
        log.warning("b")
        log.error("c", exc_info=ValueError("why"))
        monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino + 1}")
        logs.configure("INFO", stream)
        logs.get_logger().info("d")
    first, second, *trace, last = (tmp_path / "log").read_text().splitlines()
    assert re.match(r"<6>\d{4}-.* INFO    a$", first)
    assert re.match(r"<4>\d{4}-.* WARNING b$", second)
    assert [line[:3] for line in trace] == ["<3>"] * 2
    assert re.match(r"\d{4}-.* INFO    d$", last)


def test_a_reader_that_hangs_holds_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines wait for whoever reads them, up to a limit; the rest is dropped, which is said once it reads again."""
    monkeypatch.setattr(logs, "LINES_WAITING_MAX", 100)
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as out:
        logs.configure("INFO", out, is_threaded=True)
        log = logs.get_logger()
        for number in range(20_000):  # far more than a pipe holds
            log.info("line", number=number)
        got: list[str] = []

        def read() -> None:
            with os.fdopen(reader) as lines:
                got.extend(lines)

        thread = threading.Thread(target=read)
        thread.start()
        logs.flush()
    thread.join()
    text = "".join(got)
    kept = text.count(" line number=")
    assert 100 <= kept < 20_000
    dropped = sum(int(number) for number in re.findall(r"^(\d+) log lines were dropped", text, re.MULTILINE))
    assert kept + dropped == 20_000


def test_what_any_limiter_has_held_back_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once its time is over and no later line has told; at the end at once; and each number once only."""
    now = 100.0
    limiter = logs.Limiter(30.0, lambda: now)
    logged = KeptLog()
    monkeypatch.setattr(logs, "get_logger", lambda: logged)

    def told() -> list[int]:
        lines = [fields for event, fields in logged.lines if event == "lines_held" and fields["line"] == "on fire"]
        logged.lines.clear()
        return [fields["held"] for fields in lines]

    for _ in range(5):
        limiter.allow("on fire")
    logs.tell_held()
    assert told() == [], "a later line may still tell"
    now += 31
    logs.tell_held()
    assert told() == [4]
    logs.tell_held()
    assert told() == []
    for _ in range(3):
        limiter.allow("on fire")
    logs.tell_held(is_end=True)
    assert told() == [2]
