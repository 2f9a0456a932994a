"""The older recorder's databases in DATA_ROOT: every reader and writer names them for what they are, with the cure."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from support.older_recorder import DAY, VERSIONS, make_old, old_tick, states
from support.ticks import TENCENT

from hk_tick_collector.audit.day import audit_day
from hk_tick_collector.db import DayDatabase, Pragmas
from hk_tick_collector.errors import ConfigError, OlderRecorderError
from hk_tick_collector.seal.catalog import Catalog
from hk_tick_collector.store.opening import open_readonly, read_untouched
from hk_tick_collector.store.stored import check_today, find_day, read_stats, unusable_days

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("version", VERSIONS)
def test_it_is_named_for_what_it_is(version: int, tmp_path: Path) -> None:
    """By all who open a day; its schema version is never taken for one of ours, and its bytes stay."""
    path = make_old(tmp_path / f"{DAY}.db", [old_tick(TENCENT, 1)], version)
    line = (
        f"{path} was made by the older recorder (futu_tick_downloader): use another DATA_ROOT, and take the old days "
        f"over with hk-tick-collector migrate {tmp_path} --data-root NEW_DATA_ROOT"
    )
    before = states(tmp_path)
    for use in (open_readonly, read_stats, audit_day, lambda it: DayDatabase(it, Pragmas())):
        with pytest.raises(OlderRecorderError) as caught:
            use(path)
        assert str(caught.value) == line
    with pytest.raises(ConfigError) as refused:
        check_today(tmp_path, DAY)
    assert str(refused.value) == line
    assert unusable_days(tmp_path) == {path: line}
    assert find_day(tmp_path, None) == path
    assert {name: state for name, state in states(tmp_path).items() if name == path.name} == before
    with closing(Catalog(tmp_path, lambda *_: None)) as catalog:
        assert [day.fault for day in catalog.days()] == [line]


def test_repair_may_still_read_it(tmp_path: Path) -> None:
    """With whatever schema version, and while it has a log."""
    path = make_old(tmp_path / f"{DAY}.db", [old_tick(TENCENT, 1)])
    (tmp_path / f"{DAY}.db-wal").touch()
    assert read_untouched(path, lambda con: con.execute("SELECT count(*) FROM ticks").get) == 1


def test_a_day_of_ours_is_found_beside_it(tmp_path: Path) -> None:
    """A newer one of the older recorder does not hide it."""
    make_old(tmp_path / f"{DAY}.db", [old_tick(TENCENT, 1)])
    ours = DayDatabase(tmp_path / "20261118.db", Pragmas())
    ours.store({TENCENT: [(TENCENT, 1, 1, 1.0, 1, 1.0, 1, 1, 0, 1, 1, 1)]}, {})
    ours.close()
    assert find_day(tmp_path, None) == tmp_path / "20261118.db"
