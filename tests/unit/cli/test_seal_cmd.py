"""`seal`, `verify --sealed`, `days` and `gaps`: what they show, their JSON, their exit codes."""

from __future__ import annotations

import json
import re
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import apsw
import pytest
from support.scenario import Scenario
from support.sealing import certificate, make_day, seal_day, tell_day
from support.ticks import DAY, NEXT_DAY, TENCENT, pushes

from hk_tick_collector.cli.app import entry
from hk_tick_collector.cli.listing import Listing
from hk_tick_collector.hktime import hk_day, hk_text
from hk_tick_collector.journal.cursor import Wait, save_cursor
from hk_tick_collector.journal.segments import DIRECTORY, Position
from hk_tick_collector.seal.day import sealing
from hk_tick_collector.store import certificate_file
from hk_tick_collector.store.schema import APPLICATION_ID, DAY_OF_TS, MIGRATIONS, day_of_ts
from hk_tick_collector.store.sealed import certificate_of, is_sealed

if TYPE_CHECKING:
    from pathlib import Path

Run = Any


@pytest.fixture
def run(root: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """A command as it is typed: its exit code, and what it said on both outputs."""

    def typed(command: str, *args: str) -> tuple[int, str, str]:
        line = ["hk-tick-collector", command, "--data-root", str(root), *args]
        monkeypatch.setattr(sys, "argv", line)
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            entry()
        said = capfd.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return typed


def words(text: str, day: str) -> list[str]:
    """The cells of a day's line."""
    (line,) = [line for line in text.splitlines() if line.startswith(day)]
    return line.split()


# ---- seal


def test_seal_seals_a_day(root: Path, run: Run) -> None:
    """It tells the verdict and the figures; again it says that nothing was to be done."""
    tell_day(Scenario(root))
    code, out, _ = run("seal", "--day", "2026-07-31")
    assert code == 0
    assert words(out, DAY)[:6] == [DAY, "COMPLETE", "1", "0", "0", "40"]
    assert words(out, DAY)[-1] == "sealed"
    code, out, _ = run("seal", "--day", DAY)
    assert code == 0
    assert "was sealed already, and is unchanged" in out


def test_seal_due_seals_what_is_over(root: Path, run: Run) -> None:
    """All days that are not sealed; today is not over."""
    today = hk_day(time.time_ns() // 1_000_000)
    for day in (DAY, NEXT_DAY, today):
        make_day(root, day)
    code, out, _ = run("seal", "--due", "--json")
    assert code == 0
    assert [(one["day"], one["verdict"], one["is_new"]) for one in json.loads(out)["days"]] == [
        (DAY, "UNPROVABLE", True),
        (NEXT_DAY, "UNPROVABLE", True),
    ]
    assert not is_sealed(root / f"{today}.db")
    assert run("seal", "--due")[:2] == (0, "nothing to seal\n")
    code, _, err = run("seal", "--day", today)
    assert code == 2
    assert f"{today} is not over" in err
    assert "it can be sealed after" in err


def test_seal_says_what_can_not_be_sealed(root: Path, run: Run) -> None:
    """One line on standard error, exit 1; the others are sealed."""
    (root / f"{DAY}.db").write_bytes(b"no database" * 1000)
    make_day(root, NEXT_DAY)
    code, out, err = run("seal", "--due")
    assert code == 1
    assert len(err.splitlines()) == 1
    assert err.startswith(f"{DAY}: ")
    assert "UNPROVABLE" in out
    assert run("seal", "--due", "--json")[0] == 1


def test_seal_takes_a_seal_off(root: Path, run: Run) -> None:
    """Its certificate is kept; a day that is not sealed stays as it is."""
    database = make_day(root)
    seal_day(database)
    assert run("seal", "--day", DAY, "--reopen")[:2] == (
        0, f"{DAY} can be written to; its certificate is {DAY}.certificate.1.json\n",
    )  # fmt: skip
    assert not is_sealed(database)
    assert run("seal", "--day", DAY, "--reopen")[:2] == (0, f"{DAY} was not sealed\n")
    assert json.loads(run("seal", "--day", DAY, "--reopen", "--json")[1]) == {
        "day": DAY, "was_sealed": False, "superseded": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("args", "told"),
    [
        ([], "expected either a DAY, such as yesterday, or --due"),
        (["--day", DAY, "--due"], "expected either"),
        (["--due", "--reopen"], "--reopen goes with a DAY"),
        (["--day", "tomorrow"], "day 'tomorrow', expected today, yesterday, or a date such as 20261120 or 2026-11-20"),
        (["--day", "2026"], "day '2026', expected today, yesterday, or a date such as 20261120 or 2026-11-20"),
        (["20261399"], "day '20261399' is not in the calendar, expected today, yesterday, or a date such as"),
        (["--day", NEXT_DAY], f"no database of {NEXT_DAY}"),
    ],
)
def test_seal_refuses_what_makes_no_sense(root: Path, run: Run, args: list[str], told: str) -> None:
    """One line, exit 2."""
    make_day(root)
    code, _, err = run("seal", *args)
    assert code == 2
    assert told in err
    assert len(err.splitlines()) == 1


def test_seal_waits_for_no_other_sealing(root: Path, run: Run) -> None:
    """One at a time; exit 2, as where another recorder runs."""
    make_day(root)
    with sealing(root):
        code, _, err = run("seal", "--day", DAY)
    assert code == 2
    assert "is being sealed or repaired by another process" in err


# ---- verify --sealed


def test_verify_sealed_tells_each_day(root: Path, run: Run) -> None:
    """Exit 0 while all is as it was, 1 where something differs, which is named."""
    for day in (DAY, NEXT_DAY):
        seal_day(make_day(root, day))
    code, out, _ = run("verify", "--sealed")
    assert code == 0
    assert "2 sealed days, all as they were" in out
    database = root / f"{DAY}.db"
    database.chmod(0o644)
    database.write_bytes(database.read_bytes() + b"x")
    code, out, _ = run("verify", "--sealed", "--day", "all")
    assert code == 1
    assert words(out.partition("\n\n")[0].replace(f"\n{DAY}:", "\n:"), DAY)[1] == "DIFFERS"
    assert words(out, NEXT_DAY)[1] == "ok"
    assert f"{DAY}: file is" in out
    assert "1 NOT as sealed" in out
    assert run("verify", "--sealed", "--day", NEXT_DAY)[0] == 0
    code, out, _ = run("verify", "--sealed", "--json")
    assert code == 1
    told = json.loads(out)["days"]
    assert [(one["day"], one["ok"], bool(one["differences"])) for one in told] == [
        (DAY, False, True),
        (NEXT_DAY, True, False),
    ]


def test_verify_sealed_finds_a_missing_file(root: Path, run: Run) -> None:
    """The database of a certificate, the certificate of a read-only database, and a day that is not sealed."""
    seal_day(make_day(root))
    (root / f"{DAY}.db").unlink()
    code, out, _ = run("verify", "--sealed")
    assert (code, "No such file" in out) == (1, True)
    database = make_day(root, NEXT_DAY)
    assert run("verify", "--sealed", "--day", NEXT_DAY)[0] == 1
    seal_day(database)
    certificate_of(database).unlink()
    code, out, _ = run("verify", "--sealed", "--day", NEXT_DAY)
    assert (code, "is missing" in out) == (1, True)


def test_verify_sealed_refuses_what_makes_no_sense(root: Path, run: Run) -> None:
    """Nothing is sealed, no such day, a day without --sealed: one line, exit 2."""
    make_day(root)
    for args, told in (
        (["--sealed"], "no day in"),
        (["--sealed", "--day", "20260101"], "nothing of 20260101"),
        (["--day", DAY], "a day goes with --sealed"),
        ([DAY], "a day goes with --sealed"),
    ):
        code, _, err = run("verify", *args)
        assert code == 2
        assert told in err


# ---- days and gaps


@pytest.fixture
def days(root: Path) -> Path:
    """A sealed day that lacks 300 shares in a gap that ordinals show, and one that is not sealed."""
    database = tell_day(Scenario(root), lost=300)
    seal_day(database)
    told = {name: value for name, value in certificate(database).items() if name != "self"}
    gap = {
        "symbol": TENCENT, "cause": "opend_down", "session": "morning", "since_ms": None, "resumed_ms": 1785463300000,
        "before_seq": 1, "before_ts_ms": 1785463200000, "after_seq": 9, "after_ts_ms": None, "missing": 7,
        "missing_volume": 300, "evidence": "ordinals", "state": "open", "found_ms": 1785463300000, "filled_ms": None,
        "filled_by": None,
    }  # fmt: skip
    filled = {**gap, "cause": "unknown", "state": "filled", "filled_by": "poll", "missing": 1, "missing_volume": None}
    told["ledger"], told["gaps"] = [gap, filled], {"open": 1, "filled": 1, "missing": 7, "missing_volume": 300}
    certificate_of(database).write_bytes(certificate_file.encode({**told, "self": certificate_file.hash_of(told)}))
    make_day(root, NEXT_DAY)
    return root


def test_days_tells_what_state_each_is_in(days: Path, run: Run) -> None:
    """Sealed, away where its database is elsewhere, over until it is sealed, waiting, and live today."""
    today = hk_day(time.time_ns() // 1_000_000)
    make_day(days, today)
    waits = {"20260802": Wait(Position(1, 0, 0), 0, "CorruptError: malformed")}
    (days / DIRECTORY).mkdir(exist_ok=True)
    save_cursor(days / DIRECTORY, Position(2, 0, 0), waits)
    make_day(days, "20260802")

    def states() -> dict[str, str]:
        return {day["day"]: day["state"] for day in json.loads(run("days", "--json")[1])["days"]}

    expected = {DAY: "sealed", NEXT_DAY: "over", "20260802": "waiting", today: "live"}
    assert states() == expected
    out = run("days")[1]
    assert re.search(r"^20260802 +waiting ", out, re.MULTILINE)
    assert "20260802: its database can't be written: CorruptError: malformed\n" in out
    assert f"{today}: no recorder is running\n" in out
    assert f"{NEXT_DAY}: no recorder is running to seal it; `hk-tick-collector seal --due` does\n" in out
    (days / f"{DAY}.db").rename(days.parent / f"{DAY}.db")
    assert states() == {**expected, DAY: "away"}
    out = run("days")[1]
    assert [line.split()[-1] for line in out.splitlines() if line.startswith(f"{DAY} ")] == ["away"]
    assert f"{DAY}: sealed, and kept elsewhere\n" in out


def test_days_lists_all_days(days: Path, run: Run) -> None:
    """A line a day; of one that is not sealed there is no verdict but its state, and no colour where nobody looks."""
    code, out, _ = run("days")
    assert code == 0
    sealed = hk_text(certificate(days / f"{DAY}.db")["sealed_ms"])[:10]
    assert words(out, DAY) == [DAY, "INCOMPLETE", "0", "of", "1", "40", "7", "ticks", "0.1", "MB", sealed]
    first, _ = (line for line in out.splitlines() if line.startswith(NEXT_DAY))
    assert first.split() == [NEXT_DAY, "not", "sealed", "10", "-", "0.1", "MB"]
    assert run("days", DAY)[1].splitlines()[1:] == [line for line in out.splitlines() if line.startswith(DAY)]
    assert "\x1b" not in out
    told = json.loads(run("days", "--json", "--until", DAY)[1])
    assert told["data_root"] == str(days)
    assert [(day["day"], day["missing_volume"]) for day in told["days"]] == [(DAY, 300)]
    assert NEXT_DAY not in run("days", "--until", "2026-07-31")[1]
    assert not [line for line in run("days", "--since", NEXT_DAY)[1].splitlines() if line.startswith(DAY)]
    code, _, err = run("days", "--since", "20270101")
    assert (code, "no day in" in err) == (2, True)


def test_gaps_lists_all_gaps(days: Path, run: Run) -> None:
    """When, why, how much, how it was found and what has become of it; the last line counts them."""
    assert days.is_dir()
    code, out, _ = run("gaps", "--all")
    assert code == 0
    first, second = (line for line in out.splitlines() if line.startswith(DAY))
    assert first.split() == [
        DAY, TENCENT, "morning", "10:00:00", "10:01:40", "opend_down",
        "7", "ticks,", "300", "shares", "ordinals", "open",
    ]  # fmt: skip
    assert second.split()[-3:] == ["filled", "by", "poll"]
    assert out.splitlines()[-1] == "2 gaps, 1 open"
    assert (
        run("gaps", "--open", "--day", DAY)[1].splitlines()[-1] == "1 outage with 1 gap, 1 open; --all shows each gap"
    )
    assert run("gaps", "--symbol", "HK.00005")[1] == "0 gaps, 0 open\n"
    assert run("gaps", "--symbol", "700")[1] == run("gaps", "--symbol", "5, 0700.hk")[1] == out
    told = json.loads(run("gaps", "--json", "--since", DAY, "--until", DAY)[1])
    assert [(gap["day"], gap["state"], gap["missing"]) for gap in told["gaps"]] == [
        (DAY, "open", 7),
        (DAY, "filled", 1),
    ]
    code, _, err = run("gaps", "--day", DAY, "--since", DAY)
    assert (code, "not both" in err) == (2, True)


def test_gaps_are_listed_by_outage(days: Path, run: Run) -> None:
    """A line for each: when, how long, why, of how many symbols, what is lost and what came late."""
    assert days.is_dir()
    code, out, _ = run("gaps")
    assert code == 0
    assert [line.split() for line in out.splitlines()] == [
        ["day", "from", "(HK)", "long", "cause", "symbols", "still", "lost", "recovered"],
        [DAY, "10:00:00", "100", "s", "opend_down", "1", "7", "ticks", "none"],
        [DAY, "10:00:00", "100", "s", "unknown", "1", "none", "all"],
        ["2", "outages", "with", "2", "gaps,", "1", "open;", "--all", "shows", "each", "gap"],
    ]
    outages = json.loads(run("gaps", "--json")[1])["outages"]
    assert [(one["cause"], one["ticks_lost"], one["ticks_recovered"]) for one in outages] == [
        ("opend_down", 7, 0), ("unknown", 0, 1),
    ]  # fmt: skip


def test_gaps_names_days_that_can_not_be_read(days: Path, run: Run) -> None:
    """No gap is known of them, which is not to say that they have none; `days` says what is wrong."""
    (days / "20260801.db").write_bytes(b"noise" * 999)
    (days / "20260802.db").symlink_to(days / "not mounted" / "20260802.db")
    (days / "20260804.db").mkdir()
    code, out, err = run("gaps", "--from", "2026-08-01", "--to", "20260804")
    assert (code, out) == (1, "0 gaps, 0 open\n")
    assert err == (
        "3 days can't be read, and may have gaps, too: 20260801, 20260802, 20260804; "
        "`hk-tick-collector days` says why\n"
    )
    code, out, _ = run("gaps", "--json", "--day", "20260802")
    assert (code, json.loads(out)["unreadable_days"]) == (1, ["20260802"])
    assert "FAULT" in run("days", "20260801")[1]
    faults = {day["day"]: day["fault"] for day in json.loads(run("days", "--json")[1])["days"] if day["fault"]}
    assert list(faults) == ["20260801", "20260802", "20260804"]
    (days / "20260802.db").unlink()
    assert "20260802" not in run("gaps")[2]


def test_a_day_without_a_ledger_is_not_said_to_have_no_gaps(days: Path, run: Run) -> None:
    """An older version recorded it: `gaps` names it as one that can't be read, and `days` says why."""
    path = days / "20260805.db"
    with closing(apsw.Connection(str(path))) as con:
        con.execute(MIGRATIONS[0].replace(DAY_OF_TS, day_of_ts(path)))
        con.pragma("user_version", 1)
        con.pragma("application_id", APPLICATION_ID)
    code, out, err = run("gaps", "20260805")
    assert (code, out) == (1, "0 gaps, 0 open\n")
    assert err == ("1 day can't be read, and may have gaps, too: 20260805; `hk-tick-collector days` says why\n")
    assert json.loads(run("gaps", "20260805", "--json")[1])["unreadable_days"] == ["20260805"]
    out = run("days", "20260805")[1]
    assert words(out.partition("\n20260805:")[0], "20260805")[:5] == ["20260805", "not", "sealed", "0", "?"]
    assert "20260805: an older version recorded it, which kept no ledger: what was lost is not known\n" in out


@pytest.mark.parametrize("args", [["20241007"], ["--day", "20241007", "--json"], ["--to", "20241007"]])
def test_gaps_of_a_day_that_was_not_recorded_is_an_error(days: Path, run: Run, args: list[str]) -> None:
    """As in `days`: no gap is known of it, since nothing is."""
    assert run("gaps", *args) == (2, "", f"hk-tick-collector: no day in {days} to list\n")


def test_a_listing_has_colours_for_people(days: Path) -> None:
    """Cells are as wide with them as without."""
    assert days.is_dir()
    listing = Listing("day", ">number of it")
    listing.add("x", 1234, number_of_it="red")
    listing.add("longer", None)
    assert listing.text(is_coloured=False) == "day     number of it\nx              1,234\nlonger"
    assert "\x1b[31m       1,234\x1b[0m" in listing.text(is_coloured=True)


def test_a_listing_fits_a_narrow_terminal() -> None:
    """It does without the columns that were named for it, one after the other, and without no more than it must."""
    listing = Listing("day", ">number", "note")
    listing.add("20261120", 7, "something")
    drop = ("note", "number")
    assert listing.text(is_coloured=False, width=27, drop=drop) == "day       number  note\n20261120       7  something"
    assert listing.text(is_coloured=False, width=26, drop=drop) == "day       number\n20261120       7"
    assert listing.text(is_coloured=False, width=10, drop=drop) == "day\n20261120"


def test_a_late_tick_and_the_commands(root: Path, run: Run) -> None:
    """A tick that came after the sealing: the day is listed as not sealed, and is sealed again by hand."""
    scenario = Scenario(root)
    seal_day(tell_day(scenario))
    scenario.hear(pushes(TENCENT, [50]))
    scenario.write()
    assert re.search(rf"^{DAY} +not sealed ", run("days")[1], re.MULTILINE)
    assert run("verify", "--sealed", "--day", DAY)[0] == 1
    assert run("seal", "--due")[0] == 0
    assert certificate(root / f"{DAY}.db")["supersedes"] == 1
    assert run("verify", "--sealed")[0] == 0


def test_settings_are_checked(root: Path, run: Run) -> None:
    """A DATA_ROOT that is none: one line, exit 2, by each of them."""
    root.rmdir()
    for command in ("days", "gaps", "seal"):
        args = ["--due"] if command == "seal" else []
        code, _, err = run(command, *args)
        assert (code, "this directory does not exist; pass --data-root" in err) == (2, True)
