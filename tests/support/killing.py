"""A command of ours that dies by SIGKILL at one of its steps."""

from __future__ import annotations

import sys

# The owner is a module, or a class in one: os, hk_tick_collector.db, hk_tick_collector.repair.tick_file:TickFile.
_KILLED = """
import os, signal, sys
from importlib import import_module
from hk_tick_collector.cli.app import entry
module, _, kind = sys.argv[1].partition(":")
name, left, moment = sys.argv[2], int(sys.argv[3]), sys.argv[4]
owner = import_module(module)
owner = getattr(owner, kind) if kind else owner
real = getattr(owner, name)
def step(*args):
    global left
    left -= 1
    if not left and moment == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    done = real(*args)
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
    return done
setattr(owner, name, step)
sys.argv[:] = ["hk-tick-collector", *sys.argv[5:]]
entry()
"""


def killed_command(owner: str, step: str, number: int | str, moment: str) -> list[str]:
    """What to run with the command's words behind it: it dies right before or right behind the n-th call of a step.

    Args:
        owner: in which module, or class of a module, the step's name is looked up when it is called.
        step: a function's name.
        number: 1 is the first call.
        moment: "before", or "behind".
    """
    return [sys.executable, "-c", _KILLED, owner, step, str(number), moment]
