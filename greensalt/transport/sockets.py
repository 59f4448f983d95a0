"""What this project knows about ZeroMQ sockets under gevent, in one place.

Every socket comes from a `zmq.green` context. Sockets that carry few messages are green ones and
simply used. The hot ones (ROUTER, DEALER, PULL, XPUB, SUB) are plain sockets of the same context,
drained without blocking by one owner greenlet. The rules, each with a test of its name:

R1  ZMQ_FD is a doorbell, not readiness: wait only after a receive said EAGAIN and no other
    operation on that socket followed, or after EVENTS showed no POLLIN.
R2  A send can swallow an inbound edge: after a send, while the reader is parked, ask EVENTS and
    wake the reader if a message is there.
R3  The watcher is level-triggered: its callback must touch the socket, or it spins.
R4  After N messages or T ms let the others run, and go on without parking.
R5  One owner greenlet per socket. EAGAIN on a send is handled, never ignored.
R6  The watcher stops before the socket closes: libzmq closes the descriptor later.
R7  Flags are plain ints: an enum operation costs more than the receive.
R8  The number of frames is the peer's choice: never assume it. Nor does MAXMSGSIZE bound it: two
    bytes on the wire are a frame.

Source: docs/architecture.md, "Sockets under gevent".
"""

from __future__ import annotations

import logging
import os
import select
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import gevent
import zmq
import zmq.green

from greensalt.errors import TransportError
from greensalt.green import Crew, OnCall

log = logging.getLogger(__name__)

NOBLOCK = int(zmq.NOBLOCK)
SNDMORE_NOBLOCK = int(zmq.SNDMORE | zmq.NOBLOCK)
EVENTS = int(zmq.EVENTS)
POLLIN = int(zmq.POLLIN)
POLLOUT = int(zmq.POLLOUT)
SRCFD = int(zmq.SRCFD)
Again = zmq.Again
_send = zmq.backend.Socket.send

MAX_MESSAGE_BYTES = 100 << 20
MAX_FRAMES = 64
HEARTBEAT_MS = (15_000, 45_000)
DISCARD_FRAMES = 256  # frames thrown away between two turns of the hub
SAFETY_S = 1.0  # how often a parked owner is looked after
BATCH_MESSAGES = 64
BATCH_S = 0.002

Context: TypeAlias = zmq.Context[Any]  # always made by new_context: a green one
Socket: TypeAlias = zmq.Socket[bytes]
Refused: TypeAlias = Callable[[Sequence[bytes], zmq.ZMQError], object]


def new_context(io_threads: int = 1, max_sockets: int | None = None) -> Context:
    """A green context; `max_sockets` must be told before its first socket exists."""
    context: Context = zmq.green.Context(io_threads)
    if max_sockets is not None:
        context.set(zmq.MAX_SOCKETS, max_sockets)
    return context


def shared_context() -> Context:
    """The green context of this process, for a client that brings none."""
    return zmq.green.Context.instance()


def plain_socket(context: Context, kind: int) -> Socket:
    """A hot socket: plain, from the green context, to be drained by an owner."""
    sock: Socket = context.socket(kind, socket_class=zmq.Socket)
    return sock


def green_socket(context: Context, kind: int) -> Socket:
    """A socket for few messages, whose receive and send wait without blocking the hub."""
    sock: Socket = context.socket(kind)
    return sock


def set_server_options(
    sock: Socket, *, backlog: int, ipv6: bool, heartbeat_ms: tuple[int, int]
) -> None:
    """Options of the two public ports: dead peers are noticed, reconnect storms are accepted.

    `heartbeat_ms` is the time between two heartbeats, and the silence after which a peer is dead.
    """
    sock.set(zmq.BACKLOG, backlog)
    sock.set(zmq.LINGER, 500)
    sock.set(zmq.MAXMSGSIZE, MAX_MESSAGE_BYTES)
    sock.set(zmq.HEARTBEAT_IVL, heartbeat_ms[0])
    sock.set(zmq.HEARTBEAT_TIMEOUT, heartbeat_ms[1])
    sock.set(zmq.IPV6, int(ipv6))
    set_keepalive(sock, idle_s=60, interval_s=15, count=3)


def set_keepalive(sock: zmq.Socket[Any], *, idle_s: int, interval_s: int, count: int) -> None:
    """TCP keepalive, for links that a firewall or a NAT drops when they are silent."""
    sock.set(zmq.TCP_KEEPALIVE, 1)
    sock.set(zmq.TCP_KEEPALIVE_IDLE, idle_s)
    sock.set(zmq.TCP_KEEPALIVE_INTVL, interval_s)
    sock.set(zmq.TCP_KEEPALIVE_CNT, count)


