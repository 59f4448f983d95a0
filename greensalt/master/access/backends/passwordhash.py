"""Hashes of passwords as htpasswd files hold them.

{SHA} and $apr1$ are Apache's own; all others ($2y$, $5$, $6$, $1$, ...) are the business of the
system's libcrypt. Plain passwords are not taken.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import hashlib
import hmac
from base64 import b64encode
from typing import Final

APR1: Final = "$apr1$"
ROUNDS: Final = 1000
ALPHABET: Final = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
# The order in which the bytes of the digest are written.
TRIPLES: Final = ((0, 6, 12), (1, 7, 13), (2, 8, 14), (3, 9, 15), (4, 10, 5))
CRYPT_DATA_BYTES: Final = 256 << 10  # glibc's own needs 128 KiB, libxcrypt 32


def matches_hash(password: str, known: str) -> bool:
    """Whether `known` is a hash of the password."""
    if known.startswith("{SHA}"):
        digest = hashlib.sha1(password.encode()).digest()  # the format is SHA-1
        presented = "{SHA}" + b64encode(digest).decode()
    elif known.startswith(APR1):
        presented = apr1(password, known.removeprefix(APR1).partition("$")[0])
    elif known.startswith("$"):
        presented = _crypt(password, known)
    else:
        return False
    return bool(presented) and hmac.compare_digest(presented.encode(), known.encode())


def apr1(password: str, salt: str) -> str:
    """Apache's MD5 hash of a password, with its prefix and salt."""
    key, salted = password.encode(), salt[:8].encode()
    inner = hashlib.md5(key + salted + key).digest()
    text = key + APR1.encode() + salted
    text += (inner * (len(key) // 16 + 1))[: len(key)]
    bits = len(key)
    while bits:
        text += b"\0" if bits & 1 else key[:1]
        bits >>= 1
    digest = hashlib.md5(text).digest()
    for number in range(ROUNDS):
        odd = number & 1
        text = key if odd else digest
        text += salted if number % 3 else b""
        text += key if number % 7 else b""
        digest = hashlib.md5(text + (digest if odd else key)).digest()
    written = "".join(
        _base64(digest[high] << 16 | digest[middle] << 8 | digest[low], 4)
        for high, middle, low in TRIPLES
    )
    return f"{APR1}{salt[:8]}${written}{_base64(digest[11], 2)}"


def _base64(value: int, characters: int) -> str:
    return "".join(ALPHABET[value >> 6 * place & 63] for place in range(characters))


def _crypt(password: str, known: str) -> str:
    """What the system's libcrypt makes of a password; "" when it does not know the hash."""
    if "\0" in password:
        return ""
    library = ctypes.CDLL(ctypes.util.find_library("crypt") or "libcrypt.so.1")
    library.crypt_r.restype = ctypes.c_char_p
    library.crypt_r.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p]
    data = ctypes.create_string_buffer(CRYPT_DATA_BYTES)
    made = library.crypt_r(password.encode(), known.encode(), data)
    text = made.decode("ascii", "replace") if made else ""
    return "" if text.startswith("*") else text
