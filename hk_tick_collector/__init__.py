"""hk-tick-collector: every Hong Kong trade that OpenD tells, stored once, exactly, with the right time."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hk_tick_collector.parquet.proof import verify as verify

__version__ = "0.1.0"

# What `import hk_tick_collector as hkt` offers, each with its module, which is imported when it is first used.
_OFFERED = {"verify": "hk_tick_collector.parquet.proof"}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - any of them
    if name not in _OFFERED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_OFFERED[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_OFFERED])
