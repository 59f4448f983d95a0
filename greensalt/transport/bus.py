"""The event bus of a daemon: the EventPublisher, PULL -> PUB, and its clients.

A bus message has two frames: the event (tag, blank line, msgpack: docs/protocol.md 7.1) and a
stamp: 8 bytes boot id, 8 bytes sequence number, big-endian. A client that receives everything sees
from the stamp what it missed, and can ask for it (`transport/past.py`). `epub` is an XPUB, which is
a PUB that shows its subscriptions: one to `greensalt/sync/...` is answered with an event of that
tag, so a client knows that it and all its earlier subscriptions are live (docs/protocol.md 12).

libzmq bounds what a subscriber that does not read costs by a number of messages only. So a large
event has weight: for each 4 KiB of it a message of one frame, its bare tag, goes out before it, to
the same subscribers. A full pipe refuses all that follows until half of it has been read, so a
subscriber that reads nothing has no more queued than SUBSCRIBER_HWM times 4 KiB, and an event.
"""

from __future__ import annotations

import logging
import os
import struct
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import gevent
import zmq

from greensalt.errors import ProtocolError, TransportError
from greensalt.green import Crew, within
from greensalt.transport.past import Fetched, Past, Recent, Span, fetch
from greensalt.transport.sockets import (
    Context,
    Drain,
    Outgoing,
    Socket,
    bind_ipc,
    green_socket,
    plain_socket,
    shared_context,
)
from greensalt.wire import tags
from greensalt.wire.dialect import pack_bin
from greensalt.wire.peek import EventPeek

log = logging.getLogger(__name__)

Wanted = Callable[[str], bool]
Take = Callable[[str, dict[str, Any]], object]

STAMP = struct.Struct(">8sQ")
SUBSCRIBER_HWM = 20_000  # events kept for a subscriber that does not read; then it loses some
WEIGHT_BYTES = 4096  # a larger event counts as several
KEEP_BYTES = 32 << 20  # of past events, at most SUBSCRIBER_HWM of them
GAPS_MOST = 1000


