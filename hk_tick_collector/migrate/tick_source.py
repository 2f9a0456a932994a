"""What every file with ticks has in common that `import` takes in: which days it holds, and their rows.

Owns which values a row may have. A source is only read. Each pass over it gives the same rows, so that a day that was
made can be compared with it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final

from hk_tick_collector.hktime import DAY_MS, HK_OFFSET_MS
from hk_tick_collector.opend.codes import is_code, security_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from collections.abc import Set as AbstractSet
    from pathlib import Path

    from hk_tick_collector.mapping import Row

    # Called with a description of the work, the amount done, and the total.
    Progress = Callable[[str, int, int], None]

ROWS_AT_ONCE: Final = 20_000


class TickSource(ABC):
    """A file with ticks and nothing that shows whether they are all.

    Attributes:
        path: the file, absolute.
        form: what it is, as the table `imported` names it.
        days: the days that it holds ticks of, YYYYMMDD, oldest first.
        rows: how many ticks it has.
        days_at_once: how many days one pass should serve: more than one if each pass reads the whole file.
        faults: by day, the first row that makes no sense; none of that day's rows is given after it.
    """

    days_at_once: int = 1

    def __init__(self, path: Path, form: str) -> None:
        self.path = path
        self.form = form
        self.days: tuple[str, ...] = ()
        self.rows = 0
        self.faults: dict[str, str] = {}

    @abstractmethod
    def chunks(self, days: AbstractSet[str]) -> Iterator[tuple[str, list[Row]]]:
        """The rows of some of its days, in portions of at most ROWS_AT_ONCE, each with its day.

        Raises:
            ForeignFileError, ArchiveError: it can't be decoded.
            OSError: it can't be read.
        """

    def prove(self, progress: Progress) -> None:  # noqa: B027 - most have nothing to prove
        """Hold it against the certificate in it, if there is one.

        Raises:
            ArchiveError: it is not as certified.
        """


def day_number(ts_ms: int) -> int:
    """Days since 1970 in Hong Kong."""
    return (ts_ms + HK_OFFSET_MS) // DAY_MS


def is_symbol(text: str) -> bool:
    """Whether it is written like HK.00700."""
    try:
        security_of(text)
    except ValueError:
        return False
    return is_code(text.partition(".")[2])
