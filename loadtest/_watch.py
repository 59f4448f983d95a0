"""When things appear on the master's event bus: one subscription for all users of a process.

Two framings: greensalt's bus is a ZeroMQ PUB, stock Salt's a stream of msgpack maps on a unix
socket (docs/protocol.md 7.1). Of an event only the tag is read: the data may be large, and reading
it would be the generator's time, not the master's.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from typing import Final
from uuid import uuid4

import gevent
import msgpack
import zmq
from gevent import socket
from gevent.event import Event

from greensalt.errors import TransportError
from greensalt.green import within
from greensalt.transport.sockets import green_socket, shared_context
from greensalt.wire import tags

log = logging.getLogger(__name__)

EVENTS: Final = "loadtest/"
"""The tags of the events that the emulated minions fire begin so."""

READ_BYTES: Final = 1 << 20
SYNC_TRIES: Final = 10
SYNC_S: Final = 0.5


class Arrivals:
    """When each member of a group was seen first: seconds of the host's monotonic clock."""

    def __init__(self) -> None:
        self.times: dict[str, float] = {}
        self._changed = Event()

    def add(self, name: str, moment: float) -> None:
        self.times.setdefault(name, moment)
        self._changed.set()

    def wait(self, count: int, timeout_s: float) -> bool:
        """Whether `count` of them arrived within `timeout_s` seconds."""
        with within(timeout_s):
            while len(self.times) < count:
                self._changed.clear()
                self._changed.wait()
        return len(self.times) >= count


class BusWatch:
    """Watches a bus for the returns of jobs and for the events of the emulated minions.

    `fire(tag)` fires an event on that bus; watching begins once one of those was seen.
    """

    def __init__(self, path: str, kind: str, fire: Callable[[str], object]) -> None:
        self._expected: dict[str, Arrivals] = {}
        self._events = _zmq_events(path) if kind == "zmq" else _stream_events(path)
        self._greenlet = gevent.spawn(self._run)
        self._greenlet.name = f"watch of {path}"
        if not self._sees(fire):
            self.close()
            raise TransportError(f"nothing is heard from the event bus {path}")

    def _sees(self, fire: Callable[[str], object]) -> bool:
        """Whether the subscription lives: it takes a moment to arrive."""
        tag = f"{EVENTS}{uuid4().hex}"
        arrivals = self.expect(tag)
        try:
            for _ in range(SYNC_TRIES):
                fire(tag)
                if arrivals.wait(1, SYNC_S):
                    return True
            return False
        finally:
            self.forget(tag)

    def close(self) -> None:
        self._greenlet.kill()

    def expect(self, group: str) -> Arrivals:
        """Begin to note what arrives of a group: the returns of a jid, or the event of a tag."""
        arrivals = self._expected[group] = Arrivals()
        return arrivals

    def forget(self, group: str) -> None:
        self._expected.pop(group, None)

    def _run(self) -> None:
        for event in self._events:
            moment = time.perf_counter()
            tag = event.partition(tags.TAG_END)[0].decode(errors="replace")
            group, name = _group(tag)
            arrivals = self._expected.get(group)
            if arrivals is not None:
                arrivals.add(name, moment)


def _group(tag: str) -> tuple[str, str]:
    """What a tag belongs to, and which of them it is."""
    parts = tag.split("/", 4)
    if len(parts) == 5 and parts[:2] == ["salt", "job"] and parts[3] == "ret":
        return parts[2], parts[4]
    return tag, tag


def _zmq_events(path: str) -> Iterator[bytes]:
    sock = green_socket(shared_context(), zmq.SUB)
    try:
        sock.set(zmq.LINGER, 0)
        sock.set(zmq.RCVHWM, 0)
        sock.connect(f"ipc://{path}")
        for prefix in ("salt/job/", EVENTS):
            sock.set(zmq.SUBSCRIBE, prefix.encode())
        while True:
            frames = sock.recv_multipart()
            if len(frames) > 1:  # one frame is the weight of an event
                yield frames[0]
    finally:
        sock.close(0)


def _stream_events(path: str) -> Iterator[bytes]:
    unpacker = msgpack.Unpacker(raw=True, strict_map_key=False, max_buffer_size=1 << 30)
    with socket.socket(socket.AF_UNIX) as stream:
        stream.connect(path)
        while data := stream.recv(READ_BYTES):
            unpacker.feed(data)
            for message in unpacker:
                yield message[b"body"]
    log.error("the event bus %s has ended", path)
