"""The optional packages, imported when they are first used, with a clear line where one is not installed."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from hk_tick_collector.errors import MissingExtraError

if TYPE_CHECKING:
    from types import ModuleType

DATA: Final = "data"
_INSTALL: Final = "pip install 'hk-tick-collector[{extra}]'"


def require(module: str, extra: str = DATA) -> Any:  # noqa: ANN401 - a module whose types are not known here
    """Import a module of an extra.

    Raises:
        MissingExtraError: it is not installed, or broken; the message says what to install.
    """
    found = optional(module)
    if found is None:
        package = module.partition(".")[0]
        raise MissingExtraError(f"this needs {package}, which is not installed: {_INSTALL.format(extra=extra)}")
    return found


def optional(module: str) -> ModuleType | None:
    """Import a module; None: it is not installed.

    Raises:
        MissingExtraError: it is installed, and can't be imported.
    """
    package = module.partition(".")[0]
    try:
        return import_module(module)
    except ImportError as exc:
        if isinstance(exc, ModuleNotFoundError) and exc.name is not None and exc.name.partition(".")[0] == package:
            return None
        why = (str(exc).splitlines() or [type(exc).__name__])[0]
        raise MissingExtraError(
            f"{package} is installed, and can't be imported: {why}; pip install --force-reinstall {package}"
        ) from exc
