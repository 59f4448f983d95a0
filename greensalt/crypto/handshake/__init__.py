"""The sign-in, both halves as pure functions (Spec 2); the pillar reply beside it (Spec 4.4).

A minion presents its public key and a nonce; the master answers with its own public key and, for an
accepted key, with the publish key and the minion's session key, encrypted to the minion and signed.

Master: ``read_sign_in`` the load, decide about the key, then answer with one of
``accepted_reply``, ``state_reply``, ``algorithm_reply``. Minion: send
``clear_request(sign_in_request(...))`` and give the answer to ``verify_reply``. Each function does
all the RSA of its step, so that a caller offloads a sign-in as one call.
"""

from greensalt.crypto.handshake.master import (
    BadAlgorithm,
    BadIdentity,
    SignInRequest,
    accepted_reply,
    algorithm_reply,
    public_key_signature,
    publish_key_signature,
    read_sign_in,
    state_reply,
)
from greensalt.crypto.handshake.minion import (
    Accepted,
    Full,
    MasterTrust,
    Pending,
    Rejected,
    SignInAttempt,
    sign_in_request,
    verify_reply,
)
from greensalt.crypto.handshake.proofs import check_tok, tok
from greensalt.crypto.pillar import open_pillar_reply, pillar_reply

__all__ = [
    "Accepted",
    "BadAlgorithm",
    "BadIdentity",
    "Full",
    "MasterTrust",
    "Pending",
    "Rejected",
    "SignInAttempt",
    "SignInRequest",
    "accepted_reply",
    "algorithm_reply",
    "check_tok",
    "open_pillar_reply",
    "pillar_reply",
    "public_key_signature",
    "publish_key_signature",
    "read_sign_in",
    "sign_in_request",
    "state_reply",
    "tok",
    "verify_reply",
]
