"""The symmetric box of every encrypted message: AES-192-CBC, then HMAC-SHA256 (Spec 3.1, 3.2).

``packet = iv (16) || ciphertext || mac (32)`` with the MAC over iv and ciphertext. The first bytes
of the plaintext say which codec packed the rest (Spec 12.4).
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os
from typing import Any, Final

from Crypto.Cipher import AES

from greensalt.errors import BadKey, DecryptError, MalformedMessage, NonceMismatch
from greensalt.serializers import MSGPACK, ONLY_MSGPACK, PREFIX_BYTES, Codec, Codecs
from greensalt.wire.envelope import NONCE_CHARS

AES_KEY_BYTES: Final = 24
MAC_KEY_BYTES: Final = 32
KEY_BYTES: Final = AES_KEY_BYTES + MAC_KEY_BYTES
MAC_BYTES: Final = 32
BLOCK_BYTES: Final = 16
MIN_PACKET_BYTES: Final = BLOCK_BYTES + BLOCK_BYTES + MAC_BYTES

_PADDINGS: Final = tuple(bytes([size]) * size for size in range(BLOCK_BYTES + 1))


def generate_key_string() -> str:
    """Return a new random key: 56 bytes as 76 characters of base64."""
    return base64.b64encode(os.urandom(KEY_BYTES)).decode("ascii")


def check_key_string(key_string: str) -> str:
    """Return a key string unchanged; raises BadKey when it is not 56 bytes of base64."""
    _key_bytes(key_string)
    return key_string


def new_nonce() -> str:
    """Return a nonce for one request: 32 random hex digits."""
    return os.urandom(NONCE_CHARS // 2).hex()


class Crypticle:
    """Encrypts and decrypts under one key string.

    Each direction keeps one CBC object for good, which is four times faster than one a message.
    Encrypting ``random block + plaintext`` on a running chain makes the random block's ciphertext
    a uniform, unpredictable IV of what follows; decrypting ``iv + ciphertext`` on a running chain
    spoils only the first block, which is the IV and thrown away. Peers see ordinary packets. A MAC
    goes on from a copy of one that has seen the key, which is twice as fast.

    Not for several native threads at once: the chain must not be torn. Greenlets of one thread may
    share it.
    """

    __slots__ = ("_decryptor", "_encryptor", "_keyed", "key_string")

    def __init__(self, key_string: str) -> None:
        """Take a key string; raises BadKey when it is not 56 bytes of base64."""
        key = _key_bytes(key_string)
        aes_key = key[:AES_KEY_BYTES]
        self.key_string: Final = key_string
        self._keyed = hmac.new(key[AES_KEY_BYTES:], digestmod="sha256")
        self._encryptor = AES.new(aes_key, AES.MODE_CBC, os.urandom(BLOCK_BYTES))
        self._decryptor = AES.new(aes_key, AES.MODE_CBC, os.urandom(BLOCK_BYTES))

    def __repr__(self) -> str:
        return "<Crypticle>"

    def encrypt(self, plaintext: bytes) -> bytes:
        """Return the packet that holds the plaintext."""
        padding = _PADDINGS[BLOCK_BYTES - len(plaintext) % BLOCK_BYTES]
        sealed = self._encryptor.encrypt(os.urandom(BLOCK_BYTES) + plaintext + padding)
        return sealed + self._mac(sealed)

    def decrypt(self, packet: bytes) -> bytes:
        """Return the plaintext of a packet; raises DecryptError.

        Nothing is decrypted before the MAC is known to be right.
        """
        if len(packet) < MIN_PACKET_BYTES or len(packet) % BLOCK_BYTES:
            raise DecryptError(f"a packet can't have {len(packet)} bytes")
        sealed, mac = packet[:-MAC_BYTES], packet[-MAC_BYTES:]
        if not hmac.compare_digest(self._mac(sealed), mac):
            raise DecryptError("packet is not under this key, or was changed on the way")
        padded = self._decryptor.decrypt(sealed)[BLOCK_BYTES:]
        size = padded[-1]
        if not 0 < size <= BLOCK_BYTES or not padded.endswith(_PADDINGS[size]):
            raise DecryptError("packet has a wrong padding")
        return padded[:-size]

    def _mac(self, sealed: bytes) -> bytes:
        mac = self._keyed.copy()
        mac.update(sealed)
        return mac.digest()

    def dumps(self, obj: object, nonce: str | None = None, codec: Codec = MSGPACK) -> bytes:
        """Return the packet of an object; replies to requests carry the request's nonce."""
        return self.encrypt(codec.prefix + (nonce or "").encode() + codec.dumps(obj))

    def loads(self, packet: bytes, nonce: str | None = None, codecs: Codecs = ONLY_MSGPACK) -> Any:
        """Return the object in a packet; with a nonce, only if the packet carries the same.

        Raises DecryptError, NonceMismatch, or MalformedMessage for a readable packet without an
        object in it, or of a codec that is not among `codecs`.
        """
        return self.open(packet, nonce, codecs)[1]

    def open(
        self, packet: bytes, nonce: str | None = None, codecs: Codecs = ONLY_MSGPACK
    ) -> tuple[Codec, Any]:
        """As `loads`, and which codec the packet is of."""
        plaintext = self.decrypt(packet)
        prefix, start = plaintext[:PREFIX_BYTES], PREFIX_BYTES
        codec = codecs.get(prefix)
        if codec is None:
            raise MalformedMessage(f"packet holds no message of a codec in use: {prefix!r}")
        if nonce is not None:
            start += NONCE_CHARS
            if not hmac.compare_digest(plaintext[PREFIX_BYTES:start], nonce.encode()):
                raise NonceMismatch("the reply belongs to another request")
        return codec, codec.loads(plaintext[start:])


def _key_bytes(key_string: str) -> bytes:
    try:
        key = base64.b64decode(key_string, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadKey("key string is not base64") from error
    if len(key) != KEY_BYTES:
        raise BadKey(f"key string holds {len(key)} bytes, not {KEY_BYTES}")
    return key
