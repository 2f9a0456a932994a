"""A place to deploy to, in which only the scripts, bash and git are real.

systemd, its journal, the installation and the program are stubs that write down what they were asked for, each with the
version of the tree at that moment, and fail where they are told to: for judging the order of steps, and the way back
from each of them. What systemd really does is the matter of `support.machine`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
SCRIPTS: Final = ROOT / "scripts"
TIMEOUT_SEC: Final = 90.0

# Every stub begins so. `note WHAT` writes "WHAT@VERSION" down, and fails if it was told to: once, or always.
_STUB: Final = r"""#!/usr/bin/env bash
set -u
place=$PLACE
version_here() { cat VERSION 2>/dev/null || cat "$place/app/VERSION"; }
note() {
  local what=$1@${2:-$(cat "$place/app/VERSION")}
  echo "$what" >>"$place/steps"
  if [ -f "$place/signal" ] && [[ $what =~ ^($(cat "$place/signal"))$ ]]; then
    rm "$place/signal"
    kill "-${SIGNAL:-TERM}" "$(cat "$place/deploy.pid")"
  fi
  if [ -f "$place/always" ] && [[ $what =~ ^($(cat "$place/always"))$ ]]; then exit 7; fi
  if [ -f "$place/once" ] && [[ $what =~ ^($(cat "$place/once"))$ ]]; then rm "$place/once"; exit 7; fi
}
state=$place/state
"""

_STUBS: Final = {
    "systemctl": r"""
property() {
  case $1 in
    LoadState) [ -f "$place/units/hk-tick-collector.service" ] && echo loaded || echo not-found ;;
    ActiveState) cat "$state/active" ;;
    SubState) if [ "$(cat "$state/active")" = activating ]; then echo start; else echo running; fi ;;
    MainPID) if [[ $(cat "$state/active") =~ ^activ ]]; then cat "$state/pid"; else echo 0; fi ;;
    NRestarts)
      if [ -f "$state/crashes" ]; then echo $(($(cat "$state/restarts") + 1)) >"$state/restarts"; fi
      cat "$state/restarts" ;;
    ExecMainStartTimestamp) [ ! -f "$state/started" ] || cat "$state/started" ;;
    *) ;;
  esac
}
case $1 in
  show) property "${2#--property=}" ;;
  stop) note stop; echo inactive >"$state/active"; rm -f "$state/crashes" ;;
  start)
    note start
    if [ -f "$place/away" ]; then
      echo activating >"$state/active"
      printf '{"pid": 4711, "at_ms": %s000, "session": {"connected": false, "last_disconnect": "refused"}}' \
        "$(date +%s)" >"$place/data/recorder.json"
      exec sleep 60 # until it is told to stop waiting
    fi
    echo active >"$state/active"
    echo 0 >"$state/restarts"
    if [ -f "$place/crash" ] && cmp -s "$place/crash" "$place/app/VERSION"; then : >"$state/crashes"; fi ;;
  enable | disable | daemon-reload) note "$1" ;;
  reset-failed) ;;
  *) echo "systemctl $*" >&2; exit 64 ;;
esac
""",
    "journalctl": r"""
note journalctl
cat "$place/log"
""",
    "runuser": 'shift 3\nexec "$@"\n',
    "place-install": r"""
case $PWD in "$place/app") where=install ;; *) where=prepare-install ;; esac
note "$where" "$(version_here)"
mkdir -p .venv/bin
cp "$place/bin/place-python" .venv/bin/python
version_here >.venv/version
""",
    "place-test": r"""
case $PWD in "$place/app") where=test ;; *) where=prepare-test ;; esac
note "$where" "$(version_here)"
""",
    # What time it is in Hong Kong: a test can't wait for the market.
    "date": """
