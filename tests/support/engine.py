"""A container engine of its own: podman without a daemon of the machine's, and Docker's own `docker compose` on top.

    with Engine(directory) as engine:
        engine.add_base("python:3.13-slim-trixie", tar)    # of a Debian, since there is no registry here
        engine.build("hk-tick-collector", ROOT)
        engine.compose("up", "--detach", "recorder")

Its processes, mounts and network live in namespaces that end with it, and its images and containers in a tmpfs there,
so nothing is left of them, whatever becomes of the test. Only the volumes are in `directory`, where SQLite can open
what is in them. Only a build sees the machine's network, for the package index.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from support.recorder_process import until

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT: Final = Path(__file__).parents[2]
DOCKER_COMPOSE: Final = Path(sys.executable).parent / "docker-compose"
NETAVARK: Final = Path("/usr/lib/podman/netavark")  # nobody's PATH has it
STORE: Final = Path("/mnt")  # of the engine's own, and short: podman takes no longer path than 50 characters
BUILD_TIMEOUT_SEC: Final = 240.0
RUN_TIMEOUT_SEC: Final = 60.0

# `cgroups`: a machine like CI's has both versions at once, which crun refuses. So it is shown the first one only, and
# what limits a container's memory is not the matter of these tests.
_CONFIG: Final = """
[containers]
cgroups = "disabled"
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "crun"
[network]
network_backend = "netavark"
"""
# A /dev/null of its own: crun gives what a container has as its standard input to the container's user.
_OWN: Final = ("--mount", "--propagation=private", "--pid", "--fork", "--kill-child=KILL", "--mount-proc", "--net")
_BEGIN: Final = """
umount /sys/fs/cgroup/unified 2>/dev/null
set -e
mount -t tmpfs -o mode=755,size=4g store "$1"
mkdir -p "$1/images/volumes"
mount --bind "$2" "$1/images/volumes"
mknod -m 666 "$1/null" c 1 3
mount --bind "$1/null" /dev/null
shift 2
exec "$@"
"""

# What a Python image has and a bare Debian doesn't; and this machine's certificates, for the package index.
_BASE: Final = """
FROM localhost/debian
COPY packages /usr/local/lib/python3.13/dist-packages
COPY ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
RUN ln -s /usr/bin/python3 /usr/local/bin/python
"""


def why_not() -> str:
    """Why no engine can be had here, in one line; empty where it can be."""
    if os.geteuid() != 0:
        return "a container engine of its own needs root"
    missing = [tool for tool in ("podman", "crun", "unshare", "nsenter") if shutil.which(tool) is None]
    if missing or not NETAVARK.exists():
        return "a container engine needs podman (Debian: apt-get install podman crun netavark aardvark-dns)"
    if find_spec("ensurepip") is None:
        return "Python's ensurepip is not here (Debian: apt-get install python3-venv)"
    if not DOCKER_COMPOSE.exists():
        return "docker-compose is not in this environment (make check installs it)"
    return ""


class Engine:
    """One engine, from `start` to `end`."""

    def __init__(self, directory: Path) -> None:
        """Nothing is started yet."""
        self._directory = directory
        self._volumes = directory / "volumes"
        self._override = directory / "override.yaml"
        self._service: subprocess.Popen[bytes] | None = None
        self._pid = 0
        self._volumes.mkdir()
        (directory / "containers.conf").write_text(_CONFIG)
        # The limits that podman sets by itself are beyond what this machine may give.
        limits = "{ulimits: {nofile: 1024, nproc: 4096}}"
        self._override.write_text(f"services: {{recorder: {limits}, simulator: {limits}}}\n")
        self._url = f"unix://{directory / 'podman.sock'}"
        places = {"root": "images", "runroot": "run", "network-config-dir": "networks"}
        self._podman = ["podman", *(f"--{option}={STORE / name}" for option, name in places.items())]
        self._env = {**os.environ, "CONTAINERS_CONF": str(directory / "containers.conf"), "DOCKER_HOST": self._url}

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_exc: object) -> None:
        self.end()

    def start(self) -> Self:
        """Start what all commands talk to, or enter."""
        service = [*self._podman, "system", "service", "--time=0", self._url]
        begin = ("sh", "-c", _BEGIN, "sh", STORE, self._volumes)
        command = ["setpriv", "--pdeathsig=KILL", "unshare", *_OWN, *begin, *service]
        log = self._directory / "service.log"
        with log.open("wb") as stderr:
            self._service = subprocess.Popen(command, env=self._env, stdin=subprocess.DEVNULL, stderr=stderr)
        until((self._directory / "podman.sock").exists, lambda: log.read_text()[-2000:])
        children = Path(f"/proc/{self._service.pid}/task/{self._service.pid}/children")
        self._pid = int(children.read_text().split()[0])
        return self

    def end(self) -> None:
        """End all containers; nothing is left but the volumes."""
        if self._service is not None:
            self._service.kill()
            self._service.wait()

    # ---- images

    def add_base(self, name: str, debian: Path) -> None:
        """Make an image of this name, in the place of the one that a registry would have.

        Args:
            name: as the Dockerfile names it.
            debian: a tar of the root directory of a Debian with python3.
        """
        import ensurepip  # noqa: PLC0415 - a bare Debian lacks it, and must be able to read this module

        (wheel,) = Path(ensurepip.__file__).parent.glob("_bundled/pip-*.whl")
        place = self._directory / "base"
        zipfile.ZipFile(wheel).extractall(place / "packages")
        shutil.copy("/etc/ssl/certs/ca-certificates.crt", place)
        (place / "Dockerfile").write_text(_BASE)
        index = [f"--change=ENV {key}={value}" for key, value in os.environ.items() if key.startswith("PIP_")]
        self.podman("import", *index, str(debian), "localhost/debian")
        self.build(f"docker.io/library/{name}", place)

    def build(self, name: str, context: Path) -> None:
        """Build what the Dockerfile there says."""
        options = ("--pull=never", "--layers=false", "--format=docker", "--network=host", f"--tag={name}")
        enter = ("nsenter", f"--target={self._pid}", "--mount", "--pid")
        self._run([*enter, *self._podman, "build", *options, str(context)], timeout_sec=BUILD_TIMEOUT_SEC)

    # ---- commands

    def podman(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """`podman`, where the containers are."""
        return self._run(["nsenter", f"--target={self._pid}", "--all", *self._podman, *arguments], check=check)

    def compose(self, *arguments: str, **env: str) -> str:
        """`docker compose` with the project's compose.yaml, as an operator types it; gives what it printed."""
        files = [f"--file={ROOT / 'compose.yaml'}", f"--file={self._override}"]
        command = [str(DOCKER_COMPOSE), "--project-name=test", f"--project-directory={self._directory}", *files]
        return self._run([*command, *arguments], **env).stdout

    def volume(self, name: str) -> Path:
        """Where a volume's files are, as they can be opened from here."""
        return self._volumes / f"test_{name}" / "_data"

    def _run(
        self,
        command: Sequence[str],
        *,
        check: bool = True,
        timeout_sec: float = RUN_TIMEOUT_SEC,
        **env: str,
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command, env={**self._env, **env}, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
            timeout=timeout_sec,
        )  # fmt: skip
        assert not check or done.returncode == 0, f"{command}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done
