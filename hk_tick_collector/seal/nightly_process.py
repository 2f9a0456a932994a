"""A process that works on past days in the night: how the recorder starts it, and how it behaves.

Owns its priority, its lines of JSON, and its end: with the recorder, or when its time is over.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import threading
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

LINE_MAX: Final = 64 * 1024
NICE: Final = 19


# ---- in the recorder


async def run(
    module: str, asked: dict[str, Any], limit_sec: float, on_line: Callable[[dict[str, Any]], None]
) -> int | None:
    """Run `python -m module` with `asked` as JSON; `on_line` gets each of its lines.

    Returns:
        Its exit code; None: it was killed after `limit_sec`.

    Raises:
        OSError: it can't be started.
        ValueError: a line of it is cut off.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        json.dumps(asked),
        stdin=asyncio.subprocess.PIPE,  # it ends when this process does
        stdout=asyncio.subprocess.PIPE,
        limit=LINE_MAX,
    )
    try:
        async with asyncio.timeout(limit_sec):
            assert process.stdout is not None
            while line := await process.stdout.readline():
                on_line(json.loads(line))
            return await process.wait()
    except TimeoutError:
        return None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


# ---- in the process itself


def give_way() -> None:
    """Take the lowest priority, and end when the recorder is gone; unfinished work must leave nothing half."""
    with contextlib.suppress(OSError):  # a supervisor may forbid it
        os.setpriority(os.PRIO_PROCESS, 0, NICE)
    threading.Thread(target=_end_with_input, daemon=True).start()


def print_line(told: dict[str, Any]) -> None:
    """Tell the recorder."""
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


def _end_with_input() -> None:
    with contextlib.suppress(OSError):
        while os.read(sys.stdin.fileno(), 4096):
            pass
    os._exit(1)
