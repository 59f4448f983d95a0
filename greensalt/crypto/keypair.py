"""RSA keys: PEM text, OAEP, signatures, X9.31 and fingerprints (Spec 2.6, 2.7, 3.4).

Foreign exceptions end here: everything raised is a CryptoError. All operations block; a private
one takes 1-3 ms of CPU with 2048 bits.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable
from functools import lru_cache, partial
from types import ModuleType
from typing import Any, Final, Self

from Crypto.Cipher import PKCS1_OAEP
from Crypto.Hash import SHA1, SHA224
from Crypto.PublicKey import RSA
from Crypto.Signature import pkcs1_15

from greensalt.crypto import x931
from greensalt.errors import BadKey, CryptoError, DecryptError, UnsupportedAlgorithm
from greensalt.wire.ids import hex_digest

DEFAULT_BITS: Final = 2048
MIN_BITS: Final = 1024
MAX_BITS: Final = 8192
"""A peer chooses its key, and the work it makes for us grows with the cube of its length."""

MAX_PEM_CHARS: Final = 16384

KEPT_PUBLIC_KEYS: Final = 1024
"""Of the minions that signed in last; some 3 KB each."""

_MAX_EXPONENT: Final = 2**32

_ENC_HASHES: Final[dict[str, ModuleType]] = {"OAEP-SHA1": SHA1, "OAEP-SHA224": SHA224}
_MASK_HASHES: Final = {"OAEP-SHA1": hashlib.sha1, "OAEP-SHA224": hashlib.sha224}
_SIG_HASHES: Final[dict[str, ModuleType]] = {"PKCS1v15-SHA1": SHA1, "PKCS1v15-SHA224": SHA224}

ENC_ALGOS: Final = frozenset(_ENC_HASHES)
SIG_ALGOS: Final = frozenset(_SIG_HASHES)

_USUAL_HEAD: Final = bytes.fromhex(
    "30820122300d06092a864886f70d01010105000382010f003082010a0282010100"
)
"""The DER of all keys of 2048 bits begins with this, up to the modulus."""

_PUBLIC_HEAD: Final = "-----BEGIN PUBLIC KEY-----"
_PUBLIC_FOOT: Final = "-----END PUBLIC KEY-----"

_IMPORT_ERRORS: Final = (ValueError, IndexError, TypeError)


class PublicKey:
    """The public half of a key pair: encrypts to its owner and verifies what the owner signed."""

    __slots__ = ("_key", "_pem")

    def __init__(self, key: RSA.RsaKey) -> None:
        self._key = key
        self._pem: str | None = None

    @property
    def pem(self) -> str:
        """Cleaned SubjectPublicKeyInfo PEM, always in the same form for the same key."""
        if self._pem is None:  # a third of a millisecond that most keys of minions never need
            self._pem = clean_pem(self._key.export_key("PEM").decode("ascii"))
        return self._pem

    @classmethod
    def from_pem(cls, text: str) -> Self:
        """Read a ``BEGIN PUBLIC KEY`` PEM text; raises BadKey, also for a size out of bounds."""
        body = _public_body(text)
        try:
            key = _read_usual(body) or RSA.import_key(body)
        except _IMPORT_ERRORS as error:
            raise BadKey(f"not an RSA public key: {error}") from error
        if key.has_private():
            raise BadKey("a private key stands where a public key should")
        if not MIN_BITS <= key.size_in_bits() <= MAX_BITS:
            raise BadKey(f"RSA key has {key.size_in_bits()} bits, not {MIN_BITS} to {MAX_BITS}")
        if not 2 < key.e < _MAX_EXPONENT or key.n % 2 == 0:
            raise BadKey("RSA key has an unusable exponent or modulus")
        return cls(key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PublicKey) and self.pem == other.pem

    def __hash__(self) -> int:
        return hash(self.pem)

    def __repr__(self) -> str:
        return f"<PublicKey {self.fingerprint()}>"

    def verify(self, data: bytes, sig: bytes, algo: str) -> bool:
        """Tell whether the owner signed data with a scheme of SIG_ALGOS."""
        hashed = _hash_of(_SIG_HASHES, algo, "signature").new(data)
        try:
            pkcs1_15.new(self._key).verify(hashed, sig)
        except ValueError:
            return False
        return True

    def encrypt(self, data: bytes, algo: str) -> bytes:
        """Encrypt for the owner with a scheme of ENC_ALGOS; CryptoError if data is too long."""
        cipher = _oaep(self._key, algo)
        try:
            return cipher.encrypt(data)
        except ValueError as error:
            raise CryptoError(f"can't encrypt to the RSA key: {error}") from error

    def recover_x931(self, sig: bytes) -> bytes:
        """Return the message the owner "encrypted" with the private key; raises CryptoError."""
        return x931.recover(sig, self._key.n, self._key.e)

    def fingerprint(self, hash_type: str = "sha256") -> str:
        """Return the fingerprint of this key."""
        return fingerprint(self.pem, hash_type)


class PrivateKey:
    """A key pair: decrypts, signs, and knows its public half."""

    __slots__ = ("_key", "public")

    def __init__(self, key: RSA.RsaKey) -> None:
        self._key = key
        self.public: Final = PublicKey(key.public_key())

    @classmethod
    def generate(cls, bits: int = DEFAULT_BITS) -> Self:
        """Make a new key pair; takes up to seconds of CPU."""
        if not MIN_BITS <= bits <= MAX_BITS:
            raise BadKey(f"RSA keys have {MIN_BITS} to {MAX_BITS} bits, not {bits}")
        return cls(RSA.generate(bits))

    @classmethod
    def from_pem(cls, text: str, passphrase: str | None = None) -> Self:
        """Read a private key PEM text; raises BadKey, also for a wrong passphrase."""
        try:
            key = RSA.import_key(text, passphrase=passphrase)
        except _IMPORT_ERRORS as error:
            raise BadKey(f"not an RSA private key, or a wrong passphrase: {error}") from error
        if not key.has_private():
            raise BadKey("a public key stands where a private key should")
        return cls(key)

    def to_pem(self, passphrase: str | None = None) -> str:
        """Return the PKCS#1 PEM text, ending in a newline; encrypted if a passphrase is given."""
        return self._key.export_key("PEM", passphrase=passphrase, pkcs=1).decode("ascii") + "\n"

    def __repr__(self) -> str:
        return f"<PrivateKey {self.public.fingerprint()}>"

    def sign(self, data: bytes, algo: str) -> bytes:
        """Sign data with a scheme of SIG_ALGOS."""
        return pkcs1_15.new(self._key).sign(_hash_of(_SIG_HASHES, algo, "signature").new(data))

    def decrypt(self, data: bytes, algo: str) -> bytes:
        """Decrypt with a scheme of ENC_ALGOS; raises DecryptError, always with the same text."""
        cipher = _oaep(self._key, algo)
        try:
            return cipher.decrypt(data)
        except ValueError:
            # No cause attached: why it failed is what an attacker would like to learn.
            raise DecryptError("RSA decryption failed") from None

    def sign_x931(self, message: bytes) -> bytes:
        """Return the X9.31 signature of a short message, from which it can be recovered.

        Deterministic: the same message gives the same signature, so callers may keep it.
        """
        return x931.sign(message, self._key)


