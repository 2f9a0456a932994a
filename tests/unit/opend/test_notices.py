"""Notices: what happened to OpenD, in one line, and which quote right gives pushes."""

from __future__ import annotations

from typing import Any

import pytest

from hk_tick_collector.opend import opend_pb2 as pb
from hk_tick_collector.opend.notices import Notice, notice


def notify(**parts: Any) -> bytes:  # noqa: ANN401 - protobuf fields
    """A Notify push whose `s2c` has these fields."""
    return pb.Notify.Response(retType=0, s2c=pb.Notify.S2C(**parts)).SerializeToString()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (notify(type=1, event={"eventType": 7, "desc": "kicked"}), Notice(1, 7, None, "kicked")),
        (notify(type=1, event={"eventType": 4, "desc": ""}), Notice(1, 4, None, "gateway event 4")),
        (
            notify(type=3, connectStatus={"qotLogined": True, "trdLogined": False}),
            Notice(3, None, True, "quote server reached"),  # noqa: FBT003 - as it stands in the notice
        ),
        (
            notify(type=3, connectStatus={"qotLogined": False, "trdLogined": True}),
            Notice(3, None, False, "quote server lost"),  # noqa: FBT003
        ),
        (
            notify(type=2, programStatus={"programStatus": {"type": 3, "strExtDesc": "loading"}}),
            Notice(2, None, None, "program status 3 loading"),
        ),
        (notify(type=2, programStatus={"programStatus": {"type": 3}}), Notice(2, None, None, "program status 3")),
        (
            notify(type=4, qotRight={"hkQotRight": 2, "usQotRight": 0, "cnQotRight": 0}),
            Notice(4, None, None, "quote right for Hong Kong is now 2 (LEVEL1)", 2),
        ),
        (
            notify(type=4, qotRight={"hkQotRight": 9, "usQotRight": 0, "cnQotRight": 0}),
            Notice(4, None, None, "quote right for Hong Kong is now 9", 9),
        ),
        (notify(type=1, event={"eventType": 7, "desc": "\x1b[2J\n!"}), Notice(1, 7, None, "\ufffd[2J !")),
        (notify(type=99), Notice(99, None, None, "notice of type 99")),
    ],
)
def test_a_notice_says_what_happened_in_one_line(body: bytes, expected: Notice) -> None:
    """Each kind of Notify, and one that is invented tomorrow."""
    assert notice(body) == expected


@pytest.mark.parametrize(
    ("right", "gives_pushes"),
    [(None, None), (0, None), (1, False), (2, True), (3, True), (4, True), (5, False), (6, True), (99, True)],
)
def test_a_quote_right_gives_pushes_or_not(right: int | None, gives_pushes: bool | None) -> None:  # noqa: FBT001
    """BMP and none give none; an unknown one says nothing, and one that is invented tomorrow is taken for more."""
    assert Notice(4, None, None, "", right).gives_pushes is gives_pushes
