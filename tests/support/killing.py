"""A command of ours that dies by SIGKILL at one of its steps.

    python killing.py OWNER STEP NUMBER MOMENT COMMAND…

The owner is a module, or a class in one: os, hk_tick_collector.db, hk_tick_collector.repair.tick_file:TickFile.
"""

from __future__ import annotations

import os
import signal
import sys
from importlib import import_module
from typing import Any


def killed_command(owner: str, step: str, number: int | str, moment: str) -> list[str]:
    """What to run with the command's words behind it: it dies right before or right behind the n-th call of a step.

    Args:
        owner: in which module, or class of a module, the step's name is looked up when it is called.
        step: a function's name.
        number: 1 is the first call.
        moment: "before", or "behind".
    """
    return [sys.executable, __file__, owner, step, str(number), moment]


def _die_at(owner: str, step: str, number: int, moment: str) -> None:
    module, _, kind = owner.partition(":")
    place: Any = import_module(module)
    place = getattr(place, kind) if kind else place
    real = getattr(place, step)
    left = number

    def counted(*args: object) -> object:
        nonlocal left
        left -= 1
        if not left and moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        done = real(*args)
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        return done

    setattr(place, step, counted)


if __name__ == "__main__":
    from hk_tick_collector.cli.app import entry

    _die_at(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4])
    sys.argv[:] = ["hk-tick-collector", *sys.argv[5:]]
    entry()
