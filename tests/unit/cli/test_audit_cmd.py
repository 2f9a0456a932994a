"""`hk-tick-collector audit`: its verdict as an exit code, its table, its JSON, its page, and what is wrong usage."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from support.audits import DAY, SESSIONS, at, day_audit, filled, incomplete, symbol_audit, unprovable
from support.last_word import tell_last_word
from support.merging import record
from support.ticks import HSBC, TENCENT, row, seq_at

from hk_tick_collector.cli import audit_cmd
from hk_tick_collector.cli.app import entry
from hk_tick_collector.errors import DatabaseError

if TYPE_CHECKING:
    from hk_tick_collector.audit.day import DayAudit

Run = Any

EXPECTED: Final = "expected today, yesterday, or a date such as 20261120 or 2026-11-20"
COMPLETE: Final = (symbol_audit(TENCENT), symbol_audit(HSBC))
MIXED: Final = (
    incomplete("HK.00001", exchange_turnover=45_658_100.75),
    unprovable("HK.00002", reasons=("no totals", "[red]two[/] doubts")),
    symbol_audit("HK.00003", gaps=(filled("HK.00003"),)),
)


@pytest.fixture
def run(root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The command as it is typed, beside `data`: its exit code, and what it said on both outputs."""
    assert root.name == "data"

    def typed(*args: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["hk-tick-collector", "audit", *map(str, args)])
        with pytest.raises(SystemExit) as ended:
            entry()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return typed


def of(audit: DayAudit, root: Path, monkeypatch: pytest.MonkeyPatch) -> DayAudit:
    """Have a database of that day be audited so."""
    record(root / f"{DAY}.db", [])
    monkeypatch.setattr(audit_cmd, "audit_day", lambda path: audit if path.stem == DAY else None)
    return audit


def stored(root: Path, *, totals: int | None) -> Path:
    """Two ticks of a symbol, which the exchange has counted as `totals` shares when all was over."""
    ticks = [row(TENCENT, seq_at(n, at("10:00:00")), at("10:00:00")) for n in (1, 2)]
    path = record(root / f"{DAY}.db", ticks)
    if totals is not None:
        tell_last_word(path, TENCENT, totals, 372.4 * totals, DAY)
    return path


@pytest.mark.parametrize(
    ("totals", "code", "verdict"), [(200, 0, "COMPLETE"), (300, 1, "INCOMPLETE"), (None, 1, "UNPROVABLE")]
)
def test_a_stored_day_is_judged(root: Path, run: Run, totals: int | None, code: int, verdict: str) -> None:
    """0 only if the exchange has counted what is stored; nothing is changed, not even beside it."""
    path = stored(root, totals=totals)
    before = (path.read_bytes(), sorted(root.iterdir()))
    ended, out, err = run("--day", DAY)
    assert (ended, err) == (code, "")
    assert out.splitlines()[-1].startswith(f"{DAY}: {verdict}. 1 {verdict}; 2 rows; ")
    assert (path.read_bytes(), sorted(root.iterdir())) == before


def test_the_newest_day_is_audited_if_none_is_named(root: Path, run: Run) -> None:
    """And DATA_ROOT may be elsewhere."""
    stored(root, totals=200)
    record(root / "20261119.db", [row(TENCENT, 1, at("10:00:00") - 86_400_000)])
    assert run()[1].splitlines()[-1].startswith(f"{DAY}: ")
    assert run("--data-root", root, "--day", "2026-11-19")[1].splitlines()[-1].startswith("20261119: UNPROVABLE.")


def cells(out: str, symbol: str) -> list[str]:
    """The cells of a symbol's row, which stand two spaces apart."""
    (line,) = [line for line in out.splitlines() if line.startswith(f"{symbol} ")]
    return [cell.strip() for cell in line.split("  ") if cell.strip()]


