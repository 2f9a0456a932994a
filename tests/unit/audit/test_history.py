"""What sealed days have shown of types of ticks."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import apsw
from support.scenario import Scenario
from support.sealing import SILENT, seal_day, tell_day
from support.ticks import DAY, NEXT_DAY

from hk_tick_collector.audit.counted import Votes
from hk_tick_collector.audit.history import type_history
from hk_tick_collector.seal.catalog import Catalog

if TYPE_CHECKING:
    from pathlib import Path


def test_the_catalogue_remembers_what_days_have_shown_of_types(tmp_path: Path) -> None:
    """Each day's own is not in it; without a catalogue, or with another program's, there is none."""
    assert type_history(tmp_path, DAY) == {}
    scenario = Scenario(tmp_path)
    path = tell_day(scenario)
    scenario.journal.close(5)
    seal_day(path)
    Catalog(tmp_path, SILENT).close()
    assert type_history(tmp_path, NEXT_DAY) == {1: Votes(3, 0)}
    assert type_history(tmp_path, DAY) == {}
    with closing(apsw.Connection(str(tmp_path / "catalog.db"))) as con:
        con.execute("DROP TABLE types")
    assert type_history(tmp_path, NEXT_DAY) == {}
