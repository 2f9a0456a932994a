"""How the environment is made: what can go wrong before there is any Python of ours, said in one line."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# A python that is new enough and has no ensurepip, as Debian's is without python3-venv.
NO_ENSUREPIP = f"""#!/bin/sh
case "$*" in *"import ensurepip"*) exit 1 ;; esac
exec {sys.executable} "$@"
"""


def bootstrap(directory: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run it in an empty directory, which is no project, with programs in `bin` before all others."""
    path = f"{directory / 'bin'}:{os.environ['PATH']}"
    return subprocess.run(
        ["bash", str(ROOT / "tools/bootstrap.sh"), "run"],
        cwd=directory,
        env={**os.environ, "PATH": path, **env},
        capture_output=True,
        text=True,
        check=False,
    )


def place_program(directory: Path, name: str, text: str) -> Path:
    """Put an executable into `bin`."""
    path = directory / "bin" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def test_without_a_python_it_says_which_it_looked_for(tmp_path: Path) -> None:
    """No Python of 3.11 or later: one line that says what to do, exit 2, and nothing made."""
    done = bootstrap(tmp_path, PYTHON="/nonexistent/python3")
    assert done.returncode == 2
    assert re.fullmatch(r"bootstrap: no Python of 3\.11 or later among: /nonexistent/python3\. .*\n", done.stderr)
    assert not (tmp_path / ".venv").exists()


def test_without_ensurepip_a_user_is_told_the_package(tmp_path: Path) -> None:
    """Somebody who may not install packages is told the one that is missing: one line, exit 2."""
    python = place_program(tmp_path, "python-bare", NO_ENSUREPIP)
    place_program(tmp_path, "id", "#!/bin/sh\necho 1000\n")
    done = bootstrap(tmp_path, PYTHON=str(python))
    package = f"python3.{sys.version_info.minor}-venv"
    assert done.returncode == 2
    assert done.stdout == ""
    assert f"install {package} (Debian: sudo apt-get install {package})" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / ".venv").exists()


def test_without_ensurepip_root_gets_the_package_installed(tmp_path: Path) -> None:
    """Root is told in one line what is installed; package lists are fetched only if it can't be found without."""
    python = place_program(tmp_path, "python-bare", NO_ENSUREPIP)
    place_program(tmp_path, "id", "#!/bin/sh\necho 0\n")
    place_program(
        tmp_path, "apt-get", f'#!/bin/sh\necho "$*" >>{tmp_path}/calls\necho "E: no such package"\nexit 100\n'
    )
    done = bootstrap(tmp_path, PYTHON=str(python))
    package = f"python3.{sys.version_info.minor}-venv"
    assert done.returncode == 2
    assert done.stdout.startswith(f"installing {package}, which ")
    assert done.stderr == f"bootstrap: apt-get could not install {package}: E: no such package\n"
    calls = (tmp_path / "calls").read_text().splitlines()
    assert calls == [f"-qq install --yes --no-install-recommends {package}", "-qq update"]


def test_each_dependency_has_its_exact_version() -> None:
    """Whatever pyproject.toml asks for, constraints.txt pins."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    asked = [*project["build-system"]["requires"], *project["project"]["dependencies"]]
    for group in project["dependency-groups"].values():
        asked += group
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = {_plain(line.partition("==")[0]) for line in lines if "==" in line}
    names = {_plain(match[0]) for requirement in asked if (match := re.match(r"[A-Za-z0-9._-]+", requirement))}
    assert len(names) > 10
    assert names - pinned == set()


@pytest.mark.parametrize("target", ["demo", "test", "check", "bench", "proto", "fmt", "clean", "help"])
def test_make_alone_lists_each_target(target: str) -> None:
    """`make` without a target names every target, with what it is for."""
    done = subprocess.run(["make", "-C", str(ROOT), "--no-print-directory"], capture_output=True, text=True, check=True)
    assert re.search(rf"^make {target} +\S.+$", done.stdout, re.MULTILINE)


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
