"""Ticks as the official SDK gives them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from support.reading import archive_day, store_day
from support.ticks import DAY, OPEN_MS, TENCENT, row, seq_at, ticker

from hk_tick_collector.opend import opend_pb2 as pb
from hk_tick_collector.opend.codes import security_of
from hk_tick_collector.opend.numbers import TICK_TYPES
from hk_tick_collector.read.data_root import DataRoot
from hk_tick_collector.read.futu_frame import COLUMNS

if TYPE_CHECKING:
    from pathlib import Path

    from hk_tick_collector.mapping import Row

pandas = pytest.importorskip("pandas")


def test_times_are_hong_kongs_and_have_a_fraction_only_if_there_is_one(tmp_path: Path) -> None:
    """As OpenD writes them."""
    rows = [row(TENCENT, seq_at(n), OPEN_MS + ms) for n, ms in enumerate((0, 59_007, 61_000))]
    store_day(tmp_path / f"{DAY}.db", rows)
    frame = DataRoot(tmp_path).ticks(700, DAY).to_futu()
    assert list(frame["time"]) == ["2026-07-31 10:00:00", "2026-07-31 10:00:59.007", "2026-07-31 10:01:01"]
    assert set(frame["name"]) == {"N/A"}


@pytest.mark.witness
@pytest.mark.parametrize("is_archived", [False, True])
def test_the_frame_is_the_sdks_own(tmp_path: Path, *, is_archived: bool) -> None:
    """Column for column and type for type: the SDK unpacks the same ticks, with all types and directions."""
    pytest.importorskip("futu")
    witness = pytest.importorskip("support.witness")
    kinds = [*((kind, 1) for kind in (*TICK_TYPES, 99)), *((1, direction) for direction in (0, 2, 3, 9))]
    tickers = [ticker(n, OPEN_MS + n * 1000, type=kind, dir=direction) for n, (kind, direction) in enumerate(kinds)]
    path = store_day(tmp_path / f"{DAY}.db", [_row(one, OPEN_MS + n * 1000) for n, one in enumerate(tickers)])
    if is_archived:
        archive_day(path)
    ours = DataRoot(tmp_path).ticks(700, DAY).to_futu()
    theirs = _unpacked_by(witness.futu, tickers)
    assert list(ours.columns) == list(COLUMNS) == list(theirs.columns)
    pandas.testing.assert_frame_equal(ours, theirs)


def _row(one: pb.Ticker, ts_ms: int) -> Row:
    kinds = {"direction_id": one.dir, "tick_type_id": one.type}
    return row(TENCENT, one.sequence, ts_ms, price=one.price, volume=one.volume, turnover=one.turnover, **kinds)


def _unpacked_by(futu: Any, tickers: list[pb.Ticker]) -> Any:  # noqa: ANN401 - the SDK has no types
    """The DataFrame of the SDK's `get_rt_ticker`, whose context answers with these ticks."""
    market, code = security_of(TENCENT)
    s2c = pb.Qot_UpdateTicker.S2C(security=pb.Security(market=market, code=code), tickerList=tickers)
    body = pb.Qot_UpdateTicker.Response(retType=0, s2c=s2c).SerializeToString()
    answer = futu.common.pb.Qot_GetTicker_pb2.Response()
    answer.ParseFromString(body)
    context = SimpleNamespace(
        _get_sync_query_processor=lambda _pack, unpack: lambda **_: unpack(answer),
        get_sync_conn_id=lambda: 1,
        _OpenQuoteContext__security_firm=None,
    )
    code, frame = futu.OpenQuoteContext.get_rt_ticker(context, TENCENT, 1000)
    assert code == futu.RET_OK, frame
    return frame
