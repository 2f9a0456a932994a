"""A rehearsal: a recorder records a simulated day, and follows the simulated day's clock.

Owns two files. The simulator's clock file says what time it is on the simulated day; each process on the machine can
work that out for any moment, since all have the clock of the machine's start. `rehearsal.json` in a DATA_ROOT marks
that as a rehearsal's and names the clock file. Invariant: a DATA_ROOT has real days or rehearsed ones, never
both, and a recorder that follows a rehearsal's clock connects only to that rehearsal's simulator.
"""

from __future__ import annotations

import contextlib
import json
from bisect import bisect_right
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from hk_tick_collector import clock
from hk_tick_collector.errors import ConfigError
from hk_tick_collector.hktime import DAY_MS, day_begin_ms
from hk_tick_collector.store.schema import day_files

if TYPE_CHECKING:
    from collections.abc import Sequence

MARKER: Final = "rehearsal.json"
LOOK_EVERY_MS: Final = 10


class Anchor(NamedTuple):
    """From a moment on (`boot_ms`), the clock shows `market_ms` (UTC epoch ms) and goes `speed` times as fast."""

    boot_ms: int
    market_ms: int
    speed: float

    def at(self, boot_ms: int) -> int:
        """The time that the clock shows."""
        return self.market_ms + round((boot_ms - self.boot_ms) * self.speed)


class Rehearsed(NamedTuple):
    """What a clock file holds.

    Attributes:
        date: the simulated day, YYYYMMDD.
        host: where its simulator listens.
        port: the same.
        symbols: the simulator's.
        speed: simulated seconds a second.
        boot_id: of the machine's start that the anchors refer to.
        offset_ms: the simulated clock less the host's, when the file was written.
        is_over: the simulator has ended; the clock goes on at the speed of a clock.
        anchors: oldest first.
    """

    date: str
    host: str
    port: int
    symbols: tuple[str, ...]
    speed: float
    boot_id: str
    offset_ms: int
    is_over: bool
    anchors: tuple[Anchor, ...]

    def now_ms(self, boot_ms: int) -> int:
        """The simulated day's time; once the machine was started again, as long after it as the host's clock says."""
        if self.boot_id != boot_id():
            return clock.host_ms() + self.offset_ms
        return at(self.anchors, boot_ms)

    def write(self, path: Path) -> None:
        """Replace the file.

        Raises:
            OSError: it can't be written.
        """
        temporary = path.with_name(f".{path.name}.tmp")
        temporary.write_text(json.dumps(self._asdict()), encoding="utf-8")
        temporary.replace(path)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a clock file.

        Raises:
            ConfigError: there is none, or it is none.
        """
        try:
            told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            anchors = tuple(Anchor(int(one), int(two), float(speed)) for one, two, speed in told.pop("anchors"))
            symbols = tuple(map(str, told.pop("symbols")))
            found = cls(**told, symbols=symbols, anchors=anchors)
            found.now_ms(clock.boot_ms())
        except OSError as exc:
            raise ConfigError(
                f"can't read the rehearsal's clock {path}: {exc.strerror}; expected the file that `simulate` names"
            ) from exc
        except (ValueError, TypeError, KeyError, AttributeError, IndexError) as exc:
            raise ConfigError(f"{path} is not a rehearsal's clock: expected the file that `simulate` names") from exc
        return found


def at(anchors: Sequence[Anchor], boot_ms: int) -> int:
    """The time that a clock shows."""
    return _anchor(anchors, boot_ms).at(boot_ms)


def _anchor(anchors: Sequence[Anchor], boot_ms: int) -> Anchor:
    return anchors[max(0, bisect_right(anchors, boot_ms, key=lambda anchor: anchor.boot_ms) - 1)]


def boot_id() -> str:
    """Which start of the machine this is; "": the system does not say it."""
    try:
        return clock.boot_id()
    except OSError:
        return ""


class RehearsalClock:
    """Reads the simulated day's time, and looks again and again whether the simulator has changed its speed."""

    def __init__(self, path: Path) -> None:
        """ConfigError if there is no such clock."""
        self._path = path
        self._seen = self._stamp()
        self._rehearsed = Rehearsed.read(path)
        self._looked_ms = clock.boot_ms()

    def now_ms(self) -> int:
        """UTC epoch ms on the simulated day."""
        boot_ms = self._look()
        return self._rehearsed.now_ms(boot_ms)

    def speed(self) -> float:
        """Simulated seconds a second; 1 while it stands still or goes more slowly."""
        return max(1.0, _anchor(self._rehearsed.anchors, self._look()).speed)

    def _look(self) -> int:
        """Read the file again if it has changed. Returns the machine's clock."""
        boot_ms = clock.boot_ms()
        if boot_ms - self._looked_ms >= LOOK_EVERY_MS:
            self._looked_ms = boot_ms
            seen = self._stamp()
            if seen not in {self._seen, None}:
                self._seen = seen
                # Gone, of another program, or of another day's simulation meanwhile: it goes on as it went.
                with contextlib.suppress(ConfigError):
                    read = Rehearsed.read(self._path)
                    self._rehearsed = read if read.date == self._rehearsed.date else self._rehearsed
        return boot_ms

    def _stamp(self) -> tuple[int, int] | None:
        """Changes with each writing; None: the file is gone, and the clock goes on as it went."""
        try:
            stat = self._path.stat()
        except OSError:
            return None
        return stat.st_ino, stat.st_mtime_ns


