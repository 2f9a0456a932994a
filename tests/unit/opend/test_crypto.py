"""Encryption: all forms round trip, equal the published algorithms, and are understood by the official SDK."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from cryptography.hazmat.primitives.serialization import load_pem_private_key as load_key
from hypothesis import given
from hypothesis import strategies as st

from hk_tick_collector.errors import LocalProtocolError, RemoteProtocolError
from hk_tick_collector.opend.crypto import FtAesEcb, PacketEncAlgo, RsaKey, packet_cipher
from hk_tick_collector.opend.frames import FrameReader, encode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hk_tick_collector.opend.frames import Cipher

KEY, IV = "0123456789abcdef", "fedcba9876543210"
ENCRYPTED = [PacketEncAlgo.FTAES_ECB, PacketEncAlgo.AES_ECB, PacketEncAlgo.AES_CBC]
# Around the edges of a block, and of several.
SIZES = [0, 1, 2, 14, 15, 16, 17, 31, 32, 33, 47, 48, 49, 255, 256, 1000]


def cipher_of(algo: PacketEncAlgo, key: str = KEY, iv: str = IV) -> Cipher:
    """The cipher of an algorithm that has one."""
    cipher = packet_cipher(algo, key, iv)
    assert cipher is not None
    return cipher


def test_no_encryption_has_no_cipher() -> None:
    """With NONE, key and iv are not even looked at: OpenD sends some all the same."""
    assert packet_cipher(PacketEncAlgo.NONE, "short", None) is None


@pytest.mark.parametrize("algo", ENCRYPTED)
@given(
    plain=st.one_of(st.binary(max_size=70), st.sampled_from(SIZES).flatmap(lambda n: st.binary(min_size=n, max_size=n)))
)
def test_what_is_encrypted_is_decrypted(algo: PacketEncAlgo, plain: bytes) -> None:
    """Every size round trips, to whole blocks that are not the plaintext, and again with the same cipher."""
    cipher = cipher_of(algo)
    wire = cipher.encrypt(plain)
    assert len(wire) % 16 == 0
    assert len(plain) < 16 or wire[:16] != plain[:16]
    assert cipher.decrypt(wire) == plain
    assert cipher.encrypt(plain) == wire


@pytest.mark.parametrize("algo", ENCRYPTED)
def test_zeros_are_content_not_padding(algo: PacketEncAlgo) -> None:
    """A body that ends with zeros keeps them, though FTAES pads with zeros."""
    cipher = cipher_of(algo)
    kept = [cipher.decrypt(cipher.encrypt(bytes(size))) for size in SIZES]
    assert kept == [bytes(size) for size in SIZES]


# Made with pycryptodome 4.4: AES.new(KEY, mode[, iv=IV]).encrypt(…), zeros or Crypto.Util.Padding.pad in front of it.
@pytest.mark.parametrize(
    ("algo", "plain", "wire"),
    [
        (PacketEncAlgo.FTAES_ECB, b"HK.00700 372.4", "bf89678ce2122a8e39cda04ab7ee59ff" + "00" * 15 + "0e"),
        (PacketEncAlgo.FTAES_ECB, b"HK.00700 372.400", "a4e09c2c9f9965486fa7c1b0fea4dcc4" + "00" * 16),
        (PacketEncAlgo.AES_ECB, b"HK.00700 372.4", "e9c1dce04d71776943cadb27b9bd3bcc"),
        (
            PacketEncAlgo.AES_ECB,
            b"HK.00700 372.400",
            "a4e09c2c9f9965486fa7c1b0fea4dcc4377222e061a924c591cd9c27ea163ed4",
        ),
        (PacketEncAlgo.AES_CBC, b"HK.00700 372.4", "630f259211d0b42eab1ab334976e3258"),
        (
            PacketEncAlgo.AES_CBC,
            b"HK.00700 372.400",
            "1adeab5cb27490e3185ffc86a178312715e9f1445892ae8456883900fb78ffa3",
        ),
    ],
)
def test_known_answers(algo: PacketEncAlgo, plain: bytes, wire: str) -> None:
    """Key, iv, block mode, padding and tail are what another implementation makes, bit for bit."""
    cipher = cipher_of(algo)
    assert cipher.encrypt(plain).hex() == wire
    assert cipher.decrypt(bytes.fromhex(wire)) == plain


@pytest.mark.parametrize(
    ("algo", "key", "iv", "text"),
    [
        (PacketEncAlgo.FTAES_ECB, "", None, "connAESKey has 0 bytes, expected 16"),
        (PacketEncAlgo.AES_ECB, "0123456789abcde", None, "connAESKey has 15 bytes, expected 16"),
        (PacketEncAlgo.AES_CBC, KEY + KEY, IV, "connAESKey has 32 bytes, expected 16"),
        (PacketEncAlgo.AES_CBC, KEY, None, "aesCBCiv has 0 bytes, expected 16"),
        (PacketEncAlgo.AES_CBC, KEY, "", "aesCBCiv has 0 bytes, expected 16"),
        (PacketEncAlgo.AES_CBC, KEY, IV + "0", "aesCBCiv has 17 bytes, expected 16"),
    ],
)
def test_a_key_or_iv_of_another_length_is_refused(algo: PacketEncAlgo, key: str, iv: str | None, text: str) -> None:
    """OpenD gave them: the message says what came."""
    with pytest.raises(RemoteProtocolError, match=f"^{text}$"):
        packet_cipher(algo, key, iv)


@pytest.mark.parametrize(
    ("algo", "size", "text"),
    [
        (PacketEncAlgo.FTAES_ECB, 0, "FTAES_ECB body of 0 bytes, expected a multiple of 16 with a tail"),
        (PacketEncAlgo.FTAES_ECB, 15, "FTAES_ECB body of 15 bytes, expected a multiple of 16 with a tail"),
        (PacketEncAlgo.FTAES_ECB, 33, "FTAES_ECB body of 33 bytes, expected a multiple of 16 with a tail"),
        (PacketEncAlgo.AES_ECB, 0, "AES_ECB body of 0 bytes, expected a multiple of 16"),
        (PacketEncAlgo.AES_ECB, 17, "AES_ECB body of 17 bytes, expected a multiple of 16"),
        (PacketEncAlgo.AES_CBC, 0, "AES_CBC body of 0 bytes, expected a multiple of 16"),
        (PacketEncAlgo.AES_CBC, 31, "AES_CBC body of 31 bytes, expected a multiple of 16"),
    ],
)
def test_a_body_of_no_whole_blocks_is_refused(algo: PacketEncAlgo, size: int, text: str) -> None:
    """No cipher text has such a length."""
    with pytest.raises(RemoteProtocolError, match=f"^{text}$"):
        cipher_of(algo).decrypt(bytes(size))


@pytest.mark.parametrize("algo", [PacketEncAlgo.AES_ECB, PacketEncAlgo.AES_CBC])
def test_bad_padding_is_refused(algo: PacketEncAlgo) -> None:
    """The zero block, decrypted with this key, does not end with a padding; the message names the algorithm."""
    with pytest.raises(RemoteProtocolError, match=f"^{algo.name} body of 32 bytes has no valid padding$"):
        cipher_of(algo).decrypt(bytes(32))


@pytest.mark.parametrize("algo", ENCRYPTED)
def test_a_wrong_key_gives_an_error_or_other_bytes_and_never_a_frame(algo: PacketEncAlgo) -> None:
    """What a wrong key lets through, the frame's hash does not."""
    right, wrong = cipher_of(algo), cipher_of(algo, KEY[::-1])
    for size in SIZES[1:]:
        run = FrameReader(wrong).feed(encode(1004, 1, bytes(size), right))
        assert run.error is not None
        assert run.raw == b""


