from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Security(_message.Message):
    __slots__ = ("market", "code")
    MARKET_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    market: int
    code: str
    def __init__(self, market: _Optional[int] = ..., code: _Optional[str] = ...) -> None: ...

class Ticker(_message.Message):
    __slots__ = ("time", "sequence", "dir", "price", "volume", "turnover", "recvTime", "type", "typeSign", "pushDataType", "timestamp", "hpVolume")
    TIME_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    DIR_FIELD_NUMBER: _ClassVar[int]
    PRICE_FIELD_NUMBER: _ClassVar[int]
    VOLUME_FIELD_NUMBER: _ClassVar[int]
    TURNOVER_FIELD_NUMBER: _ClassVar[int]
    RECVTIME_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    TYPESIGN_FIELD_NUMBER: _ClassVar[int]
    PUSHDATATYPE_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    HPVOLUME_FIELD_NUMBER: _ClassVar[int]
    time: str
    sequence: int
    dir: int
    price: float
    volume: int
    turnover: float
    recvTime: float
    type: int
    typeSign: int
    pushDataType: int
    timestamp: float
    hpVolume: float
    def __init__(self, time: _Optional[str] = ..., sequence: _Optional[int] = ..., dir: _Optional[int] = ..., price: _Optional[float] = ..., volume: _Optional[int] = ..., turnover: _Optional[float] = ..., recvTime: _Optional[float] = ..., type: _Optional[int] = ..., typeSign: _Optional[int] = ..., pushDataType: _Optional[int] = ..., timestamp: _Optional[float] = ..., hpVolume: _Optional[float] = ...) -> None: ...

class SecurityStaticBasic(_message.Message):
    __slots__ = ("security", "id", "lotSize", "secType", "name", "listTime", "delisting")
    SECURITY_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    LOTSIZE_FIELD_NUMBER: _ClassVar[int]
    SECTYPE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    LISTTIME_FIELD_NUMBER: _ClassVar[int]
    DELISTING_FIELD_NUMBER: _ClassVar[int]
    security: Security
    id: int
    lotSize: int
    secType: int
    name: str
    listTime: str
    delisting: bool
    def __init__(self, security: _Optional[_Union[Security, _Mapping]] = ..., id: _Optional[int] = ..., lotSize: _Optional[int] = ..., secType: _Optional[int] = ..., name: _Optional[str] = ..., listTime: _Optional[str] = ..., delisting: _Optional[bool] = ...) -> None: ...

class SecurityStaticInfo(_message.Message):
    __slots__ = ("basic",)
    BASIC_FIELD_NUMBER: _ClassVar[int]
    basic: SecurityStaticBasic
    def __init__(self, basic: _Optional[_Union[SecurityStaticBasic, _Mapping]] = ...) -> None: ...

class Reply(_message.Message):
    __slots__ = ("retType", "retMsg", "errCode")
    RETTYPE_FIELD_NUMBER: _ClassVar[int]
    RETMSG_FIELD_NUMBER: _ClassVar[int]
    ERRCODE_FIELD_NUMBER: _ClassVar[int]
    retType: int
    retMsg: str
    errCode: int
    def __init__(self, retType: _Optional[int] = ..., retMsg: _Optional[str] = ..., errCode: _Optional[int] = ...) -> None: ...

class InitConnect(_message.Message):
    __slots__ = ()
    class C2S(_message.Message):
        __slots__ = ("clientVer", "clientID", "recvNotify", "packetEncAlgo", "pushProtoFmt", "programmingLanguage")
        CLIENTVER_FIELD_NUMBER: _ClassVar[int]
        CLIENTID_FIELD_NUMBER: _ClassVar[int]
        RECVNOTIFY_FIELD_NUMBER: _ClassVar[int]
        PACKETENCALGO_FIELD_NUMBER: _ClassVar[int]
        PUSHPROTOFMT_FIELD_NUMBER: _ClassVar[int]
        PROGRAMMINGLANGUAGE_FIELD_NUMBER: _ClassVar[int]
        clientVer: int
        clientID: str
        recvNotify: bool
        packetEncAlgo: int
        pushProtoFmt: int
        programmingLanguage: str
        def __init__(self, clientVer: _Optional[int] = ..., clientID: _Optional[str] = ..., recvNotify: _Optional[bool] = ..., packetEncAlgo: _Optional[int] = ..., pushProtoFmt: _Optional[int] = ..., programmingLanguage: _Optional[str] = ...) -> None: ...
    class S2C(_message.Message):
        __slots__ = ("serverVer", "loginUserID", "connID", "connAESKey", "keepAliveInterval", "aesCBCiv", "userAttribution")
        SERVERVER_FIELD_NUMBER: _ClassVar[int]
        LOGINUSERID_FIELD_NUMBER: _ClassVar[int]
        CONNID_FIELD_NUMBER: _ClassVar[int]
        CONNAESKEY_FIELD_NUMBER: _ClassVar[int]
        KEEPALIVEINTERVAL_FIELD_NUMBER: _ClassVar[int]
        AESCBCIV_FIELD_NUMBER: _ClassVar[int]
        USERATTRIBUTION_FIELD_NUMBER: _ClassVar[int]
        serverVer: int
        loginUserID: int
        connID: int
        connAESKey: str
        keepAliveInterval: int
        aesCBCiv: str
        userAttribution: int
        def __init__(self, serverVer: _Optional[int] = ..., loginUserID: _Optional[int] = ..., connID: _Optional[int] = ..., connAESKey: _Optional[str] = ..., keepAliveInterval: _Optional[int] = ..., aesCBCiv: _Optional[str] = ..., userAttribution: _Optional[int] = ...) -> None: ...
    class Request(_message.Message):
        __slots__ = ("c2s",)
        C2S_FIELD_NUMBER: _ClassVar[int]
        c2s: InitConnect.C2S
        def __init__(self, c2s: _Optional[_Union[InitConnect.C2S, _Mapping]] = ...) -> None: ...
    class Response(_message.Message):
        __slots__ = ("retType", "retMsg", "errCode", "s2c")
        RETTYPE_FIELD_NUMBER: _ClassVar[int]
        RETMSG_FIELD_NUMBER: _ClassVar[int]
        ERRCODE_FIELD_NUMBER: _ClassVar[int]
        S2C_FIELD_NUMBER: _ClassVar[int]
        retType: int
        retMsg: str
        errCode: int
        s2c: InitConnect.S2C
        def __init__(self, retType: _Optional[int] = ..., retMsg: _Optional[str] = ..., errCode: _Optional[int] = ..., s2c: _Optional[_Union[InitConnect.S2C, _Mapping]] = ...) -> None: ...
    def __init__(self) -> None: ...

