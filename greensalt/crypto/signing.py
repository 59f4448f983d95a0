"""Signatures over whole messages: publishes (Spec 5.1) and a minion's requests (Spec 4.6)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from greensalt.crypto.keypair import PrivateKey, PublicKey
from greensalt.errors import BadSignature
from greensalt.wire.dialect import pack, pack_bin, unpack
from greensalt.wire.envelope import DEFAULT_SIG_ALGO, PublishFrame, as_bytes, publish_frame

_UNSIGNED_FIELDS: Final = frozenset({"nonce", "tok", "sig"})
"""Set for each sending of a request, so not part of what a minion signs."""


def signed_publish(
    packet: bytes, master_key: PrivateKey | None, sig_algo: str = DEFAULT_SIG_ALGO
) -> bytes:
    """Return the body of a publish; signed, unless there is no key to sign with."""
    if master_key is None:
        return publish_frame(packet, None, None)
    return publish_frame(packet, master_key.sign(packet, sig_algo), sig_algo)


def check_publish(frame: PublishFrame, master_key: PublicKey) -> None:
    """Raise BadSignature unless the master signed a publish.

    The algorithm is the one named in the message: raises UnsupportedAlgorithm if it isn't allowed.
    """
    if frame.sig is None:
        raise BadSignature("publish is not signed")
    if not master_key.verify(frame.packet, frame.sig, frame.sig_algo or DEFAULT_SIG_ALGO):
        raise BadSignature("publish is not signed by the master")


def sign_load(minion_key: PrivateKey, load: Mapping[str, Any], sig_algo: str) -> bytes:
    """Return the ``sig`` of a request's load, whose fields must be in their final order."""
    return minion_key.sign(_signed_form(load), sig_algo)


def check_load(minion_key: PublicKey, load: Mapping[str, Any], sig_algo: str) -> None:
    """Raise BadSignature unless the minion signed this load, as received."""
    if "sig" not in load:
        raise BadSignature("request is not signed")
    if not minion_key.verify(_signed_form(load), as_bytes(load["sig"], "sig"), sig_algo):
        raise BadSignature("request is not signed by the minion")


def _signed_form(load: Mapping[str, Any]) -> bytes:
    """Pack a load the way both sides can: as the wire's dialect leaves it, with the bin family.

    What comes out of the dialect is the same on both sides, also where bytes became text.
    """
    fields = {key: value for key, value in load.items() if key not in _UNSIGNED_FIELDS}
    return pack_bin(unpack(pack(fields)))
