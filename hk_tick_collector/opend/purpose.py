"""Why a request was made, carried by its serial number.

A reply carries the serial number of its request and nothing else of it. So the number's last two bits hold the
purpose, and a journaled reply shows years later, without its request, whether it was a poll or a backfill.
"""

from __future__ import annotations

from enum import IntEnum

PURPOSES = 4


class Purpose(IntEnum):
    """Why a request was made: its serial number modulo 4."""

    CONTROL = 0
    BACKFILL = 1
    POLL = 2
    TOTALS = 3


def purpose_of(serial_no: int) -> Purpose:
    """The purpose of the request that a reply answers."""
    return Purpose(serial_no % PURPOSES)