def test_a_wrong_iv_never_gives_a_frame() -> None:
    """Only the first block is spoilt by it, and the padding stays right: the hash tells."""
    wire = encode(1004, 1, bytes(100), cipher_of(PacketEncAlgo.AES_CBC))
    run = FrameReader(cipher_of(PacketEncAlgo.AES_CBC, iv=IV[::-1])).feed(wire)
    assert str(run.error) == "frame of protoID 1004, serialNo 1, 112 bytes: SHA-1 does not match"


def test_ftaes_tails() -> None:
    """0 to 15 say how much of the last block counts, 0 all of it; anything else is no tail."""
    cipher = FtAesEcb(KEY.encode())
    plain = bytes(range(32))
    blocks = cipher.encrypt(plain)[:-1]
    assert cipher.decrypt(blocks + b"\0") == plain
    for tail in range(1, 16):
        assert cipher.decrypt(blocks + bytes((tail,))) == plain[: 16 + tail]
    for tail in range(16, 256):
        refused = f"^FTAES_ECB tail says {tail} bytes in the last block, expected 0 to 15$"
        with pytest.raises(RemoteProtocolError, match=refused):
            cipher.decrypt(blocks + bytes((tail,)))


def test_an_ftaes_tail_of_a_block_that_is_not_there_is_refused() -> None:
    """A tail alone is an empty body; one that speaks of a last block lies."""
    cipher = FtAesEcb(KEY.encode())
    assert cipher.encrypt(b"") == bytes(16)
    assert cipher.decrypt(bytes(16)) == b""
    with pytest.raises(RemoteProtocolError, match=r"^FTAES_ECB tail says 1 bytes in the last block"):
        cipher.decrypt(bytes(15) + b"\x01")


