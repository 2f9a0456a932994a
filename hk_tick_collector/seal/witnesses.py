"""Certificates of other recorders that are kept beside ours, and how much of a day they confirm.

    DATA_ROOT/YYYYMMDD.witness.NAME.json     the certificate that recorder NAME made of the same day

Owns these files, and a table of the catalogue that remembers what was found in them. Computed from the two
certificates whenever either has changed. Never changes a verdict: two recorders may lack the same tick.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import apsw

from hk_tick_collector.errors import CollectorError, ConfigError
from hk_tick_collector.seal.comparison import SAME, compare, read_side, same_source
from hk_tick_collector.store import certificate_file
from hk_tick_collector.store.data_root import copy_ownership, sync
from hk_tick_collector.text import counted

if TYPE_CHECKING:
    from pathlib import Path

    from hk_tick_collector.seal.certificate import Certificate

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,40}")
_FILE: Final = re.compile(rf"(\d{{8}})\.witness\.({_NAME.pattern})\.json")
_TABLE: Final = """
CREATE TABLE IF NOT EXISTS witnesses (
  day TEXT NOT NULL,
  name TEXT NOT NULL,
  files TEXT NOT NULL,
  same INTEGER,
  symbols INTEGER,
  fault TEXT,
  PRIMARY KEY (day, name)
) WITHOUT ROWID, STRICT
"""


class Witness(NamedTuple):
    """What another recorder confirms of a day.

    Attributes:
        name: the recorder.
        same: how many symbols of ours it holds with exactly the same trades.
        symbols: how many symbols of ours there are.
        fault: why that is not known; None: it is.
    """

    name: str
    same: int | None
    symbols: int | None
    fault: str | None = None


def check_name(name: str) -> str:
    """A name that can be part of a file's.

    Raises:
        ConfigError: it is not.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(f"--witness {name!r}, expected up to 40 letters, digits, - and _: the other recorder's name")
    return name


def path_of(data_root: Path, day: str, name: str) -> Path:
    """Where the certificate of another recorder is kept."""
    return data_root / f"{day}.witness.{name}.json"


def keep(data_root: Path, name: str, mine: Certificate, theirs: Certificate) -> Path:
    """Keep another recorder's certificate, in the place of an older one of the same name. Returns its path.

    Raises:
        ConfigError: `mine` is not the day's certificate in `data_root`, or `theirs` is not another recorder's.
        OSError: it can't be written.
    """
    day = mine["day"]
    own = data_root / f"{day}.certificate.json"
    if not own.exists():
        raise ConfigError(f"{day} is not sealed in {data_root.absolute()}: there is nothing to be witnessed")
    if read_side(own, with_quarters=False).certificate["self"] != mine["self"]:
        raise ConfigError(f"mine is not the certificate of {day} in {data_root.absolute()}, which would be witnessed")
    if (reason := same_source(mine, theirs)) is not None:
        raise ConfigError(f"{name} is no witness: {reason}")
    path = path_of(data_root, day, name)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_bytes(certificate_file.encode(theirs))
    copy_ownership(temporary, data_root)
    sync(temporary)
    temporary.replace(path)
    sync(data_root)
    return path


def witnesses(
    data_root: Path, catalog: apsw.Connection | None = None, day: str | None = None
) -> dict[str, list[Witness]]:
    """By sealed day, what other recorders confirm, by their name.

    Args:
        data_root: which.
        catalog: remembers what was found; None: each is compared now.
        day: only this one, as YYYYMMDD.
    """
    found: dict[str, list[Witness]] = {}
    known = _remembered(catalog)
    for one, name in _kept(data_root, day):
        files = _state_of(data_root, one, name)
        if files is None:
            continue
        row = known.get((one, name))
        witness = row[1] if row is not None and row[0] == files else _look(data_root, one, name)
        if row is None or row[0] != files:
            _remember(catalog, one, files, witness)
        found.setdefault(one, []).append(witness)
    return found


def text_of(witness: Witness) -> str:
    """`witnessed by NAME: 898 of 900 symbols`."""
    if witness.fault is not None:
        return f"not witnessed by {witness.name}: {witness.fault}"
    return f"witnessed by {witness.name}: {witness.same:,} of {counted(witness.symbols or 0, 'symbol')}"


def _kept(data_root: Path, day: str | None) -> list[tuple[str, str]]:
    with os.scandir(data_root) as entries:
        matches = [match for entry in entries if (match := _FILE.fullmatch(entry.name))]
    return sorted((match[1], match[2]) for match in matches if day in {None, match[1]})


def _state_of(data_root: Path, day: str, name: str) -> str | None:
    """A text that changes when one of the two certificates does; None: the day is not sealed."""
    told = []
    for path in (data_root / f"{day}.certificate.json", path_of(data_root, day, name)):
        try:
            state = path.stat()
        except FileNotFoundError:
            return None
        told.append(f"{state.st_size} {state.st_mtime_ns}")
    return ", ".join(told)


def _look(data_root: Path, day: str, name: str) -> Witness:
    try:
        mine, theirs = (
            read_side(path) for path in (data_root / f"{day}.certificate.json", path_of(data_root, day, name))
        )
        if (reason := same_source(mine.certificate, theirs.certificate)) is not None:
            return Witness(name, None, None, reason)
        return Witness(name, compare(mine, theirs).count(SAME), len(mine.certificate["symbols"]))
    except CollectorError as exc:
        return Witness(name, None, None, str(exc))


def _remembered(catalog: apsw.Connection | None) -> dict[tuple[str, str], tuple[str, Witness]]:
    if catalog is None:
        return {}
    try:
        catalog.execute(_TABLE)
        rows: list[Any] = catalog.execute("SELECT day, name, files, same, symbols, fault FROM witnesses").fetchall()
    except apsw.Error:
        return {}
    return {(day, name): (files, Witness(name, same, count, fault)) for day, name, files, same, count, fault in rows}


def _remember(catalog: apsw.Connection | None, day: str, files: str, witness: Witness) -> None:
    if catalog is None:
        return
    with suppress(apsw.Error):  # of a full disk or a locked file; it is compared again the next time
        row = (day, witness.name, files, witness.same, witness.symbols, witness.fault)
        catalog.execute("INSERT OR REPLACE INTO witnesses VALUES (?, ?, ?, ?, ?, ?)", row)
