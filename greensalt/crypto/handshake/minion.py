"""The minion's half of the sign-in: ask, and believe an answer only as far as it is proven.

Spec 2.1-2.5, in the strict form: nothing of a reply is returned, and so nothing of it is written to
a file, before every check has passed.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from greensalt.crypto.crypticle import check_key_string
from greensalt.crypto.handshake.proofs import key_hash
from greensalt.crypto.keypair import PrivateKey, PublicKey, clean_pem, fingerprint, public_key
from greensalt.errors import (
    AlgorithmRefused,
    CryptoError,
    MalformedMessage,
    MasterKeyChanged,
    MasterKeyUnproven,
    SignInFailed,
    UntrustedReply,
)
from greensalt.wire.dialect import unpack
from greensalt.wire.envelope import DEFAULT_ENC_ALGO, DEFAULT_SIG_ALGO, as_bytes, as_text

_BAD_ALGORITHMS: Final = ("bad enc algo", "bad sig algo")
_MAX_PORT: Final = 65535


class MasterTrust(NamedTuple):
    """What this minion already knows of its master.

    ``cached`` is the key of ``minion_master.pub`` (None: first use is trusted), ``signing_key`` the
    one of ``master_sign.pub``; the rest are the options of the same meaning:
    verify_master_pubkey_sign, always_verify_signature, master_finger, hash_type.
    """

    cached: PublicKey | None = None
    signing_key: PublicKey | None = None
    verify_signature: bool = False
    always_verify: bool = False
    finger: str = ""
    hash_type: str = "sha256"


class SignInAttempt(NamedTuple):
    """One sign-in of a minion, as sent: its answer is checked against this.

    ``nonce`` is new for every attempt; ``secret`` is some random bytes (at most 62) that the master
    has to give back when its key is known already; ``serializer`` is the codec it would like,
    unless that is msgpack (Spec 12.4).
    """

    id: str
    key: PrivateKey
    nonce: str
    secret: bytes
    trust: MasterTrust = MasterTrust()
    enc_algo: str = DEFAULT_ENC_ALGO
    sig_algo: str = DEFAULT_SIG_ALGO
    serializer: str | None = None

    def __repr__(self) -> str:
        return f"<SignInAttempt of {self.id}, nonce {self.nonce}>"


class Accepted(NamedTuple):
    """The master accepted the key. ``is_new`` means that master_key has to be stored.

    ``serializer`` is the codec that was asked for, or None: then it is msgpack.
    """

    publish_port: int
    aes: str
    session: str
    master_key: PublicKey
    is_new: bool
    serializer: str | None = None

    def __repr__(self) -> str:
        return f"<Accepted by {self.master_key!r}, publish port {self.publish_port}>"


class Pending(NamedTuple):
    """The key waits for somebody to accept it. Unverified when no master key is known yet."""

    verified: bool


class Rejected(NamedTuple):
    """The key, or the id, is refused. Unverified when no master key is known yet."""

    verified: bool


class Full(NamedTuple):
    """The master takes no more minions. Unverified when no master key is known yet."""

    verified: bool


def sign_in_request(
    attempt: SignInAttempt, autosign_grains: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the load of an ``_auth`` request (Spec 2.1), to be sent as a clear request."""
    load: dict[str, Any] = {
        "cmd": "_auth",
        "id": attempt.id,
        "nonce": attempt.nonce,
        "pub": attempt.key.public.pem,
        "enc_algo": attempt.enc_algo,
        "sig_algo": attempt.sig_algo,
    }
    if attempt.trust.cached is not None:
        load["token"] = attempt.trust.cached.encrypt(attempt.secret, attempt.enc_algo)
    if autosign_grains:
        load["autosign_grains"] = dict(autosign_grains)
    if attempt.serializer is not None:
        load["serializer"] = attempt.serializer
    return load


def verify_reply(body: bytes, attempt: SignInAttempt) -> Accepted | Pending | Rejected | Full:
    """Check the answer to a sign-in and return what it says.

    Raises a leaf of AuthenticationError: SignInFailed (an error text), AlgorithmRefused,
    MasterKeyChanged, MasterKeyUnproven, or UntrustedReply. Some 5 ms of CPU when accepted.
    """
    try:
        signed, sig = _open_envelope(body)
        reply = unpack(signed)
        if not isinstance(reply, dict):
            raise UntrustedReply("sign-in reply holds no dict")
        nonce = as_text(reply.get("nonce"), "nonce of a sign-in reply")
        if not hmac.compare_digest(nonce.encode(), attempt.nonce.encode()):
            raise UntrustedReply("sign-in reply belongs to another attempt")
        if "pub_key" in reply:
            return _accepted(reply, signed, sig, attempt)
        return _state(reply.get("ret"), signed, sig, attempt)
    except (CryptoError, MalformedMessage, UnicodeDecodeError) as error:
        raise UntrustedReply(f"sign-in reply is unusable: {error}") from error


