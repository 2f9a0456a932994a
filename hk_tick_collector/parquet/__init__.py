"""A day as Parquet files and Arrow columns: the format, and nothing about when a file is made or deleted.

    ticks.parquet     the ticks, sorted by symbol and sequence
    ledger.parquet    every other table of the day

Needs the extra `data` (pyarrow), which is imported only when it is used. `archive` decides which days become such
files; `read` and `seal` read them.
"""
