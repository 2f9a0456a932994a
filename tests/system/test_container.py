"""The image and compose.yaml: linted, built from the Dockerfile as it is, and run by Docker's own `docker compose`.

There is no registry: a bare Debian stands in for the Python image that the Dockerfile begins with.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml
from support.engine import DOCKER_COMPOSE, ROOT, Engine, why_not
from support.needs import need, need_tools
from support.recorder_process import until

from hk_tick_collector.config import Settings
from hk_tick_collector.simulator.verdict import compare

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]

HADOLINT: Final = Path(sys.executable).parent / "hadolint"
# A Debian's root as a tar, made by .ci/run while it makes one anyway; it may come a little later.
TRIXIE: Final = "TRIXIE"
DOCKERFILE: Final = (ROOT / "Dockerfile").read_text(encoding="utf-8")
UID: Final = 10111
BURST: Final = 3_000

# A command for the simulator, from inside its container.
CONTROL: Final = (
    "import socket, sys; link = socket.create_connection(('127.0.0.1', int(sys.argv[1])));"
    " link.sendall(sys.argv[2].encode() + b'\\n'); print(link.makefile().readline())"
)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine that has the image."""
    need(why_not())
    directory = tmp_path_factory.mktemp("engine")
    (base,) = set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE))  # one Debian for both stages
    assert re.fullmatch(r"python:3\.13-slim-trixie", base), base
    with Engine(directory) as made:
        made.add_base(base, bare_debian(directory))
        made.build("hk-tick-collector", ROOT)
        yield made