def begin(data_root: Path, clock_path: Path) -> Rehearsed:
    """Make a DATA_ROOT a rehearsal's, and let this process follow its clock.

    Raises:
        ConfigError: no such clock; or the DATA_ROOT has recorded days, or those of another rehearsal.
    """
    rehearsed = Rehearsed.read(clock_path)
    marker = data_root / MARKER
    if not marker.exists() and (day_files(data_root) or (data_root / "journal").exists()):
        raise ConfigError(
            f"DATA_ROOT {data_root} has recorded days, and a rehearsal must not be mixed with them: "
            "pass --data-root with a new directory"
        )
    before = _told(marker)
    if before is not None and before.get("date") != rehearsed.date:
        raise ConfigError(
            f"DATA_ROOT {data_root} has a rehearsal of {before.get('date')}, and this one is of {rehearsed.date}: "
            "pass --data-root with a new directory"
        )
    marker.write_text(
        json.dumps({"date": rehearsed.date, "clock": str(clock_path.absolute())}) + "\n", encoding="utf-8"
    )
    clock.follow(RehearsalClock(clock_path))
    return rehearsed


def refuse(data_root: Path) -> None:
    """Refuse to record real days into a rehearsal's DATA_ROOT.

    Raises:
        ConfigError: it is a rehearsal's.
    """
    if (data_root / MARKER).exists():
        raise ConfigError(
            f"DATA_ROOT {data_root} is a rehearsal's ({MARKER} is in it): pass --rehearse with the simulator's clock, "
            "or choose another DATA_ROOT"
        )


def follow(data_root: Path) -> None:
    """Let this process follow the clock of a DATA_ROOT, if that is a rehearsal's whose clock file is still there."""
    found = _marked(data_root)
    if found is not None:
        clock.follow(RehearsalClock(found[0]))


def clock_of(data_root: Path) -> Path | None:
    """The clock file that a rehearsal's DATA_ROOT names, which need not be there any more; None: it names none.

    Raises:
        ConfigError: the marker can't be read.
    """
    told = _told(data_root / MARKER)
    return Path(str(told["clock"])) if told and "clock" in told else None


def over_ms(data_root: Path) -> int | None:
    """The end of a rehearsed day whose simulator has ended, UTC epoch ms; None: it runs, or this is no rehearsal.

    Nothing more can come of such a day, whatever time its clock shows.
    """
    found = _marked(data_root)
    return day_begin_ms(found[1].date) + DAY_MS if found is not None and found[1].is_over else None


def _marked(data_root: Path) -> tuple[Path, Rehearsed] | None:
    """The clock's file and what it holds; None: this is no rehearsal, or the file is gone, or of another day by now."""
    told = _told(data_root / MARKER)
    path = Path(str((told or {}).get("clock")))
    if told is None or not path.is_file():
        return None
    rehearsed = Rehearsed.read(path)
    return (path, rehearsed) if rehearsed.date == told.get("date") else None


def _told(marker: Path) -> dict[str, Any] | None:
    try:
        told = json.loads(marker.read_text(encoding="utf-8"))
    except OSError:
        return None
    except ValueError:
        told = None
    if not isinstance(told, dict):
        raise ConfigError(f"{marker} can't be read: expected what `run --rehearse` writes")
    return told
