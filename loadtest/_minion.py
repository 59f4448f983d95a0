"""One emulated minion: the real wire over real sockets, and no work behind it.

It signs in, subscribes to the publish port, and answers every job that targets it with a payload.
How long the master took to acknowledge is kept for whoever asks.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import gevent
from gevent.lock import BoundedSemaphore

from greensalt.crypto.crypticle import new_nonce
from greensalt.crypto.handshake import (
    Accepted,
    sign_in_request,
    verify_reply,
)
from greensalt.crypto.keypair import PrivateKey
from greensalt.errors import GreensaltError, MalformedMessage, SignInRefused
from greensalt.green import offload
from greensalt.target import matches
from greensalt.transport.addresses import tcp
from greensalt.transport.publish import Subscriber
from greensalt.transport.request import ReqChannel
from greensalt.transport.sockets import Context
from greensalt.wire.envelope import (
    DEFAULT_ENC_ALGO,
    DEFAULT_SIG_ALGO,
    EncryptedReply,
    clear_request,
    encrypted_request,
    parse_reply,
)
from loadtest import _codecs
from loadtest._payloads import return_load

log = logging.getLogger(__name__)

RECONNECT_MS = 200
SESSIONS = 3
"""With so many, one after the other, a request is tried: the keys may be renewed on its way."""


class Place(NamedTuple):
    """Where the master is, and with which key pair this fleet signs in. No master minds that its
    minions share one; making a pair takes longer than the rest of a sign-in.
    """

    host: str
    ret_port: int
    key: PrivateKey
    tok: bytes
    context: Context
    timeout_s: float


class Ack(NamedTuple):
    """What became of one return: moments of the host's monotonic clock, in seconds."""

    id: str
    sent: float
    acknowledged: float
    size: int
    error: str | None


def sign_in(place: Place, channel: ReqChannel, minion_id: str, codec: str) -> Accepted:
    """A whole sign-in. Raises SignInRefused when the key is not (yet) accepted."""
    attempt = _codecs.attempt(minion_id, place.key, codec)
    body = channel.request(clear_request(sign_in_request(attempt)), place.timeout_s)
    answer = offload(verify_reply, body, attempt)
    if not isinstance(answer, Accepted):
        raise SignInRefused(
            f"the master did not accept the key of {minion_id} ({type(answer).__name__.lower()}):"
            " its auto_accept must be on, for the time of the test"
        )
    _codecs.check_granted(answer, codec)
    return answer


class Minion:
    """An emulated minion of one serializer.

    `read(codec, accepted, frames)` opens a publish, `answer(fun)` is what a function returns,
    `done(jid, ack)` gets what became of each return. When the master has renewed its keys, the
    minion sees a publish that it can't read, or a refusal: it signs in again, as a real one does.
    """

    grains: Mapping[str, Any] = {}
    pillar: Mapping[str, Any] = {}

    def __init__(
        self,
        place: Place,
        minion_id: str,
        codec: str,
        *,
        read: Callable[[str, Accepted, list[bytes]], dict[str, Any] | None],
        answer: Callable[[str], Any],
        done: Callable[[str, Ack], object],
    ) -> None:
        self.id = minion_id
        self.codec = codec
        self.is_up = False
        self._place = place
        self._read = read
        self._answer = answer
        self._done = done
        self._channel = ReqChannel(tcp(place.host, place.ret_port), place.context)
        self._turn, self._signing = BoundedSemaphore(1), BoundedSemaphore(1)
        self._subscriber: Subscriber | None = None

    def join(self) -> None:
        """Sign in and subscribe."""
        self._keep(sign_in(self._place, self._channel, self.id, self.codec))
        self._subscriber = Subscriber(
            self._place.context,
            identity=self.id,
            topics=[b""],
            reconnect_ms=RECONNECT_MS,
            reconnect_max_ms=RECONNECT_MS,
            take=self._take,
            moved=self._moved,
        )
        self._subscriber.start(tcp(self._place.host, self._accepted.publish_port))

    def close(self) -> None:
        if self._subscriber is not None:
            self._subscriber.stop()
        self._channel.close()

    def fire(self, tag: str, data: dict[str, Any]) -> tuple[float, int]:
        """Fire an event on the master's bus: when it was sent, and its size on the wire."""
        load = {"cmd": "_minion_event", "id": self.id, "pretag": None, "tag": tag, "data": data}
        with self._turn:
            sent, size, _ = self._send(load)
        return sent, size

    def _keep(self, accepted: Accepted) -> None:
        self._accepted = accepted
        self._box = _codecs.Box(self.codec, accepted.session)

    def _renew(self, stale: Accepted) -> None:
        """Sign in again, unless that has happened since `stale`."""
        with self._signing:
            if self._accepted is stale:
                channel = ReqChannel(
                    tcp(self._place.host, self._place.ret_port), self._place.context
                )
                try:
                    self._keep(sign_in(self._place, channel, self.id, self.codec))
                finally:
                    channel.close()

    def _moved(self, is_up: bool) -> None:
        self.is_up = is_up

    def _take(self, frames: list[bytes]) -> None:
        """A publish; it may be meant for others. Runs in the socket's owner: must not wait."""
        accepted = self._accepted
        job = self._read(self.codec, accepted, frames)
        if job is None:
            gevent.spawn(self._take_again, accepted, frames)
        else:
            self._answer_to(job)

    def _take_again(self, stale: Accepted, frames: list[bytes]) -> None:
        """A publish that can't be read with the keys of `stale`."""
        try:
            self._renew(stale)
        except GreensaltError as error:
            log.warning("%s can't sign in again: %s", self.id, error)
            return
        job = self._read(self.codec, self._accepted, frames)
        if job is not None:
            self._answer_to(job)

    def _answer_to(self, job: dict[str, Any]) -> None:
        if matches(job["tgt"], job["tgt_type"], self):
            gevent.spawn(self._return, str(job["jid"]), str(job["fun"]))

    def _return(self, jid: str, fun: str) -> None:
        """Return the job; a minion sends one return at a time, as real ones do."""
        with self._turn:
            sent, size, error = time.perf_counter(), 0, None
            try:
                sent, size, _ = self._send(return_load(self.id, jid, fun, self._answer(fun)))
            except GreensaltError as fault:
                error = f"{type(fault).__name__}: {fault}"
            self._done(jid, Ack(self.id, sent, time.perf_counter(), size, error))

    def _send(self, load: dict[str, Any]) -> tuple[float, int, Any]:
        """Seal and send a request and open its reply: (when it began, bytes sent, the reply)."""
        for _ in range(SESSIONS):
            accepted, box, nonce = self._accepted, self._box, new_nonce()
            full = {**load, "nonce": nonce, "ts": int(time.time()), "tok": self._place.tok}
            began = time.perf_counter()
            packet = box.dumps(full)
            body = encrypted_request(self.id, packet, DEFAULT_ENC_ALGO, DEFAULT_SIG_ALGO)
            reply = parse_reply(self._channel.request(body, self._place.timeout_s))
            if isinstance(reply, EncryptedReply):
                return began, len(body), box.loads(reply.packet, nonce=nonce)
            self._renew(accepted)
        raise MalformedMessage(f"{self.id}: the master refused: {reply!r:.200}")
