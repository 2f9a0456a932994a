"""A machine of its own, with a real systemd as process 1: what the tests of units and deploys run on.

    with Machine(tmp_path) as machine:
        machine.install_project()                        # the program in /opt/hk-tick-collector, as the documents say
        machine.write(ENV_FILE, "FUTU_SYMBOLS=HK.00700")
        machine.systemctl("start", "--no-block", UNIT)
        machine.wait_for(UNIT, StatusText="^recording", timeout_sec=30)
        machine.path(DATA_ROOT)                          # its files, readable from here

It is a container: an overlay of this machine's `/`, whose writes go into a tmpfs, booted by systemd-nspawn with a
network of its own that has a loopback and nothing else. Overlay and tmpfs are mounted in a mount namespace that only it
lives in, so whatever becomes of the test, nothing of it is left when its processes are gone; and those die with the
test's process. It is up in about a second, and any number can run side by side.

None of the host's own services run in it: `/etc/systemd/system` begins empty. Its `/tmp` is its own. The Python and the
packages that run this test are bound into it read-only, at `PYTHON_HOME` and `SITE_PACKAGES`, wherever they are here.
`DATA_ROOT` and `/srv` are directories of the test's own: what is in them outlives the machine, and SQLite can open it
from here, which it can't through `/proc/PID/root`, since it resolves that as a link.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import json
import os
import re
import select
import shutil
import socket
import subprocess
import sys
import sysconfig
import threading
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOT: Final = Path(__file__).parents[2]
APP: Final = "/opt/hk-tick-collector"
PYTHON: Final = f"{APP}/.venv/bin/python"
DATA_ROOT: Final = "/var/lib/hk-tick-collector"
SHARED: Final = (DATA_ROOT, "/srv")
ENV_FILE: Final = "/etc/hk-tick-collector.env"
UNIT: Final = "hk-tick-collector.service"

PYTHON_HOME: Final = "/opt/python"
SITE_PACKAGES: Final = "/opt/site-packages"

BOOT_TIMEOUT_SEC: Final = 60.0
RUN_TIMEOUT_SEC: Final = 60.0
WAIT_TIMEOUT_SEC: Final = 60.0
END_TIMEOUT_SEC: Final = 20.0
CHECK_EVERY_SEC: Final = 0.05

TOOLS: Final = ("systemd-nspawn", "systemd-analyze", "systemctl", "nsenter", "unshare", "setpriv", "mount")
_PROJECT: Final = (
    "hk_tick_collector", "deploy", "scripts", "docs", "tools",
    "pyproject.toml", "constraints.txt", "Makefile", "README.md", "CHANGELOG.md", "LICENSE",
)  # fmt: skip
_CLONE_NEWNET: Final = 0x40000000

# The tmpfs and the overlay stand in the mount namespace that `unshare` has made, and vanish with it. All processes are
# in its process namespace, whose first is systemd-nspawn: that one is killed with `unshare`, and all others with it.
_LAUNCH: Final = """
set -eu
place=$1 staging=$2 groups=$3
shift 3
for group in $groups; do echo 0 >"$group/cgroup.procs"; done
mount -t tmpfs -o mode=755,size=4g machine "$place"
mkdir "$place/upper" "$place/work" "$place/root"
cp -a "$staging/." "$place/upper"
mount -t overlay -o "lowerdir=/,upperdir=$place/upper,workdir=$place/work" overlay "$place/root"
exec systemd-nspawn --directory="$place/root" "$@"
"""

# A booted system that serves the test and nothing else. `journalctl` must show all that was said, at once.
_FILES: Final = {
    "etc/systemd/journald.conf.d/test.conf": "[Journal]\nStorage=volatile\nRateLimitIntervalSec=0\nAudit=no\n",
    "etc/systemd/system.conf.d/test.conf": "[Manager]\nShowStatus=no\n",
    "etc/hostname": "hk-machine\n",
}
_MASKED: Final = ("getty.target", "systemd-logind.service", "systemd-networkd.service", "systemd-resolved.service")


@functools.cache
def why_not() -> str:
    """Why no machine can be had here, in one line; empty where it can be."""
    if os.geteuid() != 0:
        return "a machine of its own needs root"
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        return f"a machine of its own needs {', '.join(missing)} (Debian: apt-get install systemd-container)"
    if "overlay" not in Path("/proc/filesystems").read_text():
        return "a machine of its own needs overlayfs, which this kernel does not have"
    tried = subprocess.run(
        ["unshare", "--mount", "--pid", "--fork", "true"], capture_output=True, text=True, check=False
    )
    if tried.returncode != 0:
        return f"a machine of its own needs namespaces, which this root may not make: {tried.stderr.strip()}"
    return ""


class Machine:
    """One container with systemd.

    Attributes:
        name: tells several in a test apart.
        identity: no other machine has the same.
        leader: the process here that is process 1 there.
        log_path: what systemd-nspawn and the boot said.
    """

    def __init__(self, directory: Path, *, name: str = "machine") -> None:
        """Nothing is started yet. `write`, `copy_in` and `install_project` may be used before `start` as well.

        Args:
            directory: where the machine is prepared and its log goes.
            name: the beginning of the files' names.
        """
        self.name = name
        self.leader = 0
        self.log_path = directory / f"{name}.boot.log"
        self.identity = f"hk-{uuid.uuid4().hex[:12]}"
        self._staging = directory / f"{name}.staging"
        self._place = directory / f"{name}.place"
        self._shared = {there: directory / f"{name}{there.replace('/', '.')}" for there in SHARED}
        self._unshare: subprocess.Popen[bytes] | None = None
        self._groups: list[Path] = []

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_exc: object) -> None:
        self.end()

    # ---- its life

    def start(self) -> Self:
        """Boot it and wait until it has reached multi-user.target; AssertionError with the log if it doesn't."""
        reason = why_not()
        assert not reason, reason
        for directory in (self._place, *self._shared.values()):
            directory.mkdir()
        self._stage()
        self._groups = _own_control_groups(self.identity)
        command = (
            *("setpriv", "--pdeathsig=KILL"),
            *("unshare", "--mount", "--propagation=private", "--pid", "--fork", "--kill-child=KILL", "--mount-proc"),
            *("sh", "-c", _LAUNCH, "launch", str(self._place), str(self._staging)),
            " ".join(map(str, self._groups)),
            *(f"--machine={self.identity}", "--register=no", "--keep-unit"),
            *("--private-network", "--boot", "--console=pipe"),
            *_binds(),
            *(f"--bind={here}:{there}" for there, here in self._shared.items()),
        )
        with self.log_path.open("wb") as log:
            self._unshare = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            self._wait_until_booted()
        except BaseException:
            self.end()
            raise
        return self

    def end(self) -> None:
        """End all its processes, and with them whatever was mounted. May be called again."""
        process, self._unshare = self._unshare, None
        if process is None:
            return
        nspawn = _children(process.pid)
        process.kill()
        process.wait(END_TIMEOUT_SEC)
        for pid in nspawn:  # it waits for all the others
            _wait_until_gone(pid)
        self.leader = 0
        for group in self._groups:
            remove_control_group(group)
        shutil.rmtree(self._staging)
        self._place.rmdir()

    # ---- commands and files

    def run(
        self,
        *command: str | Path,
        check: bool = True,
        timeout_sec: float = RUN_TIMEOUT_SEC,
        env: Mapping[str, str] | None = None,
        cwd: str = "/",
        user: str | None = None,
        stdin: str = "",
    ) -> subprocess.CompletedProcess[str]:
        """Run a command there and give what it said.

        Args:
            command: what to run, and its arguments.
            check: AssertionError with all that it said if its exit code is not 0.
            timeout_sec: subprocess.TimeoutExpired after that.
            env: all its variables, but for PATH, HOME and LANG, which it has anyway.
            cwd: a directory there.
            user: root unless given.
            stdin: what it reads.
        """
        try:
            done = subprocess.run(
                [*self.command(*command, env=env, cwd=cwd, user=user)],
                input=stdin, capture_output=True, text=True, check=False, timeout=timeout_sec,
            )  # fmt: skip
        except subprocess.TimeoutExpired as exc:
            exc.add_note(f"it said {exc.stdout!r} and {exc.stderr!r}")
            raise
        assert not check or done.returncode == 0, f"{command}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def command(
        self, *command: str | Path, env: Mapping[str, str] | None = None, cwd: str = "/", user: str | None = None
    ) -> list[str]:
        """The command that runs this command there, for a `Popen` of one's own."""
        assert self.leader, "the machine is not started"
        variables = {
            "PATH": f"{APP}/.venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/root",
            "LANG": "C.UTF-8",
            **(env or {}),
        }
        settings = [f"{key}={value}" for key, value in variables.items()]
        as_user = ["setpriv", "--reuid", user, "--regid", user, "--init-groups"] if user else []
        enter = ["nsenter", "--target", str(self.leader), "--all"]
        return [*enter, *as_user, "env", "-i", "-C", cwd, *settings, *map(str, command)]

    def path(self, path: str) -> Path:
        """A file of the machine's, by its path there, as it can be opened from here."""
        assert path.startswith("/"), path
        for there, here in self._shared.items():
            if path == there or path.startswith(f"{there}/"):
                return here / path[len(there) + 1 :]
        assert self.leader, "the machine is not started"
        return Path(f"/proc/{self.leader}/root{path}")

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Put a text file there, with the directories that it needs."""
        target = self._target(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        target.chmod(mode)

    def copy_in(self, source: Path, path: str) -> None:
        """Copy a file or a whole directory from here to there; times and modes are kept."""
        target = self._target(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".git"))
        else:
            shutil.copy2(source, target)

    def copy_out(self, path: str, target: Path) -> Path:
        """Copy a file or a whole directory from there to here; gives `target`."""
        source = self.path(path)
        if source.is_dir():
            shutil.copytree(source, target, symlinks=True)
        else:
            shutil.copy2(source, target)
        return target

    def connect(self, port: int, timeout_sec: float = RUN_TIMEOUT_SEC) -> socket.socket:
        """A TCP connection from here to a port of its loopback."""
        made: list[socket.socket] = []

        def make() -> None:
            """A socket belongs to the network in which it was made, and a thread may enter another one."""
            libc = ctypes.CDLL(None, use_errno=True)
            with Path(f"/proc/{self.leader}/ns/net").open("rb") as namespace:
                assert libc.setns(namespace.fileno(), _CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
            made.append(socket.socket(socket.AF_INET, socket.SOCK_STREAM))

        thread = threading.Thread(target=make)
        thread.start()
        thread.join()
        (made_socket,) = made
        made_socket.settimeout(timeout_sec)
        try:
            made_socket.connect(("127.0.0.1", port))
        except OSError:
            made_socket.close()
            raise
        return made_socket

    # ---- systemd

    def systemctl(self, *arguments: str, check: bool = True, timeout_sec: float = RUN_TIMEOUT_SEC) -> str:
        """What `systemctl` says; AssertionError with it if it fails, unless told not to check."""
        return self.run("systemctl", *arguments, check=check, timeout_sec=timeout_sec).stdout

    def enable(self, unit: str) -> None:
        """Have a unit that is wanted by multi-user.target started at each boot; also before the first one."""
        link = self._target(f"/etc/systemd/system/multi-user.target.wants/{unit}")
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(f"/etc/systemd/system/{unit}")

    def show(self, unit: str, *properties: str) -> dict[str, str]:
        """What `systemctl show` says of these properties of a unit; all if none is named."""
        lines = self.systemctl("show", unit, *(f"--property={name}" for name in properties)).splitlines()
        return dict(line.split("=", 1) for line in lines)

    def wait_for(self, unit: str, *, timeout_sec: float = WAIT_TIMEOUT_SEC, **properties: str) -> dict[str, str]:
        """Wait until each property, as `systemctl show` says it, *contains a match* of its regular expression.

        Gives the properties. AssertionError with the last ones and the journal if that never comes.
        """
        until = time.monotonic() + timeout_sec
        while True:
            shown = self.show(unit, *properties)
            if all(re.search(wanted, shown[name]) for name, wanted in properties.items()):
                return shown
            assert time.monotonic() < until, (
                f"{unit}: not {properties} within {timeout_sec} s, but {shown}; the journal:\n{self.journal()[-6000:]}"
            )
            time.sleep(CHECK_EVERY_SEC)

    def journal(self, unit: str | None = None, *options: str) -> str:
        """The journal as plain messages, of one unit (what it said, and what systemd said of it) or of everything."""
        of = ("--unit", unit) if unit else ()
        return self.run("journalctl", "--no-pager", "--quiet", "--output=cat", *of, *options).stdout

    def journal_entries(self, unit: str) -> list[dict[str, str]]:
        """The journal of one unit with all fields, such as MESSAGE, _PID, PRIORITY and __MONOTONIC_TIMESTAMP."""
        text = self.run("journalctl", "--no-pager", "--quiet", "--output=json", "--unit", unit).stdout
        return [json.loads(line) for line in text.splitlines()]

    # ---- the project

    def install_project(self, source: Path = ROOT, app: str = APP, *, units: bool = True) -> None:
        """Install the project as docs/operations.md says, with the user and both units, but not yet a setting.

        The virtual environment in it is a real one of the machine's, in which `pip` works without a network for what is
        installed here already. The program runs from `app`, so another version is a matter of other files there.

        Args:
            source: the project's files.
            app: where they go.
            units: also put the units in place, and make their users.
        """
        for name in _PROJECT:
            if (source / name).exists():
                self.copy_in(source / name, f"{app}/{name}")
        self._install_venv(f"{app}/.venv", app)
        if not units:
            return
        for unit in sorted((source / "deploy").glob("*.service")):
            self.copy_in(unit, f"/etc/systemd/system/{unit.name}")
        for users in sorted((source / "deploy").glob("*.sysusers.conf")):
            self.copy_in(users, f"/etc/sysusers.d/{users.name.replace('.sysusers', '')}")
        if self.leader:
            self.run("systemd-sysusers")  # before it is started, the boot does this
            self.systemctl("daemon-reload")

    def _install_venv(self, venv: str, app: str) -> None:
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        home = f"{PYTHON_HOME}/bin" if _is_bound() else f"{sys.base_prefix}/bin"
        self.write(f"{venv}/pyvenv.cfg", f"home = {home}\ninclude-system-site-packages = false\n")
        self.write(f"{venv}/lib/{version}/site-packages/machine.pth", f"{app}\n{SITE_PACKAGES}\n")
        self.write(
            f"{venv}/bin/hk-tick-collector",
            f"#!{venv}/bin/python\nimport sys\nfrom hk_tick_collector.cli.app import entry\nsys.exit(entry())\n",
            0o755,
        )
        for name in ("python", "python3", version):
            link = self._target(f"{venv}/bin/{name}")
            link.unlink(missing_ok=True)
            link.symlink_to(f"{home}/{version}" if name == "python" else "python")
        library = sysconfig.get_config_var("INSTSONAME") if sysconfig.get_config_var("Py_ENABLE_SHARED") else None
        if library and _is_bound():  # where it says that its library is, nobody but root may look
            link = self._target(f"/usr/lib/{sysconfig.get_config_var('MULTIARCH')}/{library}")
            link.parent.mkdir(parents=True, exist_ok=True)
            link.unlink(missing_ok=True)
            link.symlink_to(f"{PYTHON_HOME}/lib/{library}")

    # ---- how it is made

    def _target(self, path: str) -> Path:
        """Where a file of the machine's is written: into it, or into what it is made of."""
        return self.path(path) if self.leader else self._staging / path.removeprefix("/")

    def _stage(self) -> None:
        """What stands over the host's files from the beginning."""
        units = self._staging / "etc/systemd/system"
        units.mkdir(parents=True, exist_ok=True)
        os.setxattr(units, "trusted.overlay.opaque", b"y")
        for unit in _MASKED:
            (units / unit).symlink_to("/dev/null")
        (units / "default.target").symlink_to("/lib/systemd/system/multi-user.target")
        for path, text in _FILES.items():
            self.write(f"/{path}", text)
        # An empty one would make it a first boot, which enables all that the host has installed.
        self.write("/etc/machine-id", f"{uuid.uuid4().hex}\n")

    def _wait_until_booted(self) -> None:
        assert self._unshare is not None
        until = time.monotonic() + BOOT_TIMEOUT_SEC
        state = "no answer"
        while state != "active":
            told = f"{state}\n{self.log_path.read_text(errors='replace')[-4000:]}"
            assert self._unshare.poll() is None, f"the boot ended with {self._unshare.returncode}: {told}"
            assert time.monotonic() < until, f"not booted within {BOOT_TIMEOUT_SEC} s: {told}"
            time.sleep(CHECK_EVERY_SEC)
            self.leader = _find_leader(self._unshare.pid)
            if self.leader:
                done = self.run("systemctl", "is-active", "multi-user.target", check=False)
                state = done.stdout.strip() or done.stderr.strip()


