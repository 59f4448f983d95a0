"""The master's half of the sign-in: read a request, build each kind of answer (Spec 2.1-2.4)."""

from __future__ import annotations

import base64
from typing import Any, Final, Literal, NamedTuple

from greensalt.crypto.handshake.proofs import key_hash
from greensalt.crypto.keypair import (
    PrivateKey,
    check_enc_algo,
    check_sig_algo,
    clean_pem,
    public_key,
)
from greensalt.errors import CryptoError, InvalidMinionId, MalformedMessage, UnsupportedAlgorithm
from greensalt.wire.dialect import pack
from greensalt.wire.envelope import (
    DEFAULT_ENC_ALGO,
    DEFAULT_SIG_ALGO,
    as_bytes,
    as_text,
    check_nonce,
    clear_reply,
    signed_reply,
)
from greensalt.wire.ids import check_minion_id

_MAX_PUB_CHARS: Final = 16384


class SignInRequest(NamedTuple):
    """A well-formed sign-in. ``pub`` is cleaned PEM text that nobody has parsed yet.

    ``serializer`` names the codec that the minion would like; None is msgpack (Spec 12.4).
    """

    id: str
    nonce: str
    pub: str
    enc_algo: str
    sig_algo: str
    token: bytes | None
    autosign_grains: dict[str, Any]
    serializer: str | None = None


class BadIdentity(NamedTuple):
    """A sign-in whose id or key is unusable: to be answered with ``state_reply(False, ...)``."""

    reason: str
    nonce: str
    sig_algo: str


class BadAlgorithm(NamedTuple):
    """A sign-in with an algorithm that isn't allowed: to be answered with ``algorithm_reply``."""

    reason: str
    kind: Literal["enc", "sig"]


def read_sign_in(load: dict[str, Any]) -> SignInRequest | BadIdentity | BadAlgorithm:
    """Read the load of an ``_auth`` request, without any RSA.

    Raises MalformedMessage when there is no nonce to answer to or a field has the wrong type: the
    answer then is "bad load".
    """
    nonce = check_nonce(load.get("nonce"))
    token = load.get("token")
    grains = load.get("autosign_grains")
    serializer = load.get("serializer")
    if grains is not None and not isinstance(grains, dict):
        raise MalformedMessage("autosign_grains of a sign-in is not a dict")
    enc_algo = as_text(load.get("enc_algo", DEFAULT_ENC_ALGO), "enc_algo of a sign-in")
    sig_algo = as_text(load.get("sig_algo", DEFAULT_SIG_ALGO), "sig_algo of a sign-in")
    # Before the key is looked at: Salt fails over these two when a token is missing.
    try:
        check_enc_algo(enc_algo)
    except UnsupportedAlgorithm as error:
        return BadAlgorithm(str(error), "enc")
    try:
        check_sig_algo(sig_algo)
    except UnsupportedAlgorithm as error:
        return BadAlgorithm(str(error), "sig")
    pub = load.get("pub")
    if not isinstance(pub, str) or not 0 < len(pub) <= _MAX_PUB_CHARS:
        return BadIdentity("sign-in has no usable public key", nonce, sig_algo)
    try:
        minion_id = check_minion_id(load.get("id"))
    except InvalidMinionId as error:
        return BadIdentity(str(error), nonce, sig_algo)
    return SignInRequest(
        id=minion_id,
        nonce=nonce,
        pub=clean_pem(pub),
        enc_algo=enc_algo,
        sig_algo=sig_algo,
        token=None if token is None else as_bytes(token, "token of a sign-in"),
        autosign_grains=grains or {},
        serializer=None if serializer is None else as_text(serializer, "serializer of a sign-in"),
    )


def publish_key_signature(master_key: PrivateKey, aes: str) -> bytes:
    """Return the master's proof of the publish key; the same for all minions until it rotates."""
    return master_key.sign_x931(key_hash(aes))


def public_key_signature(signing_key: PrivateKey, master_pub: str, sig_algo: str) -> bytes:
    """Return the ``pub_sig`` of ``master_sign_pubkey``: base64 text (Spec 2.5).

    Depends on its arguments alone, so the caller may keep one per algorithm.
    """
    return base64.b64encode(signing_key.sign(master_pub.encode(), sig_algo)) + b"\n"


def accepted_reply(
    request: SignInRequest,
    *,
    master_key: PrivateKey,
    publish_port: int,
    aes: str,
    aes_sig: bytes,
    session: str,
    pub_sig: bytes | None = None,
    serializer: str | None = None,
) -> bytes:
    """Return the body of the full reply to an accepted minion (Spec 2.2).

    ``aes`` and ``session`` are key strings; ``aes_sig`` comes from publish_key_signature and
    ``pub_sig`` from public_key_signature or from the file that holds it; ``serializer`` grants the
    minion's wish, and ``publish_port`` then is that codec's. Raises BadKey when the
    minion's key can't be read, CryptoError when it is too small. About 3-5 ms of CPU.
    """
    minion_key = public_key(request.pub)
    algo = request.enc_algo
    reply: dict[str, object] = {
        "enc": "pub",
        "pub_key": master_key.public.pem,
        "publish_port": publish_port,
        "aes": minion_key.encrypt(aes.encode(), algo),
        "session": minion_key.encrypt(session.encode(), algo),
        "sig": aes_sig,
        "nonce": request.nonce,
    }
    secret = _recover_token(master_key, request)
    if secret is not None:
        reply["token"] = minion_key.encrypt(secret, algo)
    if pub_sig is not None:
        reply["pub_sig"] = pub_sig
    if serializer is not None:
        reply["serializer"] = serializer
    return _signed(reply, master_key, request.sig_algo)


def state_reply(
    ret: bool | Literal["full"],
    nonce: str,
    master_key: PrivateKey,
    sig_algo: str,
) -> bytes:
    """Return the body that says pending (True), rejected (False) or full (Spec 2.3)."""
    return _signed({"ret": ret, "nonce": nonce}, master_key, sig_algo)


def algorithm_reply(kind: Literal["enc", "sig"]) -> bytes:
    """Return the unsigned body for a sign-in whose algorithm isn't allowed."""
    return clear_reply({"ret": f"bad {kind} algo"})


def _recover_token(master_key: PrivateKey, request: SignInRequest) -> bytes | None:
    """Decrypt the minion's secret, or return None: it may be meant for another master's key."""
    if request.token is None:
        return None
    try:
        return master_key.decrypt(request.token, request.enc_algo)
    except CryptoError:
        return None


def _signed(reply: dict[str, object], master_key: PrivateKey, sig_algo: str) -> bytes:
    packed = pack(reply)
    return signed_reply(packed, master_key.sign(packed, sig_algo))