def bind_tcp(sock: Socket, address: str) -> str:
    """Bind; the address with its real port. Raises TransportError that names it."""
    try:
        sock.bind(address)
    except zmq.ZMQError as error:
        raise TransportError(f"can't listen on {address}: {error.strerror}") from error
    bound: bytes = sock.get(zmq.LAST_ENDPOINT)  # type: ignore[assignment]  # stubs: int or bytes
    return bound.decode().rstrip("\0")


def bind_ipc(sock: zmq.Socket[Any], address: str, mode: int) -> None:
    """Bind a unix socket whose file has `mode` from its first moment on."""
    path = address.removeprefix("ipc://")
    Path(path).parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    before = os.umask(0o777 & ~mode)
    try:
        sock.bind(address)
    except zmq.ZMQError as error:
        raise TransportError(f"can't listen on {address}: {error.strerror}") from error
    finally:
        os.umask(before)


def receive(sock: Socket) -> list[bytes]:
    """One whole message without blocking; raises `Again` when there is none (R8).

    Of a message with more than MAX_FRAMES frames one too many is returned, so that it counts as
    malformed; the rest is thrown away, and the other greenlets run meanwhile.
    """
    return _receive(sock)[0]


def receive_from(sock: Socket) -> tuple[list[bytes], int]:
    """As `receive`, and the number of the connection that the message came over.

    It is the descriptor's, which another connection may get when this one is closed; -1 where there
    is none (inproc).
    """
    frames, last = _receive(sock)
    try:
        connection: int = last.get(SRCFD)
    except zmq.ZMQError:
        connection = -1
    return frames, connection


def _receive(sock: Socket) -> tuple[list[bytes], zmq.Frame]:
    frame = sock.recv(NOBLOCK, False)
    frames = [frame.bytes]
    while frame.more:
        frame = sock.recv(NOBLOCK, False)
        frames.append(frame.bytes)
        if len(frames) > MAX_FRAMES:
            _discard(sock, frame.more)
            break
    return frames, frame


def _discard(sock: Socket, more: bool) -> None:
    count = 0
    while more:
        more = sock.recv(NOBLOCK, False).more
        count += 1
        if not count % DISCARD_FRAMES:
            gevent.sleep(0)


def send(sock: Socket, frames: Sequence[bytes]) -> None:
    """One whole message without blocking; raises `Again` when the peer's pipe is full."""
    # Past pyzmq's outer method, which looks at options that nobody here uses at each frame.
    for frame in frames[:-1]:
        _send(sock, frame, SNDMORE_NOBLOCK)
    _send(sock, frames[-1], NOBLOCK)


def readable(sock: Socket) -> bool:
    """Whether a message is waiting; asking also clears the doorbell."""
    return bool(events(sock) & POLLIN)


def events(sock: Socket) -> int:
    """POLLIN and POLLOUT as they stand; asking clears the doorbell."""
    ready: int = sock.get(EVENTS)  # type: ignore[assignment]  # stubs: any option, any type
    return ready


class Outgoing:
    """Messages that leave on a socket together, at the end of this turn of the hub.

    Each send may wake libzmq's own thread, which costs as much as all else of a reply; sent one
    right after the other, they wake it once. `sent()` is called after each lot: a send may have
    swallowed an inbound edge (R2).
    """

    def __init__(self, sock: Socket, sent: Callable[[], object], refused: Refused) -> None:
        self._sock = sock
        self._sent = sent
        self._refused = refused
        self._waiting: list[Sequence[bytes]] = []
        self._loop = gevent.get_hub().loop

    def add(self, frames: Sequence[bytes]) -> None:
        """Send soon."""
        if not self._waiting:
            self._loop.run_callback(self.flush)
        self._waiting.append(frames)

    def flush(self) -> None:
        """Send what waits now."""
        waiting, self._waiting = self._waiting, []
        for frames in waiting:
            try:
                send(self._sock, frames)
            except zmq.ZMQError as error:
                self._refused(frames, error)
        if waiting:
            self._sent()


