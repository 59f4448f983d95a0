"""Who is at the other end: the one check that every encrypted request passes before dispatch.

A session exists only for a minion whose key is accepted and that has signed in. Its key survives a
restart of the master (`<cachedir>/sessions/<id>`, 0600), so nobody signs in anew for that.

Source: docs/protocol.md 4.2, 9.
"""

from __future__ import annotations

import hmac
import logging
import os
import time
from pathlib import Path
from typing import Any, NamedTuple

from greensalt.crypto.crypticle import Crypticle
from greensalt.crypto.handshake import check_tok
from greensalt.crypto.keypair import PublicKey, public_key
from greensalt.errors import AuthenticationError, CryptoError, ProtocolError
from greensalt.green import offload
from greensalt.master.codecs import ServedCodecs
from greensalt.serializers import Codec, Codecs
from greensalt.store.keys import KeyStore, State
from greensalt.store.secretfiles import SessionKeys
from greensalt.wire.envelope import EncryptedRequest, check_nonce
from greensalt.wire.ids import check_minion_id

log = logging.getLogger(__name__)

LARGE_BYTES = 256 << 10  # a packet that the hub does not stop for


class Peer(NamedTuple):
    """An authenticated minion and what its request asks of the reply."""

    id: str
    nonce: str
    public_key: PublicKey
    crypticle: Crypticle
    enc_algo: str
    sig_algo: str
    codec: Codec


class Session:
    """What the master remembers of a signed-in minion."""

    __slots__ = ("created", "crypticle", "key_file", "key_path", "public_key", "tok")

    def __init__(self, key_string: str, created: float, key_path: Path) -> None:
        self.crypticle = Crypticle(key_string)
        self.key_path = str(key_path)  # of the accepted key
        self.created = created  # unix seconds
        self.key_file: tuple[int, ...] | None = None  # the accepted key file when tok was checked
        self.public_key: PublicKey | None = None
        self.tok = b""


class ReplayWindow:
    """Remembers (id, nonce) for at least `ttl_s` seconds, in two generations.

    Of each only the hash, 64 bits: a twin by chance is one request refused in years, which is
    repeated.
    """

    def __init__(self, ttl_s: float) -> None:
        self._ttl_s = ttl_s
        self._young: set[int] = set()
        self._old: set[int] = set()
        self._turned = time.monotonic()

    def first_time(self, minion_id: str, nonce: str) -> bool:
        now = time.monotonic()
        if now - self._turned > self._ttl_s:
            self._old, self._young, self._turned = self._young, set(), now
        key = hash((minion_id, nonce))
        if key in self._young or key in self._old:
            return False
        self._young.add(key)
        return True


