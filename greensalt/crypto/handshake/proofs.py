"""The two X9.31 proofs: that a request is its minion's, that a publish key is its master's."""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

from greensalt.crypto.keypair import PrivateKey, PublicKey
from greensalt.errors import CryptoError

_TOK_MESSAGE: Final = b"salt"


def tok(minion_key: PrivateKey) -> bytes:
    """Return the proof that each request carries (Spec 4.1): a constant, so compute it once."""
    return minion_key.sign_x931(_TOK_MESSAGE)


def check_tok(minion_key: PublicKey, tok: bytes) -> bool:
    """Tell whether a request's ``tok`` was made with this minion's private key.

    It is a constant per key: a caller may remember (key, tok) pairs that passed.
    """
    try:
        return hmac.compare_digest(minion_key.recover_x931(tok), _TOK_MESSAGE)
    except CryptoError:
        return False


def key_hash(key_string: str) -> bytes:
    """Return what is signed for a publish key: the hex digits of its SHA-256, not the digest."""
    return hashlib.sha256(key_string.encode()).hexdigest().encode("ascii")
