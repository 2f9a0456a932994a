"""One connection's protocol: what may happen in which state, and what comes out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hk_tick_collector.errors import LocalProtocolError, RefusedError, RemoteProtocolError
from hk_tick_collector.opend import frames
from hk_tick_collector.opend import opend_pb2 as pb
from hk_tick_collector.opend.crypto import PacketEncAlgo, RsaKey, packet_cipher
from hk_tick_collector.opend.frames import Frame, FrameReader, encode
from hk_tick_collector.opend.messages import InitReply
from hk_tick_collector.opend.numbers import ProtoId
from hk_tick_collector.opend.protocol import ClientConnection, Received, State
from hk_tick_collector.opend.purpose import Purpose, purpose_of

if TYPE_CHECKING:
    from collections.abc import Callable

KEY, IV = "0123456789abcdef", "fedcba9876543210"
PUSH = int(ProtoId.QOT_UPDATE_TICKER)
OPENED = InitReply(1011, 6, KEY, IV, 10)


def init_answer(rsa: RsaKey | None = None, *, key: str = KEY, ret_type: int = 0) -> bytes:
    """InitConnect's answer on the wire."""
    s2c = pb.InitConnect.S2C(serverVer=1011, loginUserID=5, connID=6, connAESKey=key, aesCBCiv=IV, keepAliveInterval=10)
    body = pb.InitConnect.Response(retType=ret_type, retMsg="too many", s2c=None if ret_type else s2c)
    return encode(ProtoId.INIT_CONNECT, 4, body.SerializeToString(), rsa)


def in_state(state: State) -> ClientConnection:
    """A connection that has come so far."""
    connection = ClientConnection("test")
    if state is State.IDLE:
        return connection
    connection.open()
    if state is State.READY:
        connection.receive(init_answer())
    elif state is State.CLOSED:
        connection.eof()
    elif state is State.FAILED:
        assert connection.receive(b"X").error is not None
    assert connection.state is state
    return connection


ACTIONS: dict[str, Callable[[ClientConnection], object]] = {
    "open": lambda c: c.open(),
    "request": lambda c: c.request(ProtoId.KEEP_ALIVE, b""),
    "answer": lambda c: c.receive(init_answer()),
    "nothing": lambda c: c.receive(b""),
    "garbage": lambda c: c.receive(b"X"),
    "eof": lambda c: c.eof(),
}
# What each action makes of each state; what is not in here is our own fault and changes nothing.
ALLOWED = {
    (State.IDLE, "open"): State.OPENING,
    (State.IDLE, "eof"): State.CLOSED,
    (State.OPENING, "answer"): State.READY,
    (State.OPENING, "nothing"): State.OPENING,
    (State.OPENING, "garbage"): State.FAILED,
    (State.OPENING, "eof"): State.CLOSED,
    (State.READY, "request"): State.READY,
    (State.READY, "answer"): State.READY,  # just another frame, which nobody waits for
    (State.READY, "nothing"): State.READY,
    (State.READY, "garbage"): State.FAILED,
    (State.READY, "eof"): State.CLOSED,
}


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("state", State)
def test_the_state_table(state: State, action: str) -> None:
    """Each action in each state leads where the table says, or is refused, and then nothing has changed."""
    connection = in_state(state)
    after = ALLOWED.get((state, action))
    if after is None:
        with pytest.raises(LocalProtocolError, match=state.name):
            ACTIONS[action](connection)
        after = state
    else:
        ACTIONS[action](connection)
    assert connection.state is after


@pytest.mark.parametrize(
    ("action", "text"),
    [
        ("open", "INIT_SENT on a connection that is CLOSED"),
        ("request", "a request on a connection that is CLOSED, expected READY"),
        ("garbage", "bytes for a connection that is CLOSED"),
        ("eof", "EOF on a connection that is CLOSED"),
    ],
)
def test_what_is_refused_says_what_and_in_which_state(action: str, text: str) -> None:
    """The message is for a programmer: what was tried, and where the connection stands."""
    with pytest.raises(LocalProtocolError, match=f"^{text}$"):
        ACTIONS[action](in_state(State.CLOSED))