def _find_leader(unshare: int) -> int:
    """The child of systemd-nspawn that is process 1 in a namespace of its own and runs systemd already; or 0."""
    for nspawn in _children(unshare):
        for child in _children(nspawn):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                status = Path(f"/proc/{child}/status").read_text()
                if re.search(r"^Name:\tsystemd\n", status) and re.search(r"^NSpid:.*\t1$", status, re.MULTILINE):
                    return child
    return 0


def _children(pid: int) -> list[int]:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def _is_bound() -> bool:
    """Whether this Python must be shown to the machine; one in /usr is there already."""
    return not Path(sys.base_prefix).is_relative_to("/usr")


def _binds() -> Sequence[str]:
    shown = {SITE_PACKAGES: sysconfig.get_path("purelib")}
    if _is_bound():
        shown[PYTHON_HOME] = sys.base_prefix
    return [f"--bind-ro={here}:{there}" for there, here in shown.items()]


def _own_control_groups(name: str) -> list[Path]:
    """A control group for it in each hierarchy that systemd uses.

    Two machines in the same group would share each unit's group, and end each other's processes.
    """
    hierarchies: dict[str, Path] = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        if kind == "cgroup2":
            hierarchies[""] = Path(before.split()[4])
        elif kind == "cgroup" and "name=systemd" in options.split(","):
            hierarchies["name=systemd"] = Path(before.split()[4])
    groups = []
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controller, path = line.split(":", 2)
        if controller in hierarchies:
            group = hierarchies[controller] / path.removeprefix("/") / name
            group.mkdir()
            groups.append(group)
    return groups


def remove_control_group(group: Path) -> None:
    """Remove a group and those in it, as soon as their last processes are gone."""
    until = time.monotonic() + END_TIMEOUT_SEC
    while True:
        for directory, _, _ in os.walk(group, topdown=False):
            with contextlib.suppress(OSError):
                Path(directory).rmdir()
        if not group.exists():
            return
        assert time.monotonic() < until, f"processes are left in {group}"
        time.sleep(CHECK_EVERY_SEC)


def _wait_until_gone(pid: int) -> None:
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        ready, _, _ = select.select([descriptor], [], [], END_TIMEOUT_SEC)
    finally:
        os.close(descriptor)
    assert ready, f"process {pid} does not end"
