"""Symbols as people write them: stock codes, plates, and files of both, in FUTU_SYMBOLS and on the command line.

Owns every form in which a symbol may be written, the syntax of a list, and the reading of the files named in it. It
never asks OpenD: the client resolves a plate's members. Invariant: a `SymbolSpec` holds valid codes only, each once, in
the order in which they were written.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hk_tick_collector.errors import ConfigError

SYMBOLS_MAX: Final = 2000
"""The largest subscription quota that OpenD grants; more could never be subscribed."""

FILE_BYTES_MAX: Final = 1 << 20
"""Many times what 2,000 codes with comments need; a device or a wrong file is read no further."""

_PROBLEMS_SHOWN_MAX: Final = 3
_PLATE_PREFIX: Final = "plate:"
_PLATE: Final = re.compile(r"HK\.[A-Za-z0-9_-][A-Za-z0-9._-]{0,23}")
# OpenD's numbered plate codes are upper case; names such as HK.Motherboard keep their case.
_PLATE_NUMBERED: Final = re.compile(r"HK\.(BK|LIST)[0-9]+", re.IGNORECASE)
# 700, 00700.HK, HK.700, HK00700, HK:0700: how other programs, and people in a hurry, write HK.00700. All are the same.
_STOCK_LIKE: Final = re.compile(r"(?:HK[.:_-]?)?([0-9]{1,5})(?:\.HK)?")
_PLATE_LIKE: Final = re.compile(r"(?:HK\.)?((?:BK|LIST)[0-9]+)")
# Commas, also the full-width and the enumeration comma of a Chinese keyboard, and ends of lines.
_COMMAS: Final = re.compile(r"[,\uff0c\u3001\r\n]+")
_WORDS: Final = re.compile(r"(\s*)(\S+)")
_OTHER_MARKET: Final = re.compile(r"(?:[A-Z]{2}\.[A-Z0-9._-]{1,24}|[A-Z0-9]{1,24}\.(?:US|SH|SZ|SS|SG|JP|T))")


@dataclass(frozen=True, slots=True)
class SymbolSpec:
    """What to record.

    Attributes:
        symbols: stock codes such as `HK.00700`, each once, in the order written.
        plates: plate codes such as `HK.BK1910`, whose members OpenD knows.
    """

    symbols: tuple[str, ...] = ()
    plates: tuple[str, ...] = ()


def check_symbols(text: str) -> str:
    """Validate a list without touching the disk.

    Args:
        text: the value of FUTU_SYMBOLS; of an `@path` entry only the presence of a path is checked.

    Returns:
        The same text.

    Raises:
        ValueError: in one line, the entries that are wrong and what was probably meant.
    """
    problems: list[str] = []
    codes: dict[str, None] = {}
    for entry in _entries(text):
        if entry.startswith("@"):
            if entry == "@":
                problems.append("'@' names no file, expected @path/to/file")
            continue
        try:
            codes[_code(entry)] = None
        except ValueError as error:
            problems.append(str(error))
    if problem := _joined(problems) or _too_many(codes):
        raise ValueError(problem)
    return text


def read_symbols(text: str, *, where: str = "") -> SymbolSpec:
    """Parse a list, reading the files that it names (relative to the working directory).

    Args:
        text: the value of FUTU_SYMBOLS.
        where: where the value came from, for the message, such as ` (environment)`.

    Raises:
        ConfigError: in one line, for a list that is empty, too long or wrong, or a file that can't be read or is empty.
    """
    codes: dict[str, None] = {}
    problems: list[str] = []
    for entry, place in _expanded(text, f"FUTU_SYMBOLS{where}"):
        try:
            codes[_code(entry)] = None
        except ValueError as error:
            problems.append(f"{error}{place}")
    if problem := _joined(problems) or _too_many(codes):
        raise ConfigError(f"FUTU_SYMBOLS{where}: {problem}")
    if not codes:
        raise ConfigError(
            f"FUTU_SYMBOLS{where} is empty: expected at least one code, such as FUTU_SYMBOLS=HK.00700,HK.00005, "
            "or @path/to/file, or plate:HK.BK1910"
        )
    return SymbolSpec(
        symbols=tuple(code for code in codes if not code.startswith(_PLATE_PREFIX)),
        plates=tuple(code.removeprefix(_PLATE_PREFIX) for code in codes if code.startswith(_PLATE_PREFIX)),
    )


def symbols_of(entries: Iterable[str], option: str = "--symbol") -> tuple[str, ...]:
    """The stock codes that an option of the command line names, each once, in the order written.

    Args:
        entries: each a code, a list of codes, or `@path/to/file`.
        option: the option, for the message.

    Raises:
        ConfigError: in one line, for what is not a stock code, and for a file that can't be read.
    """
    codes: dict[str, None] = {}
    problems: list[str] = []
    given = list(entries)
    for entry, place in _expanded(",".join(given), option):
        try:
            code = _code(entry)
        except ValueError as error:
            problems.append(f"{error}{place}")
            continue
        if code.startswith(_PLATE_PREFIX):
            problems.append(f"{_shown(entry)} is a plate, expected a stock code such as HK.00700{place}")
        codes[code] = None
    if problems:
        raise ConfigError(f"{option}: {_joined(problems)}")
    if given and not codes:  # an empty variable of a script must not mean all symbols
        raise ConfigError(f"{option} names no code, expected one such as HK.00700")
    return tuple(codes)


def read_text(path: Path) -> str:
    """The text of a small file that an operator wrote, with or without a byte order mark.

    Raises:
        OSError: it can't be read.
        ValueError: it is larger than `FILE_BYTES_MAX`, or not UTF-8.
    """
    with path.open("rb") as file:
        raw = file.read(FILE_BYTES_MAX + 1)
    if len(raw) > FILE_BYTES_MAX:
        raise ValueError(f"it is larger than {FILE_BYTES_MAX} bytes, expected a small text file")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8 text") from None


def _entries(text: str) -> list[str]:
    """The entries of a list. A path may have blanks in it: it ends before a comma, the line's end or another entry."""
    entries: list[str] = []
    for part in _COMMAS.split(text):
        is_path = False
        for blank, word in _WORDS.findall(part):
            if is_path and not _begins_entry(word):
                entries[-1] += blank + word
            else:
                is_path = word.startswith("@") and word != "@"
                entries.append(word)
    return entries