class KeepAlive(_message.Message):
    __slots__ = ()
    class C2S(_message.Message):
        __slots__ = ("time",)
        TIME_FIELD_NUMBER: _ClassVar[int]
        time: int
        def __init__(self, time: _Optional[int] = ...) -> None: ...
    class S2C(_message.Message):
        __slots__ = ("time",)
        TIME_FIELD_NUMBER: _ClassVar[int]
        time: int
        def __init__(self, time: _Optional[int] = ...) -> None: ...
    class Request(_message.Message):
        __slots__ = ("c2s",)
        C2S_FIELD_NUMBER: _ClassVar[int]
        c2s: KeepAlive.C2S
        def __init__(self, c2s: _Optional[_Union[KeepAlive.C2S, _Mapping]] = ...) -> None: ...
    class Response(_message.Message):
        __slots__ = ("retType", "retMsg", "errCode", "s2c")
        RETTYPE_FIELD_NUMBER: _ClassVar[int]
        RETMSG_FIELD_NUMBER: _ClassVar[int]
        ERRCODE_FIELD_NUMBER: _ClassVar[int]
        S2C_FIELD_NUMBER: _ClassVar[int]
        retType: int
        retMsg: str
        errCode: int
        s2c: KeepAlive.S2C
        def __init__(self, retType: _Optional[int] = ..., retMsg: _Optional[str] = ..., errCode: _Optional[int] = ..., s2c: _Optional[_Union[KeepAlive.S2C, _Mapping]] = ...) -> None: ...
    def __init__(self) -> None: ...

class ProgramStatus(_message.Message):
    __slots__ = ("type", "strExtDesc")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    STREXTDESC_FIELD_NUMBER: _ClassVar[int]
    type: int
    strExtDesc: str
    def __init__(self, type: _Optional[int] = ..., strExtDesc: _Optional[str] = ...) -> None: ...

class Notify(_message.Message):
    __slots__ = ()
    class GtwEvent(_message.Message):
        __slots__ = ("eventType", "desc")
        EVENTTYPE_FIELD_NUMBER: _ClassVar[int]
        DESC_FIELD_NUMBER: _ClassVar[int]
        eventType: int
        desc: str
        def __init__(self, eventType: _Optional[int] = ..., desc: _Optional[str] = ...) -> None: ...
    class NotifyProgramStatus(_message.Message):
        __slots__ = ("programStatus",)
        PROGRAMSTATUS_FIELD_NUMBER: _ClassVar[int]
        programStatus: ProgramStatus
        def __init__(self, programStatus: _Optional[_Union[ProgramStatus, _Mapping]] = ...) -> None: ...
    class ConnectStatus(_message.Message):
        __slots__ = ("qotLogined", "trdLogined")
        QOTLOGINED_FIELD_NUMBER: _ClassVar[int]
        TRDLOGINED_FIELD_NUMBER: _ClassVar[int]
        qotLogined: bool
        trdLogined: bool
        def __init__(self, qotLogined: _Optional[bool] = ..., trdLogined: _Optional[bool] = ...) -> None: ...
    class QotRight(_message.Message):
        __slots__ = ("hkQotRight", "usQotRight", "cnQotRight")
        HKQOTRIGHT_FIELD_NUMBER: _ClassVar[int]
        USQOTRIGHT_FIELD_NUMBER: _ClassVar[int]
        CNQOTRIGHT_FIELD_NUMBER: _ClassVar[int]
        hkQotRight: int
        usQotRight: int
        cnQotRight: int
        def __init__(self, hkQotRight: _Optional[int] = ..., usQotRight: _Optional[int] = ..., cnQotRight: _Optional[int] = ...) -> None: ...
    class S2C(_message.Message):
        __slots__ = ("type", "event", "programStatus", "connectStatus", "qotRight")
        TYPE_FIELD_NUMBER: _ClassVar[int]
        EVENT_FIELD_NUMBER: _ClassVar[int]
        PROGRAMSTATUS_FIELD_NUMBER: _ClassVar[int]
        CONNECTSTATUS_FIELD_NUMBER: _ClassVar[int]
        QOTRIGHT_FIELD_NUMBER: _ClassVar[int]
        type: int
        event: Notify.GtwEvent
        programStatus: Notify.NotifyProgramStatus
        connectStatus: Notify.ConnectStatus
        qotRight: Notify.QotRight
        def __init__(self, type: _Optional[int] = ..., event: _Optional[_Union[Notify.GtwEvent, _Mapping]] = ..., programStatus: _Optional[_Union[Notify.NotifyProgramStatus, _Mapping]] = ..., connectStatus: _Optional[_Union[Notify.ConnectStatus, _Mapping]] = ..., qotRight: _Optional[_Union[Notify.QotRight, _Mapping]] = ...) -> None: ...
    class Response(_message.Message):
        __slots__ = ("retType", "retMsg", "errCode", "s2c")
        RETTYPE_FIELD_NUMBER: _ClassVar[int]
        RETMSG_FIELD_NUMBER: _ClassVar[int]
        ERRCODE_FIELD_NUMBER: _ClassVar[int]
        S2C_FIELD_NUMBER: _ClassVar[int]
        retType: int
        retMsg: str
        errCode: int
        s2c: Notify.S2C
        def __init__(self, retType: _Optional[int] = ..., retMsg: _Optional[str] = ..., errCode: _Optional[int] = ..., s2c: _Optional[_Union[Notify.S2C, _Mapping]] = ...) -> None: ...
    def __init__(self) -> None: ...

