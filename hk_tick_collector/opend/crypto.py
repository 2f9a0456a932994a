"""OpenD's encryption: RSA for InitConnect, then one of three AES forms for every body.

Owns the paddings, which differ by algorithm and are not all standard. Never holds state between packets: OpenD starts
each CBC packet from the same iv.

Imported only where there is a key: the library takes 8 MB, which the usual session on one host does not need.

Sources: the published protocol, and the official SDK's behaviour, against which the tests check this module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.asymmetric import padding as rsa_padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher as _Cipher
from cryptography.hazmat.primitives.ciphers import algorithms, modes
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from hk_tick_collector.errors import LocalProtocolError, RemoteProtocolError
from hk_tick_collector.opend.numbers import PacketEncAlgo

if TYPE_CHECKING:
    from hk_tick_collector.opend.frames import Cipher

BLOCK = 16
KEY_SIZE = 16


class FtAesEcb:
    """Zero padding, then a plaintext 16-byte tail whose last byte is the length of the last block (0 = whole)."""

    def __init__(self, key: bytes) -> None:
        self._cipher = _Cipher(algorithms.AES(key), modes.ECB())  # noqa: S305 - the protocol's choice

    def encrypt(self, plain: bytes) -> bytes:
        """Encrypt one body."""
        rest = len(plain) % BLOCK
        padded = plain + bytes(BLOCK - rest) if rest else plain
        encryptor = self._cipher.encryptor()
        return encryptor.update(padded) + encryptor.finalize() + bytes(BLOCK - 1) + bytes((rest,))

    def decrypt(self, wire: bytes) -> bytes:
        """Decrypt one body."""
        if len(wire) < BLOCK or len(wire) % BLOCK:
            raise RemoteProtocolError(
                f"FTAES_ECB body of {len(wire)} bytes, expected a multiple of {BLOCK} with a tail"
            )
        rest = wire[-1]
        if rest >= BLOCK or (rest and len(wire) == BLOCK):
            raise RemoteProtocolError(f"FTAES_ECB tail says {rest} bytes in the last block, expected 0 to 15")
        decryptor = self._cipher.decryptor()
        plain = decryptor.update(wire[:-BLOCK]) + decryptor.finalize()
        return plain[: len(plain) - BLOCK + rest] if rest else plain


class _Pkcs7:
    """The two standard forms: PKCS#7 padding around a block mode."""

    def __init__(self, key: bytes, mode: modes.ECB | modes.CBC, name: str) -> None:
        self._cipher = _Cipher(algorithms.AES(key), mode)
        self._name = name

    def encrypt(self, plain: bytes) -> bytes:
        """Encrypt one body."""
        padder = padding.PKCS7(BLOCK * 8).padder()
        encryptor = self._cipher.encryptor()
        return encryptor.update(padder.update(plain) + padder.finalize()) + encryptor.finalize()

    def decrypt(self, wire: bytes) -> bytes:
        """Decrypt one body."""
        if not wire or len(wire) % BLOCK:
            raise RemoteProtocolError(f"{self._name} body of {len(wire)} bytes, expected a multiple of {BLOCK}")
        decryptor = self._cipher.decryptor()
        padded = decryptor.update(wire) + decryptor.finalize()
        unpadder = padding.PKCS7(BLOCK * 8).unpadder()
        try:
            return unpadder.update(padded) + unpadder.finalize()
        except ValueError as exc:
            raise RemoteProtocolError(f"{self._name} body of {len(wire)} bytes has no valid padding") from exc


def packet_cipher(algo: PacketEncAlgo, key: str, iv: str | None) -> Cipher | None:
    """The cipher for a connection's bodies after InitConnect; None: nothing is encrypted.

    Args:
        algo: what InitConnect asked for.
        key: `connAESKey` from the reply, 16 characters.
        iv: `aesCBCiv` from the reply, 16 characters, only for AES_CBC.

    Raises:
        RemoteProtocolError: the key or the iv is not what the algorithm needs.
    """
    if algo is PacketEncAlgo.NONE:
        return None
    raw_key = key.encode()
    if len(raw_key) != KEY_SIZE:
        raise RemoteProtocolError(f"connAESKey has {len(raw_key)} bytes, expected {KEY_SIZE}")
    if algo is PacketEncAlgo.FTAES_ECB:
        return FtAesEcb(raw_key)
    if algo is PacketEncAlgo.AES_ECB:
        return _Pkcs7(raw_key, modes.ECB(), "AES_ECB")  # noqa: S305 - the protocol's choice
    raw_iv = (iv or "").encode()
    if len(raw_iv) != BLOCK:
        raise RemoteProtocolError(f"aesCBCiv has {len(raw_iv)} bytes, expected {BLOCK}")
    return _Pkcs7(raw_key, modes.CBC(raw_iv), "AES_CBC")


# PKCS1v1.5 leaves key size - 11 bytes per chunk; OpenD splits at these round numbers, and uses only these key sizes.
_PLAIN_CHUNK = {128: 100, 256: 200}


class RsaKey:
    """The private key that both sides hold; it encrypts and decrypts the InitConnect bodies."""

    def __init__(self, pem: bytes) -> None:
        """Read a PEM (PKCS#1). LocalProtocolError if it is not an RSA key of a size that OpenD uses."""
        try:
            key = load_pem_private_key(pem, password=None)
        except (ValueError, TypeError) as exc:
            raise LocalProtocolError("not an unencrypted PEM private key, expected PKCS#1 as OpenD reads it") from exc
        if not isinstance(key, RSAPrivateKey):
            raise LocalProtocolError(f"a {type(key).__name__}, expected an RSA private key")
        self._size = key.key_size // 8
        if self._size not in _PLAIN_CHUNK:
            raise LocalProtocolError(f"an RSA key of {key.key_size} bits, expected 1024 (or 2048)")
        self._key = key
        self._public = key.public_key()

    def encrypt(self, plain: bytes) -> bytes:
        """Encrypt in chunks; each encrypted chunk is as long as the key."""
        step = _PLAIN_CHUNK[self._size]
        return b"".join(
            self._public.encrypt(plain[i : i + step], rsa_padding.PKCS1v15()) for i in range(0, len(plain), step)
        )

    def decrypt(self, wire: bytes) -> bytes:
        """The plaintext; RemoteProtocolError if it was not made with this key."""
        if not wire or len(wire) % self._size:
            raise RemoteProtocolError(f"RSA body of {len(wire)} bytes, expected a multiple of {self._size}")
        try:
            return b"".join(
                self._key.decrypt(wire[i : i + self._size], rsa_padding.PKCS1v15())
                for i in range(0, len(wire), self._size)
            )
        except ValueError as exc:
            raise RemoteProtocolError("InitConnect was not encrypted with our RSA key") from exc
