"""Imports futu-api, the independent witness of the wire format, so that it harms nothing.

It makes a log directory in HOME when it is imported, and prints to the stdout of that moment: here it gets a HOME that
goes with the process, and no console.
"""

from __future__ import annotations

import os
import tempfile
import time
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_home = tempfile.TemporaryDirectory(prefix="witness-home-")
_home_before = os.environ.get("HOME")
os.environ["HOME"] = _home.name
try:
    import futu
    from futu.common.constant import ContextStatus
    from futu.common.ft_logger import logger as _futu_logger
finally:
    if _home_before is None:
        del os.environ["HOME"]
    else:
        os.environ["HOME"] = _home_before

_futu_logger.enable_console_log(enable=False)
futu.SysConfig.set_all_thread_daemon(all_daemon=True)  # should one be left, the test run ends nevertheless

_TIMEOUT_SEC = 20.0


@contextmanager
def quote_context(port: int, *, rsa_key: str | None = None) -> Iterator[Any]:
    """An OpenQuoteContext that is closed with its threads; encrypted if there is a key."""
    if rsa_key is not None:
        futu.SysConfig.set_init_rsa_file(rsa_key)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # it leaves the file open
            futu.SysConfig.get_init_rsa_obj()
    try:
        # Not the blocking constructor: it would try for ever.
        context = futu.OpenQuoteContext("127.0.0.1", port, is_encrypt=rsa_key is not None, is_async_connect=True)
        callbacks = context._callback_executor._thread
        try:
            _wait_until(lambda: context.status == ContextStatus.READY)
        except AssertionError:
            context.close()
            raise
    finally:
        # Global, and it would encrypt every later InitConnect of this process.
        futu.SysConfig.INIT_RSA_FILE = ""
        futu.SysConfig.RSA_OBJ = None
    try:
        yield context
    finally:
        context.close()
        _wait_until(lambda: not callbacks.is_alive())


def _wait_until(what: Callable[[], bool]) -> None:
    until = time.monotonic() + _TIMEOUT_SEC
    while not what():
        assert time.monotonic() < until, "the SDK did not open or close its connection in time"
        time.sleep(0.01)