class EventPublisher:
    """Owns `epull` and `epub`, and the listeners inside the process.

    `fire` sends an event at once; events from `epull` take the same way. A listener that raises is
    logged and harms nothing. `intercept(tag, data)` is asked before an event goes out; when it
    returns True it has taken the event over and calls `publish` itself.
    """

    def __init__(
        self,
        context: Context,
        *,
        max_event_bytes: int = 1 << 20,
        hwm: int = SUBSCRIBER_HWM,
        keep_bytes: int = KEEP_BYTES,
        intercept: Callable[[str, dict[str, Any]], bool] | None = None,
        drain: type[Drain] = Drain,
    ) -> None:
        self._context = context
        self._drain = drain
        self._intercept = intercept
        self.boot_id = os.urandom(8)
        self.sequence = 0
        self.malformed = 0
        self._max_event_bytes = max_event_bytes
        self._epub = plain_socket(context, zmq.XPUB)
        self._epub.set(zmq.SNDHWM, hwm)
        self._epub.set(zmq.RCVHWM, 0)
        self._epub.set(zmq.LINGER, 100)
        self._epull = plain_socket(context, zmq.PULL)
        self._epull.set(zmq.RCVHWM, 0)
        self._epull.set(zmq.MAXMSGSIZE, 4 * max_event_bytes)
        self._events = Outgoing(self._epub, self._sent, _refused)
        self._listeners: tuple[tuple[Wanted, Take], ...] = ()
        self._drains: list[Drain] = []
        self._crew = Crew("bus")
        self._peek = EventPeek() if intercept is None else None
        self._recent = Recent(hwm, keep_bytes)
        self._past: Past | None = None

    @property
    def failed(self) -> Any:
        """Set to the reason when the bus can't go on."""
        return self._crew.failed

    def bind(self, epub: str, epull: str, past: str | None = None) -> None:
        """Open the sockets; without `past` nobody can ask for past events."""
        if past is not None:
            self._past = Past(self._context, self.boot_id, self._recent)
            self._past.bind(past)
        bind_ipc(self._epub, epub, 0o660)
        bind_ipc(self._epull, epull, 0o600)

    def start(self) -> None:
        self._drains = [
            self._drain(self._epub, self._subscribed),
            self._drain(self._epull, self._take),
        ]
        for drain in self._drains:
            drain.start(self._crew)
        if self._past is not None:
            self._past.start(self._crew)

    def stop(self) -> None:
        self._events.flush()
        self._crew.stop()
        for drain in self._drains:
            drain.close()
        if self._past is not None:
            self._past.close()

    def listen(self, wanted: Wanted, take: Take) -> Callable[[], None]:
        """Call `take(tag, data)` for every event whose tag is `wanted`; returns the way to stop.

        Both run in the greenlet that fires and must not wait: who has much to do puts the event
        into a bounded queue of its own.
        """
        entry = (wanted, take)
        self._listeners = (*self._listeners, entry)

        def stop() -> None:
            self._listeners = tuple(other for other in self._listeners if other is not entry)

        return stop

    def fire(self, tag: str, data: dict[str, Any]) -> None:
        """Send an event to all subscribers and listeners; `_stamp` is added."""
        data = tags.stamp(data, datetime.now(UTC))
        if self._intercept is None or not self._intercept(tag, data):
            self._send(tags.pack_event(tag, data), tag, data)

    def publish(self, tag: str, data: dict[str, Any]) -> None:
        """Send an event that has its stamp and was intercepted before."""
        self._send(tags.pack_event(tag, data), tag, data)

    def _take(self, frames: list[bytes]) -> None:
        """An event from somebody else on this host; its data are only built where it must be."""
        if len(frames) != 1:
            self.malformed += 1
            return
        event = frames[0]
        try:
            tag, body = tags.split_event(event)
            if (
                self._peek is not None
                and len(event) <= self._max_event_bytes
                and self._peek.is_stamped(body)
            ):
                self._put_out(event, tag)
                if self._listeners:
                    self._tell(tag, None, event)
                return
            tag, data = tags.unpack_event(event)
        except ProtocolError as error:
            self.malformed += 1
            log.warning("an event that can't be read was dropped: %s", error)
            return
        if "_stamp" not in data:
            self.fire(tag, data)
        elif self._intercept is None or not self._intercept(tag, data):
            self._send(event, tag, data)

    def _send(self, event: bytes, tag: str, data: dict[str, Any]) -> None:
        if len(event) > self._max_event_bytes:
            event = tags.pack_event(tag, trim(data, self._max_event_bytes))
        self._put_out(event, tag)
        self._tell(tag, data, event)

    def _put_out(self, event: bytes, tag: str) -> None:
        self.sequence += 1
        if self._past is not None:
            self._recent.keep(self.sequence, event)
        for _ in range(len(event) // WEIGHT_BYTES):
            self._events.add([tag.encode() + tags.TAG_END])
        self._events.add([event, STAMP.pack(self.boot_id, self.sequence)])

    def _tell(self, tag: str, data: dict[str, Any] | None, event: bytes) -> None:
        """Call the listeners; `data` of None are built from the event for the first that wants."""
        for wanted, take in self._listeners:
            try:
                if wanted(tag):
                    data = tags.unpack_event(event)[1] if data is None else data
                    take(tag, data)
            except Exception:
                log.exception("a listener of the bus failed on %s", tag)

    def _sent(self) -> None:
        if self._drains:
            self._drains[0].recheck()

    def _subscribed(self, frames: list[bytes]) -> None:
        """A subscription frame: one byte 1 and the topic."""
        topic = frames[0][1:]
        if frames[0][:1] == b"\x01" and topic.startswith(tags.SYNC_PREFIX.encode()):
            try:
                self.fire(topic.decode(errors="replace"), {})
            except ProtocolError as error:
                self.malformed += 1
                log.warning("a subscription that can't be answered: %s", error)


def _refused(_frames: Sequence[bytes], error: zmq.ZMQError) -> None:
    log.error("the event bus refused an event: %s", error)  # XPUB without NODROP never blocks


def trim(data: dict[str, Any], most_bytes: int) -> dict[str, Any]:
    """`data` with its largest values replaced by a note until it packs to `most_bytes`."""
    sizes = {key: len(pack_bin(value)) for key, value in data.items()}
    trimmed = dict(data)
    left = sum(sizes.values())
    for key in sorted(sizes, key=lambda key: sizes[key], reverse=True):
        if left <= most_bytes:
            break
        trimmed[key] = "VALUE_TRIMMED"
        left -= sizes[key]
    return trimmed


class BusClient:
    """A subscriber of a bus and, with `pull_address`, one that fires events on it.

    A client that subscribes to everything ("") first of all knows exactly what it missed: `missed`
    counts those events, and `gaps` has the last GAPS_MOST spans of them, to be taken out by who
    looks after them. `fetch` gets them again, with `past_address`. `restarts` counts changes of
    the bus's boot id; what an earlier bus fired last, nobody knows.

    A client of a prefix can't tell from the numbers whether a gap held events for it. It asks:
    `fetch` with its prefix and the numbers between two that it `heard`.
    """

    def __init__(
        self,
        pub_address: str,
        pull_address: str | None = None,
        context: Context | None = None,
        *,
        past_address: str | None = None,
        hwm: int = SUBSCRIBER_HWM,
    ) -> None:
        self._context = context or shared_context()
        self._past_address = past_address
        self._sub = green_socket(self._context, zmq.SUB)
        self._sub.set(zmq.LINGER, 0)
        self._sub.set(zmq.RCVHWM, hwm)
        self._sub.set(zmq.RECONNECT_IVL, 50)
        self._sub.set(zmq.RECONNECT_IVL_MAX, 500)
        self._sub.connect(pub_address)
        self.pub_address = pub_address
        self._push: Socket | None = None
        if pull_address is not None:
            self._push = green_socket(self._context, zmq.PUSH)
            self._push.set(zmq.LINGER, 1000)
            self._push.connect(pull_address)
        self.missed = self.restarts = 0
        self.gaps: deque[Span] = deque(maxlen=GAPS_MOST)
        self._everything = False
        self._boot_id = b""
        self._sequence = 0
        self._early: list[tuple[str, dict[str, Any]]] = []

    def subscribe(self, prefix: str) -> None:
        """Receive the events whose tag begins with `prefix`; "" is everything."""
        self._everything = self._everything or not prefix
        self._sub.set(zmq.SUBSCRIBE, prefix.encode())

    def unsubscribe(self, prefix: str) -> None:
        self._sub.set(zmq.UNSUBSCRIBE, prefix.encode())

    def sync(self, timeout_s: float) -> None:
        """Return once all subscriptions so far are live; TransportError when the bus is silent."""
        topic = f"{tags.SYNC_PREFIX}{uuid4().hex}"
        self._sub.set(zmq.SUBSCRIBE, topic.encode())
        try:
            with gevent.Timeout(timeout_s, TransportError(f"no event bus at {self.pub_address}")):
                while True:
                    event = self._receive()
                    if event[0] == topic:
                        return
                    self._early.append(event)
        finally:
            self._sub.set(zmq.UNSUBSCRIBE, topic.encode())

    def next(self, timeout_s: float | None) -> tuple[str, dict[str, Any]] | None:
        """The next event as (tag, data), or None after `timeout_s` seconds (None: no limit)."""
        if self._early:
            return self._early.pop(0)
        with within(timeout_s):
            return self._receive()
        return None

    @property
    def heard(self) -> Span:
        """The number of the last event that was received, as a span; 0 before the first."""
        return Span(self._boot_id, self._sequence, self._sequence)

    def fetch(self, span: Span, *prefixes: str, timeout_s: float = 5.0) -> Fetched:
        """Get past events again, those below any of the prefixes or all.

        What the bus no longer has is told in `lost`. TransportError when it does not answer.
        """
        if self._past_address is None:
            raise TransportError("this client of the bus has no address to ask for past events")
        return fetch(self._context, self._past_address, span, prefixes, timeout_s)

    def fire(self, tag: str, data: dict[str, Any]) -> None:
        """Fire an event on the bus."""
        if self._push is None:
            raise TransportError("this client of the bus only listens")
        self._push.send(tags.pack_event(tag, tags.stamp(data, datetime.now(UTC))))

    def close(self) -> None:
        self._sub.close(0)
        if self._push is not None:
            self._push.close()

    def _receive(self) -> tuple[str, dict[str, Any]]:
        while True:
            frames = self._sub.recv_multipart()
            if len(frames) != 2 or len(frames[1]) != STAMP.size:
                continue  # the weight of an event
            self._check(frames[1])
            try:
                return tags.unpack_event(frames[0])
            except ProtocolError:
                log.warning("an event that can't be read was skipped")

    def _check(self, stamp: bytes) -> None:
        boot_id, sequence = STAMP.unpack(stamp)
        if boot_id != self._boot_id:
            # The first event ever begins the count; of a bus that was restarted, all are awaited.
            self._sequence = 0 if self._boot_id else sequence - 1
            self.restarts += bool(self._boot_id)
            self._boot_id = boot_id
        if self._everything and sequence > self._sequence + 1:
            self.missed += sequence - self._sequence - 1
            self.gaps.append(Span(boot_id, self._sequence + 1, sequence - 1))
        self._sequence = sequence