@pytest.mark.parametrize("size", [1, 99, 100, 101, 128, 200, 201, 300, 1000])
@pytest.mark.parametrize("bits", [1024, 2048])
def test_rsa_round_trips_in_chunks(bits: int, size: int, make_rsa_pem: Callable[[int], bytes]) -> None:
    """100 bytes a chunk with a key of 1024 bits, 200 with one of 2048; each chunk becomes as long as the key."""
    key = RsaKey(make_rsa_pem(bits))
    plain = bytes(place % 251 for place in range(size))
    wire = key.encrypt(plain)
    chunk, key_size = (100, 128) if bits == 1024 else (200, 256)
    assert len(wire) == -(-size // chunk) * key_size
    assert key.decrypt(wire) == plain


def test_rsa_never_gives_the_same_bytes_twice(rsa_pem: bytes) -> None:
    """PKCS#1 v1.5 pads with chance."""
    key = RsaKey(rsa_pem)
    assert key.encrypt(b"init") != key.encrypt(b"init")


@pytest.mark.parametrize("size", [0, 1, 127, 129])
def test_an_rsa_body_of_another_length_is_refused(size: int, rsa_pem: bytes) -> None:
    """A body in plaintext, from an OpenD without the key, is found so."""
    with pytest.raises(RemoteProtocolError, match=f"^RSA body of {size} bytes, expected a multiple of 128$"):
        RsaKey(rsa_pem).decrypt(bytes(size))


def test_an_rsa_body_larger_than_the_modulus_is_refused(rsa_pem: bytes) -> None:
    """No encryption with this key gives such a number."""
    with pytest.raises(RemoteProtocolError, match=r"^InitConnect was not encrypted with our RSA key$"):
        RsaKey(rsa_pem).decrypt(b"\xff" * 128)


def test_a_wrong_rsa_key_gives_an_error_or_other_bytes_and_never_a_frame(
    rsa_pem: bytes, make_rsa_pem: Callable[[int], bytes]
) -> None:
    """OpenSSL answers wrong padding with bytes of chance, so that nobody can learn from it: the hash tells."""
    key, other = RsaKey(rsa_pem), RsaKey(make_rsa_pem(1024))
    for serial_no in range(20):
        run = FrameReader(other).feed(encode(1001, serial_no, b"init" * 30, key))
        assert isinstance(run.error, RemoteProtocolError)
        assert run.raw == b""


def test_only_the_keys_that_opend_reads_are_taken(rsa_pem: bytes, make_rsa_pem: Callable[[int], bytes]) -> None:
    """No PEM, a key with a password, of another algorithm or size: each is told as what it is, never with its bytes."""
    key = load_key(rsa_pem, None)
    locked = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, BestAvailableEncryption(b"secret"))
    curve = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()
    )
    no_pem = "^not an unencrypted PEM private key, expected PKCS#1 as OpenD reads it$"
    for pem in (b"", b"0123456789abcdef", rsa_pem[:200], locked):
        with pytest.raises(LocalProtocolError, match=no_pem):
            RsaKey(pem)
    with pytest.raises(LocalProtocolError, match=r"^a .*Elliptic.*Key, expected an RSA private key$|^a EC"):
        RsaKey(curve)
    with pytest.raises(LocalProtocolError, match=r"^an RSA key of 3072 bits, expected 1024 \(or 2048\)$"):
        RsaKey(make_rsa_pem(3072))