def test_the_first_bytes_are_init_connect() -> None:
    """One frame with the first serial number, whose purpose is CONTROL."""
    run = FrameReader().feed(ClientConnection("recorder-1").open())
    (frame,) = run.frames
    assert (frame.proto_id, frame.serial_no) == (ProtoId.INIT_CONNECT, 4)
    assert pb.InitConnect.Request.FromString(frame.body).c2s.clientID == "recorder-1"


def test_serial_numbers_rise_and_carry_the_purpose() -> None:
    """Whatever the order of purposes: each number is higher than the one before, and tells its own purpose."""
    connection = in_state(State.READY)
    last = 4
    for purpose in [*Purpose, *reversed(Purpose), Purpose.POLL, Purpose.POLL]:
        serial_no, data = connection.request(ProtoId.QOT_GET_TICKER, b"body", purpose)
        assert serial_no > last
        assert purpose_of(serial_no) is purpose
        assert data == encode(ProtoId.QOT_GET_TICKER, serial_no, b"body")
        last = serial_no


def test_the_numbers_of_purposes_never_change() -> None:
    """They stand in journals: whoever renumbers them makes old ones lie."""
    assert {purpose.name: purpose.value for purpose in Purpose} == {
        "CONTROL": 0,
        "BACKFILL": 1,
        "POLL": 2,
        "TOTALS": 3,
    }
    assert purpose_of(0xFFFFFFFF) is Purpose.TOTALS


def test_the_answer_opens_and_is_not_for_the_journal() -> None:
    """It holds a key, so it is in `opened` and neither in `raw` nor in `frames`."""
    connection = in_state(State.OPENING)
    assert connection.receive(init_answer()) == Received(b"", 0, [], None, OPENED)


def test_frames_behind_the_answer_in_the_same_chunk_are_read() -> None:
    """A push that comes with the answer is not lost, nor is the beginning of the next one."""
    push, notice = encode(PUSH, 1, b"push"), encode(ProtoId.NOTIFY, 2, b"notice")
    connection = in_state(State.OPENING)
    received = connection.receive(init_answer() + push + notice[:47])
    assert received == Received(push, 1, [], None, OPENED)
    assert connection.receive(notice[47:]) == Received(notice, 0, [Frame(ProtoId.NOTIFY, 2, b"notice")], None)


def test_the_answer_may_come_in_pieces() -> None:
    """Until it is whole nothing comes out, and requests are still refused."""
    answer = init_answer()
    connection = in_state(State.OPENING)
    for place in range(len(answer) - 1):
        assert connection.receive(answer[place : place + 1]) == Received(b"", 0, [], None)
        assert connection.state is State.OPENING
    assert connection.receive(answer[-1:]).opened == OPENED


def test_a_broken_stream_behind_the_answer_is_told_with_what_was_whole() -> None:
    """Opened and broken in the same chunk: both are said."""
    push = encode(PUSH, 1, b"push")
    connection = in_state(State.OPENING)
    received = connection.receive(init_answer() + push + b"garbage")
    assert (received.raw, received.pushes, received.opened) == (push, 1, OPENED)
    assert isinstance(received.error, RemoteProtocolError)
    assert connection.state is State.FAILED


@pytest.mark.parametrize("algo", list(PacketEncAlgo))
def test_bodies_behind_the_answer_are_read_with_the_key_that_it_brings(algo: PacketEncAlgo, rsa_pem: bytes) -> None:
    """RSA up to the answer, then the packet cipher in both directions, also inside one chunk."""
    rsa = RsaKey(rsa_pem)
    connection = ClientConnection("test", rsa=rsa, algo=algo)
    (request,) = FrameReader(rsa).feed(connection.open()).frames
    assert pb.InitConnect.Request.FromString(request.body).c2s.packetEncAlgo == algo
    cipher = packet_cipher(algo, KEY, IV)
    data = init_answer(rsa) + encode(PUSH, 1, b"push", cipher) + encode(ProtoId.NOTIFY, 2, b"notice", cipher)
    received = connection.receive(data)
    assert received.raw == encode(PUSH, 1, b"push") + encode(ProtoId.NOTIFY, 2, b"notice")
    assert (received.pushes, received.error, received.opened) == (1, None, OPENED)
    serial_no, sent = connection.request(ProtoId.KEEP_ALIVE, b"alive")
    assert FrameReader(cipher).feed(sent).frames == [Frame(ProtoId.KEEP_ALIVE, serial_no, b"alive")]
    assert (b"alive" in sent) is (algo is PacketEncAlgo.NONE)


