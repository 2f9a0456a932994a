"""Found by every Python that has this directory in its PYTHONPATH: a fault of a library at some content.

Whoever makes rows of a body with `HK.66666` in it ends by SIGSEGV; of one with `HK.77777` it never comes back. No error
is raised, as where a C extension is at fault. Each death is put down in the file that KILLER_LOG names.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

from hk_tick_collector.mapping import Mapper

KILLS, HANGS = b"66666", b"77777"

_map_bodies = Mapper.map_bodies


def _map(self: Mapper, bodies: Any, *rest: Any) -> Any:  # noqa: ANN401 - as it is
    found = {word for body in bodies for word in (KILLS, HANGS) if word in bytes(body)}
    if found:
        with Path(os.environ["KILLER_LOG"]).open("a") as log:
            log.write("".join(f"{word.decode()}\n" for word in found))
    if KILLS in found:
        os.kill(os.getpid(), signal.SIGSEGV)
    if HANGS in found:
        time.sleep(3600)
    return _map_bodies(self, bodies, *rest)


Mapper.map_bodies = _map  # type: ignore[method-assign]
