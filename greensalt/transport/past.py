"""The last events of a bus, kept for those who missed some.

A subscriber that sees a gap in the sequence asks for it here, by REQ: one frame with boot id, first
and last number (8 bytes each), and as further frames the prefixes of the tags that it wants (none:
all). The reply is such a frame, with the numbers that it covers, and one frame per event: its
number and the event. A reply is cut where it gets long; what it leaves out at its beginning is no
longer there. Source: docs/protocol.md 12.2.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import gevent
import zmq

from greensalt.errors import ProtocolError, TransportError
from greensalt.green import Crew
from greensalt.transport.sockets import (
    MAX_FRAMES,
    Context,
    Drain,
    bind_ipc,
    green_socket,
    plain_socket,
    send,
)
from greensalt.wire import tags

log = logging.getLogger(__name__)

HEAD: Final = struct.Struct(">8sQQ")
NUMBER: Final = struct.Struct(">Q")
ANSWERED_MOST: Final = 60  # events of one reply
ANSWERED_BYTES_MOST: Final = 1 << 20
LOOKED_AT_MOST: Final = 2000  # for one reply: some 0.3 ms
MAX_PREFIX_BYTES: Final = 1024


class Span(NamedTuple):
    """The events of one bus from one number to another, both included."""

    boot_id: bytes
    first: int
    last: int


class Fetched(NamedTuple):
    """What the bus still had of a span: (number, tag, data), and the spans that are lost."""

    events: list[tuple[int, str, dict[str, Any]]]
    lost: list[Span]


class Recent:
    """The events with the highest numbers, at most so many and so many bytes."""

    def __init__(self, most: int, most_bytes: int) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._events: dict[int, bytes] = {}
        self._oldest = 1
        self._newest = 0
        self.size = 0  # bytes

    def __len__(self) -> int:
        return len(self._events)

    def keep(self, number: int, event: bytes) -> None:
        """Keep an event; the numbers grow."""
        if not self._events:
            self._oldest = number
        self._events[number] = event
        self._newest = number
        self.size += len(event)
        while self.size > self._most_bytes or len(self._events) > self._most:
            self.size -= len(self._events.pop(self._oldest, b""))
            self._oldest += 1

    def between(
        self, first: int, last: int, prefixes: tuple[bytes, ...]
    ) -> tuple[int, int, list[tuple[int, bytes]]]:
        """What is kept of a span: the numbers that were looked at, and the wanted events.

        Where nothing is kept, the first number is one more than the last.
        """
        first, last = max(first, self._oldest), min(last, self._newest)
        if not self._events or first > last:
            return last + 1, last, []
        found: list[tuple[int, bytes]] = []
        size = 0
        for number in range(first, min(last, first + LOOKED_AT_MOST - 1) + 1):
            event = self._events.get(number)
            if event is None or (prefixes and not event.startswith(prefixes)):
                continue
            if len(found) >= ANSWERED_MOST or (found and size + len(event) > ANSWERED_BYTES_MOST):
                return first, number - 1, found
            found.append((number, event))
            size += len(event)
        return first, min(last, first + LOOKED_AT_MOST - 1), found


class Past:
    """Answers those who ask for past events of a bus."""

    def __init__(self, context: Context, boot_id: bytes, recent: Recent) -> None:
        self._boot_id = boot_id
        self._recent = recent
        self._sock = plain_socket(context, zmq.ROUTER)
        self._sock.set(zmq.RCVHWM, 4)
        self._sock.set(zmq.SNDHWM, 4)
        self._sock.set(zmq.MAXMSGSIZE, MAX_PREFIX_BYTES)
        self._sock.set(zmq.LINGER, 0)
        self._drain: Drain | None = None
        self.malformed = 0

    def bind(self, address: str) -> None:
        bind_ipc(self._sock, address, 0o660)

    def start(self, crew: Crew) -> None:
        self._drain = Drain(self._sock, self._answer)
        crew.spawn_vital("past", self._drain.run)

    def close(self) -> None:
        if self._drain is None:
            self._sock.close()
        else:
            self._drain.close()

    def _answer(self, frames: list[bytes]) -> None:
        if not 3 <= len(frames) < MAX_FRAMES or frames[1] or len(frames[2]) != HEAD.size:
            self.malformed += 1
            return
        boot_id, first, last = HEAD.unpack(frames[2])
        events: list[tuple[int, bytes]] = []
        if boot_id == self._boot_id:
            first, last, events = self._recent.between(first, last, tuple(frames[3:]))
        else:
            first, last = 1, 0
        answer = [HEAD.pack(self._boot_id, first, last)]
        answer += [NUMBER.pack(number) + event for number, event in events]
        try:
            send(self._sock, [*frames[:2], *answer])
        except zmq.ZMQError as error:
            log.info("nobody takes the past events that were asked for: %s", error)


def fetch(
    context: Context, address: str, span: Span, prefixes: Sequence[str], timeout_s: float
) -> Fetched:
    """Ask the bus for a span; TransportError after `timeout_s` seconds of silence."""
    sock = green_socket(context, zmq.REQ)
    sock.set(zmq.LINGER, 0)
    wanted = [prefix.encode() for prefix in prefixes]
    fetched = Fetched([], [])
    asked = span.first
    try:
        sock.connect(address)
        while asked <= span.last:
            with gevent.Timeout(timeout_s, TransportError(f"no past events from {address}")):
                sock.send_multipart([HEAD.pack(span.boot_id, asked, span.last), *wanted])
                head, *events = sock.recv_multipart()
            boot_id, first, last = HEAD.unpack(head)
            if boot_id != span.boot_id or first > last or last < asked:
                fetched.lost.append(Span(span.boot_id, asked, span.last))
                break
            if first > asked:
                fetched.lost.append(Span(span.boot_id, asked, first - 1))
            _read(fetched, events)
            asked = last + 1
    finally:
        sock.close(0)
    return fetched


def _read(fetched: Fetched, events: list[bytes]) -> None:
    for event in events:
        (number,) = NUMBER.unpack_from(event)
        try:
            fetched.events.append((number, *tags.unpack_event(event[NUMBER.size :])))
        except ProtocolError:
            log.warning("an event that can't be read was skipped")
