"""The Ret interface: bytes of one request in, bytes of its reply out. Every request is answered.

Dispatch is a table per channel: what is not in it is not reachable from port 4506.

Source: docs/protocol.md 4, 6.
"""

from __future__ import annotations

import logging
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple, Protocol

from greensalt.crypto.crypticle import Crypticle
from greensalt.errors import (
    AuthenticationError,
    CryptoError,
    MalformedMessage,
    ProtocolError,
    StoreError,
    VersionTooOld,
)
from greensalt.green.deferred import Deferred
from greensalt.green.histogram import Histogram
from greensalt.master.codecs import ServedCodecs
from greensalt.master.lanes import Lane, Place
from greensalt.master.sessions import Peer, Sessions
from greensalt.master.stats import Tally
from greensalt.serializers import MSGPACK, Codec
from greensalt.transport.device import Reply
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
# An encrypted handler gets the peer, too; its result goes back under the session key. When it comes
# later, it is None or an error.
MinionHandler = Callable[[Peer, dict[str, Any]], Any]
# A handler of the private kind makes its own reply: the pillar (docs/protocol.md 4.4).
PrivateHandler = Callable[[Peer, dict[str, Any]], bytes]

STRANGERS_MOST_BYTES = 32 << 10
"""Of a clear request from somebody who names no local user's key. A sign-in needs 2 KB; to build
the objects that may be in this many bytes takes 40 ms, in a megabyte more than a second."""

DROPS_TOLD = 1000  # one line of log for so many
HANDLER_ERROR = "Some exception handling minion payload"


class Tables(NamedTuple):
    """The whole surface of the Ret interface (master/routes.py)."""

    clear: Mapping[str, ClearHandler]
    minion: Mapping[str, MinionHandler]
    private: Mapping[str, PrivateHandler]
    lane_of: Mapping[str, str]
    last_lane: str
    admitted: Collection[str] = ()


class Elsewhere(Protocol):
    """Worker processes: master/workers/elsewhere.py."""

    @property
    def commands(self) -> Collection[str]: ...

    def is_there(self) -> bool: ...

    def reserve(self) -> bool: ...

    def serve(self, command: str, peer: Peer, load: dict[str, Any]) -> bytes | None: ...