class GetGlobalState(_message.Message):
    __slots__ = ()
    class C2S(_message.Message):
        __slots__ = ("userID",)
        USERID_FIELD_NUMBER: _ClassVar[int]
        userID: int
        def __init__(self, userID: _Optional[int] = ...) -> None: ...
    class S2C(_message.Message):
        __slots__ = ("marketHK", "marketUS", "marketSH", "marketSZ", "marketHKFuture", "qotLogined", "trdLogined", "serverVer", "serverBuildNo", "time", "localTime", "programStatus", "connID")
        MARKETHK_FIELD_NUMBER: _ClassVar[int]
        MARKETUS_FIELD_NUMBER: _ClassVar[int]
        MARKETSH_FIELD_NUMBER: _ClassVar[int]
        MARKETSZ_FIELD_NUMBER: _ClassVar[int]
        MARKETHKFUTURE_FIELD_NUMBER: _ClassVar[int]
        QOTLOGINED_FIELD_NUMBER: _ClassVar[int]
        TRDLOGINED_FIELD_NUMBER: _ClassVar[int]
        SERVERVER_FIELD_NUMBER: _ClassVar[int]
        SERVERBUILDNO_FIELD_NUMBER: _ClassVar[int]
        TIME_FIELD_NUMBER: _ClassVar[int]
        LOCALTIME_FIELD_NUMBER: _ClassVar[int]
        PROGRAMSTATUS_FIELD_NUMBER: _ClassVar[int]
        CONNID_FIELD_NUMBER: _ClassVar[int]
        marketHK: int
        marketUS: int
        marketSH: int
        marketSZ: int
        marketHKFuture: int
        qotLogined: bool
        trdLogined: bool
        serverVer: int
        serverBuildNo: int
        time: int
        localTime: float
        programStatus: ProgramStatus
        connID: int
        def __init__(self, marketHK: _Optional[int] = ..., marketUS: _Optional[int] = ..., marketSH: _Optional[int] = ..., marketSZ: _Optional[int] = ..., marketHKFuture: _Optional[int] = ..., qotLogined: _Optional[bool] = ..., trdLogined: _Optional[bool] = ..., serverVer: _Optional[int] = ..., serverBuildNo: _Optional[int] = ..., time: _Optional[int] = ..., localTime: _Optional[float] = ..., programStatus: _Optional[_Union[ProgramStatus, _Mapping]] = ..., connID: _Optional[int] = ...) -> None: ...
    class Request(_message.Message):
        __slots__ = ("c2s",)
        C2S_FIELD_NUMBER: _ClassVar[int]
        c2s: GetGlobalState.C2S
        def __init__(self, c2s: _Optional[_Union[GetGlobalState.C2S, _Mapping]] = ...) -> None: ...
    class Response(_message.Message):
        __slots__ = ("retType", "retMsg", "errCode", "s2c")
        RETTYPE_FIELD_NUMBER: _ClassVar[int]
        RETMSG_FIELD_NUMBER: _ClassVar[int]
        ERRCODE_FIELD_NUMBER: _ClassVar[int]
        S2C_FIELD_NUMBER: _ClassVar[int]
        retType: int
        retMsg: str
        errCode: int
        s2c: GetGlobalState.S2C
        def __init__(self, retType: _Optional[int] = ..., retMsg: _Optional[str] = ..., errCode: _Optional[int] = ..., s2c: _Optional[_Union[GetGlobalState.S2C, _Mapping]] = ...) -> None: ...
    def __init__(self) -> None: ...

class Qot_Sub(_message.Message):
    __slots__ = ()
    class C2S(_message.Message):
        __slots__ = ("securityList", "subTypeList", "isSubOrUnSub", "isRegOrUnRegPush", "isFirstPush", "isUnsubAll")
        SECURITYLIST_FIELD_NUMBER: _ClassVar[int]
        SUBTYPELIST_FIELD_NUMBER: _ClassVar[int]
        ISSUBORUNSUB_FIELD_NUMBER: _ClassVar[int]
        ISREGORUNREGPUSH_FIELD_NUMBER: _ClassVar[int]
        ISFIRSTPUSH_FIELD_NUMBER: _ClassVar[int]
        ISUNSUBALL_FIELD_NUMBER: _ClassVar[int]
        securityList: _containers.RepeatedCompositeFieldContainer[Security]
        subTypeList: _containers.RepeatedScalarFieldContainer[int]
        isSubOrUnSub: bool
        isRegOrUnRegPush: bool
        isFirstPush: bool
        isUnsubAll: bool
        def __init__(self, securityList: _Optional[_Iterable[_Union[Security, _Mapping]]] = ..., subTypeList: _Optional[_Iterable[int]] = ..., isSubOrUnSub: _Optional[bool] = ..., isRegOrUnRegPush: _Optional[bool] = ..., isFirstPush: _Optional[bool] = ..., isUnsubAll: _Optional[bool] = ...) -> None: ...
    class Request(_message.Message):
        __slots__ = ("c2s",)
        C2S_FIELD_NUMBER: _ClassVar[int]
        c2s: Qot_Sub.C2S
        def __init__(self, c2s: _Optional[_Union[Qot_Sub.C2S, _Mapping]] = ...) -> None: ...
    class S2C(_message.Message):
        __slots__ = ()
        def __init__(self) -> None: ...
    class Response(_message.Message):
        __slots__ = ("retType", "retMsg", "errCode", "s2c")
        RETTYPE_FIELD_NUMBER: _ClassVar[int]
        RETMSG_FIELD_NUMBER: _ClassVar[int]
        ERRCODE_FIELD_NUMBER: _ClassVar[int]
        S2C_FIELD_NUMBER: _ClassVar[int]
        retType: int
        retMsg: str
        errCode: int
        s2c: Qot_Sub.S2C
        def __init__(self, retType: _Optional[int] = ..., retMsg: _Optional[str] = ..., errCode: _Optional[int] = ..., s2c: _Optional[_Union[Qot_Sub.S2C, _Mapping]] = ...) -> None: ...
    def __init__(self) -> None: ...

