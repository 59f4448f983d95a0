"""The command `_auth`: decides about a minion's key and answers with what that entitles it to.

RSA runs in native threads, in two lanes: one for accepted minions, a narrow one for everybody else,
so that a crowd of strangers delays nobody who belongs here. Each lane has a bounded queue, and each
id a bounded rate.

Source: docs/protocol.md 2, 9.3 item 9.
"""

from __future__ import annotations

import logging
import os
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

from gevent.lock import BoundedSemaphore

from greensalt.config import MasterConfig
from greensalt.crypto.handshake import (
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
from greensalt.crypto.keypair import PrivateKey, public_key
from greensalt.errors import BadKey, ConfigError, ProtocolError
from greensalt.green import offload
from greensalt.master.codecs import ServedCodecs
from greensalt.master.publishkey import PublishKey
from greensalt.master.sessions import Sessions
from greensalt.store.autosign import AutosignPolicy
from greensalt.store.keys import KeyStore, State
from greensalt.transport.bus import EventPublisher
from greensalt.wire import tags

log = logging.getLogger(__name__)

Act = Literal["accept", "pend", "reject", "denied", "full", "error"]

LANE_WAITING_MOST = 400  # both lanes together leave workers for everything else
RATE_BURST = 10  # sign-ins of one id at once
RATE_PER_S = 1.0
RATED_IDS_MOST = 20_000


class Busy(ProtocolError):
    """Too many sign-ins; the minion tries again."""


class Lane:
    """`width` sign-ins at once, and a bounded number that waits."""

    def __init__(self, width: int) -> None:
        self._turn = BoundedSemaphore(width)
        self.waiting = 0

    @contextmanager
    def turn(self) -> Iterator[None]:
        if self.waiting >= LANE_WAITING_MOST:
            raise Busy("too many sign-ins are waiting")
        self.waiting += 1
        try:
            with self._turn:
                yield
        finally:
            self.waiting -= 1


class RateLimit:
    """A bucket of RATE_BURST sign-ins per id that fills by RATE_PER_S."""

    def __init__(self) -> None:
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def check(self, minion_id: str) -> None:
        """Raise Busy when this id signs in too often."""
        now = time.monotonic()
        left, then = self._buckets.pop(minion_id, (float(RATE_BURST), now))
        left = min(float(RATE_BURST), left + (now - then) * RATE_PER_S)
        self._buckets[minion_id] = (max(0.0, left - 1), now)
        if len(self._buckets) > RATED_IDS_MOST:
            self._buckets.popitem(last=False)
        if left < 1:
            raise Busy(f"{minion_id} signs in too often")


class SignIn:
    """Answers `_auth`. `counts` has the answers by act."""

    def __init__(
        self,
        config: MasterConfig,
        keys: KeyStore,
        master_key: PrivateKey,
        publish_key: PublishKey,
        sessions: Sessions,
        codecs: ServedCodecs,
        autosign: AutosignPolicy,
        bus: EventPublisher,
    ) -> None:
        self._config = config
        self._keys = keys
        self._master_key = master_key
        self._publish_key = publish_key
        self._sessions = sessions
        self._codecs = codecs
        self._autosign = autosign
        self._bus = bus
        self._members = Lane(os.cpu_count() or 1)
        self._strangers = Lane(1)
        # Apart, so that a stranger who uses a member's id does not use up its sign-ins.
        self._members_rate, self._strangers_rate = RateLimit(), RateLimit()
        self._aes_sig: tuple[str, bytes] = ("", b"")
        self._pub_sigs: dict[str, bytes] = {}
        self._signing_key = self._load_signing_key()
        self.counts: dict[str, int] = {}

    def answer(self, load: dict[str, Any]) -> bytes:
        """The reply to an `_auth` load. Raises MalformedMessage, Busy."""
        request = read_sign_in(load)
        if isinstance(request, BadAlgorithm):
            log.warning("sign-in refused: %s", request.reason)
            return algorithm_reply(request.kind)
        if isinstance(request, BadIdentity):
            log.warning("sign-in refused: %s", request.reason)
            return self._state(False, request.nonce, request.sig_algo)
        known = self._keys.state_of(request.id)
        is_member = known == (State.ACCEPTED, request.pub)
        (self._members_rate if is_member else self._strangers_rate).check(request.id)
        act = self._decide(known, request)
        if act == "accept":
            try:
                reply = self._accept(request)
            except BadKey as error:
                log.warning("%s presents a key that can't be used: %s", request.id, error)
                act, reply = "error", self._state(False, request.nonce, request.sig_algo)
        else:
            ret: bool | Literal["full"] = {"pend": True, "full": "full"}.get(act, False)  # type: ignore[assignment]  # the dict's value type is wider
            reply = self._state(ret, request.nonce, request.sig_algo)
        self._tell(act, request)
        return reply

    # -- the decision (2.4) ------------------------------------------------------------------

    def _decide(self, known: tuple[State, str] | None, request: SignInRequest) -> Act:
        if not self._is_full_for(known) and self._wants(known, request):
            if not self._is_usable(request):  # which takes a while
                return "error"
            known = self._keys.state_of(request.id)  # another key may have been faster
        return self._decide_at_once(known, request)

    def _wants(self, known: tuple[State, str] | None, request: SignInRequest) -> bool:
        """Whether this key may become the one of its id."""
        return known is None or (self._config.open_mode and known != (State.ACCEPTED, request.pub))

    def _decide_at_once(self, known: tuple[State, str] | None, request: SignInRequest) -> Act:
        """Nothing in here waits: what is known stays true until it is acted upon."""
        minion_id = request.id
        if self._is_full_for(known):
            log.warning("%s: max_minions is reached", minion_id)
            return "full"
        if self._config.open_mode and known != (State.ACCEPTED, request.pub):
            return self._take(request)
        if known is None:
            return self._decide_new(request)
        state, pem = known
        if state is State.REJECTED:
            return "reject"
        if pem != request.pub:
            log.warning("%s presents another key than the one that is %s", minion_id, state.value)
            self._keys.put(State.DENIED, minion_id, request.pub)
            return "denied"
        if state is State.ACCEPTED:
            return "accept"
        return self._decide_pending(request)

    def _is_full_for(self, known: tuple[State, str] | None) -> bool:
        most = self._config.max_minions
        if not most or (known is not None and known[0] is State.ACCEPTED):
            return False
        return len(self._keys.ids(State.ACCEPTED)) >= most

    def _decide_new(self, request: SignInRequest) -> Act:
        verdict = self._autosign.decide(request.id, request.autosign_grains)
        if verdict == "reject":
            self._keys.put(State.REJECTED, request.id, request.pub)
            return "reject"
        if verdict == "accept" or self._config.auto_accept:
            return self._take(request)
        self._keys.put(State.PENDING, request.id, request.pub)
        log.info("%s is new: its key waits to be accepted", request.id)
        return "pend"

    def _is_usable(self, request: SignInRequest) -> bool:
        try:
            with self._strangers.turn():
                offload(public_key, request.pub)
        except BadKey as error:
            log.warning("%s presents a key that can't be used: %s", request.id, error)
            return False
        return True

    def _take(self, request: SignInRequest) -> Act:
        self._keys.put(State.ACCEPTED, request.id, request.pub)
        log.info("the key of %s was accepted automatically", request.id)
        return "accept"

    def _decide_pending(self, request: SignInRequest) -> Act:
        verdict = self._autosign.decide(request.id, request.autosign_grains)
        if verdict == "reject":
            self._keys.reject(request.id)
            return "reject"
        if verdict == "accept" or self._config.auto_accept:
            self._keys.accept(request.id)
            return "accept"
        return "pend"

    # -- the answers -------------------------------------------------------------------------

    def _accept(self, request: SignInRequest) -> bytes:
        with self._members.turn():
            if self._keys.get(State.ACCEPTED, request.id) != request.pub:
                raise Busy(f"the key of {request.id} was changed while it signed in")
            session = self._sessions.issue(request.id)
            aes = self._publish_key.key_string
            if self._aes_sig[0] != aes:
                self._aes_sig = (aes, offload(publish_key_signature, self._master_key, aes))
            port = self._grant(request)
            return offload(
                accepted_reply,
                request,
                master_key=self._master_key,
                publish_port=self._config.publish_port if port is None else port,
                aes=aes,
                aes_sig=self._aes_sig[1],
                session=session,
                pub_sig=self._pub_sig(request.sig_algo),
                serializer=None if port is None else request.serializer,
            )

    def _grant(self, request: SignInRequest) -> int | None:
        """The publish port of the codec that the minion would like; None when it is not served."""
        wanted = request.serializer
        if wanted is None:
            return None
        port = self._codecs.ports.get(wanted)
        if port is None:
            log.info("%s would like the serializer %r, which is not served", request.id, wanted)
            return None
        self._codecs.use(wanted)
        return port

    def _state(self, ret: bool | Literal["full"], nonce: str, sig_algo: str) -> bytes:
        with self._strangers.turn():
            return offload(state_reply, ret, nonce, self._master_key, sig_algo)

    def _load_signing_key(self) -> PrivateKey | None:
        if not self._config.master_sign_pubkey or self._config.master_use_pubkey_signature:
            return None
        name = self._config.master_sign_key_name
        return offload(self._keys.own, name, self._config.keysize, self._config.signing_key_pass)

    def _pub_sig(self, sig_algo: str) -> bytes | None:
        """The signature of the master's public key, made once per algorithm (2.5)."""
        if not self._config.master_sign_pubkey:
            return None
        if sig_algo not in self._pub_sigs:
            pem = self._master_key.public.pem
            if self._signing_key is None:
                self._pub_sigs[sig_algo] = self._read_pub_sig()
            else:
                self._pub_sigs[sig_algo] = offload(
                    public_key_signature, self._signing_key, pem, sig_algo
                )
        return self._pub_sigs[sig_algo]

    def _read_pub_sig(self) -> bytes:
        path = self._config.pubkey_signature_path
        try:
            return path.read_bytes()
        except OSError as error:
            raise ConfigError(
                f"master_use_pubkey_signature is on, but {path} can't be read: {error.strerror}"
            ) from error

    def _tell(self, act: Act, request: SignInRequest) -> None:
        self.counts[act] = self.counts.get(act, 0) + 1
        if self._config.auth_events:
            event: dict[str, Any] = {
                "result": act in ("accept", "pend"),
                "act": act,
                "id": request.id,
                "pub": request.pub,
            }
            if request.autosign_grains:
                event["autosign_grains"] = request.autosign_grains
            self._bus.fire(tags.AUTH, event)
