"""How the environment is made: what can go wrong before there is any Python of ours, said in one line."""

from __future__ import annotations

import importlib.util
import json
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


@pytest.mark.parametrize(
    ("index", "reason"),
    [
        ("https://127.0.0.1:9/simple", "can't be had from https://127.0.0.1:9/simple: URLError: .*refused"),
        ("http://127.0.0.1/simple", "http://127.0.0.1/simple/pip/ is no https address"),
    ],
)
def test_without_ensurepip_and_without_an_index_it_says_why(tmp_path: Path, index: str, reason: str) -> None:
    """Pip itself comes from the package index: one line, exit 2."""
    python = place_program(tmp_path, "python-bare", NO_ENSUREPIP)
    done = bootstrap(tmp_path, PYTHON=str(python), PIP_INDEX_URL=index)
    assert done.returncode == 2
    assert re.fullmatch(
        f"bootstrap: .*python-bare can't make a virtual environment: fetch_pip: .*{reason}.*\n", done.stderr
    )


def test_a_pip_that_is_another_file_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the index gives under that name."""
    spec = importlib.util.spec_from_file_location("fetch_pip", ROOT / "tools" / "fetch_pip.py")
    assert spec is not None
    assert spec.loader is not None
    fetch_pip = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fetch_pip)
    listing = {"files": [{"filename": fetch_pip.FILE, "url": "../../files/pip.whl"}]}
    asked: list[str] = []

    def get(url: str, accept: str = "") -> bytes:
        asked.append(url)
        return json.dumps(listing).encode() if accept else b"something else"

    monkeypatch.setattr(fetch_pip, "get", get)
    monkeypatch.setenv("PIP_INDEX_URL", "https://index.example/root/simple/")
    with pytest.raises(SystemExit, match="is another file than expected"):
        fetch_pip.main()
    assert asked == ["https://index.example/root/simple/pip/", "https://index.example/root/files/pip.whl"]
    assert not list(tmp_path.iterdir())


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