class Sessions:
    """All sessions; `open` authenticates a request, `issue` gives a signed-in minion its key.

    `session_s` is how long a session key lives, `ttl_s` how old a request may be (0: any age).
    """

    def __init__(
        self,
        keys: KeyStore,
        files: SessionKeys,
        codecs: ServedCodecs,
        session_s: float,
        ttl_s: float,
    ) -> None:
        self._keys = keys
        self._files = files
        self._codecs = codecs
        self._session_s = session_s
        self._ttl_s = ttl_s
        self._sessions: dict[str, Session] = {}
        self._replays = ReplayWindow(2 * ttl_s) if ttl_s > 0 else None
        self.last_seen: dict[str, float] = {}  # minion id -> unix seconds of its last request

    def issue(self, minion_id: str) -> str:
        """The session key string for a minion that is signing in. Blocks: file access."""
        stored = self._files.get(minion_id)
        if stored is not None and stored[1] < self._session_s:
            return stored[0]
        self._sessions.pop(minion_id, None)
        return self._files.create(minion_id)

    def forget(self, minion_id: str) -> None:
        """Drop the session of a minion whose key is no longer accepted."""
        self._sessions.pop(minion_id, None)
        self.last_seen.pop(minion_id, None)
        self._files.forget(minion_id)

    def open(self, request: EncryptedRequest) -> tuple[Peer, dict[str, Any]]:
        """(peer, load) of a request; raises AuthenticationError or CryptoError, saying why.

        The load comes without `nonce`, `ts` and `tok`; its `id` is the peer's.
        """
        minion_id = check_minion_id(request.id)
        session = self._session(minion_id)
        codec, load = _opened(session.crypticle, request.packet, self._codecs.all)
        if not isinstance(load, dict):
            raise AuthenticationError(f"{minion_id}: the load is not a dictionary")
        if load.get("id") != minion_id:
            raise AuthenticationError(f"{minion_id}: the load speaks for {load.get('id')!r}")
        nonce = check_nonce(load.pop("nonce", None))
        self._check_age(minion_id, load.pop("ts", None))
        key = self._check_tok(minion_id, session, load.pop("tok", None))
        if self._replays is not None and not self._replays.first_time(minion_id, nonce):
            raise AuthenticationError(f"{minion_id}: this request was sent before")
        self.last_seen[minion_id] = time.time()
        self._codecs.use(codec.name)
        peer = Peer(
            id=minion_id,
            nonce=nonce,
            public_key=key,
            crypticle=session.crypticle,
            enc_algo=request.enc_algo,
            sig_algo=request.sig_algo,
            codec=codec,
        )
        return peer, load

    def _session(self, minion_id: str) -> Session:
        session = self._sessions.get(minion_id)
        if session is None:
            stored = self._files.get(minion_id)
            if stored is None:
                raise AuthenticationError(f"{minion_id}: has no session")
            key_string, age_s = stored
            session = self._sessions[minion_id] = Session(
                key_string, time.time() - age_s, self._keys.path(State.ACCEPTED, minion_id)
            )
        if time.time() - session.created > self._session_s:
            self._sessions.pop(minion_id, None)
            raise AuthenticationError(f"{minion_id}: its session is older than publish_session")
        return session

    def _check_age(self, minion_id: str, ts: object) -> None:
        if self._ttl_s <= 0:
            return
        if not isinstance(ts, int):
            raise AuthenticationError(f"{minion_id}: no timestamp")
        age_s = time.time() - ts
        if abs(age_s) > self._ttl_s:  # from the future, it could be replayed later
            raise AuthenticationError(
                f"{minion_id}: the request is {age_s:.0f} s old, request_server_ttl is"
                f" {self._ttl_s:.0f} s; do both clocks agree?"
            )

    def _check_tok(self, minion_id: str, session: Session, tok: object) -> PublicKey:
        """`tok` is constant per key, so it is verified once per accepted key file."""
        if isinstance(tok, str):  # valid UTF-8 by chance (docs/protocol.md 1.2)
            tok = tok.encode()
        if not isinstance(tok, bytes):
            raise AuthenticationError(f"{minion_id}: no tok")
        key_file = self._accepted_key_file(minion_id, session)
        known = session.public_key
        if known and key_file == session.key_file and hmac.compare_digest(tok, session.tok):
            return known
        pem = self._keys.get(State.ACCEPTED, minion_id)
        if pem is None:
            self.forget(minion_id)
            raise AuthenticationError(f"{minion_id}: its key is not accepted")
        key = offload(_verified, pem, tok)
        if key is None:
            raise AuthenticationError(f"{minion_id}: tok does not match its accepted key")
        session.public_key, session.key_file, session.tok = key, key_file, tok
        return key

    def _accepted_key_file(self, minion_id: str, session: Session) -> tuple[int, ...]:
        try:
            stat = os.lstat(session.key_path)  # in each request: not by way of a Path
        except OSError:
            self.forget(minion_id)
            raise AuthenticationError(f"{minion_id}: its key is not accepted") from None
        return stat.st_ino, stat.st_mtime_ns, stat.st_size


def _opened(crypticle: Crypticle, packet: bytes, codecs: Codecs) -> tuple[Codec, Any]:
    if len(packet) < LARGE_BYTES:
        return crypticle.open(packet, codecs=codecs)
    # One of its own, for the chain of the session's must not be torn by another thread.
    return offload(Crypticle(crypticle.key_string).open, packet, codecs=codecs)


def _verified(pem: str, tok: bytes) -> PublicKey | None:
    try:
        key = public_key(pem)
        return key if check_tok(key, tok) else None
    except (CryptoError, ProtocolError):
        return None
