"""Corrects times that are eight hours late, in day databases of the current and the older kind.

Owns the order of the steps: scan first, then copy every file that will change, then one transaction per file. Never
touches a file that a recorder writes, or one in which nothing is to be corrected.

A row whose corrected time is on another day moves to that day's file. Two WAL databases can't be changed in one atomic
transaction, so the row is committed there first, and deleted here afterwards. An interruption in between leaves it in
both files; the next run finds the one here still late, sees that it is there already, and deletes it. Days are repaired
oldest first, and rows only move to earlier days, so the rows that they are compared with are corrected already.
"""

from __future__ import annotations

import os
from collections import Counter
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import apsw

from hk_tick_collector.errors import AlreadyRunningError, ConfigError, DatabaseError
from hk_tick_collector.repair.backup import back_up
from hk_tick_collector.repair.rules import Finding
from hk_tick_collector.repair.tick_file import TickFile
from hk_tick_collector.store.data_root import RECORDER_LOCK, SEAL_LOCK, WRITER_LOCK, copy_ownership, hold_lock
from hk_tick_collector.store.opening import is_empty, read_untouched
from hk_tick_collector.store.sealed import refuse_sealed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from hk_tick_collector.repair.layout import Sample
    from hk_tick_collector.repair.rules import Rule

    # Called with a description of the work, the amount done, and the total.
    Progress = Callable[[str, int, int], None]

SAMPLES = 5


class FileReport:
    """What was found in one file, and what was done about it.

    Attributes:
        path: the file.
        kind: "current", "older", or "" for one that is empty or can't be read.
        findings: number of rows by finding, including revisions of the current kind except those that are right.
        repaired: late rows that were corrected; in a dry run: that would be.
        moved: of these, how many moved to another day's file, by day.
        dropped: of these, how many were there already with the same content.
        revised: of these, how many became a revision: there was another tick of the same symbol and sequence.
        before: some of the rows as they were.
        after: the same rows as they are now; in a dry run: as they would be.
        backups: copies that were made before.
        error: why this file could not be repaired, or None.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.kind = ""
        self.findings: Counter[Finding] = Counter()
        self.repaired = 0
        self.moved: dict[str, int] = {}
        self.dropped = 0
        self.revised = 0
        self.before: list[Sample] = []
        self.after: list[Sample] = []
        self.backups: list[Path] = []
        self.error: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The report as a dict for JSON."""
        return {
            "path": str(self.path),
            "kind": self.kind,
            "rows": self.findings.total(),
            "late": self.findings[Finding.LATE],
            "repaired": self.repaired,
            "moved": self.moved,
            "dropped": self.dropped,
            "revised": self.revised,
            "unproven": self.findings[Finding.UNPROVEN],
            "contradicted": self.findings[Finding.CONTRADICTED],
            "beyond": self.findings[Finding.BEYOND],
            "before": [sample._asdict() for sample in self.before],
            "after": [sample._asdict() for sample in self.after],
            "backups": [str(path) for path in self.backups],
            "error": self.error,
        }


