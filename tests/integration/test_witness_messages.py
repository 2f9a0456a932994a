"""Our messages against those that futu-api ships: same numbers, names, types and labels, and the same bytes.

Ours are a subset of the published ones. A field that they require and we lack would make every message of ours invalid;
a field of ours that they don't have, or have otherwise, would be read as something else.
"""

from __future__ import annotations

import datetime as dt
import importlib
from typing import TYPE_CHECKING, Final

import pytest
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor import FieldDescriptor

from hk_tick_collector.opend import opend_pb2 as pb
from hk_tick_collector.opend.messages import TRADE_DATE_MARKET_HK, TRADE_DATE_TYPES, request_trade_date
from hk_tick_collector.opend.numbers import ProtoId

if TYPE_CHECKING:
    from collections.abc import Iterator

    from google.protobuf.descriptor import Descriptor
    from google.protobuf.message import Message

pytestmark = pytest.mark.witness
pytest.importorskip("futu")
witness = pytest.importorskip("support.witness")

_PACKAGE: Final = "hk_tick_collector.opend."

# Messages that stand in another file there, or have another name; names are not on the wire.
_THEIR_NAMES: Final = {
    "Security": "Qot_Common.Security",
    "Ticker": "Qot_Common.Ticker",
    "SecurityStaticBasic": "Qot_Common.SecurityStaticBasic",
    "SecurityStaticInfo": "Qot_Common.SecurityStaticInfo",
    "SubInfo": "Qot_Common.SubInfo",
    "ConnSubInfo": "Qot_Common.ConnSubInfo",
    "BasicQot": "Qot_Common.BasicQot",
    "ProgramStatus": "Common.ProgramStatus",
    "Notify.NotifyProgramStatus": "Notify.ProgramStatus",
    "Reply": "Qot_Sub.Response",  # what all responses begin with
}

# An enum there and an int32 here are equal on the wire.
_ENUMS: Final = {"ProgramStatus.type": "Common.ProgramStatusType"}

_CALLS: Final = [name for name in pb.DESCRIPTOR.message_types_by_name if hasattr(getattr(pb, name), "Response")]


def _with_nested(descriptor: Descriptor) -> Iterator[Descriptor]:
    yield descriptor
    for nested in descriptor.nested_types:
        yield from _with_nested(nested)


def _our_name(descriptor: Descriptor) -> str:
    return str(descriptor.full_name).removeprefix(_PACKAGE)


# All but the bare containers, which hold a call's parts.
_MESSAGES: Final = [
    descriptor
    for top in pb.DESCRIPTOR.message_types_by_name.values()
    for descriptor in _with_nested(top)
    if not (descriptor.nested_types and not descriptor.fields)
]


def _theirs(descriptor: Descriptor) -> Descriptor:
    """The published message that one of ours stands for."""
    for call in _CALLS:
        importlib.import_module(f"futu.common.pb.{call}_pb2")
    name = _our_name(descriptor)
    return descriptor_pool.Default().FindMessageTypeByName(_THEIR_NAMES.get(name, name))


def _label(field: FieldDescriptor) -> str:
    return "repeated" if field.is_repeated else "required" if field.is_required else "optional"


def _type_name(field: FieldDescriptor) -> str:
    """A field's type; of a message, which one, in their names."""
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        name = str(field.message_type.full_name)
        if name.startswith(_PACKAGE):
            name = str(_theirs(field.message_type).full_name)
        return name
    if field.type == FieldDescriptor.TYPE_ENUM:
        return str(field.enum_type.full_name)
    return f"scalar {field.type}"


def test_every_field_of_ours_is_a_published_one() -> None:
    """Number, name, label and type of each field equal theirs; enums that we hold as int32 are listed."""
    int32 = f"scalar {FieldDescriptor.TYPE_INT32}"
    for ours in _MESSAGES:
        for field in ours.fields:
            published = _theirs(ours).fields_by_number[field.number]
            name = f"{_our_name(ours)}.{field.name}"
            as_int32 = name in _ENUMS and _type_name(published) == _ENUMS[name]
            expected = published.name, _label(published), int32 if as_int32 else _type_name(published)
            assert (field.name, _label(field), _type_name(field)) == expected, name


def test_every_field_that_they_require_is_one_of_ours() -> None:
    """A message of ours is never incomplete for them."""
    missing = {
        (_our_name(ours), field.name)
        for ours in _MESSAGES
        if _our_name(ours) != "Reply"
        for field in _theirs(ours).fields
        if field.is_required and field.name not in ours.fields_by_name
    }
    assert not missing


def test_the_listed_enums_are_the_only_ones() -> None:
    """An exception that is not needed any more must go from the list."""
    found = {
        f"{_our_name(ours)}.{field.name}": theirs.enum_type.full_name
        for ours in _MESSAGES
        for field in ours.fields
        if (theirs := _theirs(ours).fields_by_number[field.number]).enum_type is not None
    }
    assert found == _ENUMS