def bare_debian(directory: Path) -> Path:
    """A tar of the root directory of a new Debian with python3."""
    given = os.environ.get(TRIXIE)
    if given:
        until(Path(given).exists, f"{given} is made", timeout_sec=400)
        return Path(given)
    need_tools("debootstrap")
    root, tar = directory / "debian", directory / "debian.tar"
    for command in (
        ["debootstrap", "--variant=minbase", "--include=python3,ca-certificates", "trixie", root],
        ["tar", "-C", root, "-cf", tar, "."],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{done.stdout[-2000:]}{done.stderr}"
    shutil.rmtree(root)
    return tar


# ---- the files


def test_the_dockerfile_has_no_complaints() -> None:
    """hadolint, with all of its rules."""
    if not HADOLINT.exists():
        need("hadolint is not in this environment (make check installs it)")
    done = subprocess.run([HADOLINT, "--no-color", ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def composed(*options: str, **env: str) -> dict[str, Any]:
    """What `docker compose` understands of compose.yaml; it refuses what is not of its schema."""
    done = compose_config(*options, **env)
    assert (done.returncode, done.stderr) == (0, "")
    told = yaml.safe_load(done.stdout)
    assert isinstance(told, dict)
    return told


def compose_config(*options: str, **env: str) -> subprocess.CompletedProcess[str]:
    """`docker compose config`, without a file `.env`."""
    if not DOCKER_COMPOSE.exists():
        need("docker-compose is not in this environment (make check installs it)")
    command = [DOCKER_COMPOSE, f"--file={ROOT / 'compose.yaml'}", f"--env-file={os.devnull}", *options, "config"]
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("FUTU_", "COMPOSE_"))}
    return subprocess.run(command, env={**clean, **env}, capture_output=True, text=True, check=False)


def test_every_service_is_shut_in() -> None:
    """Nothing to write but volumes, no rights, limited memory, log and cores; time enough for the recorder's stop."""
    services = composed("--profile", "simulator")["services"]
    assert set(services) == {"recorder", "simulator"}
    assert set(composed()["services"]) == {"recorder"}
    for name, service in services.items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert int(service["mem_limit"]) == 1 << 30, name
        assert set(service["logging"]["options"]) == {"max-size", "max-file"}, name
        assert service["restart"] == "unless-stopped", name
        assert "privileged" not in service, name
        assert "ports" not in service, name
    minutes, seconds = re.fullmatch(r"(?:(\d+)m)?(\d+)s", services["recorder"]["stop_grace_period"]).groups("0")  # type: ignore[union-attr]
    flush_sec = Settings.model_fields["stop_flush_timeout_sec"].default
    assert int(minutes) * 60 + int(seconds) >= flush_sec + 30


def test_simulated_ticks_never_go_where_real_ones_are() -> None:
    """Without FUTU_HOST it is the simulator that is recorded, and into another volume than any OpenD."""
    seen = {}
    for host in ("", "127.0.0.1", "host.docker.internal"):
        recorder = composed(FUTU_HOST=host, FUTU_SYMBOLS="HK.00700" if host else "")["services"]["recorder"]
        (volume,) = recorder["volumes"]
        assert volume["target"] == recorder["environment"]["DATA_ROOT"]
        seen[recorder["environment"]["FUTU_HOST"]] = volume["source"]
    assert seen == {"simulator": "ticks", "127.0.0.1": "ticks-real", "host.docker.internal": "ticks-real"}


def test_with_an_opend_the_symbols_are_not_guessed() -> None:
    """FUTU_HOST without FUTU_SYMBOLS is refused before anything starts."""
    done = compose_config(FUTU_HOST="127.0.0.1")
    assert done.returncode != 0
    assert done.stderr.rstrip().endswith("FUTU_HOST is set, so set FUTU_SYMBOLS in .env as well")


@pytest.mark.parametrize(
    ("port", "said"),
    [
        ("0", "unknown: METRICS_PORT is 0, "),
        ("1", "failing: no answer on port 1: "),
        ("x", "failing: no answer on port x: "),
    ],
)
def test_a_recorder_that_does_not_answer_is_unhealthy(port: str, said: str) -> None:
    """One line that says why, and exit 1."""
    command = [sys.executable, "-I", ROOT / "deploy/healthcheck.py"]
    env = {**os.environ, "METRICS_PORT": port}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith(said), done.stdout
    assert done.stdout.count("\n") == 1


# ---- the image, running


def test_compose_up_records_and_a_stop_stores_everything(engine: Engine) -> None:
    """Unhealthy while there is no OpenD, healthy once it records; at a stop all that came is stored, with exit 0."""
    engine.compose("up", "--no-build", "--pull=never", "--detach", "recorder")
    until(lambda: checked(engine) == (1, "unproven"), lambda: str(checked(engine)))
    assert engine.podman("healthcheck", "run", "test-recorder-1", check=False).returncode == 1

    engine.compose("--profile", "simulator", "up", "--no-build", "--pull=never", "--detach")
    until(
        lambda: engine.podman("healthcheck", "run", "test-recorder-1", check=False).returncode == 0,
        lambda: engine.podman("logs", "test-recorder-1").stderr[-4000:],
    )
    assert checked(engine) == (0, "ok")
    assert_is_shut_in(engine)

    control(engine, "pause")
    control(engine, "burst", ticks=BURST)
    data = engine.volume("ticks")
    until(lambda: json.loads((data / "recorder.json").read_text())["frames"] > BURST, "it has received them")
    engine.compose("--profile", "simulator", "stop", "recorder")
    state = json.loads(engine.podman("inspect", "--format={{json .State}}", "test-recorder-1").stdout)
    assert state["ExitCode"] == 0, state
    said = engine.podman("logs", "test-recorder-1").stderr
    assert "recorder_stopping reason=SIGTERM" in said
    assert "recorder_stopped reason=SIGTERM stored=True" in said

    control(engine, "sync")
    ledger = data.parent / "ledger.jsonl"
    ledger.write_text(engine.podman("exec", "test-simulator-1", "cat", "/tmp/ledger.jsonl").stdout)  # noqa: S108 - of the container
    verdict = compare(ledger, data)
    assert verdict.ok, verdict
    assert verdict.stored == verdict.sent > BURST, verdict
    engine.compose("--profile", "simulator", "down", "--volumes")
    assert Path(os.devnull).stat().st_uid == 0  # nothing of this machine's was changed


def checked(engine: Engine) -> tuple[int, str]:
    """What the Dockerfile's own healthcheck says: its exit code, and the verdict."""
    match = re.search(r"^HEALTHCHECK .*\\\n +CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)
    assert match is not None
    done = engine.podman("exec", "test-recorder-1", *json.loads(match[1]), check=False)
    return done.returncode, re.split("[:\n]", done.stdout)[0]


def assert_is_shut_in(engine: Engine) -> None:
    """Process 1 is the recorder, an ordinary user without any right, in a root that it can't write; no compiler."""
    inside = ("exec", "test-recorder-1", "sh", "-c")
    status = engine.podman(*inside, "cat /proc/1/status").stdout
    assert re.search(rf"^Uid:\t{UID}\t{UID}\t", status, re.MULTILINE), status
    assert re.search(r"^CapBnd:\t0+$", status, re.MULTILINE), status
    assert re.search(r"^NoNewPrivs:\t1$", status, re.MULTILINE), status
    assert "hk-tick-collector\0run\0" in engine.podman(*inside, "cat /proc/1/cmdline").stdout
    refused = engine.podman(*inside, "touch /opt/x /etc/x /x", check=False).stderr
    assert refused.count("Read-only file system") == 3, refused
    found = engine.podman(*inside, "command -v cc gcc c++ ld make; ls /opt/hk-tick-collector/.venv/bin", check=False)
    assert not re.search(r"^pip", found.stdout, re.MULTILINE), found.stdout
    assert not re.search(r"^/", found.stdout, re.MULTILINE), found.stdout
    stored = engine.podman(*inside, "find /var/lib/hk-tick-collector ! -user hk-tick").stdout
    assert stored == ""


def control(engine: Engine, cmd: str, **fields: object) -> None:
    """A command for the simulator."""
    port = json.loads(engine.podman("logs", "test-simulator-1").stdout.splitlines()[0])["control_port"]
    line = json.dumps({"cmd": cmd, **fields})
    answer = engine.podman("exec", "test-simulator-1", "python", "-c", CONTROL, str(port), line).stdout
    assert json.loads(answer)["ok"], answer