def test_encryption_needs_a_key() -> None:
    """Without RSA the AES key would go over the wire in the clear: our own fault, told at once."""
    with pytest.raises(LocalProtocolError, match=r"^packet encryption AES_CBC needs an RSA key$"):
        ClientConnection("test", algo=PacketEncAlgo.AES_CBC)


def test_an_answer_in_plaintext_to_an_encrypted_request_is_refused(rsa_pem: bytes) -> None:
    """OpenD does not hold the key: the connection fails, it does not go on unencrypted."""
    connection = ClientConnection("test", rsa=RsaKey(rsa_pem), algo=PacketEncAlgo.FTAES_ECB)
    connection.open()
    received = connection.receive(init_answer())
    assert "expected a multiple of 128" in str(received.error)
    assert (received.opened, connection.state) == (None, State.FAILED)


def test_a_key_that_does_not_fit_the_algorithm_fails(rsa_pem: bytes) -> None:
    """The answer was whole, but nothing behind it could be read."""
    rsa = RsaKey(rsa_pem)
    connection = ClientConnection("test", rsa=rsa, algo=PacketEncAlgo.FTAES_ECB)
    connection.open()
    received = connection.receive(init_answer(rsa, key="short"))
    assert str(received.error) == "connAESKey has 5 bytes, expected 16"
    assert (received.opened, connection.state) == (None, State.FAILED)


def test_a_refused_init_is_raised_with_opends_words() -> None:
    """It is an answer and no broken stream: RefusedError, and never READY."""
    connection = in_state(State.OPENING)
    with pytest.raises(RefusedError, match=r"^INIT_CONNECT refused by OpenD: too many \(retType -1\)$"):
        connection.receive(init_answer(ret_type=-1))
    assert connection.state is not State.READY
    with pytest.raises(LocalProtocolError):
        connection.request(ProtoId.KEEP_ALIVE, b"")


def test_another_frame_before_the_answer_is_refused() -> None:
    """Nothing but InitConnect's answer may come first; the message names what came."""
    connection = in_state(State.OPENING)
    received = connection.receive(encode(ProtoId.NOTIFY, 1, b"") + init_answer())
    assert str(received.error) == "a frame of protoID 1003 before InitConnect was answered"
    assert (received.raw, received.opened, connection.state) == (b"", None, State.FAILED)


def test_a_push_before_the_answer_is_refused() -> None:
    """Also a ticker push, which the reader counts and does not cut out."""
    connection = in_state(State.OPENING)
    received = connection.receive(encode(PUSH, 1, b"push"))
    assert str(received.error) == "a frame of protoID 3011 before InitConnect was answered"
    assert connection.state is State.FAILED


@pytest.mark.parametrize("body", [b"\xff\xff", b"\x08", b"\x08\x00\x22\x05"])
def test_an_answer_that_is_no_message_fails(body: bytes) -> None:
    """It came as InitConnect's answer and can't be read: the connection is of no use."""
    connection = in_state(State.OPENING)
    received = connection.receive(encode(ProtoId.INIT_CONNECT, 4, body))
    assert str(received.error) == f"INIT_CONNECT body of {len(body)} bytes is no valid message"
    assert connection.state is State.FAILED


@pytest.mark.parametrize("state", [State.OPENING, State.READY])
def test_an_end_in_the_middle_of_a_frame_says_how_much_of_it_came(state: State) -> None:
    """0 between two frames; else the bytes that were cut off."""
    assert in_state(state).eof() == 0
    connection = in_state(state)
    connection.receive(init_answer()[:50])
    assert connection.eof() == 50


def test_an_error_while_ready_is_told_with_the_frames_in_front() -> None:
    """`Received` has what is whole, and the connection is over."""
    push, reply = encode(PUSH, 1, b"push"), encode(ProtoId.KEEP_ALIVE, 8, b"")
    connection = in_state(State.READY)
    received = connection.receive(push + reply + frames.HEADER.pack(b"F", b"T", 1, 1, 0, 1, 0, bytes(20), bytes(8)))
    assert (received.raw, received.pushes) == (push + reply, 1)
    assert received.frames == [Frame(ProtoId.KEEP_ALIVE, 8, b"")]
    assert str(received.error) == "frame of protoID 1 has format 1, expected 0 (protobuf)"
    assert connection.state is State.FAILED