def test_calls_have_the_published_numbers() -> None:
    """Each protoID of ours is the SDK's number for the call of that message."""
    sdk = witness.futu.ProtoId
    theirs = {
        ProtoId.INIT_CONNECT: sdk.InitConnect,
        ProtoId.GET_GLOBAL_STATE: sdk.GetGlobalState,
        ProtoId.NOTIFY: sdk.Notify,
        ProtoId.KEEP_ALIVE: sdk.KeepAlive,
        ProtoId.QOT_SUB: sdk.Qot_Sub,
        ProtoId.QOT_REG_QOT_PUSH: sdk.Qot_RegQotPush,
        ProtoId.QOT_GET_SUB_INFO: sdk.Qot_GetSubInfo,
        ProtoId.QOT_GET_BASIC_QOT: sdk.Qot_GetBasicQot,
        ProtoId.QOT_GET_TICKER: sdk.Qot_GetTicker,
        ProtoId.QOT_UPDATE_TICKER: sdk.Qot_UpdateTicker,
        ProtoId.QOT_GET_STATIC_INFO: sdk.Qot_GetStaticInfo,
        ProtoId.QOT_GET_SECURITY_SNAPSHOT: sdk.Qot_GetSecuritySnapshot,
        ProtoId.QOT_GET_PLATE_SECURITY: sdk.Qot_GetPlateSecurity,
        ProtoId.QOT_REQUEST_TRADE_DATE: sdk.Qot_RequestTradeDate,
        ProtoId.QOT_GET_MARKET_STATE: sdk.Qot_GetMarketState,
    }
    assert set(theirs) == set(ProtoId)
    assert all(ours.value == number for ours, number in theirs.items())


def test_trade_dates_have_the_published_numbers() -> None:
    """The market's number is no security's, and each type of theirs is one of ours."""
    common = importlib.import_module("futu.common.pb.Qot_Common_pb2")
    assert common.TradeDateMarket.Value("TradeDateMarket_HK") == TRADE_DATE_MARKET_HK
    theirs = {number: name.removeprefix("TradeDateType_").lower() for name, number in common.TradeDateType.items()}
    assert theirs == TRADE_DATE_TYPES


def test_a_request_for_trade_dates_is_theirs() -> None:
    """The same bytes as their message makes of the same dates."""
    theirs = importlib.import_module("futu.common.pb.Qot_RequestTradeDate_pb2").Request()
    theirs.c2s.market, theirs.c2s.beginTime, theirs.c2s.endTime = 1, "2026-07-24", "2026-08-14"
    assert request_trade_date(dt.date(2026, 7, 24), dt.date(2026, 8, 14)) == theirs.SerializeToString()


def _fill(message: Message, published: Descriptor, seed: int = 1) -> None:
    """Give every field a value of its own; where they have an enum, one of its."""
    for field in message.DESCRIPTOR.fields:
        their_field = published.fields_by_number[field.number]
        if field.message_type is not None:
            for part in [0, 1] if field.is_repeated else [0]:
                of = getattr(message, field.name)
                nested = of.add() if field.is_repeated else of
                nested.SetInParent()
                if nested.DESCRIPTOR.full_name != message.DESCRIPTOR.full_name:
                    _fill(nested, their_field.message_type, seed * 7 + field.number + part)
            continue
        value = _value(their_field, seed * 31 + field.number)
        if field.is_repeated:
            getattr(message, field.name).extend([value, _value(their_field, seed * 37 + field.number)])
        else:
            setattr(message, field.name, value)


def _value(field: FieldDescriptor, seed: int) -> str | bool | float | int | bytes:
    if field.enum_type is not None:
        return int(field.enum_type.values[seed % len(field.enum_type.values)].number)
    return {
        FieldDescriptor.TYPE_STRING: f"text {seed} 騰訊",
        FieldDescriptor.TYPE_BYTES: b"%d" % seed,
        FieldDescriptor.TYPE_BOOL: bool(seed % 2),
        FieldDescriptor.TYPE_DOUBLE: seed + 0.25,
        FieldDescriptor.TYPE_INT64: (1 << 62) + seed,
        FieldDescriptor.TYPE_UINT64: (1 << 63) + seed,
        FieldDescriptor.TYPE_INT32: seed,
    }[field.type]


def _assert_same(ours: Message, theirs: Message) -> None:
    """Every field of ours is there with the same value, and present on the same side."""
    for field in ours.DESCRIPTOR.fields:
        mine, other = getattr(ours, field.name), getattr(theirs, field.name)
        if field.message_type is None:
            assert (list(mine) == list(other)) if field.is_repeated else (mine == other), field.full_name
        elif field.is_repeated:
            assert len(mine) == len(other) == 2, field.full_name
            for one, two in zip(mine, other, strict=True):
                _assert_same(one, two)
        else:
            assert ours.HasField(field.name), field.full_name
            assert theirs.HasField(field.name), field.full_name
            _assert_same(mine, other)


_ON_THE_WIRE: Final = [m for m in _MESSAGES if m.name in {"Request", "Response", "Reply"}]


@pytest.mark.parametrize("ours", _ON_THE_WIRE, ids=_our_name)
def test_what_we_encode_they_decode(ours: Descriptor) -> None:
    """Each request and response of ours, with every field filled, is read whole by theirs."""
    message = message_factory.GetMessageClass(ours)()
    _fill(message, _theirs(ours))
    theirs = message_factory.GetMessageClass(_theirs(ours)).FromString(message.SerializeToString())
    assert theirs.IsInitialized()
    _assert_same(message, theirs)


@pytest.mark.parametrize("ours", _ON_THE_WIRE, ids=_our_name)
def test_what_they_encode_we_decode(ours: Descriptor) -> None:
    """Each of theirs, with every field filled, those that we don't know too, is read by ours."""
    theirs = message_factory.GetMessageClass(_theirs(ours))()
    _fill(theirs, _theirs(ours))
    message = message_factory.GetMessageClass(ours).FromString(theirs.SerializeToString())
    assert message.IsInitialized()
    _assert_same(message, theirs)