def test_the_table_has_all_figures(root: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Worst first, with what is missing and why; a bracket in a reason is no colour."""
    of(day_audit(*MIXED), root, monkeypatch)
    code, out, _ = run()
    assert code == 1
    headings = [cell.strip() for cell in out.splitlines()[0].split("  ") if cell.strip()]
    assert headings == [
        "symbol", "verdict", "missing", "rows", "Σ volume", "exchange", "Δ volume", "Δ turnover", "ordinals",
        "sessions", "gaps", "why",
    ]  # fmt: skip
    assert cells(out, "HK.00001") == [
        "HK.00001", "INCOMPLETE", "12 ticks", "1,234", "123,400", "124,600", "-1,200", "-100.25",
        "contiguous 100.00 % of 1,200", "PMAC", "1 open", "12 ticks are missing",
    ]  # fmt: skip
    assert cells(out, "HK.00002") == [
        "HK.00002", "UNPROVABLE", "unknown", "1,234", "123,400", "-", "-", "-", "contiguous 100.00 % of 1,200",
        "PMAC", "-", "no totals; [red]two[/] doubts (would prove it: two snapshots received after 16:12:00,",
    ]  # fmt: skip
    assert cells(out, "HK.00003")[-2:] == ["PMAC", "1 filled"]
    assert out.splitlines()[-5:] == [
        "trade date: a whole trading day",
        "exchange totals: received for 2 of 3 symbols; all types of ticks are in them",
        "sequence numbers: they count every tick for 3 of 3 symbols, so missing ones can be counted",
        "1 interruption: opend_down 10:01:04 to 10:03:12",
        (
            f"{DAY}: INCOMPLETE. 1 COMPLETE, 1 INCOMPLETE, 1 UNPROVABLE; 3,702 rows; "
            "12 ticks missing in 1 gap (opend_down 10:01:05 to 10:03:10); 1 gap filled"
        ),
    ]


def test_many_complete_symbols_are_counted(root: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what is not COMPLETE is shown; `--all` shows the rest."""
    many = tuple(symbol_audit(f"HK.{n:05d}") for n in range(100, 130))
    of(day_audit(*MIXED, *many), root, monkeypatch)
    _, out, _ = run()
    assert [line.split()[0] for line in out.splitlines() if line.startswith("HK.")] == ["HK.00001", "HK.00002"]
    assert "… and 31 more symbols COMPLETE: --all\n" in out
    _, out, _ = run("--all")
    assert sum(line.startswith("HK.") for line in out.splitlines()) == 33
    assert "more symbol" not in out


def test_a_day_of_many_complete_symbols_is_short(root: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """No table without rows, and exit code 0."""
    of(day_audit(*(symbol_audit(f"HK.{n:05d}") for n in range(900))), root, monkeypatch)
    code, out, _ = run()
    assert code == 0
    assert out.splitlines()[0] == "900 symbols COMPLETE: --all"
    assert out.splitlines()[-1] == f"{DAY}: COMPLETE. 900 COMPLETE; 1,110,600 rows; nothing missing"


def test_a_narrow_terminal_gets_fewer_figures(root: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """With colours, each verdict in its own; what is missing and why stays."""
    of(day_audit(*MIXED), root, monkeypatch)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    _, out, _ = run()
    assert "Σ volume" not in out
    assert "12 ticks are missing" in out
    for verdict, colour in (("INCOMPLETE", 31), ("UNPROVABLE", 33), ("COMPLETE", 32)):
        assert re.search(rf"\x1b\[{colour}m{verdict} *\x1b\[0m", out)
    assert "\x1b[1;31mINCOMPLETE\x1b[0m" in out.splitlines()[-2] + out.splitlines()[-1]


def test_without_a_terminal_there_is_no_colour(root: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor are lines cut at 80 columns."""
    of(day_audit(*MIXED), root, monkeypatch)
    monkeypatch.setenv("COLUMNS", "80")
    _, out, _ = run()
    assert "\x1b" not in out
    assert "Σ volume" in out


LISTS: Final = ("reasons", "contradictions", "would_prove", "covered", "not_covered", "revisions")


def test_json_is_one_object_with_all_of_it(root: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names as in the audit; each symbol, gap, session and interruption is an object."""
    audit = of(day_audit(*MIXED), root, monkeypatch)
    code, out, err = run("--json")
    told = json.loads(out)
    assert (code, err, told["exit_code"], told["symbols_of_day"]) == (1, "", 1, 3)
    assert (told["day"], told["verdict"], told["trade_date"], told["not_counted"]) == (
        DAY, "INCOMPLETE", "whole", ["ODD_LOT"],
    )  # fmt: skip
    assert told["audited_ms"] == audit.audited_ms
    assert told["sessions"] == [session._asdict() for session in SESSIONS]
    assert told["outages"] == [outage._asdict() for outage in audit.outages]
    assert [symbol["symbol"] for symbol in told["symbols"]] == ["HK.00001", "HK.00002", "HK.00003"]
    for symbol, said in zip(audit.symbols, told["symbols"], strict=True):
        expected = {
            **symbol._asdict(),
            **{name: list(getattr(symbol, name)) for name in LISTS},
            "ordinals": symbol.ordinals._asdict(),
            "gaps": [gap._asdict() for gap in symbol.gaps],
        }
        assert said == expected


def test_some_symbols_have_a_verdict_of_their_own(root: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said how many of how many they are."""
    of(day_audit(*MIXED), root, monkeypatch)
    code, out, _ = run("--symbol", "HK.00003")
    assert (code, out.splitlines()[-1]) == (
        0, f"{DAY}, 1 of 3 symbols: COMPLETE. 1 COMPLETE; 1,234 rows; nothing missing; 1 gap filled",
    )  # fmt: skip
    code, out, _ = run("--symbol", "HK.00003,HK.00001", "--symbol", "HK.00002", "--json")
    told = json.loads(out)
    assert (code, told["verdict"], len(told["symbols"]), told["symbols_of_day"]) == (1, "INCOMPLETE", 3, 3)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--day", "20261121"),
         "no database of 20261121 in {root}: nothing was recorded, so nothing is proven; there is 20261120"),
        (("--symbol", "HK.09999"), "nothing of HK.09999 was recorded on 20261120, so nothing is proven"),
    ],
)  # fmt: skip
def test_what_was_not_recorded_ends_with_1(root: Path, run: Run, args: tuple[str, ...], said: str) -> None:
    """In one line that says what there is; nothing is proven, and nothing was typed wrong."""
    stored(root, totals=200)
    for more in ((), ("--json",)):
        assert run(*args, *more) == (1, "", f"hk-tick-collector: {said.format(root=root)}\n")


def test_the_days_that_there_are_are_named(root: Path, run: Run) -> None:
    """A few one by one, many by the first and the last, and none is said as well."""
    assert run("--day", DAY)[2].endswith("; there is none at all\n")
    for n in range(1, 8):
        (root / f"2026110{n}.db").touch()
        if n == 3:
            assert run("--day", DAY)[2].endswith("; there are 20261101, 20261102, 20261103\n")
    assert run("--day", DAY)[2].endswith("; there are 7 days, 20261101 to 20261107\n")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--day", "2026112"), f"day '2026112', {EXPECTED}"),
        (("2026112",), f"day '2026112', {EXPECTED}"),
        (("--day", "20261331"), f"day '20261331' is not in the calendar, {EXPECTED}"),
        (("--day", ""), f"day '', {EXPECTED}"),
        (("--day", "../etc/passwd"), f"day '../etc/passwd', {EXPECTED}"),
        ((DAY, "--day", "20261121"), "two days, '20261120' and --day '20261121': expected one"),
        (("--symbol", "plate:HK.BK1910"), "--symbol: 'plate:HK.BK1910' is a plate, expected a stock code such as"),
        (("--symbol", "7OO"), "--symbol: '7OO' is not a stock code, expected up to five digits"),
        (("--data-root", "nowhere"), "this directory does not exist; pass --data-root DIRECTORY, or set DATA_ROOT"),
        (("--html", "nowhere/page.html"), "--html nowhere/page.html can't be written: No such file or directory"),
        (("--html", "data"), "--html data can't be written: Is a directory"),
        (("--html", "/"), "--html / can't be written: "),
        (
            ("--html", "data/20261119.certificate.json"),
            "data/20261119.certificate.json is a file of the recorder's, expected another name",
        ),
        (
            ("--html", f"data/{DAY}.db"),
            f"--html data/{DAY}.db has the name of a database, expected one such as day.html",
        ),
        (("--fly",), "No such option: --fly"),
    ],
)
def test_wrong_usage_ends_with_2(root: Path, run: Run, args: tuple[str, ...], said: str) -> None:
    """And says what was wrong; nothing is left behind."""
    stored(root, totals=200)
    certificate = root / "20261119.certificate.json"
    certificate.write_text("kept")
    code, out, err = run(*args)
    assert (code, out) == (2, "")
    assert said in err
    assert certificate.read_text() == "kept"
    assert "Traceback" not in err
    assert sorted(path.name for path in root.parent.iterdir()) == ["data"]


def test_nothing_recorded_at_all_ends_with_2(root: Path, run: Run) -> None:
    """Without a day there is none to be audited."""
    code, out, err = run()
    assert (code, out) == (2, "")
    assert err == f"hk-tick-collector: no day database in {root}: set DATA_ROOT, or record something first\n"


def test_what_is_no_database_ends_with_1(root: Path, run: Run) -> None:
    """It proves nothing, and it is one line."""
    (root / f"{DAY}.db").write_bytes(b"no database" * 1000)
    code, out, err = run("--day", DAY)
    assert (code, out) == (1, "")
    assert err.startswith(f"hk-tick-collector: data/{DAY}.db can't be read: ")
    assert err.count("\n") == 1


def test_a_page_is_made(root: Path, run: Run) -> None:
    """Whole, in place of an older one, and with the same verdict; with `--json` nothing else is said."""
    stored(root, totals=200)
    page = Path("page.html")
    page.write_text("an older one")
    code, out, _ = run("--html", page)
    assert (code, out.splitlines()[-1]) == (0, "wrote page.html")
    text = page.read_text()
    assert text.startswith("<!DOCTYPE html>")
    assert text.endswith("</html>\n")
    assert '<b class="v COMPLETE">COMPLETE</b>' in text
    assert "most: 2 ticks at 10:00" in text
    assert json.loads(run("--html", page, "--json")[1])["verdict"] == "COMPLETE"
    assert [path.name for path in Path().iterdir() if path.name != "data"] == ["page.html"]


def test_a_page_that_fails_half_way_leaves_the_older_one(root: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """As does one whose ticks can't be read."""
    stored(root, totals=200)
    page = Path("page.html")
    page.write_text("an older one")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    assert run("--html", page) == (
        2, "", "hk-tick-collector: --html page.html can't be written: No space left on device\n",
    )  # fmt: skip

    def unreadable(*_: object) -> None:
        raise DatabaseError("x can't be read")

    monkeypatch.setattr("hk_tick_collector.audit.activity.read_activity", unreadable)
    assert run("--html", page) == (1, "", "hk-tick-collector: x can't be read\n")
    assert page.read_text() == "an older one"
    assert sorted(path.name for path in Path().iterdir()) == ["data", "page.html"]
