"""What costs seconds to make and serves many tests, made once: by whichever of pytest's processes needs it first.

A fixture's scope ends with its process. Those of one run share a directory, and a lock in it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A directory that `make` has filled, which all processes of this run share: no test may change what others read.

    Args:
        factory: knows the directory of this run.
        name: of the directory; no two fixtures may use the same.
        make: is given the empty directory. If it fails, whoever comes next makes it anew, and tells so as well.
    """
    base = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent  # each worker's own is in the run's
    directory, made = base / name, base / f"{name}.made"
    with (base / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            shutil.rmtree(directory, ignore_errors=True)
            directory.mkdir()
            make(directory)
            made.touch()
    return directory
