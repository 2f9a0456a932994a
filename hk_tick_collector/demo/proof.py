"""The proof of the demo's day, by what `audit`, `seal`, `verify --sealed` and `archive` do.

Owns nothing but the order: the audit and its page, then the certificate, then the check of it, then the archive, which
must answer a query as the database does.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from hk_tick_collector.archive.days import archive_days
from hk_tick_collector.archive.due import Due
from hk_tick_collector.audit.activity import read_activity
from hk_tick_collector.audit.day import Verdict, audit_day
from hk_tick_collector.audit.page import page
from hk_tick_collector.errors import DemoFailedError
from hk_tick_collector.parquet.extra import optional
from hk_tick_collector.parquet.layout import archive_dir
from hk_tick_collector.seal.day import seal_days
from hk_tick_collector.seal.recheck import recheck
from hk_tick_collector.store.opening import open_readonly
from hk_tick_collector.store.sealed import certificate_of

if TYPE_CHECKING:
    from pathlib import Path

    from hk_tick_collector.audit.day import DayAudit
    from hk_tick_collector.demo.place import Place


_BUSIEST: Final = (
    "SELECT symbol, count(*), sum(volume) FROM ticks GROUP BY symbol ORDER BY count(*) DESC, symbol LIMIT 1"
)


class Archive(NamedTuple):
    """The day's archive, beside its database.

    Attributes:
        folder: where its files are.
        size_bytes: of the files.
        database_bytes: of the database.
        decoder: what read the files back.
        busiest: the symbol with most ticks, how many, and their volume, by a query on the archive.
        is_same: whether the database gives the same answer.
    """

    folder: Path
    size_bytes: int
    database_bytes: int
    decoder: str
    busiest: tuple[str, int, int]
    is_same: bool


class Proof(NamedTuple):
    """What is proven of the day.

    Attributes:
        audit: the audit.
        certificate: the file.
        differences: in what the sealed day differs from it.
        archive: the day's; None: pyarrow is not installed.
    """

    audit: DayAudit
    certificate: Path
    differences: tuple[str, ...]
    archive: Archive | None = None

    @property
    def ok(self) -> bool:
        """Whether the day is COMPLETE, still is what was sealed, and its archive answers as the database does."""
        is_archived_right = self.archive is None or self.archive.is_same
        return self.audit.verdict is Verdict.COMPLETE and not self.differences and is_archived_right

    @property
    def complete(self) -> int:
        """How many symbols are COMPLETE."""
        return sum(symbol.verdict is Verdict.COMPLETE for symbol in self.audit.symbols)


def prove(place: Place, database: Path) -> Proof:
    """Audit the day, write its page, seal it, check the seal, and archive it.

    Raises:
        DemoFailedError: it can't be sealed or archived.
    """
    audit = audit_day(database)
    activity = read_activity(database, {symbol.symbol for symbol in audit.symbols})
    place.page.write_text(page(audit, activity, len(audit.symbols)), encoding="utf-8")
    for told in seal_days(place.data_root, [database.stem], lambda *_: None):
        if "error" in told:
            raise DemoFailedError(f"the day could not be sealed: {told['error']}")
    checked = recheck(place.data_root, database.stem, lambda *_: None)
    archive = None if optional("pyarrow") is None else _archive(database)
    return Proof(audit, certificate_of(database), tuple(map(str, checked.differences)), archive)


def _archive(database: Path) -> Archive:
    (told,) = archive_days(database.parent, [Due(database.stem, keeps=True)], lambda *_: None)
    if "error" in told:
        raise DemoFailedError(f"the day could not be archived: {told['error']}")
    from hk_tick_collector.parquet.sqlite_view import open_view  # noqa: PLC0415 - only with the extra

    folder = archive_dir(database.parent, database.stem)
    with closing(open_view(folder, database)) as archived, closing(open_readonly(database)) as con:
        answers: list[Any] = [list(one.execute(_BUSIEST)) for one in (archived, con)]
    busiest = answers[0][0] if answers[0] else ("", 0, 0)
    return Archive(
        folder, told["size_bytes"], told["database_bytes"], told["decoder"], busiest, answers[0] == answers[1]
    )