class ReqServer:
    """Answers requests by three tables of commands.

    Each command has its turn in the lane that `lane_of` names, the others in `last_lane`;
    `elsewhere` is where the work of some is done when there is room. `is_local` tells whether a
    text is a local user's key or a token; those that ask for one of `admitted` pass `admit` before
    they have their turn, for a password may take a while. `counts` counts requests by command and
    refusals by reason, `durations` how long the answers took, by command, waiting not included;
    `heard` is told who spoke on which connection.
    """

    def __init__(
        self,
        sessions: Sessions,
        codecs: ServedCodecs,
        tables: Tables,
        lanes: Mapping[str, Lane],
        is_local: Callable[[str], bool] = lambda _: False,
        admit: Callable[[Mapping[str, Any]], object] = lambda _: None,
        heard: Callable[[int, str], object] = lambda _connection, _minion_id: None,
    ) -> None:
        self._is_local = is_local
        self._admit = admit
        self._heard = heard
        self._sessions = sessions
        self._codecs = codecs
        self._clear = tables.clear
        self._minion = tables.minion
        self._private = tables.private
        self._admitted = tables.admitted
        self.lanes = lanes
        self._lane_of = {
            command: lanes[tables.lane_of.get(command, tables.last_lane)]
            for command in (*tables.clear, *tables.minion, *tables.private)
        }
        self._elsewhere: Elsewhere | None = None
        self.counts: Counter[str] = Counter()
        self.durations: defaultdict[str, Histogram] = defaultdict(Histogram)
        self.tally = Tally()

    def give_away(self, elsewhere: Elsewhere) -> None:
        """Have worker processes do what they can."""
        self._elsewhere = elsewhere
        for command in elsewhere.commands:
            lane = self._lane_of[command]
            lane.reserve_elsewhere = elsewhere.reserve
            lane.narrow = elsewhere.is_there

    def advance(self) -> None:
        """There may be room elsewhere: let those go on that wait for it."""
        for lane in self.lanes.values():
            lane.advance()

    def stats(self) -> dict[str, Any]:
        """Counts, durations and lanes as plain data, in seconds."""
        return {
            "counts": dict(self.counts),
            "durations": {name: each.figures() for name, each in self.durations.items()},
            "lanes": {name: lane.figures() for name, lane in self.lanes.items()},
        }

    def handle(self, body: bytes, connection: int = -1) -> Reply | Deferred[Reply]:
        """The reply to a request that came over a connection; None drops it. Never raises."""
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
            return self._answer_clear(request, len(body))
        if isinstance(request, PackedRequest):
            return self._answer_packed(request, len(body))
        return self._answer_minion(request, len(body), connection)

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

    def _answer_packed(self, request: PackedRequest, size: int) -> bytes | None:
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
        return self._answer_clear(ClearRequest(load, request.version), size, codec)

    def _answer_clear(
        self, request: ClearRequest, size: int, codec: Codec = MSGPACK
    ) -> bytes | None:
        command = request.load.get("cmd")
        handler = self._clear.get(command) if isinstance(command, str) else None
        if handler is None:
            self.counts["refused/command"] += 1
            return pack({})
        command = str(command)
        self.counts[command] += 1
        try:
            if command in self._admitted:
                self._admit(request.load)
            return self._clear_turn(command, handler, request.load, size, codec)
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

    def _clear_turn(
        self, command: str, handler: ClearHandler, load: dict[str, Any], size: int, codec: Codec
    ) -> bytes | None:
        lane = self._lane_of[command]
        if lane.enter(size) is Place.NOWHERE:
            return self._dropped(command, lane)
        begun = time.monotonic()
        try:
            reply = handler(load)
            return reply if isinstance(reply, bytes) else _clear(reply, codec)
        finally:
            self._leave(command, lane, begun)

    def _leave(self, command: str, lane: Lane, begun: float) -> None:
        """The turn of a request that began at `begun` is over."""
        duration_s = time.monotonic() - begun
        self.durations[command].add(duration_s)
        self.tally.add(command, duration_s)
        lane.leave()

    def _dropped(self, command: str, lane: Lane) -> bytes | None:
        """Too many wait: a minion without an answer asks again, but a user wants to know."""
        self.counts[f"dropped/{lane.name}"] += 1
        if lane.dropped % DROPS_TOLD == 1:
            what = "%s dropped: %d requests wait in the lane %s; dropped so far: %d"
            log.warning(what, command, lane.waiting, lane.name, lane.dropped)
        if lane.name != "publish":
            return None
        message = f"{lane.waiting} requests wait; try again"
        return pack({"error": {"name": "Busy", "message": message}})

    def _answer_minion(
        self, request: EncryptedRequest, size: int, connection: int
    ) -> Reply | Deferred[Reply]:
        try:
            peer, load = self._sessions.open(request)
        except (AuthenticationError, CryptoError, ProtocolError) as error:
            return self._refuse("authentication", error)
        except StoreError as error:
            self.counts["failed"] += 1
            log.error("the session of %s can't be read: %s", request.id, error)
            return pack({"error": str(error)})
        self._heard(connection, peer.id)
        command = load.get("cmd")
        if not isinstance(command, str):
            return self._sealed(peer, {})
        try:
            return self._dispatch(command, peer, load, size)
        except Exception as error:  # noqa: BLE001  # told and logged
            return self._failed(command, peer, error)

    def _failed(self, command: str, peer: Peer, error: Exception) -> bytes:
        """The reply to a request whose handler raised."""
        if isinstance(error, ProtocolError):
            self.counts["refused/malformed"] += 1
            log.warning("%s of %s refused: %s", command, peer.id, error)
            return self._sealed(peer, "")
        self.counts["failed"] += 1
        if isinstance(error, StoreError):
            # No acknowledgement: a clear dict is an error to the minion, which keeps and retries.
            log.error("%s of %s could not be kept: %s", command, peer.id, error)
            return pack({"error": str(error)})
        log.error("%s of %s failed", command, peer.id, exc_info=error)
        if command == "_return":  # anything sealed would acknowledge it
            return pack({"error": HANDLER_ERROR})
        return self._sealed(peer, "")

    def _dispatch(
        self, command: str, peer: Peer, load: dict[str, Any], size: int
    ) -> Reply | Deferred[Reply]:
        lane = self._lane_of.get(command)
        if lane is None or command in self._clear:
            self.counts["refused/command"] += 1
            log.info("%s asked for the command %.80r, which is not served", peer.id, command)
            return self._sealed(peer, {})
        self.counts[command] += 1
        elsewhere = self._elsewhere
        may_leave = elsewhere is not None and command in elsewhere.commands
        place = lane.enter(size, may_leave=may_leave)
        if place is Place.NOWHERE:
            return self._dropped(command, lane)
        begun = time.monotonic()
        result: Any = None
        try:
            if place is Place.ELSEWHERE and elsewhere is not None:
                try:
                    reply = elsewhere.serve(command, peer, load)
                finally:
                    lane.stay()
                if reply is not None:
                    return reply
            private = self._private.get(command)
            if private is not None:
                return private(peer, load)
            result = self._minion[command](peer, load)
            if not isinstance(result, Deferred):
                return self._sealed(peer, result)
        finally:
            if not isinstance(result, Deferred):
                self._leave(command, lane, begun)
        return self._later(command, peer, lane, begun, result)

    def _later(
        self, command: str, peer: Peer, lane: Lane, begun: float, done: Deferred[Exception | None]
    ) -> Deferred[Reply]:
        """The reply to a request that keeps its place in the lane until it is done."""
        later: Deferred[Reply] = Deferred()

        def finish(error: Exception | None) -> None:
            self._leave(command, lane, begun)
            later.resolve(
                self._sealed(peer, None) if error is None else self._failed(command, peer, error)
            )

        done.then(finish)
        return later

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
