"""`hk-tick-collector merge`: what it shows, its JSON, its exit codes."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest
from support.last_word import tell_last_word
from support.late_ticks import query
from support.merging import record
from support.ticks import DAY, DAY_MS, NEXT_DAY, OPEN_MS, TENCENT, row, seq_at

from hk_tick_collector.audit.day import Verdict, audit_day
from hk_tick_collector.cli import progress
from hk_tick_collector.cli.app import entry
from hk_tick_collector.repair import merge as merge_module

if TYPE_CHECKING:
    from pathlib import Path

Run = Any


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The command as it is typed, in a directory of its own: its exit code, and what it said on both outputs."""
    monkeypatch.chdir(tmp_path)
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)

    def typed(*args: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["hk-tick-collector", "merge", *map(str, args)])
        with pytest.raises(SystemExit) as ended:
            entry()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return typed


@pytest.fixture
def roots(tmp_path: Path) -> tuple[Path, Path]:
    """Two DATA_ROOTs with two days: on the first they complete each other, on the second they disagree about one."""
    a, b = tmp_path / "a", tmp_path / "b"
    for root, ordinals, price in ((a, (1, 2, 3), 5.0), (b, (3, 4), 6.0)):
        root.mkdir()
        record(root / f"{DAY}.db", [row(TENCENT, seq_at(n)) for n in ordinals])
        at = OPEN_MS + DAY_MS
        record(root / f"{NEXT_DAY}.db", [row("HK.09988", seq_at(1, at), at, price=price)])
    return a, b


def line_of(out: str, name: str) -> list[str]:
    """The cells of a row of a table."""
    (line,) = [line for line in out.splitlines() if line.startswith(f"{name} ")]
    return line.split()[1:]


def test_what_completes_each_other_ends_with_0(roots: tuple[Path, Path], run: Run) -> None:
    """The numbers of the day, of the symbols that are not the same, and where the outcome is."""
    a, b = roots
    code, out, err = run(a / f"{DAY}.db", b / f"{DAY}.db", "--out", "c.db")
    assert (code, err) == (0, "")
    assert line_of(out, "c.db") == line_of(out, TENCENT) == ["3", "2", "2", "1", "1", "0", "4"]
    assert out.startswith(f"A: {a}/{DAY}.db\nB: {b}/{DAY}.db\n")
    assert out.endswith("made: c.db\n")
    assert "differ:" not in out


def test_merged_days_are_audited_and_certified_anew(tmp_path: Path, run: Run) -> None:
    """Each alone is incomplete; the two together are what the exchange counts, and a certificate says so."""
    a, b, c = tmp_path / "a", tmp_path / "b", tmp_path / "c"
    whole = [row(TENCENT, seq_at(n)) for n in (1, 2, 3)]
    for root, some in ((a, whole[:2]), (b, whole[1:])):
        root.mkdir()
        record(root / f"{DAY}.db", some)
        tell_last_word(root / f"{DAY}.db", TENCENT, sum(r[4] for r in whole), sum(r[5] for r in whole), DAY)
        assert audit_day(root / f"{DAY}.db").verdict is Verdict.INCOMPLETE
    code, out, _ = run(a, b, "--out", c)
    assert code == 0
    assert f"{DAY}.db: COMPLETE (1 COMPLETE); sealed" in out
    certificate = json.loads((c / f"{DAY}.certificate.json").read_text())
    assert (certificate["verdict"], certificate["rows"]) == ("COMPLETE", 3)