class Repair(NamedTuple):
    """One run of a repair.

    Attributes:
        rule: which times are late.
        is_dry_run: scan only, change nothing.
        progress: called as the work proceeds.
        backed_up: files that this run has copied.
    """

    rule: Rule
    is_dry_run: bool
    progress: Progress
    backed_up: set[Path]

    def run(self, paths: Iterable[Path]) -> Iterator[FileReport]:
        """Repair files, oldest day first. A file that can't be repaired does not stop the others.

        Raises:
            AlreadyRunningError: a recorder, writer or sealer is running there; nothing was changed.
            ConfigError: a directory can't be written to.
        """
        ordered = sorted({path.resolve() for path in paths}, key=lambda path: (path.name, path))
        with ExitStack() as held:
            if not self.is_dry_run:
                for directory in sorted({path.parent for path in ordered}):
                    held.enter_context(no_recorder(directory, "only look with --dry-run"))
            for path in ordered:
                report = FileReport(path)
                try:
                    self._look(report)
                    if report.repaired and not self.is_dry_run:
                        self._repair(report)
                except apsw.BusyError:
                    report.error = f"{path} is open in another process: end that one first"
                except DatabaseError as exc:
                    report.error = str(exc)
                except (apsw.Error, OSError) as exc:
                    report.error = f"{path}: {exc}"
                if report.error is not None:
                    report.repaired, report.moved, report.after = 0, {}, []
                yield report

    def _look(self, report: FileReport) -> None:
        """Find the late rows, without changing anything."""

        def use(con: apsw.Connection) -> None:
            if not con.execute("SELECT count(*) FROM sqlite_schema").get:
                return  # its first transaction was never committed
            file = TickFile(report.path, con)
            report.kind = file.layout.kind
            report.findings = file.scan(self.rule, self._told(report.path, "looked at"))
            self._expect(report, file)

        read_untouched(report.path, use)

    def _expect(self, report: FileReport, file: TickFile) -> None:
        """Fill in what is to be done, from the scan."""
        days = file.late_by_day()
        report.repaired = days.total()
        report.moved = {day: count for day, count in sorted(days.items()) if day != file.day}
        report.before = file.samples_before(SAMPLES)
        if self.is_dry_run:
            report.after = [file.corrected(sample) for sample in report.before]

    def _repair(self, report: FileReport) -> None:
        for path in (report.path, *(report.path.with_name(f"{day}.db") for day in report.moved)):
            refuse_sealed(path)
        with ExitStack() as opened:
            source = opened.enter_context(_closing(TickFile.own(report.path)))
            report.findings = source.scan(self.rule, self._told(report.path, "looked at again"))
            self._expect(report, source)
            self._prepare(source, report)
            targets = {day: opened.enter_context(_closing(self._target(day, source, report))) for day in report.moved}
            self._told(report.path, "rows put right")(0, report.repaired)
            source.begin()
            for day, target in targets.items():
                target.begin()
                self._count(report, target.put(source.going_to(day)))
                target.commit()
            self._count(report, source.put_right_here())
            source.commit()
            report.after = self._samples_after(report, [source, *targets.values()])

    def _target(self, day: str, source: TickFile, report: FileReport) -> TickFile:
        """The file of another day: made if it does not exist, else copied before it is changed.

        Raises:
            DatabaseError: it is of another kind.
        """
        path = source.path.with_name(f"{day}.db")
        if not path.exists() or is_empty(path):
            path.touch()
            copy_ownership(path, source.path)  # while it is empty, so that its log gets the same owner
            return TickFile.make_like(path, source)
        with ExitStack() as undo:
            target = TickFile.own(path)
            undo.callback(target.close)
            self._prepare(target, report)
            if target.layout != source.layout:
                raise DatabaseError(f"rows of {source.path} belong to {path}, which is of another kind: move it away")
            undo.pop_all()
        return target

    def _prepare(self, file: TickFile, report: FileReport) -> None:
        """Copy a file that will change, once per run; then bring it to the current schema, if it is of that kind."""
        if file.path not in self.backed_up:
            report.backups.append(back_up(file.con, file.path, self._told(file.path, "pages copied")))
            self.backed_up.add(file.path)
        file.migrate()

    def _told(self, path: Path, what: str) -> Callable[[int, int], None]:
        return lambda done, total: self.progress(f"{path.name}: {what}", done, total)

    @staticmethod
    def _count(report: FileReport, done: Counter[str]) -> None:
        report.dropped += done["dropped"]
        report.revised += done["revised"]

    def _samples_after(self, report: FileReport, files: list[TickFile]) -> list[Sample]:
        found = []
        for before in report.before:
            stands = (file.sample_after(before, self.rule.correction_ms) for file in files)
            found.append(next((sample for sample in stands if sample), None))
        return [sample for sample in found if sample]


@contextmanager
def no_recorder(data_root: Path, otherwise: str) -> Iterator[None]:
    """Keep recorder, writer and sealer out of a DATA_ROOT by holding their locks.

    Args:
        data_root: which.
        otherwise: what the operator can do instead, for the message.

    Raises:
        AlreadyRunningError: one of them is running.
        ConfigError: DATA_ROOT can't be written to.
    """
    with ExitStack() as held:
        for name, holder in ((RECORDER_LOCK, "recorder"), (WRITER_LOCK, "writer"), (SEAL_LOCK, "sealer")):
            try:
                held.callback(os.close, hold_lock(data_root, name, 0))
                copy_ownership(data_root / name, data_root)
            except AlreadyRunningError as exc:
                pid = "".join((data_root / name).read_text(encoding="utf-8").split()[:1])  # empty if the disk was full
                raise AlreadyRunningError(
                    f"{holder}{f' pid {pid}' if pid else ''} writes to {data_root}: stop it first "
                    f"(systemctl stop hk-tick-collector), or {otherwise}"
                ) from exc
            except OSError as exc:
                raise ConfigError(f"{data_root} can't be written to: {exc}") from exc
        yield


@contextmanager
def _closing(file: TickFile) -> Iterator[TickFile]:
    try:
        yield file
    finally:
        file.close()
