"""`hk-tick-collector migrate`: what it shows, its JSON, its exit codes; and the warnings of `config`."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest
from support.older_recorder import DAY, NEXT_DAY, OPEN_MS, make_old, old_tick
from support.ticks import HSBC, TENCENT

from hk_tick_collector.cli.app import entry

if TYPE_CHECKING:
    from pathlib import Path

Run = Any
SECRET = "123456:SECRET"  # noqa: S105 - of nobody


@pytest.fixture
def run(root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The command as it is typed: its exit code, and what it said on both outputs."""
    monkeypatch.setenv("COLUMNS", "80")
    assert root.is_dir()

    def typed(*args: object, command: str = "migrate") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["hk-tick-collector", command, *map(str, args)])
        with pytest.raises(SystemExit) as ended:
            entry()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return typed


@pytest.fixture
def old(root: Path) -> Path:
    """The older recorder's DATA_ROOT with two days, and beside it its env file."""
    made = root.parent / "old"
    make_old(made / f"{DAY}.db", [old_tick(TENCENT, n, OPEN_MS + n * 1000, 8 * 3_600_000) for n in range(1200)])
    make_old(made / f"{NEXT_DAY}.db", [old_tick(HSBC, n, OPEN_MS + 86_400_000) for n in range(3)])
    (root.parent / "old.env").write_text(f"DATA_ROOT={made}\nFUTU_PORT=11112\nTG_TOKEN={SECRET}\nFUTU_HOLIDAYS=1\n")
    return made


def test_each_day_has_a_line_that_fits_a_terminal(old: Path, root: Path, run: Run) -> None:
    """What was read, stored, corrected; the second time, that it is the same."""
    code, out, err = run(old)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].split() == ["day", "rows", "stored", "late", "duplicates", "conflicts", "result"]
    assert lines[1].split() == [DAY, "1,200", "1,200", "1,200", "0", "0", "imported"]
    assert lines[2].split() == [NEXT_DAY, "3", "3", "0", "0", "0", "imported"]
    assert max(map(len, lines[:3])) <= 80
    assert lines[-1].startswith(f"1,203 ticks of 2 days in {root}, each row compared with its source; such a day is ")
    code, out, _ = run(old)
    assert [line.split()[-1] for line in out.splitlines()[1:3]] == ["same", "same"]
    assert code == 0


def test_a_day_that_was_not_done_ends_with_1(old: Path, root: Path, run: Run) -> None:
    """In one line under the table; the others are done, and the JSON says the same."""
    (old / "20261121.db").write_text("no database" * 500)
    code, out, err = run(old)
    assert (code, err) == (1, "")
    assert out.splitlines()[3].split() == ["20261121", "0", "0", "0", "0", "0", "NOT", "DONE"]
    assert f"20261121: {old}/20261121.db is damaged, or no database: file is not a database\n" in out
    code, out, _ = run(old, "--json")
    told = json.loads(out)
    assert code == told["exit_code"] == 1
    assert (told["old_data_root"], told["data_root"]) == (str(old), str(root))
    assert [(day["day"], day["result"], day["rows"]) for day in told["days"]] == [
        (DAY, "same", 1200), (NEXT_DAY, "same", 3), ("20261121", "NOT DONE", 0),
    ]  # fmt: skip
    assert "settings" not in told


def test_the_env_file_names_the_old_place_and_becomes_a_new_one(old: Path, root: Path, run: Run) -> None:
    """Each old setting is answered, no secret is shown, and nothing is overwritten unasked."""
    place = root.parent
    code, out, err = run("--env", "old.env")
    assert (code, err) == (0, "")
    assert old.is_dir()
    assert "1,203 ticks of 2 days" in out
    assert "  FUTU_PORT\n      taken over as they are\n" in "\n".join(map(str.rstrip, out.splitlines()))
    assert "TG_TOKEN" in out
    assert "written: hk-tick-collector.env\n" in out
    assert SECRET not in out
    written = (place / "hk-tick-collector.env").read_text()
    assert written.endswith(f"FUTU_PORT=11112\nDATA_ROOT={root}\n")
    code, out, err = run("--env", "old.env")
    assert (code, out) == (2, "")
    assert "hk-tick-collector.env is there already: name another one with --env-out, or replace it with --force" in err
    code, out, _ = run("--env", "old.env", "--env-out", "other.env", "--json")
    told = json.loads(out)
    assert (code, told["env_out"]) == (0, f"{place}/other.env")
    assert [(became["name"], became["fate"]) for became in told["settings"]] == [
        ("DATA_ROOT", "replaced"), ("FUTU_PORT", "taken over"), ("TG_TOKEN", "replaced"),
        ("FUTU_HOLIDAYS", "not needed"),
    ]  # fmt: skip
    assert SECRET not in out


@pytest.mark.parametrize(
    ("args", "line"),
    [
        ((), "expected OLD_DATA_ROOT, the directory with the older recorder's day databases"),
        (("gone",), "gone is not a directory: expected the older recorder's DATA_ROOT"),
        (("data",), "data is DATA_ROOT itself, and nothing in it is changed: name another one with --data-root"),
        (("old", "--env", "gone.env"), "--env gone.env can't be read: No such file or directory"),
    ],
)
def test_wrong_usage_is_one_line(args: tuple[str, ...], line: str, run: Run) -> None:
    """Exit 2, and nothing was made."""
    code, out, err = run(*args)
    assert (code, out) == (2, "")
    assert err.startswith(f"hk-tick-collector: {line}")
    assert err.count("\n") == 1


def test_nothing_is_made_before_there_is_something_to_take_over(run: Run, root: Path) -> None:
    """A wrong path does not leave an empty DATA_ROOT."""
    code, _, err = run("gone", "--data-root", "new")
    assert code == 2
    assert "gone is not a directory" in err
    assert not (root.parent / "new").exists()


def test_the_settings_alone_can_be_taken_over(root: Path, run: Run) -> None:
    """The old DATA_ROOT is gone, or on another machine: the new file is written, and DATA_ROOT is not made."""
    (root.parent / "old.env").write_text("DATA_ROOT=/data/nowhere\nFUTU_PORT=11112\n")
    root.rmdir()
    code, out, err = run("--env", "old.env")
    assert (code, err) == (0, "")
    assert out.splitlines()[-1].startswith("no days were taken over: the old DATA_ROOT has none")
    assert "FUTU_PORT=11112" in (root.parent / "hk-tick-collector.env").read_text()
    assert not root.exists()
    code, out, _ = run("--env", "old.env", "--force", "--json")
    told = json.loads(out)
    assert (code, told["old_data_root"], told["days"]) == (0, None, [])


def test_config_warns_of_old_settings(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """On standard error, with what became of each and the cure; what it prints stays as it was."""
    monkeypatch.setenv("TG_TOKEN", SECRET)
    monkeypatch.setenv("FUTU_HOLIDAYS", "20261225")
    code, out, err = run("--json", command="config")
    assert code == 0
    assert "FUTU_HOST" in json.loads(out)
    assert "TG_TOKEN" not in json.loads(out)
    lines = err.splitlines()
    assert lines[-1] == (
        "warning: these are settings of the older recorder (futu_tick_downloader); "
        "hk-tick-collector migrate --env FILE writes a clean file"
    )
    assert "warning: FUTU_HOLIDAYS (environment) not needed: OpenD is asked for the exchange's calendar" in lines
    assert SECRET not in err
