"""The Ret interface: bytes of one request in, bytes of its reply out. Every request is answered.

Dispatch is a table per channel: what is not in it is not reachable from port 4506.

Source: docs/protocol.md 4, 6.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from gevent.lock import BoundedSemaphore

from greensalt.crypto.crypticle import Crypticle
from greensalt.errors import (
    AuthenticationError,
    CryptoError,
    MalformedMessage,
    ProtocolError,
    StoreError,
    VersionTooOld,
)
from greensalt.master.codecs import ServedCodecs
from greensalt.master.sessions import Peer, Sessions
from greensalt.serializers import MSGPACK, Codec
from greensalt.wire.dialect import pack
from greensalt.wire.envelope import (
    BAD_LOAD,
    ROUTING_ERROR,
    ClearRequest,
    EncryptedRequest,
    PackedRequest,
    encrypted_reply,
    packed_reply,
    parse_request,
)
from greensalt.wire.peek import peek_request

log = logging.getLogger(__name__)

# A clear handler gets the load and returns what is sent back, or the finished bytes.
ClearHandler = Callable[[dict[str, Any]], Any]
# An encrypted handler gets the peer, too; its result goes back under the session key.
MinionHandler = Callable[[Peer, dict[str, Any]], Any]
# A handler of the private kind makes its own reply: the pillar (docs/protocol.md 4.4).
PrivateHandler = Callable[[Peer, dict[str, Any]], bytes]

STRANGERS_MOST_BYTES = 32 << 10
"""Of a clear request from somebody who names no local user's key. A sign-in needs 2 KB; to build
the objects that may be in this many bytes takes 40 ms, in a megabyte more than a second."""

HANDLER_ERROR = "Some exception handling minion payload"


class ReqServer:
    """Answers requests by three tables of commands.

    At most `worker_threads` of the `heavy` commands, which need the processor rather than wait, are
    handled at once; a clear one of them passes `admit` first, where its password may take a while.
    `is_local` tells whether a text is a local user's key or a token. `counts` counts requests by
    command and refusals by reason.
    """

    def __init__(
        self,
        sessions: Sessions,
        codecs: ServedCodecs,
        clear: Mapping[str, ClearHandler],
        minion: Mapping[str, MinionHandler],
        private: Mapping[str, PrivateHandler],
        heavy: Collection[str] = (),
        worker_threads: int = 5,
        is_local: Callable[[str], bool] = lambda _: False,
        admit: Callable[[Mapping[str, Any]], object] = lambda _: None,
    ) -> None:
        self._heavy = frozenset(heavy)
        self._heavy_turn = BoundedSemaphore(worker_threads)
        self._is_local = is_local
        self._admit = admit
        self._sessions = sessions
        self._codecs = codecs
        self._clear = clear
        self._minion = minion
        self._private = private
        self.counts: Counter[str] = Counter()

    def handle(self, body: bytes) -> bytes:
        """The reply to one request body. Never raises."""
        try:
            if len(body) > STRANGERS_MOST_BYTES:
                self._check_large(body)
            request = parse_request(body)
        except VersionTooOld as error:
            return self._refuse("version", error)
        except MalformedMessage as error:
            self.counts["refused/malformed"] += 1
            log.info("a request that can't be read: %s", error)
            return pack({"error": ROUTING_ERROR})
        except ProtocolError as error:
            return self._refuse("malformed", error)
        if isinstance(request, ClearRequest):
            return self._answer_clear(request)
        if isinstance(request, PackedRequest):
            return self._answer_packed(request)
        return self._answer_minion(request)

    def _check_large(self, body: bytes) -> None:
        """Let nobody make the master read much who has not said whose request it is."""
        seen = peek_request(body)
        is_packet = seen.enc == "aes" and seen.is_flat and seen.id is not None
        is_ours = (
            seen.enc == "clear" and seen.is_flat and self._is_local(seen.key or seen.token or "")
        )
        if not is_packet and not is_ours:
            raise MalformedMessage(f"{len(body)} bytes from nobody in particular")

    def _refuse(self, reason: str, error: Exception) -> bytes:
        """`bad load`: the one answer after which a stock minion signs in anew."""
        self.counts[f"refused/{reason}"] += 1
        log.info("request refused: %s", error)
        return pack(BAD_LOAD)

    def _answer_packed(self, request: PackedRequest) -> bytes:
        """A clear request in another codec than msgpack; its reply is in the same."""
        codec = self._codecs.find(request.serializer)
        if codec is None:
            self.counts["refused/serializer"] += 1
            message = f"this master does not serve the serializer {request.serializer!r}"
            return pack({"error": {"name": "SerializerUnusable", "message": message}})
        try:
            load = codec.loads(request.packed)
            if not isinstance(load, dict):
                raise MalformedMessage("the load of a packed request is not a dict")
        except MalformedMessage as error:
            return self._refuse("malformed", error)
        return self._answer_clear(ClearRequest(load, request.version), codec)

    def _answer_clear(self, request: ClearRequest, codec: Codec = MSGPACK) -> bytes:
        command = request.load.get("cmd")
        handler = self._clear.get(command) if isinstance(command, str) else None
        if handler is None:
            self.counts["refused/command"] += 1
            return pack({})
        self.counts[str(command)] += 1
        try:
            if command in self._heavy:
                self._admit(request.load)
            with self._turn(command):
                reply = handler(request.load)
            return reply if isinstance(reply, bytes) else _clear(reply, codec)
        except (ProtocolError, CryptoError) as error:
            return self._refuse("malformed", error)
        except AuthenticationError as error:
            return pack({"error": {"name": "AuthenticationError", "message": str(error)}})
        except StoreError as error:
            log.error("%s could not be done: %s", command, error)
            return pack({"error": {"name": "StoreError", "message": str(error)}})
        except Exception:
            self.counts["failed"] += 1
            log.exception("the clear command %s failed", command)
            return pack(HANDLER_ERROR)

    def _answer_minion(self, request: EncryptedRequest) -> bytes:
        try:
            peer, load = self._sessions.open(request)
        except (AuthenticationError, CryptoError, ProtocolError) as error:
            return self._refuse("authentication", error)
        except StoreError as error:
            self.counts["failed"] += 1
            log.error("the session of %s can't be read: %s", request.id, error)
            return pack({"error": str(error)})
        command = load.get("cmd")
        if not isinstance(command, str):
            return self._sealed(peer, {})
        try:
            with self._turn(command):
                return self._dispatch(command, peer, load)
        except ProtocolError as error:
            self.counts["refused/malformed"] += 1
            log.warning("%s of %s refused: %s", command, peer.id, error)
            return self._sealed(peer, "")
        except StoreError as error:
            # No acknowledgement: a clear dict is an error to the minion, which keeps and retries.
            self.counts["failed"] += 1
            log.error("%s of %s could not be kept: %s", command, peer.id, error)
            return pack({"error": str(error)})
        except Exception:
            self.counts["failed"] += 1
            log.exception("%s of %s failed", command, peer.id)
            if command == "_return":  # anything sealed would acknowledge it
                return pack({"error": HANDLER_ERROR})
            return self._sealed(peer, "")

    def _dispatch(self, command: str, peer: Peer, load: dict[str, Any]) -> bytes:
        private, handler = self._private.get(command), self._minion.get(command)
        if private is None and handler is None:
            self.counts["refused/command"] += 1
            log.info("%s asked for the command %.80r, which is not served", peer.id, command)
            return self._sealed(peer, {})
        self.counts[command] += 1
        if private is not None:
            return private(peer, load)
        assert handler is not None
        return self._sealed(peer, handler(peer, load))

    def _turn(self, command: object) -> AbstractContextManager[object]:
        return self._heavy_turn if command in self._heavy else nullcontext()

    @staticmethod
    def _sealed(peer: Peer, result: Any) -> bytes:
        return seal(peer.crypticle, peer.nonce, result, peer.codec)


def seal(crypticle: Crypticle, nonce: str, result: Any, codec: Codec = MSGPACK) -> bytes:
    """A reply under the session key: a msgpack raw string (docs/protocol.md 4.3)."""
    return encrypted_reply(crypticle.dumps(result, nonce, codec))


def _clear(reply: Any, codec: Codec) -> bytes:
    """The answer of a clear command; errors are msgpack always (docs/protocol.md 12.4)."""
    if codec is not MSGPACK and isinstance(reply, dict) and "load" in reply:
        return packed_reply(codec.name, codec.dumps(reply["load"]))
    return pack(reply)