class Doorbell:
    """Watches a socket's ZMQ_FD and rings the owner.

    `ring()` returns whether the owner was parked and has been woken; if not, the doorbell touches
    the socket itself (R3). After a second without a ring it looks whether a message waits all the
    same: `missed` counts those, and the owner is woken.
    """

    def __init__(self, sock: Socket, ring: Callable[[], bool]) -> None:
        self._sock = sock
        self._ring = ring
        self.missed = 0
        self._quiet = False
        loop = gevent.get_hub().loop
        descriptor: int = sock.get(zmq.FD)  # type: ignore[assignment]  # as in `events`
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLIN)
        self._watcher = loop.io(descriptor, 1)
        self._watcher.start(self._rang)
        self._safety = loop.timer(SAFETY_S, SAFETY_S, ref=False)
        self._safety.start(self._look)

    def _rang(self) -> None:
        self._quiet = False
        if not self._ring():
            self._sock.get(EVENTS)

    def _look(self) -> None:
        quiet, self._quiet = self._quiet, True
        # A readable descriptor is an edge still pending in this turn of the loop, not a missed one.
        # One that comes between the two questions is swallowed by the second: it would count as
        # missed, once in a thousand looks where messages come all the time.
        if quiet and not self._poll.poll(0) and readable(self._sock) and self._ring():
            self.missed += 1
            log.warning("a message waited without its doorbell having rung (%d)", self.missed)

    def close(self) -> None:
        """Stop watching; call it before the socket is closed (R6)."""
        for watcher in (self._watcher, self._safety):
            watcher.stop()
            watcher.close()


class Parking:
    """The place where one owner greenlet waits for a doorbell or for `wake`."""

    def __init__(self) -> None:
        self._hub = gevent.get_hub()
        self._waiting: Any = None

    @property
    def occupied(self) -> bool:
        return self._waiting is not None

    def park(self) -> None:
        """Wait until somebody calls `ring` or `wake`."""
        self._waiting = gevent.getcurrent()
        try:
            self._hub.switch()
        finally:
            self._waiting = None

    def ring(self) -> bool:
        """Switch to the parked greenlet at once. Only for callbacks that run in the hub."""
        waiting = self._waiting
        if waiting is None:
            return False
        self._waiting = None
        waiting.switch()
        return True

    def wake(self) -> None:
        """Let the parked greenlet run soon. For greenlets."""
        if self._waiting is not None:
            self._hub.loop.run_callback(self._ring_once)

    def _ring_once(self) -> None:
        self.ring()


class Drain:
    """The owner of one inbound socket: hands every message to `take` until its crew is stopped.

    What `take` raises ends the owner: `take` handles its own errors.
    """

    def __init__(self, sock: Socket, take: Callable[[list[bytes]], object]) -> None:
        self.sock = sock
        self._take = take
        self._parking = Parking()
        self.doorbell = Doorbell(sock, self._ring)
        self.received = 0

    def start(self, crew: Crew) -> None:
        """Take messages from now on, in a vital greenlet of this crew."""
        crew.spawn_vital("owner", self.run)

    def run(self) -> None:
        while True:
            self._empty()
            self._parking.park()

    def _ring(self) -> bool:
        return self._parking.ring()

    def _empty(self) -> None:
        """Hand over what there is. It keeps no exception: it may be long until the next message."""
        sock, take = self.sock, self._take
        while True:
            count, until = 0, time.monotonic() + BATCH_S
            try:
                while count < BATCH_MESSAGES and (count & 7 or time.monotonic() < until):
                    take(receive(sock))
                    count += 1
            except Again:
                self.received += count
                if not readable(sock):  # R1: `take` may have sent on this very socket
                    return
                continue
            self.received += count
            gevent.sleep(0)  # R4

    def recheck(self) -> None:
        """To be called after a send on the same socket by another greenlet (R2)."""
        if self._parking.occupied and readable(self.sock):
            self._parking.wake()

    def close(self, linger_ms: int | None = None) -> None:
        """Stop watching, then close the socket."""
        self.doorbell.close()
        self.sock.close(linger_ms)


class RareDrain(Drain):
    """A Drain whose owner is there only while there are messages.

    It takes 10 KiB less and a spawn more for each that comes alone: for the sockets of a minion.
    """

    def __init__(self, sock: Socket, take: Callable[[list[bytes]], object]) -> None:
        super().__init__(sock, take)
        self._owner = OnCall("owner", self._empty)

    def start(self, crew: Crew) -> None:
        self._owner.start(crew)
        self._owner.call()

    def _ring(self) -> bool:
        if self._owner.running:
            return False
        self._owner.call()
        return self._owner.running

    def recheck(self) -> None:
        """To be called after a send on the same socket by another greenlet (R2)."""
        if not self._owner.running and readable(self.sock):
            self._owner.call()
