"""What has to hold for decoded columns beyond their hashes: no nulls, sorted, and the right word for each number.

Owns these rules, and those for the statistics by which readers skip parts of a file. A violation is a sentence about a
symbol.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final

from hk_tick_collector.parquet.arrow import word_of
from hk_tick_collector.parquet.columns import COLUMNS, WORDS
from hk_tick_collector.parquet.extra import require

if TYPE_CHECKING:
    from collections.abc import Iterable

NO_SYMBOL: Final = "(no symbol)"


class Checks:
    """Looks at the batches of a file, one after the other, in their order."""

    def __init__(self) -> None:
        self.faults: dict[str, list[str]] = {}  # by symbol
        self._last = ("", 0)  # symbol and sequence of the tick before

    def without_nulls(self, batch: Any) -> Any:  # noqa: ANN401 - a pyarrow.RecordBatch
        """The rows that have a value in each column; the others are faults."""
        compute = require("pyarrow.compute")
        empty = [name for name in COLUMNS if batch.column(name).null_count]
        for name in empty:
            self._note(_symbols_where(compute.is_null(batch.column(name)), batch), f"{name} has no value")
        return batch.drop_null() if empty else batch

    def add(self, batch: Any, runs: list[tuple[str, int]]) -> None:  # noqa: ANN401 - a pyarrow.RecordBatch
        """Check a batch without nulls, of at least one row.

        Args:
            batch: with all columns, in our types.
            runs: the symbols and how many rows each has, in the order of the rows.
        """
        self._check_order(batch.column("seq"), runs)
        for name in WORDS:
            self._check_words(batch, name)

    def _note(self, symbols: Iterable[str], what: str) -> None:
        for symbol in symbols:
            told = self.faults.setdefault(symbol, [])
            if what not in told:
                told.append(what)

    def _check_order(self, seqs: Any, runs: list[tuple[str, int]]) -> None:  # noqa: ANN401 - a pyarrow.Array
        symbol, seq = self._last
        rises = "its sequences do not rise: a tick is there twice, or not in its place"
        for number, (one, _) in enumerate(runs):
            if one < symbol or (one == symbol and number):
                self._note([one], "its ticks are not in their place: symbols are not sorted")
            symbol, previous = one, symbol
            if not number and one == previous and seqs[0].as_py() <= seq:
                self._note([one], rises)
        ends = list(accumulate(rows for _, rows in runs))
        borders = set(ends)
        compute = require("pyarrow.compute")
        falls = compute.indices_nonzero(compute.less_equal(seqs.slice(1), seqs.slice(0, len(seqs) - 1)))
        wrong = [at + 1 for at in falls.to_pylist() if at + 1 not in borders]
        self._note({runs[bisect_right(ends, at)][0]: None for at in wrong}, rises)
        self._last = symbol, seqs[len(seqs) - 1].as_py()

    def _check_words(self, batch: Any, name: str) -> None:  # noqa: ANN401 - a pyarrow.RecordBatch
        pa, compute = require("pyarrow"), require("pyarrow.compute")
        source = WORDS[name][0]
        numbers, words = batch.column(source), batch.column(name)
        place = {word: at for at, word in enumerate(words.dictionary.to_pylist())}
        seen = compute.unique(numbers)
        expected = array("i", [place.get(word_of(name, number), -1) for number in seen.to_pylist()])
        by_number = pa.Array.from_buffers(pa.int32(), len(expected), [None, pa.py_buffer(expected)])
        wrong = compute.not_equal(by_number.take(compute.index_in(numbers, value_set=seen)), words.indices)
        if compute.any(wrong).as_py():
            self._note(_symbols_where(wrong, batch), f"{name} is not the word for {source}")


def _symbols_where(mask: Any, batch: Any) -> list[str]:  # noqa: ANN401 - pyarrow
    found = require("pyarrow.compute").unique(batch.column("symbol").filter(mask))
    return [NO_SYMBOL if symbol is None else symbol for symbol in found.to_pylist()]


def wrong_statistics(group: Any, batch: Any) -> list[str]:  # noqa: ANN401 - pyarrow
    """The columns of a row group whose statistics are not those of its values: readers would skip what is there.

    Args:
        group: the row group's metadata.
        batch: the row group, decoded, without nulls.
    """
    compute = require("pyarrow.compute")
    wrong = []
    for at in range(len(COLUMNS)):
        told = group.column(at)
        statistics, name = told.statistics, COLUMNS[at]
        if told.path_in_schema != name:
            wrong.append(name)
            continue
        if statistics is None or not statistics.has_min_max:
            continue
        column = batch.column(name)
        if hasattr(column, "dictionary"):
            words = column.dictionary.take(compute.unique(column.indices)).to_pylist()
            least, most = min(words).encode(), max(words).encode()
        else:
            found = compute.min_max(column)
            least, most = (_raw(found[name]) for name in ("min", "max"))
        is_right = (statistics.min_raw, statistics.max_raw) == (least, most)
        if not is_right or statistics.null_count or statistics.num_values != batch.num_rows:
            wrong.append(name)
    return wrong


def _raw(scalar: Any) -> Any:  # noqa: ANN401 - a pyarrow.Scalar
    """A value as Parquet stores it: an instant is a number of ms."""
    return scalar.value if hasattr(scalar, "value") else scalar.as_py()