class Qot_RegQotPush(_message.Message):
    __slots__ = ()
    class C2S(_message.Message):
        __slots__ = ("securityList", "subTypeList", "isRegOrUnReg", "isFirstPush")
        SECURITYLIST_FIELD_NUMBER: _ClassVar[int]
        SUBTYPELIST_FIELD_NUMBER: _ClassVar[int]
        ISREGORUNREG_FIELD_NUMBER: _ClassVar[int]
        ISFIRSTPUSH_FIELD_NUMBER: _ClassVar[int]
        securityList: _containers.RepeatedCompositeFieldContainer[Security]
        subTypeList: _containers.RepeatedScalarFieldContainer[int]
        isRegOrUnReg: bool
        isFirstPush: bool
        def __init__(self, securityList: _Optional[_Iterable[_Union[Security, _Mapping]]] = ..., subTypeList: _Optional[_Iterable[int]] = ..., isRegOrUnReg: _Optional[bool] = ..., isFirstPush: _Optional[bool] = ...) -> None: ...
    class Request(_message.Message):
        __slots__ = ("c2s",)
        C2S_FIELD_NUMBER: _ClassVar[int]
        c2s: Qot_RegQotPush.C2S
        def __init__(self, c2s: _Optional[_Union[Qot_RegQotPush.C2S, _Mapping]] = ...) -> None: ...
    class S2C(_message.Message):
        __slots__ = ()
        def __init__(self) -> None: ...
    class Response(_message.Message):
        __slots__ = ("retType", "retMsg", "errCode", "s2c")
        RETTYPE_FIELD_NUMBER: _ClassVar[int]
        RETMSG_FIELD_NUMBER: _ClassVar[int]
        ERRCODE_FIELD_NUMBER: _ClassVar[int]
        S2C_FIELD_NUMBER: _ClassVar[int]
        retType: int
        retMsg: str
        errCode: int
        s2c: Qot_RegQotPush.S2C
        def __init__(self, retType: _Optional[int] = ..., retMsg: _Optional[str] = ..., errCode: _Optional[int] = ..., s2c: _Optional[_Union[Qot_RegQotPush.S2C, _Mapping]] = ...) -> None: ...
    def __init__(self) -> None: ...

class SubInfo(_message.Message):
    __slots__ = ("subType", "securityList")
    SUBTYPE_FIELD_NUMBER: _ClassVar[int]
    SECURITYLIST_FIELD_NUMBER: _ClassVar[int]
    subType: int
    securityList: _containers.RepeatedCompositeFieldContainer[Security]
    def __init__(self, subType: _Optional[int] = ..., securityList: _Optional[_Iterable[_Union[Security, _Mapping]]] = ...) -> None: ...

class ConnSubInfo(_message.Message):
    __slots__ = ("subInfoList", "usedQuota", "isOwnConnData")
    SUBINFOLIST_FIELD_NUMBER: _ClassVar[int]
    USEDQUOTA_FIELD_NUMBER: _ClassVar[int]
    ISOWNCONNDATA_FIELD_NUMBER: _ClassVar[int]
    subInfoList: _containers.RepeatedCompositeFieldContainer[SubInfo]
    usedQuota: int
    isOwnConnData: bool
    def __init__(self, subInfoList: _Optional[_Iterable[_Union[SubInfo, _Mapping]]] = ..., usedQuota: _Optional[int] = ..., isOwnConnData: _Optional[bool] = ...) -> None: ...

class Qot_GetSubInfo(_message.Message):
    __slots__ = ()
    class C2S(_message.Message):
        __slots__ = ("isReqAllConn",)
        ISREQALLCONN_FIELD_NUMBER: _ClassVar[int]
        isReqAllConn: bool
        def __init__(self, isReqAllConn: _Optional[bool] = ...) -> None: ...
    class S2C(_message.Message):
        __slots__ = ("connSubInfoList", "totalUsedQuota", "remainQuota")
        CONNSUBINFOLIST_FIELD_NUMBER: _ClassVar[int]
        TOTALUSEDQUOTA_FIELD_NUMBER: _ClassVar[int]
        REMAINQUOTA_FIELD_NUMBER: _ClassVar[int]
        connSubInfoList: _containers.RepeatedCompositeFieldContainer[ConnSubInfo]
        totalUsedQuota: int
        remainQuota: int
        def __init__(self, connSubInfoList: _Optional[_Iterable[_Union[ConnSubInfo, _Mapping]]] = ..., totalUsedQuota: _Optional[int] = ..., remainQuota: _Optional[int] = ...) -> None: ...
    class Request(_message.Message):
        __slots__ = ("c2s",)
        C2S_FIELD_NUMBER: _ClassVar[int]
        c2s: Qot_GetSubInfo.C2S
        def __init__(self, c2s: _Optional[_Union[Qot_GetSubInfo.C2S, _Mapping]] = ...) -> None: ...
    class Response(_message.Message):
        __slots__ = ("retType", "retMsg", "errCode", "s2c")
        RETTYPE_FIELD_NUMBER: _ClassVar[int]
        RETMSG_FIELD_NUMBER: _ClassVar[int]
        ERRCODE_FIELD_NUMBER: _ClassVar[int]
        S2C_FIELD_NUMBER: _ClassVar[int]
        retType: int
        retMsg: str
        errCode: int
        s2c: Qot_GetSubInfo.S2C
        def __init__(self, retType: _Optional[int] = ..., retMsg: _Optional[str] = ..., errCode: _Optional[int] = ..., s2c: _Optional[_Union[Qot_GetSubInfo.S2C, _Mapping]] = ...) -> None: ...
    def __init__(self) -> None: ...