if [ "$*" = +%u%H%M ]; then cat "$place/hong-kong"; else PATH=${PATH#*:} exec date "$@"; fi
""",
    "id": 'cat "$place/uid"\n',  # so that it can be tested by anybody
    "place-smoke": "note smoke\n",
    "cp": """
if [ "$1" = -a ] && [ -f "$place/full" ]; then echo "cp: no space left" >&2; exit 1; fi
PATH=${PATH#*:} exec cp "$@"
""",
    # The environment's python: it knows the two programs that the scripts run with it.
    "place-python": r"""
installed=$(cat "$place/app/.venv/version")
case "$*" in
  *repair_future_ts_ms.py*) note repair "$installed" ;;
  *recorder.json*) exec python3 "$@" ;;
  *" verify "*) note verify "$installed"; echo "accepted" ;;
  *) echo "python $*" >&2; exit 64 ;;
esac
""",
}

_LOG: Final = """2026-11-20T01:31:00.000000Z INFO    health connected=True rows=5
2026-11-20T01:31:01.000000Z WARNING WATCHDOG recovery_triggered failures=0
2026-11-20T01:31:02.000000Z INFO    persist_ticks rows=5
2026-11-20T01:31:03.000000Z INFO    persist_loop_heartbeat queue_bytes=0
2026-11-20T01:31:04.000000Z INFO    futu_connected
"""


class DeployPlace:
    """A checkout at version v1 whose origin has v2 as well, a running service, and stubs.

    Attributes:
        app: the checkout, APP_DIR.
        unit: the installed unit.
        data: DATA_ROOT.
    """

    def __init__(self, directory: Path) -> None:
        """Make all of it in an empty directory."""
        self.directory = directory
        self.app = directory / "app"
        self.unit = directory / "units" / "hk-tick-collector.service"
        self.data = directory / "data"
        self.env: dict[str, str] = {}
        for name in ("bin", "units", "state", "data"):
            (directory / name).mkdir()
        for name, text in _STUBS.items():
            self._write(f"bin/{name}", _STUB + text, 0o755)
        self._write("log", _LOG)
        self._make_repositories()
        self._write("uid", "0\n")
        self.set_hong_kong("61031")
        self._write("state/active", "active\n")
        self._write("state/pid", "4711\n")
        self._write("state/restarts", "0\n")
        shutil.copy(self.app / "deploy/hk-tick-collector.service", self.unit)
        self._run(self.app, "place-install")
        (directory / "steps").unlink()

    # ---- what happens to it

    def fail(self, what: str, *, always: bool = False) -> None:
        """Let the step that is written down so (a regular expression, such as `start@v2`) fail, once or always."""
        self._write("always" if always else "once", what)

    def crash(self, version: str) -> None:
        """Let the service of this version be restarted again and again while it looks active."""
        self._write("crash", f"{version}\n")

    def fill_disk(self) -> None:
        """Let every copy of a directory fail."""
        self._write("full", "")

    def interrupt(self, what: str) -> None:
        """Send SIGTERM, or what SIGNAL in its environment says, to the script while that step is done."""
        self._write("signal", what)

    def part_opend(self) -> None:
        """Let OpenD be away from the next start on: a recorder that is started waits for it."""
        self._write("away", "")

    def set_hong_kong(self, clock: str) -> None:
        """Let it be that weekday (1: Monday), hour and minute in Hong Kong: `11031`."""
        self._write("hong-kong", f"{clock}\n")

    def set_started(self, at: float) -> None:
        """Let the service be started at that time, as systemd writes it."""
        self._write("state/started", time.strftime("%a %Y-%m-%d %H:%M:%S UTC\n", time.gmtime(at)))

    def say(
        self,
        *,
        connected: bool,
        pid: int = 4711,
        age_sec: float = 0.0,
        market: tuple[str, bool, str] | None = None,
        push_age_sec: float | None = None,
    ) -> None:
        """What the recorder that runs says of OpenD, and of the market (state, is_open, source); 4711 is its pid."""
        session = {"connected": connected, "last_disconnect": "refused", "last_push_age_sec": push_age_sec}
        state: dict[str, object] = {"pid": pid, "at_ms": int((time.time() - age_sec) * 1000), "session": session}
        if market is not None:
            state["market"] = dict(zip(("state", "is_open", "source"), market, strict=True))
        self._write("data/recorder.json", json.dumps(state))

    def run(
        self, name: str, *arguments: str, script: Path | None = None, **env: str
    ) -> subprocess.CompletedProcess[str]:
        """Run one of the scripts: `redeploy`, `rollback` or `verify`."""
        path = script or self.app / f"scripts/{name}_hk_tick_collector.sh"
        # Its pid is known to the stubs, as exec keeps it.
        line = f'echo $$ >"$PLACE/deploy.pid"; exec bash {path} "$@"'
        return self._run(self.directory, "bash", "-c", line, name, *arguments, check=False, **env)

    def deploy(self, **env: str) -> subprocess.CompletedProcess[str]:
        """Run the deploy script of v2."""
        return self.run("redeploy", **{"BRANCH": "main", **env})

    # ---- what became of it

    @property
    def steps(self) -> list[str]:
        """What the stubs were asked for, in order, each as `WHAT@VERSION`."""
        path = self.directory / "steps"
        return path.read_text().split() if path.exists() else []

    @property
    def version(self) -> str:
        """The tree's version."""
        return (self.app / "VERSION").read_text().strip()

    @property
    def installed(self) -> str:
        """The version that was installed into the environment last."""
        return (self.app / ".venv/version").read_text().strip()

    @property
    def is_active(self) -> bool:
        """Whether the service runs."""
        return (self.directory / "state/active").read_text().strip() == "active"

    @property
    def is_unfinished(self) -> bool:
        """Whether a deploy has left word that it did not end."""
        return (self.app / ".git/hk-tick-deploy/unfinished").exists()

    def git(self, *arguments: str) -> str:
        """Git in the checkout; what it says."""
        return self._run(self.app, "git", *arguments).stdout.strip()

    # ---- how it is made

    def _make_repositories(self) -> None:
        origin = self.directory / "origin"
        origin.mkdir()
        self._run(origin, "git", "init", "--quiet", "--initial-branch=main")
        shutil.copytree(SCRIPTS, origin / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
        for version in ("v1", "v2"):
            self._write("origin/VERSION", f"{version}\n")
            self._write("origin/.gitignore", ".venv/\n")
            self._write("origin/deploy/hk-tick-collector.service", f"# {version}\n")
            self._run(origin, "git", "add", "--all")
            self._run(origin, "git", "commit", "--quiet", "-m", version)
            self._run(origin, "git", "tag", version)
        self._run(self.directory, "git", "clone", "--quiet", "origin", "app")
        self._run(self.app, "git", "reset", "--quiet", "--hard", "v1")
        hook = _STUB + 'if [ "$PWD" = "$place/app" ]; then note checkout; fi\n'
        self._write("app/.git/hooks/post-checkout", hook, 0o755)

    def _write(self, name: str, text: str, mode: int = 0o644) -> None:
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)

    def _run(self, cwd: Path, *command: str, check: bool = True, **env: str) -> subprocess.CompletedProcess[str]:
        who = {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in _IDENTITY.items()}
        done = subprocess.run(
            command,
            cwd=cwd,
            check=False,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SEC,
            env={
                "PATH": f"{self.directory / 'bin'}:{os.environ['PATH']}",
                "HOME": str(self.directory),
                "GIT_CONFIG_NOSYSTEM": "1",
                "PLACE": str(self.directory),
                "UNIT_DIR": str(self.directory / "units"),
                "DATA_ROOT": str(self.data),
                "INSTALL_COMMAND": "place-install",
                "TEST_COMMAND": "place-test",
                "SMOKE_COMMAND": "place-smoke",
                "ACCEPT_SEC": "0",
                "VERIFY_WAIT_SEC": "0",
                "WAIT_SEC": "0",
                **who,
                **self.env,
                **env,
            },
        )
        assert not check or done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done


_IDENTITY: Final = {"NAME": "Test", "EMAIL": "test@example.invalid"}