def _begins_entry(word: str) -> bool:
    """Whether a word after a path is an entry of its own, not the rest of the path."""
    if word.startswith("@") or word.lower().startswith(_PLATE_PREFIX):
        return True
    try:
        _code(word)
    except ValueError:
        return False
    return True


def _expanded(text: str, source: str) -> Iterator[tuple[str, str]]:
    """Each entry with its place for error messages; `@path` is replaced by the entries of the file."""
    for entry in _entries(text):
        if entry.startswith("@"):
            yield from _file_entries(entry[1:], source)
        else:
            yield entry, ""


def _file_entries(path: str, source: str) -> Iterator[tuple[str, str]]:
    count = 0
    for number, line in enumerate(_file_text(path, source).splitlines(), start=1):
        for entry in _entries(line.partition("#")[0]):
            count += 1
            yield entry, f" ({path} line {number})"
    if not count:
        raise ConfigError(f"{source}: file {path!r} holds no code, expected one per line, such as HK.00700")


def _file_text(path: str, source: str) -> str:
    try:
        return read_text(Path(path).expanduser())
    except OSError as error:
        reason = f"{error.strerror}; check the path, relative to the working directory, and its permissions"
    except (ValueError, RuntimeError) as error:  # RuntimeError: an unknown home directory
        reason = str(error)
    raise ConfigError(f"{source}: cannot read file {path!r}: {reason}")


def _code(entry: str) -> str:
    """The entry as a stock code, or as a plate with its prefix.

    Raises:
        ValueError: what is wrong and what was probably meant.
    """
    written = unicodedata.normalize("NFKC", entry)  # full-width letters, digits and dots become the usual ones
    if written.lower().startswith(_PLATE_PREFIX):
        return _PLATE_PREFIX + _plate(written[len(_PLATE_PREFIX) :])
    code = written.upper()
    if match := _STOCK_LIKE.fullmatch(code):
        return f"HK.{match[1].zfill(5)}"
    if entry.startswith("@"):
        raise ValueError(f"{entry!r} inside a symbol file: a file can't name another")
    if match := _PLATE_LIKE.fullmatch(code):
        raise ValueError(f"{_shown(entry)} is a plate, did you mean {_PLATE_PREFIX}HK.{match[1]}?")
    if _OTHER_MARKET.fullmatch(code) and not code.startswith("HK."):
        raise ValueError(
            f"{_shown(entry)} is of another market: this recorder records Hong Kong only, such as HK.00700"
        )
    raise ValueError(f"{_shown(entry)} is not a stock code, expected up to five digits, such as 700 or HK.00700")


def _plate(text: str) -> str:
    plate = text[:3].upper() + text[3:] if text[:3].upper() == "HK." else text
    if _PLATE_NUMBERED.fullmatch(plate):
        return plate.upper()
    if _PLATE.fullmatch(plate):
        return plate
    if match := _PLATE_LIKE.fullmatch(plate.upper()):
        raise ValueError(f"{_shown(_PLATE_PREFIX + text)} lacks the market, did you mean {_PLATE_PREFIX}HK.{match[1]}?")
    raise ValueError(f"{_shown(_PLATE_PREFIX + text)} is not a Hong Kong plate, expected e.g. plate:HK.BK1910")


def _shown(entry: str) -> str:
    return repr(entry if len(entry) <= 40 else entry[:40] + "…")  # noqa: PLR2004 - a line stays readable


def _joined(problems: list[str]) -> str:
    more = len(problems) - _PROBLEMS_SHOWN_MAX
    return ", ".join(problems[:_PROBLEMS_SHOWN_MAX]) + (f", and {more} more" if more > 0 else "")


def _too_many(codes: Iterable[str]) -> str | None:
    count = sum(not code.startswith(_PLATE_PREFIX) for code in codes)
    if count <= SYMBOLS_MAX:
        return None
    largest = f"expected at most {SYMBOLS_MAX}, OpenD's largest quota"
    return f"{count} symbols, {largest}; split them across several OpenD instances"