class BasicQot(_message.Message):
    __slots__ = ("security", "isSuspended", "listTime", "priceSpread", "updateTime", "highPrice", "openPrice", "lowPrice", "curPrice", "lastClosePrice", "volume", "turnover", "turnoverRate", "amplitude", "updateTimestamp", "name")
    SECURITY_FIELD_NUMBER: _ClassVar[int]
    ISSUSPENDED_FIELD_NUMBER: _ClassVar[int]
    LISTTIME_FIELD_NUMBER: _ClassVar[int]
    PRICESPREAD_FIELD_NUMBER: _ClassVar[int]
    UPDATETIME_FIELD_NUMBER: _ClassVar[int]
    HIGHPRICE_FIELD_NUMBER: _ClassVar[int]
    OPENPRICE_FIELD_NUMBER: _ClassVar[int]
    LOWPRICE_FIELD_NUMBER: _ClassVar[int]
    CURPRICE_FIELD_NUMBER: _ClassVar[int]
    LASTCLOSEPRICE_FIELD_NUMBER: _ClassVar[int]
    VOLUME_FIELD_NUMBER: _ClassVar[int]
    TURNOVER_FIELD_NUMBER: _ClassVar[int]
    TURNOVERRATE_FIELD_NUMBER: _ClassVar[int]
    AMPLITUDE_FIELD_NUMBER: _ClassVar[int]
    UPDATETIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    security: Security
    isSuspended: bool
    listTime: str
    priceSpread: float
    updateTime: str
    highPrice: float
    openPrice: float
    lowPrice: float
    curPrice: float
    lastClosePrice: float
    volume: int
    turnover: float
    turnoverRate: float
    amplitude: float
    updateTimestamp: float
    name: str
    def __init__(self, security: _Optional[_Union[Security, _Mapping]] = ..., isSuspended: _Optional[bool] = ..., listTime: _Optional[str] = ..., priceSpread: _Optional[float] = ..., updateTime: _Optional[str] = ..., highPrice: _Optional[float] = ..., openPrice: _Optional[float] = ..., lowPrice: _Optional[float] = ..., curPrice: _Optional[float] = ..., lastClosePrice: _Optional[float] = ..., volume: _Optional[int] = ..., turnover: _Optional[float] = ..., turnoverRate: _Optional[float] = ..., amplitude: _Optional[float] = ..., updateTimestamp: _Optional[float] = ..., name: _Optional[str] = ...) -> None: ...

class Qot_GetBasicQot(_message.Message):
    __slots__ = ()
    class C2S(_message.Message):
        __slots__ = ("securityList",)
        SECURITYLIST_FIELD_NUMBER: _ClassVar[int]
        securityList: _containers.RepeatedCompositeFieldContainer[Security]
        def __init__(self, securityList: _Optional[_Iterable[_Union[Security, _Mapping]]] = ...) -> None: ...
    class S2C(_message.Message):
        __slots__ = ("basicQotList",)
        BASICQOTLIST_FIELD_NUMBER: _ClassVar[int]
        basicQotList: _containers.RepeatedCompositeFieldContainer[BasicQot]
        def __init__(self, basicQotList: _Optional[_Iterable[_Union[BasicQot, _Mapping]]] = ...) -> None: ...
    class Request(_message.Message):
        __slots__ = ("c2s",)
        C2S_FIELD_NUMBER: _ClassVar[int]
        c2s: Qot_GetBasicQot.C2S
        def __init__(self, c2s: _Optional[_Union[Qot_GetBasicQot.C2S, _Mapping]] = ...) -> None: ...
    class Response(_message.Message):
        __slots__ = ("retType", "retMsg", "errCode", "s2c")
        RETTYPE_FIELD_NUMBER: _ClassVar[int]
        RETMSG_FIELD_NUMBER: _ClassVar[int]
        ERRCODE_FIELD_NUMBER: _ClassVar[int]
        S2C_FIELD_NUMBER: _ClassVar[int]
        retType: int
        retMsg: str
        errCode: int
        s2c: Qot_GetBasicQot.S2C
        def __init__(self, retType: _Optional[int] = ..., retMsg: _Optional[str] = ..., errCode: _Optional[int] = ..., s2c: _Optional[_Union[Qot_GetBasicQot.S2C, _Mapping]] = ...) -> None: ...
    def __init__(self) -> None: ...

