"""Whole numbers as Arrow has them, made without `pyarrow.array` and `pyarrow.scalar`.

Those import pandas where it is installed (0.2 s and 70 MB), and so does a Python number as an argument of
`pyarrow.compute`.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any

from hk_tick_collector.parquet.extra import require

if TYPE_CHECKING:
    from collections.abc import Iterable


def whole_numbers(values: Iterable[int]) -> Any:  # noqa: ANN401 - a pyarrow.Int64Array
    """Whole numbers as a column."""
    pa = require("pyarrow")
    cells = values if isinstance(values, array) else array("q", values)
    return pa.Array.from_buffers(pa.int64(), len(cells), [None, pa.py_buffer(cells)])


def whole(value: int) -> Any:  # noqa: ANN401 - a pyarrow.Int64Scalar
    """A whole number, as an argument of `pyarrow.compute`."""
    return whole_numbers([value])[0]


def cells(column: Any) -> memoryview[Any]:  # noqa: ANN401
    """The numbers of a column of 8-byte numbers without nulls, not copied."""
    whole_column = memoryview(column.buffers()[1]) if len(column) else memoryview(b"")
    some = whole_column[column.offset * 8 : (column.offset + len(column)) * 8].cast("B")
    return some.cast("d") if column.type == require("pyarrow").float64() else some.cast("q")
