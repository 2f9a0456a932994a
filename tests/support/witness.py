"""Imports futu-api, the independent witness of the wire format, so that it harms nothing.

It makes a log directory in HOME when it is imported, and prints to the stdout of that moment: here it gets a HOME that goes
with the process, and no console.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_home = tempfile.TemporaryDirectory(prefix="witness-home-")
_home_before = os.environ.get("HOME")
os.environ["HOME"] = _home.name
try:
    import futu
    from futu.common.ft_logger import logger as _futu_logger
finally:
    if _home_before is None:
        del os.environ["HOME"]
    else:
        os.environ["HOME"] = _home_before

_futu_logger.enable_console_log(enable=False)

_CLOSE_TIMEOUT_SEC = 20.0


@contextmanager
def quote_context(port: int, *, rsa_key: str | None = None) -> Iterator[Any]:
    """An OpenQuoteContext that is closed with its threads; encrypted if there is a key."""
    if rsa_key is not None:
        futu.SysConfig.set_init_rsa_file(rsa_key)
    try:
        context = futu.OpenQuoteContext(host="127.0.0.1", port=port, is_encrypt=rsa_key is not None)
        callbacks = context._callback_executor._thread
        try:
            yield context
        finally:
            context.close()
            callbacks.join(_CLOSE_TIMEOUT_SEC)
            assert not callbacks.is_alive(), "the SDK did not close"
    finally:
        # Global, and it would encrypt every later InitConnect of this process.
        futu.SysConfig.INIT_RSA_FILE = ""
        futu.SysConfig.RSA_OBJ = None
