"""`compare`: its conclusion, its table, its JSON, its exit codes; and how `days` and `audit` tell of a witness."""

from __future__ import annotations

import json
import shutil
import sys
from typing import TYPE_CHECKING, Any

import pytest
from support.ticks import DAY, NEXT_DAY
from support.two_recorders import SYMBOLS, edited, seal_part

from hk_tick_collector.cli.app import entry

if TYPE_CHECKING:
    from pathlib import Path

HSBC, HKEX, TENCENT = SYMBOLS
Run = Any


@pytest.fixture
def run(root: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """A command as it is typed: its exit code, and what it said on both outputs."""
    assert root.exists()

    def typed(*args: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["hk-tick-collector", *map(str, args)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            entry()
        said = capfd.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return typed


@pytest.fixture
def mine(root: Path) -> Path:
    """Our certificate, in DATA_ROOT."""
    return seal_part(root)


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """Another recorder's, which lacks a tick of one symbol and knows no other."""
    return seal_part(tmp_path / "theirs", without={(HSBC, 50)}, symbols=(HSBC, HKEX))


def test_the_conclusion_comes_first(run: Run, mine: Path, theirs: Path, tmp_path: Path) -> None:
    """Whether all common symbols hold the same trades, in one line; exit 0 if so."""
    same = seal_part(tmp_path / "same")
    assert run("compare", mine, same) == (0, f"{DAY}: both hold exactly the same trades of all 3 symbols\n", "")
    one, other = (seal_part(tmp_path / name, symbols=(HSBC,)) for name in "xy")
    assert run("compare", one, other)[1] == f"{DAY}: both hold exactly the same trades of the only symbol\n"
    code, out, _ = run("compare", mine, theirs)
    assert code == 1
    assert out.splitlines()[0] == (
        f"{DAY}: 1 of 2 symbols differ; both hold exactly the same trades of the other 1; 1 symbol only in mine"
    )
    code, out, _ = run("compare", seal_part(tmp_path / "z", symbols=(HKEX,)), one)
    assert (code, out.splitlines()[0]) == (
        1, f"{DAY}: no symbol is in both, so nothing is confirmed; 1 symbol only in mine; 1 symbol only in theirs",
    )  # fmt: skip


def test_the_table_has_what_differs(run: Run, mine: Path, theirs: Path) -> None:
    """Ticks and shares on both sides, the quarter-hours, and the first and last tick where they differ."""
    out = run("compare", mine, theirs)[1].splitlines()
    assert [" ".join(line.split()) for line in out[2:]] == [
        "symbol trades mine theirs shares when they differ first last",
        f"{HSBC} differs 100 99 10,000 → 9,900 10:45-11:00",
        f"{TENCENT} only mine 100",
        "",
        "mine, theirs: ticks; a → b: mine → theirs; times of Hong Kong",
    ]
    out = run("compare", "--all", mine, theirs)[1]
    assert f"\n{HKEX}  same        " in out
    whole = seal_part(
        theirs.parent.parent / "late", without={(HKEX, 0), (HKEX, 99), *((HSBC, n) for n in range(0, 99, 20))}
    )
    out = run("compare", mine, whole)[1]
    assert "10:00:20 #1 → 10:01:20 #2  11:39:20 #100 → 11:38:20 #99" in out
    assert "10:00-10:15, 10:15-10:30" not in out
    assert "10:00-10:30, 10:30-10:45" not in out
    assert f"{HSBC}  differs" in out


def test_its_json_has_each_symbol(run: Run, mine: Path, theirs: Path) -> None:
    """With all figures; a program needs no table."""
    code, out, _ = run("compare", "--json", mine, theirs)
    told = json.loads(out)
    assert (code, told["exit_code"]) == (1, 1)
    counts = {name: told[name] for name in ("day", "same", "differs", "only_mine", "only_theirs", "witness")}
    assert counts == {"day": DAY, "same": 1, "differs": 1, "only_mine": 1, "only_theirs": 0, "witness": None}
    assert [(one["symbol"], one["trades"], one["differ_at"]) for one in told["symbols"]] == [
        (HSBC, "differs", ["10:45-11:00"]), (TENCENT, "only_mine", None), (HKEX, "same", []),
    ]  # fmt: skip
    assert told["symbols"][0]["mine"]["rows"] == 100
    assert told["symbols"][0]["theirs"]["rows"] == 99
    assert told["symbols"][1]["theirs"] is None


def test_a_day_stands_for_its_certificate(run: Run, mine: Path, theirs: Path, root: Path) -> None:
    """Of DATA_ROOT; a day that is not sealed there, or no day at all, is refused in one line."""
    assert mine.parent == root
    code, out, _ = run("compare", "2026-07-31", theirs, "--data-root", root)
    assert (code, out.startswith(f"{DAY}: 1 of 2 symbols differ")) == (1, True)
    code, _, err = run("compare", "20260801", theirs, "--data-root", root)
    assert (code, err) == (
        2, f"hk-tick-collector: 20260801 is not sealed in {root}: there is no certificate to compare\n",
    )  # fmt: skip
    what = "a day's certificate, its ticks.parquet, or a day in DATA_ROOT"
    code, _, err = run("compare", "mine", theirs)
    assert (code, err) == (2, f"hk-tick-collector: 'mine' is neither a file nor a day, expected {what}\n")


def test_what_can_not_be_compared_is_one_line(run: Run, mine: Path, theirs: Path) -> None:
    """Exit 2: other days, an edited certificate, a file that is not there."""
    other = edited(theirs, day=NEXT_DAY)
    theirs.write_bytes(theirs.read_bytes().replace(b'"rows": 99', b'"rows": 98'))
    for path, told in (
        (other, f"is of {DAY}, {other} of {NEXT_DAY}: expected two of the same day"),
        (theirs, f"{theirs} was modified: its contents do not match its hash"),
        (theirs.with_name("none.json"), "none.json can't be read: "),
    ):
        code, out, err = run("compare", mine, path)
        assert (code, out, len(err.splitlines())) == (2, "", 1)
        assert told in err


def test_a_witness_is_kept_and_told_by_days_and_audit(run: Run, mine: Path, theirs: Path, root: Path) -> None:
    """With how many symbols it confirms; the verdict stays."""
    code, out, _ = run("compare", mine, theirs, "--witness", "tokyo", "--data-root", root)
    assert (code, out.splitlines()[-1]) == (1, f"kept as {root / f'{DAY}.witness.tokyo.json'}")
    note = "witnessed by tokyo: 1 of 3 symbols"
    assert run("days", "--data-root", root)[1].splitlines()[-1] == f"{DAY}: {note}"
    (day,) = json.loads(run("days", "--json", "--data-root", root)[1])["days"]
    told = [{"name": "tokyo", "same": 1, "symbols": 3, "fault": None}]
    assert (day["verdict"], day["witnesses"]) == ("UNPROVABLE", told)
    code, out, _ = run("audit", DAY, "--data-root", root)
    assert (code, out.splitlines()[-2]) == (1, note)
    assert json.loads(run("audit", DAY, "--json", "--data-root", root)[1])["witnesses"] == told
    assert run("verify", "--sealed", "--data-root", root)[0] == 0
    assert json.loads(run("compare", mine, theirs, "--witness", "b", "--json", "--data-root", root)[1])[
        "witness"
    ] == str(root / f"{DAY}.witness.b.json")


def test_our_own_certificate_is_refused_as_a_witness(run: Run, mine: Path, root: Path, tmp_path: Path) -> None:
    """It is not independent, under whatever name it comes back; a bad name is refused before anything is read."""
    copy = tmp_path / "copy.json"
    shutil.copy(mine, copy)
    code, out, err = run("compare", mine, copy, "--witness", "tokyo", "--data-root", root)
    assert (code, out, err) == (2, "", "hk-tick-collector: tokyo is no witness: both are the same certificate\n")
    code, out, _ = run("compare", mine, copy)
    assert (code, out.splitlines()[1]) == (0, "both are the same certificate: this confirms nothing")
    code, _, err = run("compare", mine, "none.json", "--witness", "a/b")
    assert (code, "expected up to 40 letters, digits, - and _" in err) == (2, True)