def _open_envelope(body: bytes) -> tuple[bytes, bytes]:
    """Return the signed bytes and their signature."""
    outer = unpack(body)
    if isinstance(outer, (str, bytes)):
        raise SignInFailed(f"the master answered the sign-in with {outer!r:.200}")
    if not isinstance(outer, dict) or "load" not in outer:
        raise SignInFailed(f"the master answered the sign-in with {outer!r:.200}")
    load = outer["load"]
    if isinstance(load, dict):
        if load.get("ret") in _BAD_ALGORITHMS:
            raise AlgorithmRefused(f"the master refuses the sign-in: {load['ret']}")
        raise UntrustedReply("sign-in reply is not signed")
    return as_bytes(load, "load of a sign-in reply"), as_bytes(outer.get("sig"), "sig of a reply")


def _state(
    ret: object, signed: bytes, sig: bytes, attempt: SignInAttempt
) -> Pending | Rejected | Full:
    known = attempt.trust.cached
    if known is not None and not known.verify(signed, sig, attempt.sig_algo):
        raise UntrustedReply("sign-in reply is not signed by the known master")
    verified = known is not None
    if ret is True:
        return Pending(verified)
    if ret is False:
        return Rejected(verified)
    if ret == "full":
        return Full(verified)
    raise UntrustedReply(f"sign-in reply has no known meaning: {ret!r:.80}")


def _accepted(reply: dict[Any, Any], signed: bytes, sig: bytes, attempt: SignInAttempt) -> Accepted:
    pub_text = as_text(reply["pub_key"], "pub_key of a sign-in reply")
    master_key = public_key(pub_text)  # the same object for all minions of this process
    is_known = attempt.trust.cached == master_key
    _check_master_key(reply, pub_text, is_known=is_known, attempt=attempt)
    if not master_key.verify(signed, sig, attempt.sig_algo):
        raise UntrustedReply("sign-in reply is not signed by the master key in it")
    if is_known:
        token = _decrypt(reply, "token", attempt)
        if not hmac.compare_digest(token, attempt.secret):
            raise UntrustedReply("the master could not read the token made for its key")
    aes = check_key_string(_decrypt(reply, "aes", attempt).decode("ascii"))
    aes_sig = as_bytes(reply.get("sig"), "sig inside a sign-in reply")
    if not hmac.compare_digest(master_key.recover_x931(aes_sig), key_hash(aes)):
        raise UntrustedReply("the publish key is not signed by the master")
    return Accepted(
        publish_port=_port(reply.get("publish_port")),
        aes=aes,
        session=check_key_string(_decrypt(reply, "session", attempt).decode("ascii")),
        master_key=master_key,
        is_new=not is_known,
        serializer=_serializer(reply.get("serializer"), attempt),
    )


def _check_master_key(
    reply: dict[Any, Any], pub_text: str, *, is_known: bool, attempt: SignInAttempt
) -> None:
    """Decide whether the key in a reply is the master's (the matrix of Spec 2.5)."""
    trust = attempt.trust
    is_signed = "pub_sig" in reply
    if is_signed and not trust.verify_signature:
        raise MasterKeyUnproven(
            "the master signs its public key, but verify_master_pubkey_sign is off here"
        )
    if trust.verify_signature:
        if not is_signed:
            raise MasterKeyUnproven(
                "verify_master_pubkey_sign is on, but the master does not sign its public key"
            )
        if trust.always_verify or not is_known:
            _check_public_key_signature(reply["pub_sig"], pub_text, attempt)
    elif trust.cached is not None and not is_known:
        raise MasterKeyChanged(
            "the master presents another public key than the one this minion trusts: "
            f"{fingerprint(clean_pem(pub_text), trust.hash_type)} instead of "
            f"{trust.cached.fingerprint(trust.hash_type)}"
        )
    _check_finger(pub_text, trust)


def _check_public_key_signature(pub_sig: object, pub_text: str, attempt: SignInAttempt) -> None:
    signing_key = attempt.trust.signing_key
    if signing_key is None:
        raise MasterKeyUnproven("verify_master_pubkey_sign is on, but the signing key is not here")
    try:
        sig = base64.b64decode(as_bytes(pub_sig, "pub_sig of a sign-in reply"))
    except (binascii.Error, ValueError) as error:
        raise MasterKeyUnproven("the signature of the master's key is not base64") from error
    if not signing_key.verify(pub_text.encode(), sig, attempt.sig_algo):
        raise MasterKeyUnproven("the master's public key is not signed by its signing key")


def _check_finger(pub_text: str, trust: MasterTrust) -> None:
    if not trust.finger:
        return
    finger = fingerprint(pub_text, trust.hash_type)
    if not hmac.compare_digest(finger.encode(), trust.finger.strip().lower().encode()):
        raise MasterKeyUnproven(f"master_finger does not match: the master's key has {finger}")


def _decrypt(reply: dict[Any, Any], field: str, attempt: SignInAttempt) -> bytes:
    sealed = as_bytes(reply.get(field), f"{field} of a sign-in reply")
    return attempt.key.decrypt(sealed, attempt.enc_algo)


def _serializer(value: object, attempt: SignInAttempt) -> str | None:
    if value is not None and value != attempt.serializer:
        raise UntrustedReply(f"sign-in reply grants another serializer: {value!r:.80}")
    return attempt.serializer if value is not None else None


def _port(value: object) -> int:
    if type(value) is not int or not 0 < value <= _MAX_PORT:
        raise UntrustedReply(f"sign-in reply tells no usable publish port: {value!r:.80}")
    return value