@lru_cache(maxsize=KEPT_PUBLIC_KEYS)
def public_key(text: str) -> PublicKey:
    """`PublicKey.from_pem` that remembers: a sign-in and the request after it need the key thrice.

    Raises BadKey, which is not remembered.
    """
    return PublicKey.from_pem(text)


def clean_pem(text: str) -> str:
    """Return PEM text as it travels and is compared: LF line ends, no blank ends (Spec 2.6)."""
    return text.replace("\r\n", "\n").replace("\r", "\n").strip()


def fingerprint(pem_text: str, hash_type: str = "sha256") -> str:
    """Return the fingerprint of a public key PEM: the hash of its body lines (Spec 2.7).

    Raises BadKey for text without a body and UnsupportedAlgorithm for an unknown hash_type.
    """
    lines = [line for line in clean_pem(pem_text).split("\n") if line.strip()]
    if len(lines) < 3:
        raise BadKey("PEM text has no body")
    digest = hex_digest("".join(f"{line}\n" for line in lines[1:-1]).encode(), hash_type)
    return ":".join(digest[i : i + 2] for i in range(0, len(digest), 2))


def check_enc_algo(algo: str) -> str:
    """Return an encryption algorithm unchanged; raises UnsupportedAlgorithm."""
    _hash_of(_ENC_HASHES, algo, "encryption")
    return algo


def check_sig_algo(algo: str) -> str:
    """Return a signature algorithm unchanged; raises UnsupportedAlgorithm."""
    _hash_of(_SIG_HASHES, algo, "signature")
    return algo


def _hash_of(table: dict[str, ModuleType], algo: str, kind: str) -> Any:
    try:
        return table[algo]
    except (KeyError, TypeError):
        names = ", ".join(sorted(table))
        raise UnsupportedAlgorithm(f"{kind} algorithm {algo!r:.80} is not one of {names}") from None


def _oaep(key: RSA.RsaKey, algo: str) -> PKCS1_OAEP.PKCS1OAEP_Cipher:
    hashes = _hash_of(_ENC_HASHES, algo, "encryption")
    return PKCS1_OAEP.new(key, hashes, mgfunc=partial(_mask, _MASK_HASHES[algo]))


def _mask(new: Callable[[bytes], Any], seed: bytes, length: int) -> bytes:
    """MGF1 (RFC 8017, B.2.1) on the standard library's hashes: a tenth of pycryptodome's time."""
    rounds = range(-(-length // new(b"").digest_size))
    blocks = [new(seed + number.to_bytes(4, "big")).digest() for number in rounds]
    return b"".join(blocks)[:length]


def _read_usual(body: bytes) -> RSA.RsaKey | None:
    """The key in the DER of one of 2048 bits with an exponent of three bytes; None for any other.

    That is what minions have, and `import_key` takes three times as long: it tries other forms
    first. The numbers pass the same checks.
    """
    head = len(_USUAL_HEAD)
    modulus, exponent = body[head : head + 256], body[head + 256 :]
    if not (body.startswith(_USUAL_HEAD) and len(exponent) == 5 and exponent[:2] == b"\x02\x03"):
        return None
    if modulus[0] < 0x80 or not 0 < exponent[2] < 0x80:  # no shortest form: not DER
        return None
    return RSA.construct((int.from_bytes(modulus, "big"), int.from_bytes(exponent[2:], "big")))


def _public_body(text: str) -> bytes:
    """Return the DER bytes of a public key PEM; refuses other PEM kinds before parsing them."""
    if len(text) > MAX_PEM_CHARS:
        raise BadKey(f"PEM text is longer than {MAX_PEM_CHARS} characters")
    cleaned = clean_pem(text)
    if not (cleaned.startswith(_PUBLIC_HEAD) and cleaned.endswith(_PUBLIC_FOOT)):
        raise BadKey("not a PEM public key: BEGIN PUBLIC KEY or its end is missing")
    body = cleaned.removeprefix(_PUBLIC_HEAD).removesuffix(_PUBLIC_FOOT)
    try:
        return base64.b64decode("".join(body.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadKey(f"PEM body is not base64: {error}") from error
