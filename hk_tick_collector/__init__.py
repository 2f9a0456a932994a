"""hk-tick-collector: every Hong Kong trade that OpenD tells, stored once, exactly, with the right time.

    import hk_tick_collector as hkt

    data = hkt.DataRoot("/var/lib/hk-tick-collector")
    ticks = data.ticks("HK.00700", "2026-11-20").to_pandas()

`docs/research.md` explains the read API. A name of it is imported when it is first used, so the recorder loads none.
"""

__version__ = "0.1.0"

TYPE_CHECKING = False  # not `typing`'s: importing this package imports nothing
if TYPE_CHECKING:
    from hk_tick_collector.audit.figures import Gap
    from hk_tick_collector.audit.verdict import Verdict
    from hk_tick_collector.errors import (
        ArchiveError,
        CollectorError,
        ConfigError,
        DatabaseError,
        ForeignFileError,
        MissingExtraError,
        NoDataError,
        NotProvenError,
    )
    from hk_tick_collector.parquet.proof import FileProof, verify
    from hk_tick_collector.read.condition import DayCondition, SymbolCondition
    from hk_tick_collector.read.data_root import DataRoot
    from hk_tick_collector.read.follow import Follow
    from hk_tick_collector.read.ticks import Ticks

__all__ = [
    "ArchiveError",
    "CollectorError",
    "ConfigError",
    "DataRoot",
    "DatabaseError",
    "DayCondition",
    "FileProof",
    "Follow",
    "ForeignFileError",
    "Gap",
    "MissingExtraError",
    "NoDataError",
    "NotProvenError",
    "SymbolCondition",
    "Ticks",
    "Verdict",
    "__version__",
    "verify",
]

# Where each name of the read API is defined.
_MODULES = {
    "DataRoot": "read.data_root",
    "DayCondition": "read.condition",
    "FileProof": "parquet.proof",
    "Follow": "read.follow",
    "Gap": "audit.figures",
    "SymbolCondition": "read.condition",
    "Ticks": "read.ticks",
    "Verdict": "audit.verdict",
    "verify": "parquet.proof",
}


if not TYPE_CHECKING:  # a type checker shall know each name, and find a misspelt one

    def __getattr__(name: str) -> object:
        """A name of the read API, imported now."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module  # noqa: PLC0415 - see above

        found: object = getattr(import_module(f"{__name__}.{_MODULES.get(name, 'errors')}"), name)
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    """The names of the read API, too."""
    return sorted({*globals(), *__all__})