class Qot_GetTicker(_message.Message):
    __slots__ = ()
    class C2S(_message.Message):
        __slots__ = ("security", "maxRetNum")
        SECURITY_FIELD_NUMBER: _ClassVar[int]
        MAXRETNUM_FIELD_NUMBER: _ClassVar[int]
        security: Security
        maxRetNum: int
        def __init__(self, security: _Optional[_Union[Security, _Mapping]] = ..., maxRetNum: _Optional[int] = ...) -> None: ...
    class S2C(_message.Message):
        __slots__ = ("security", "tickerList", "name")
        SECURITY_FIELD_NUMBER: _ClassVar[int]
        TICKERLIST_FIELD_NUMBER: _ClassVar[int]
        NAME_FIELD_NUMBER: _ClassVar[int]
        security: Security
        tickerList: _containers.RepeatedCompositeFieldContainer[Ticker]
        name: str
        def __init__(self, security: _Optional[_Union[Security, _Mapping]] = ..., tickerList: _Optional[_Iterable[_Union[Ticker, _Mapping]]] = ..., name: _Optional[str] = ...) -> None: ...
    class Request(_message.Message):
        __slots__ = ("c2s",)
        C2S_FIELD_NUMBER: _ClassVar[int]
        c2s: Qot_GetTicker.C2S
        def __init__(self, c2s: _Optional[_Union[Qot_GetTicker.C2S, _Mapping]] = ...) -> None: ...
    class Response(_message.Message):
        __slots__ = ("retType", "retMsg", "errCode", "s2c")
        RETTYPE_FIELD_NUMBER: _ClassVar[int]
        RETMSG_FIELD_NUMBER: _ClassVar[int]
        ERRCODE_FIELD_NUMBER: _ClassVar[int]
        S2C_FIELD_NUMBER: _ClassVar[int]
        retType: int
        retMsg: str
        errCode: int
        s2c: Qot_GetTicker.S2C
        def __init__(self, retType: _Optional[int] = ..., retMsg: _Optional[str] = ..., errCode: _Optional[int] = ..., s2c: _Optional[_Union[Qot_GetTicker.S2C, _Mapping]] = ...) -> None: ...
    def __init__(self) -> None: ...

class Qot_UpdateTicker(_message.Message):
    __slots__ = ()
    class S2C(_message.Message):
        __slots__ = ("security", "tickerList", "name")
        SECURITY_FIELD_NUMBER: _ClassVar[int]
        TICKERLIST_FIELD_NUMBER: _ClassVar[int]
        NAME_FIELD_NUMBER: _ClassVar[int]
        security: Security
        tickerList: _containers.RepeatedCompositeFieldContainer[Ticker]
        name: str
        def __init__(self, security: _Optional[_Union[Security, _Mapping]] = ..., tickerList: _Optional[_Iterable[_Union[Ticker, _Mapping]]] = ..., name: _Optional[str] = ...) -> None: ...
    class Response(_message.Message):
        __slots__ = ("retType", "retMsg", "errCode", "s2c")
        RETTYPE_FIELD_NUMBER: _ClassVar[int]
        RETMSG_FIELD_NUMBER: _ClassVar[int]
        ERRCODE_FIELD_NUMBER: _ClassVar[int]
        S2C_FIELD_NUMBER: _ClassVar[int]
        retType: int
        retMsg: str
        errCode: int
        s2c: Qot_UpdateTicker.S2C
        def __init__(self, retType: _Optional[int] = ..., retMsg: _Optional[str] = ..., errCode: _Optional[int] = ..., s2c: _Optional[_Union[Qot_UpdateTicker.S2C, _Mapping]] = ...) -> None: ...
    def __init__(self) -> None: ...

class Qot_GetStaticInfo(_message.Message):
    __slots__ = ()
    class C2S(_message.Message):
        __slots__ = ("market", "secType", "securityList")
        MARKET_FIELD_NUMBER: _ClassVar[int]
        SECTYPE_FIELD_NUMBER: _ClassVar[int]
        SECURITYLIST_FIELD_NUMBER: _ClassVar[int]
        market: int
        secType: int
        securityList: _containers.RepeatedCompositeFieldContainer[Security]
        def __init__(self, market: _Optional[int] = ..., secType: _Optional[int] = ..., securityList: _Optional[_Iterable[_Union[Security, _Mapping]]] = ...) -> None: ...
    class S2C(_message.Message):
        __slots__ = ("staticInfoList",)
        STATICINFOLIST_FIELD_NUMBER: _ClassVar[int]
        staticInfoList: _containers.RepeatedCompositeFieldContainer[SecurityStaticInfo]
        def __init__(self, staticInfoList: _Optional[_Iterable[_Union[SecurityStaticInfo, _Mapping]]] = ...) -> None: ...
    class Request(_message.Message):
        __slots__ = ("c2s",)
        C2S_FIELD_NUMBER: _ClassVar[int]
        c2s: Qot_GetStaticInfo.C2S
        def __init__(self, c2s: _Optional[_Union[Qot_GetStaticInfo.C2S, _Mapping]] = ...) -> None: ...
    class Response(_message.Message):
        __slots__ = ("retType", "retMsg", "errCode", "s2c")
        RETTYPE_FIELD_NUMBER: _ClassVar[int]
        RETMSG_FIELD_NUMBER: _ClassVar[int]
        ERRCODE_FIELD_NUMBER: _ClassVar[int]
        S2C_FIELD_NUMBER: _ClassVar[int]
        retType: int
        retMsg: str
        errCode: int
        s2c: Qot_GetStaticInfo.S2C
        def __init__(self, retType: _Optional[int] = ..., retMsg: _Optional[str] = ..., errCode: _Optional[int] = ..., s2c: _Optional[_Union[Qot_GetStaticInfo.S2C, _Mapping]] = ...) -> None: ...
    def __init__(self) -> None: ...

