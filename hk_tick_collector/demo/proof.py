"""The proof of the demo's day, by what `audit`, `seal` and `verify --sealed` do.

Owns nothing but the order: the audit and its page, then the certificate, then the check of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hk_tick_collector.audit.activity import read_activity
from hk_tick_collector.audit.day import Verdict, audit_day
from hk_tick_collector.audit.page import page
from hk_tick_collector.errors import DemoFailedError
from hk_tick_collector.seal.day import seal_days
from hk_tick_collector.seal.recheck import recheck
from hk_tick_collector.store.sealed import certificate_of

if TYPE_CHECKING:
    from pathlib import Path

    from hk_tick_collector.audit.day import DayAudit
    from hk_tick_collector.demo.place import Place


class Proof(NamedTuple):
    """What is proven of the day: the audit, the certificate, and in what the sealed day differs from it."""

    audit: DayAudit
    certificate: Path
    differences: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether the day is COMPLETE, and still is what was sealed."""
        return self.audit.verdict is Verdict.COMPLETE and not self.differences

    @property
    def complete(self) -> int:
        """How many symbols are COMPLETE."""
        return sum(symbol.verdict is Verdict.COMPLETE for symbol in self.audit.symbols)


def prove(place: Place, database: Path) -> Proof:
    """Audit the day, write its page, seal it, and check the seal.

    Raises:
        DemoFailedError: it can't be sealed.
    """
    audit = audit_day(database)
    activity = read_activity(database, {symbol.symbol for symbol in audit.symbols})
    place.page.write_text(page(audit, activity, len(audit.symbols)), encoding="utf-8")
    for told in seal_days(place.data_root, [database.stem], lambda *_: None):
        if "error" in told:
            raise DemoFailedError(f"the day could not be sealed: {told['error']}")
    checked = recheck(place.data_root, database.stem, lambda *_: None)
    return Proof(audit, certificate_of(database), tuple(map(str, checked.differences)))