def test_a_day_that_can_not_be_sealed_is_merged_and_told(
    roots: tuple[Path, Path], tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The seal can be put on later."""
    a, b = roots
    told = [{"day": DAY, "error": "it is damaged"}]
    monkeypatch.setattr(merge_module, "seal_days", lambda *_: told)
    _, out, _ = run(a, b, "--out", tmp_path / "c")
    assert f"{DAY}.db: UNPROVABLE (1 UNPROVABLE); not sealed: it is damaged" in out
    assert f"{NEXT_DAY}.db: UNPROVABLE (1 UNPROVABLE)\n" in out


def test_disagreements_end_with_1_and_are_kept(roots: tuple[Path, Path], tmp_path: Path, run: Run) -> None:
    """Day by day and all together; the symbol with the disagreement comes first."""
    code, out, err = run(*roots, "--out", "c")
    assert (code, err) == (1, "")
    assert line_of(out, f"{DAY}.db") == ["3", "2", "2", "1", "1", "0", "4"]
    assert line_of(out, f"{NEXT_DAY}.db") == ["1", "1", "0", "0", "1", "1", "1"]
    assert line_of(out, "all") == ["4", "3", "2", "1", "2", "1", "5"]
    assert out.index("HK.09988") < out.index(TENCENT)
    assert f"{NEXT_DAY}.db: tick_revisions: 0 of A, 0 of B, 1 merged" in out
    assert "1 ticks differ: what was received first is in ticks, the other in tick_revisions" in out
    assert query(tmp_path / "c" / f"{NEXT_DAY}.db", "SELECT price FROM tick_revisions") == [(6.0,)]


def test_json_is_one_object(roots: tuple[Path, Path], run: Run) -> None:
    """With all numbers, the symbols that are not the same, and the disagreements with both contents."""
    code, out, _ = run(*roots, "--out", "c", "--json")
    told = json.loads(out)
    assert (code, told["exit_code"], told["differing"]) == (1, 1, 1)
    assert (told["a"], told["b"], told["out"]) == (str(roots[0]), str(roots[1]), "c")
    names = ("a", "b", "only_a", "only_b", "both", "differing", "merged")
    assert told["ticks"] == dict(zip(names, (4, 3, 2, 1, 2, 1, 5), strict=True))
    first, second = told["days"]
    assert (first["file"], first["differing"], first["disagreements"]) == (f"{DAY}.db", 0, [])
    assert first["symbols"] == [{"symbol": TENCENT, **first["ticks"]}]
    assert second["tables"]["tick_revisions"] == {"a": 0, "b": 0, "merged": 1, "differing": 0}
    (row_of_both,) = second["disagreements"]
    assert (row_of_both["symbol"], row_of_both["a"]["price"], row_of_both["b"]["price"]) == ("HK.09988", 5.0, 6.0)


def test_a_disagreement_about_a_correction_alone_ends_with_1(tmp_path: Path, run: Run) -> None:
    """One of the two can't be kept, so it is no clean merge."""
    for name, original_ms in (("a.db", 1), ("b.db", 2)):
        record(tmp_path / name, [row(TENCENT, 1)], [(TENCENT, 1, "x", original_ms, OPEN_MS, "seq")])  # type: ignore[list-item]
    code, out, _ = run("a.db", "b.db", "--out", "c.db")
    assert code == 1
    assert "c.db: time_corrections: 1 of A, 1 of B, 1 merged, 1 disagreed about" in out


def test_the_same_is_said_to_be_the_same(roots: tuple[Path, Path], run: Run) -> None:
    """No table of symbols."""
    code, out, _ = run(roots[0], roots[0], "--out", "c")
    assert code == 0
    assert "both have the same ticks" in out
    assert TENCENT not in out


def test_only_the_worst_symbols_are_shown(tmp_path: Path, run: Run) -> None:
    """Twenty, those with most holes first; the JSON has them all."""
    record(tmp_path / "a.db", [row(f"HK.{n:05d}", seq) for n in range(1, 24) for seq in range(1, n + 1)])
    record(tmp_path / "b.db", [])
    code, out, _ = run("a.db", "b.db", "--out", "c.db")
    assert code == 0
    shown = [line.split()[0] for line in out.splitlines() if line.startswith("HK.")]
    assert shown == [f"HK.{n:05d}" for n in range(23, 3, -1)]
    assert "… and 3 more symbols that are not the same: --json" in out
    assert len(json.loads(run("a.db", "b.db", "--out", "d.db", "--json")[1])["days"][0]["symbols"]) == 23


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("a", "b"), "Missing option '--out'"),
        (("a", "--out", "c"), "Missing argument 'B'"),
        (("a", "nowhere", "--out", "c"), "hk-tick-collector: nowhere is not there"),
        (("a", "b", "--out", "a"), "hk-tick-collector: a is there already"),
        (("a", "b", "--out", "c", "--force"), "No such option: --force"),
    ],
)
@pytest.mark.usefixtures("roots")
def test_wrong_usage_ends_with_2(args: tuple[str, ...], said: str, tmp_path: Path, run: Run) -> None:
    """And says what is wrong; nothing is made."""
    code, out, err = run(*args)
    assert (code, out) == (2, "")
    assert said in err
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b"}


@pytest.mark.parametrize("is_terminal", [True, False])
def test_progress_is_told_to_a_terminal_only(
    roots: tuple[Path, Path], run: Run, monkeypatch: pytest.MonkeyPatch, *, is_terminal: bool
) -> None:
    """A log needs none."""
    monkeypatch.setattr(progress, "TELL_EVERY_SEC", 0.0)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: is_terminal)
    _, _, err = run(roots[0] / f"{DAY}.db", roots[1] / f"{DAY}.db", "--out", "c.db")
    assert err == ("c.db: ticks merged: 5 of 5\nc.db: ticks checked: 0 of 4\n" if is_terminal else "")


@pytest.mark.parametrize(("lacking", "state"), [(0, "filled"), (100, "open")])
def test_the_exchanges_last_word_fills_what_totals_had_shown(
    tmp_path: Path, run: Run, lacking: int, state: str
) -> None:
    """Of the two together, and only if it is exactly what they have: a gap tells what is missing at least."""
    a, b, c = tmp_path / "a", tmp_path / "b", tmp_path / "c"
    whole = [row(TENCENT, seq_at(n)) for n in (1, 2, 3)]
    for root, some in ((a, [whole[0], whole[2]]), (b, whole[1:])):
        root.mkdir()
        record(root / f"{DAY}.db", some)
        tell_last_word(root / f"{DAY}.db", TENCENT, sum(r[4] for r in whole) + lacking, sum(r[5] for r in whole), DAY)
    gap = (
        "INSERT INTO gaps VALUES (?, 10, 'unknown', NULL, 'morning', ?, NULL, ?, NULL, NULL, 50, 'totals', 11, 'open', "
        "NULL, NULL, NULL, 0)"
    )
    query(a / f"{DAY}.db", gap, TENCENT, seq_at(1), seq_at(3))
    run(a, b, "--out", c)
    assert query(c / f"{DAY}.db", "SELECT state, filled_by FROM gaps") == [
        (state, "merge" if state == "filled" else None)
    ]