class Witness:
    """The SDK's own encryption, and pycryptodome's, on which it stands."""

    def __init__(self) -> None:
        """Needs the SDK: without it the tests that ask for it are not run."""
        pytest.importorskip("futu")
        pytest.importorskip("support.witness")
        from Crypto.Cipher import AES  # noqa: PLC0415 - comes with the SDK
        from Crypto.PublicKey import RSA  # noqa: PLC0415
        from Crypto.Util import Padding  # noqa: PLC0415
        from futu.common import conn_mng, sys_config  # noqa: PLC0415

        self.aes, self.padding, self.import_key = AES, Padding, RSA.import_key
        self.connections: Any = conn_mng.FutuConnMng
        self.config: Any = sys_config.SysConfig
        self.rsa: Any = sys_config.RsaCrypt

    def convert(self, iv: str | None, *, encrypt: bool, data: bytes) -> bytes:
        """Encrypt or decrypt as the SDK does on a connection with this iv (None: FTAES)."""
        self.connections.add_conn({"conn_id": 7, "conn_key": KEY, "conn_iv": iv})
        call = self.connections.encrypt_conn_data if encrypt else self.connections.decrypt_conn_data
        code, text, done = call(7, data)
        assert code == 0, text
        assert isinstance(done, bytes)
        return done


@pytest.fixture
def witness() -> Iterator[Witness]:
    """The SDK, and its globals as they were."""
    found = Witness()
    yield found
    found.connections.remove_conn(7)
    found.config.RSA_OBJ, found.rsa.CHIPPER = None, None


@pytest.mark.witness
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("algo", "iv"), [(PacketEncAlgo.FTAES_ECB, None), (PacketEncAlgo.AES_CBC, IV)])
def test_the_sdk_and_we_read_each_other(algo: PacketEncAlgo, iv: str | None, size: int, witness: Witness) -> None:
    """Our bytes equal the SDK's for every size, and each side decrypts what the other has encrypted."""
    plain = bytes(place % 251 for place in range(size))
    cipher = cipher_of(algo)
    theirs = witness.convert(iv, encrypt=True, data=plain)
    assert cipher.encrypt(plain) == theirs
    assert cipher.decrypt(theirs) == plain
    assert witness.convert(iv, encrypt=False, data=cipher.encrypt(plain)) == plain


@pytest.mark.witness
@pytest.mark.parametrize("size", SIZES)
def test_aes_ecb_is_pycryptodomes(size: int, witness: Witness) -> None:
    """The SDK does not speak AES_ECB; the library that it stands on is the witness, in both directions."""
    plain = bytes(place % 251 for place in range(size))
    cipher = cipher_of(PacketEncAlgo.AES_ECB)
    theirs = witness.aes.new(KEY.encode(), witness.aes.MODE_ECB)
    assert cipher.encrypt(plain) == theirs.encrypt(witness.padding.pad(plain, 16))
    assert witness.padding.unpad(theirs.decrypt(cipher.encrypt(plain)), 16) == plain


@pytest.mark.witness
@pytest.mark.parametrize("size", [1, 99, 100, 101, 250])
def test_the_sdks_rsa_and_ours_read_each_other(size: int, rsa_pem: bytes, witness: Witness) -> None:
    """Chunks of 100 and 128 bytes in both directions, with the key that an operator would give to both."""
    witness.config.RSA_OBJ = witness.import_key(rsa_pem)  # it never closes the file that it reads a key from
    plain = bytes(place % 251 for place in range(size))
    key = RsaKey(rsa_pem)
    assert witness.rsa.decrypt(key.encrypt(plain)) == plain
    assert key.decrypt(witness.rsa.encrypt(plain)) == plain
