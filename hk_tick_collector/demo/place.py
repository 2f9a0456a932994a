"""Where a demo keeps its files.

Owns the layout, and the rule that a demo deletes only what a demo has made: it empties a directory only if the marker
of a demo is in it. The marker is also the lock that keeps a second demo out.
"""

from __future__ import annotations

import os
import shlex
import shutil
import stat
from typing import TYPE_CHECKING, NamedTuple

from hk_tick_collector.errors import AlreadyRunningError, ConfigError
from hk_tick_collector.store.data_root import RECORDER_LOCK, hold_lock

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MARKER = ".hk-tick-collector-demo"


class Place(NamedTuple):
    """A demo's files.

    Attributes:
        shown: the directory as the user named it, for lines to paste.
        root: the same, absolute.
    """

    shown: Path
    root: Path

    @property
    def data_root(self) -> Path:
        """The recorder's DATA_ROOT."""
        return self.root / "data"

    @property
    def shown_data_root(self) -> Path:
        """The recorder's DATA_ROOT, for lines to paste."""
        return self.shown / "data"

    @property
    def ledger(self) -> Path:
        """The ledger: what the simulated exchange made."""
        return self.root / "ledger.jsonl"

    @property
    def recorder_log(self) -> Path:
        """The log of the recorders, one after the other."""
        return self.root / "recorder.log"

    @property
    def clock(self) -> Path:
        """The simulated day's clock."""
        return self.root / "clock.json"

    @property
    def page(self) -> Path:
        """The audit's page."""
        return self.root / "audit.html"

    @property
    def queries(self) -> Path:
        """A shell script with the queries."""
        return self.root / "queries.sh"

    @property
    def simulator_log(self) -> Path:
        """The simulator's log."""
        return self.root / "simulator.log"

    @property
    def recorder_env(self) -> Path:
        """The file with the recorder's settings."""
        return self.root / "recorder.env"

    def quoted(self, path: Path) -> str:
        """One of its files as the user would name it, for a shell."""
        return shlex.quote(str(self.shown / path.relative_to(self.root)))

    def write_settings(self, settings: Mapping[str, str]) -> None:
        """Write the recorder's settings as an operator would."""
        lines = [f"{name}={value}\n" for name, value in settings.items()]
        self.recorder_env.write_text("# What the demo's recorder ran with.\n" + "".join(lines), encoding="utf-8")


def prepare(directory: Path) -> Place:
    """Prepare an empty directory for a demo; this process holds its lock until it ends.

    Raises:
        ConfigError: it has files that no demo has made, a demo is running in it, or it can't be written.
    """
    place = Place(directory, directory.absolute())
    try:
        place.root.mkdir(parents=True, exist_ok=True)
        if any(place.root.iterdir()) and not _is_marked(place.root):
            raise ConfigError(
                f"--data-dir {directory} has files that no demo has made: name a new directory, or an empty one"
            )
        hold_lock(place.root, MARKER, timeout_sec=0)
        if place.data_root.is_dir():  # the recorder of a killed demo may still run
            os.close(hold_lock(place.data_root, RECORDER_LOCK, timeout_sec=0))
        _empty(place.root)
        place.data_root.mkdir()
    except AlreadyRunningError as exc:
        raise ConfigError(f"--data-dir {directory} is an earlier demo's, which still runs: {exc}") from exc
    except FileExistsError as exc:
        raise ConfigError(f"--data-dir {directory} is a file, expected a directory") from exc
    except OSError as exc:
        raise ConfigError(f"--data-dir {directory} can't be written: {exc.strerror}") from exc
    return place


def _is_marked(root: Path) -> bool:
    try:
        return stat.S_ISREG((root / MARKER).lstat().st_mode)
    except FileNotFoundError:
        return False


def _empty(root: Path) -> None:
    for path in root.iterdir():
        if path.name == MARKER:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
