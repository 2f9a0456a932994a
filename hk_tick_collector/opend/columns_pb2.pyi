from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TickerColumns(_message.Message):
    __slots__ = ("retType", "s2c")
    class Security(_message.Message):
        __slots__ = ("market", "code")
        MARKET_FIELD_NUMBER: _ClassVar[int]
        CODE_FIELD_NUMBER: _ClassVar[int]
        market: _containers.RepeatedScalarFieldContainer[int]
        code: _containers.RepeatedScalarFieldContainer[str]
        def __init__(self, market: _Optional[_Iterable[int]] = ..., code: _Optional[_Iterable[str]] = ...) -> None: ...
    class Ticker(_message.Message):
        __slots__ = ("time", "sequence", "dir", "price", "volume", "turnover", "type", "pushDataType")
        TIME_FIELD_NUMBER: _ClassVar[int]
        SEQUENCE_FIELD_NUMBER: _ClassVar[int]
        DIR_FIELD_NUMBER: _ClassVar[int]
        PRICE_FIELD_NUMBER: _ClassVar[int]
        VOLUME_FIELD_NUMBER: _ClassVar[int]
        TURNOVER_FIELD_NUMBER: _ClassVar[int]
        TYPE_FIELD_NUMBER: _ClassVar[int]
        PUSHDATATYPE_FIELD_NUMBER: _ClassVar[int]
        time: _containers.RepeatedScalarFieldContainer[str]
        sequence: _containers.RepeatedScalarFieldContainer[int]
        dir: _containers.RepeatedScalarFieldContainer[int]
        price: _containers.RepeatedScalarFieldContainer[float]
        volume: _containers.RepeatedScalarFieldContainer[int]
        turnover: _containers.RepeatedScalarFieldContainer[float]
        type: _containers.RepeatedScalarFieldContainer[int]
        pushDataType: _containers.RepeatedScalarFieldContainer[int]
        def __init__(self, time: _Optional[_Iterable[str]] = ..., sequence: _Optional[_Iterable[int]] = ..., dir: _Optional[_Iterable[int]] = ..., price: _Optional[_Iterable[float]] = ..., volume: _Optional[_Iterable[int]] = ..., turnover: _Optional[_Iterable[float]] = ..., type: _Optional[_Iterable[int]] = ..., pushDataType: _Optional[_Iterable[int]] = ...) -> None: ...
    class S2C(_message.Message):
        __slots__ = ("security", "tickerList")
        SECURITY_FIELD_NUMBER: _ClassVar[int]
        TICKERLIST_FIELD_NUMBER: _ClassVar[int]
        security: TickerColumns.Security
        tickerList: TickerColumns.Ticker
        def __init__(self, security: _Optional[_Union[TickerColumns.Security, _Mapping]] = ..., tickerList: _Optional[_Union[TickerColumns.Ticker, _Mapping]] = ...) -> None: ...
    RETTYPE_FIELD_NUMBER: _ClassVar[int]
    S2C_FIELD_NUMBER: _ClassVar[int]
    retType: _containers.RepeatedScalarFieldContainer[int]
    s2c: TickerColumns.S2C
    def __init__(self, retType: _Optional[_Iterable[int]] = ..., s2c: _Optional[_Union[TickerColumns.S2C, _Mapping]] = ...) -> None: ...
