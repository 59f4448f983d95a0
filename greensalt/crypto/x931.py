"""RSA signatures with message recovery, ANSI X9.31 padding, as OpenSSL's "private encrypt".

Spec 3.4. With k modulus bytes and a message of at most k - 2:
``6b bb..bb ba message cc``, or ``6a message cc`` when the message just fits. The trailer makes one
of v and n - v recognisable, so the smaller of the two roots is the signature. Salt uses it for two
constants: ``salt`` (the proof in each request) and the hash text of the publish key.
"""

from __future__ import annotations

import secrets
from typing import Final

from Crypto.Math.Numbers import Integer
from Crypto.PublicKey.RSA import RsaKey

from greensalt.errors import CryptoError

_HEADER: Final = 0x6B
_HEADER_FULL: Final = 0x6A
_FILL: Final = 0xBB
_FILL_END: Final = 0xBA
_TRAILER: Final = 0xCC


def sign(message: bytes, key: RsaKey) -> bytes:
    """Return the signature, as many bytes as the modulus; raises CryptoError if it can't be."""
    size = key.size_in_bytes()
    if len(message) > size - 2:
        raise CryptoError(f"message of {len(message)} bytes is too long for X9.31 in {size}")
    padded = int.from_bytes(_pad(message, size), "big")
    root = _private_power(padded, key)
    return min(root, key.n - root).to_bytes(size, "big")


def recover(sig: bytes, n: int, e: int) -> bytes:
    """Return the message inside a signature; raises CryptoError when there is none."""
    size = (n.bit_length() + 7) // 8
    root = int.from_bytes(sig, "big")
    if len(sig) != size or root >= n:
        raise CryptoError("X9.31 signature has the wrong length")
    value = pow(root, e, n)
    if value & 0xF != _TRAILER & 0xF:
        value = n - value
    return _unpad(value.to_bytes(size, "big"))


def _pad(message: bytes, size: int) -> bytes:
    room = size - 3 - len(message)
    if room < 0:
        return bytes([_HEADER_FULL]) + message + bytes([_TRAILER])
    fill = bytes([_FILL]) * room
    return bytes([_HEADER]) + fill + bytes([_FILL_END]) + message + bytes([_TRAILER])


def _unpad(padded: bytes) -> bytes:
    if padded[-1] != _TRAILER:
        raise CryptoError("X9.31 signature has no trailer")
    if padded[0] == _HEADER_FULL:
        return padded[1:-1]
    body = padded[1:-1].lstrip(bytes([_FILL]))
    if padded[0] != _HEADER or not body or body[0] != _FILL_END:
        raise CryptoError("X9.31 signature has no proper padding")
    return body[1:]


def _private_power(value: int, key: RsaKey) -> int:
    """Return value ** d mod n by the Chinese remainder theorem.

    Blinded with a random factor, so that the time it takes says nothing about the key for a chosen
    value; checked with the public exponent, since one faulty half would give away the factors.
    """
    n, e, p, q = key.n, key.e, key.p, key.q
    blind = secrets.randbelow(n - 2) + 2
    blinded = value * pow(blind, e, n) % n
    # pycryptodome's integers release the GIL and mask the exponentiation; Python's do neither.
    half_p = int(pow(Integer(blinded % p), Integer(key.d % (p - 1)), Integer(p)))
    half_q = int(pow(Integer(blinded % q), Integer(key.d % (q - 1)), Integer(q)))
    root = half_q + q * (pow(q, -1, p) * (half_p - half_q) % p)
    result = root * pow(blind, -1, n) % n
    if pow(result, e, n) != value:
        raise CryptoError("RSA private operation went wrong")
    return result