class Qot_GetPlateSecurity(_message.Message):
    __slots__ = ()
    class C2S(_message.Message):
        __slots__ = ("plate", "sortField", "ascend")
        PLATE_FIELD_NUMBER: _ClassVar[int]
        SORTFIELD_FIELD_NUMBER: _ClassVar[int]
        ASCEND_FIELD_NUMBER: _ClassVar[int]
        plate: Security
        sortField: int
        ascend: bool
        def __init__(self, plate: _Optional[_Union[Security, _Mapping]] = ..., sortField: _Optional[int] = ..., ascend: _Optional[bool] = ...) -> None: ...
    class S2C(_message.Message):
        __slots__ = ("staticInfoList",)
        STATICINFOLIST_FIELD_NUMBER: _ClassVar[int]
        staticInfoList: _containers.RepeatedCompositeFieldContainer[SecurityStaticInfo]
        def __init__(self, staticInfoList: _Optional[_Iterable[_Union[SecurityStaticInfo, _Mapping]]] = ...) -> None: ...
    class Request(_message.Message):
        __slots__ = ("c2s",)
        C2S_FIELD_NUMBER: _ClassVar[int]
        c2s: Qot_GetPlateSecurity.C2S
        def __init__(self, c2s: _Optional[_Union[Qot_GetPlateSecurity.C2S, _Mapping]] = ...) -> None: ...
    class Response(_message.Message):
        __slots__ = ("retType", "retMsg", "errCode", "s2c")
        RETTYPE_FIELD_NUMBER: _ClassVar[int]
        RETMSG_FIELD_NUMBER: _ClassVar[int]
        ERRCODE_FIELD_NUMBER: _ClassVar[int]
        S2C_FIELD_NUMBER: _ClassVar[int]
        retType: int
        retMsg: str
        errCode: int
        s2c: Qot_GetPlateSecurity.S2C
        def __init__(self, retType: _Optional[int] = ..., retMsg: _Optional[str] = ..., errCode: _Optional[int] = ..., s2c: _Optional[_Union[Qot_GetPlateSecurity.S2C, _Mapping]] = ...) -> None: ...
    def __init__(self) -> None: ...

class Qot_GetSecuritySnapshot(_message.Message):
    __slots__ = ()
    class C2S(_message.Message):
        __slots__ = ("securityList",)
        SECURITYLIST_FIELD_NUMBER: _ClassVar[int]
        securityList: _containers.RepeatedCompositeFieldContainer[Security]
        def __init__(self, securityList: _Optional[_Iterable[_Union[Security, _Mapping]]] = ...) -> None: ...
    class SnapshotBasicData(_message.Message):
        __slots__ = ("security", "type", "isSuspend", "listTime", "lotSize", "priceSpread", "updateTime", "highPrice", "openPrice", "lowPrice", "lastClosePrice", "curPrice", "volume", "turnover", "turnoverRate", "updateTimestamp", "name")
        SECURITY_FIELD_NUMBER: _ClassVar[int]
        TYPE_FIELD_NUMBER: _ClassVar[int]
        ISSUSPEND_FIELD_NUMBER: _ClassVar[int]
        LISTTIME_FIELD_NUMBER: _ClassVar[int]
        LOTSIZE_FIELD_NUMBER: _ClassVar[int]
        PRICESPREAD_FIELD_NUMBER: _ClassVar[int]
        UPDATETIME_FIELD_NUMBER: _ClassVar[int]
        HIGHPRICE_FIELD_NUMBER: _ClassVar[int]
        OPENPRICE_FIELD_NUMBER: _ClassVar[int]
        LOWPRICE_FIELD_NUMBER: _ClassVar[int]
        LASTCLOSEPRICE_FIELD_NUMBER: _ClassVar[int]
        CURPRICE_FIELD_NUMBER: _ClassVar[int]
        VOLUME_FIELD_NUMBER: _ClassVar[int]
        TURNOVER_FIELD_NUMBER: _ClassVar[int]
        TURNOVERRATE_FIELD_NUMBER: _ClassVar[int]
        UPDATETIMESTAMP_FIELD_NUMBER: _ClassVar[int]
        NAME_FIELD_NUMBER: _ClassVar[int]
        security: Security
        type: int
        isSuspend: bool
        listTime: str
        lotSize: int
        priceSpread: float
        updateTime: str
        highPrice: float
        openPrice: float
        lowPrice: float
        lastClosePrice: float
        curPrice: float
        volume: int
        turnover: float
        turnoverRate: float
        updateTimestamp: float
        name: str
        def __init__(self, security: _Optional[_Union[Security, _Mapping]] = ..., type: _Optional[int] = ..., isSuspend: _Optional[bool] = ..., listTime: _Optional[str] = ..., lotSize: _Optional[int] = ..., priceSpread: _Optional[float] = ..., updateTime: _Optional[str] = ..., highPrice: _Optional[float] = ..., openPrice: _Optional[float] = ..., lowPrice: _Optional[float] = ..., lastClosePrice: _Optional[float] = ..., curPrice: _Optional[float] = ..., volume: _Optional[int] = ..., turnover: _Optional[float] = ..., turnoverRate: _Optional[float] = ..., updateTimestamp: _Optional[float] = ..., name: _Optional[str] = ...) -> None: ...
    class Snapshot(_message.Message):
        __slots__ = ("basic",)
        BASIC_FIELD_NUMBER: _ClassVar[int]
        basic: Qot_GetSecuritySnapshot.SnapshotBasicData
        def __init__(self, basic: _Optional[_Union[Qot_GetSecuritySnapshot.SnapshotBasicData, _Mapping]] = ...) -> None: ...
    class S2C(_message.Message):
        __slots__ = ("snapshotList",)
        SNAPSHOTLIST_FIELD_NUMBER: _ClassVar[int]
        snapshotList: _containers.RepeatedCompositeFieldContainer[Qot_GetSecuritySnapshot.Snapshot]
        def __init__(self, snapshotList: _Optional[_Iterable[_Union[Qot_GetSecuritySnapshot.Snapshot, _Mapping]]] = ...) -> None: ...
    class Request(_message.Message):
        __slots__ = ("c2s",)
        C2S_FIELD_NUMBER: _ClassVar[int]
        c2s: Qot_GetSecuritySnapshot.C2S
        def __init__(self, c2s: _Optional[_Union[Qot_GetSecuritySnapshot.C2S, _Mapping]] = ...) -> None: ...
    class Response(_message.Message):
        __slots__ = ("retType", "retMsg", "errCode", "s2c")
        RETTYPE_FIELD_NUMBER: _ClassVar[int]
        RETMSG_FIELD_NUMBER: _ClassVar[int]
        ERRCODE_FIELD_NUMBER: _ClassVar[int]
        S2C_FIELD_NUMBER: _ClassVar[int]
        retType: int
        retMsg: str
        errCode: int
        s2c: Qot_GetSecuritySnapshot.S2C
        def __init__(self, retType: _Optional[int] = ..., retMsg: _Optional[str] = ..., errCode: _Optional[int] = ..., s2c: _Optional[_Union[Qot_GetSecuritySnapshot.S2C, _Mapping]] = ...) -> None: ...
    def __init__(self) -> None: ...

