"""Messages of OpenD with any content: absent and repeated fields, extremes, NaN, times of no day, odd bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from google.protobuf.descriptor import FieldDescriptor
from hypothesis import strategies as st

from hk_tick_collector.opend import opend_pb2 as pb

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor
    from google.protobuf.message import Message

INT32_MAX, INT64_MAX = 2**31 - 1, 2**63 - 1
# Put in place of these letters, which no other text holds: bytes that are no UTF-8, and that a terminal would obey.
_LETTERS, _BYTES = "ZQZQZQ", b"\xff\xfe\x1b[2J"

TEXTS: Final = st.one_of(
    st.sampled_from(
        [
            "2026-07-31 10:00:01", "2026-07-31", "10:00:01", "2035-01-01 00:00:00", "9999-12-31", "0000-00-00",
            "1970-01-01 08:00:00", "99:99:99.9", "2026-07-31 10:00:01:250", "00700", "00005", "HK.00700", "", " ",
            "\x1b[2J", "\x00", "\n", "\uff0c", "none", _LETTERS,
        ]
    ),
    st.text(max_size=12),
)  # fmt: skip
INTEGERS: Final = {
    32: st.one_of(st.sampled_from([0, 1, -1, 2, 3, 19, 99, INT32_MAX, -INT32_MAX - 1]), st.integers(-9, 40)),
    64: st.one_of(
        st.sampled_from([0, 1, -1, INT64_MAX, -INT64_MAX - 1, 7668506052211507201, 2**53, 10**15, 100]),
        st.integers(-INT64_MAX - 1, INT64_MAX),
    ),
}
FLOATS: Final = st.one_of(st.sampled_from([0.0, -0.0, 1e308, -1e308, 1_785_463_201.0, 1e18, 0.001]), st.floats())

_KINDS: Final[dict[int, st.SearchStrategy[Any]]] = {
    FieldDescriptor.TYPE_INT32: INTEGERS[32],
    FieldDescriptor.TYPE_INT64: INTEGERS[64],
    FieldDescriptor.TYPE_UINT64: INTEGERS[64].map(abs).map(lambda value: min(value, INT64_MAX)),
    FieldDescriptor.TYPE_DOUBLE: FLOATS,
    FieldDescriptor.TYPE_STRING: TEXTS,
    FieldDescriptor.TYPE_BOOL: st.booleans(),
    FieldDescriptor.TYPE_BYTES: st.binary(max_size=20),
}


# Most of the time what decides whether the rest is looked at is as it should be.
_USUALLY: Final[dict[str, list[Any]]] = {
    "market": [1],
    "code": ["00700", "00005", "09988"],
    "time": ["2026-07-31 10:00:01", "2026-07-31 09:59:30"],
    "retType": [0],
}


def _fill(draw: st.DrawFn, message: Message, descriptor: Descriptor) -> None:
    for field in descriptor.fields:
        if draw(st.integers(0, 15)) == 0:
            continue  # also one that is required
        usual = _USUALLY.get(field.name)
        times = draw(st.integers(0, 4)) if field.is_repeated else 1
        for _ in range(times):
            if field.message_type is not None:
                part = getattr(message, field.name)
                part = part.add() if field.is_repeated else part
                part.SetInParent()
                _fill(draw, part, field.message_type)
            else:
                is_usual = usual is not None and draw(st.integers(0, 4)) > 0
                value = draw(st.sampled_from(usual) if usual and is_usual else _KINDS[field.type])
                if field.is_repeated:
                    getattr(message, field.name).append(value)
                else:
                    setattr(message, field.name, value)


@st.composite
def odd_body(draw: st.DrawFn, kind: type[Message]) -> bytes:
    """A body of a kind of message, now and then cut, or with something behind it."""
    message = kind()
    _fill(draw, message, kind.DESCRIPTOR)
    body = message.SerializePartialToString().replace(_LETTERS.encode(), _BYTES)
    return draw(
        st.one_of(
            st.just(body), st.just(body), st.just(body), st.just(body[: len(body) // 2]), st.just(body + b"\xff\x07"),
            st.binary(max_size=40),
        )
    )  # fmt: skip


# All kinds of bodies that the recorder or its writer reads, by their protocol.
READ: Final[dict[int, type[Message]]] = {
    1001: pb.InitConnect.Response,
    1002: pb.GetGlobalState.Response,
    1003: pb.Notify.Response,
    1004: pb.KeepAlive.Response,
    3001: pb.Qot_Sub.Response,
    3003: pb.Qot_GetSubInfo.Response,
    3010: pb.Qot_GetTicker.Response,
    3011: pb.Qot_UpdateTicker.Response,
    3203: pb.Qot_GetSecuritySnapshot.Response,
    3219: pb.Qot_RequestTradeDate.Response,
}