class Qot_RequestTradeDate(_message.Message):
    __slots__ = ()
    class C2S(_message.Message):
        __slots__ = ("market", "beginTime", "endTime")
        MARKET_FIELD_NUMBER: _ClassVar[int]
        BEGINTIME_FIELD_NUMBER: _ClassVar[int]
        ENDTIME_FIELD_NUMBER: _ClassVar[int]
        market: int
        beginTime: str
        endTime: str
        def __init__(self, market: _Optional[int] = ..., beginTime: _Optional[str] = ..., endTime: _Optional[str] = ...) -> None: ...
    class TradeDate(_message.Message):
        __slots__ = ("time", "timestamp", "tradeDateType")
        TIME_FIELD_NUMBER: _ClassVar[int]
        TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
        TRADEDATETYPE_FIELD_NUMBER: _ClassVar[int]
        time: str
        timestamp: float
        tradeDateType: int
        def __init__(self, time: _Optional[str] = ..., timestamp: _Optional[float] = ..., tradeDateType: _Optional[int] = ...) -> None: ...
    class S2C(_message.Message):
        __slots__ = ("tradeDateList",)
        TRADEDATELIST_FIELD_NUMBER: _ClassVar[int]
        tradeDateList: _containers.RepeatedCompositeFieldContainer[Qot_RequestTradeDate.TradeDate]
        def __init__(self, tradeDateList: _Optional[_Iterable[_Union[Qot_RequestTradeDate.TradeDate, _Mapping]]] = ...) -> None: ...
    class Request(_message.Message):
        __slots__ = ("c2s",)
        C2S_FIELD_NUMBER: _ClassVar[int]
        c2s: Qot_RequestTradeDate.C2S
        def __init__(self, c2s: _Optional[_Union[Qot_RequestTradeDate.C2S, _Mapping]] = ...) -> None: ...
    class Response(_message.Message):
        __slots__ = ("retType", "retMsg", "errCode", "s2c")
        RETTYPE_FIELD_NUMBER: _ClassVar[int]
        RETMSG_FIELD_NUMBER: _ClassVar[int]
        ERRCODE_FIELD_NUMBER: _ClassVar[int]
        S2C_FIELD_NUMBER: _ClassVar[int]
        retType: int
        retMsg: str
        errCode: int
        s2c: Qot_RequestTradeDate.S2C
        def __init__(self, retType: _Optional[int] = ..., retMsg: _Optional[str] = ..., errCode: _Optional[int] = ..., s2c: _Optional[_Union[Qot_RequestTradeDate.S2C, _Mapping]] = ...) -> None: ...
    def __init__(self) -> None: ...

class Qot_GetMarketState(_message.Message):
    __slots__ = ()
    class C2S(_message.Message):
        __slots__ = ("securityList",)
        SECURITYLIST_FIELD_NUMBER: _ClassVar[int]
        securityList: _containers.RepeatedCompositeFieldContainer[Security]
        def __init__(self, securityList: _Optional[_Iterable[_Union[Security, _Mapping]]] = ...) -> None: ...
    class MarketInfo(_message.Message):
        __slots__ = ("security", "name", "marketState")
        SECURITY_FIELD_NUMBER: _ClassVar[int]
        NAME_FIELD_NUMBER: _ClassVar[int]
        MARKETSTATE_FIELD_NUMBER: _ClassVar[int]
        security: Security
        name: str
        marketState: int
        def __init__(self, security: _Optional[_Union[Security, _Mapping]] = ..., name: _Optional[str] = ..., marketState: _Optional[int] = ...) -> None: ...
    class S2C(_message.Message):
        __slots__ = ("marketInfoList",)
        MARKETINFOLIST_FIELD_NUMBER: _ClassVar[int]
        marketInfoList: _containers.RepeatedCompositeFieldContainer[Qot_GetMarketState.MarketInfo]
        def __init__(self, marketInfoList: _Optional[_Iterable[_Union[Qot_GetMarketState.MarketInfo, _Mapping]]] = ...) -> None: ...
    class Request(_message.Message):
        __slots__ = ("c2s",)
        C2S_FIELD_NUMBER: _ClassVar[int]
        c2s: Qot_GetMarketState.C2S
        def __init__(self, c2s: _Optional[_Union[Qot_GetMarketState.C2S, _Mapping]] = ...) -> None: ...
    class Response(_message.Message):
        __slots__ = ("retType", "retMsg", "errCode", "s2c")
        RETTYPE_FIELD_NUMBER: _ClassVar[int]
        RETMSG_FIELD_NUMBER: _ClassVar[int]
        ERRCODE_FIELD_NUMBER: _ClassVar[int]
        S2C_FIELD_NUMBER: _ClassVar[int]
        retType: int
        retMsg: str
        errCode: int
        s2c: Qot_GetMarketState.S2C
        def __init__(self, retType: _Optional[int] = ..., retMsg: _Optional[str] = ..., errCode: _Optional[int] = ..., s2c: _Optional[_Union[Qot_GetMarketState.S2C, _Mapping]] = ...) -> None: ...
    def __init__(self) -> None: ...
