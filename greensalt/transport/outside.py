"""The two ends of `workers.ipc`: the DEALER `workers` of the device, and REP workers elsewhere.

A REP worker is given one request at a time, more or less: the DEALER deals round-robin, and no more
requests are out than there are sockets connected. A request that is out waits for its reply, for
the end of a connection, or for its time to be over; in the last two cases whoever asked does the
work himself, and a reply that comes later is dropped. So the death of a process loses nothing.

Source: docs/architecture.md, "Worker processes".
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Callable
from typing import Final

import gevent
import zmq
from gevent.event import AsyncResult

from greensalt.green import Crew
from greensalt.transport.links import Links
from greensalt.transport.sockets import (
    BATCH_MESSAGES,
    NOBLOCK,
    POLLOUT,
    Again,
    Context,
    Doorbell,
    Parking,
    Socket,
    bind_ipc,
    events,
    plain_socket,
    readable,
    receive,
    send,
)

log = logging.getLogger(__name__)

Handle = Callable[[bytes], bytes]

SILENT_S: Final = 20.0  # that a worker may take for an answer before the work is done here
TICKET: Final = struct.Struct(">Q")


class Outside:
    """Requests that are with worker processes. Owned by the device, which calls `drain`.

    `asked` counts requests that were sent out, `answered` those that came back in time, `lost`
    those whose worker died or stayed silent, `late` the replies that nobody waited for any more.
    """

    def __init__(self, context: Context, *, silent_s: float = SILENT_S) -> None:
        self.sock = plain_socket(context, zmq.DEALER)
        self.sock.set_hwm(0)
        self.sock.set(zmq.LINGER, 0)
        self.asked = self.answered = self.lost = self.late = 0
        self.on_room: Callable[[], object] = lambda: None
        self._silent_s = silent_s
        self._parking = Parking()
        self._next = 0
        self._reserved = 0
        # A request that is overdue (None) keeps its place: one that hangs gets no more.
        self._out: dict[bytes, AsyncResult[bytes | None] | None] = {}
        self._connected: set[int] = set()
        self._broken = False
        self._links = Links(context, self.sock, self._came, self._went)

    @property
    def workers(self) -> int:
        """REP sockets of other processes that are connected."""
        return len(self._connected)

    @property
    def out(self) -> int:
        """Requests that are with them."""
        return sum(answer is not None for answer in self._out.values())

    def figures(self) -> dict[str, int]:
        """Its counters, as plain data."""
        return {
            "workers": self.workers,
            "out": self.out,
            "asked": self.asked,
            "answered": self.answered,
            "lost": self.lost,
            "late": self.late,
        }

    def bind(self, inproc: str, ipc: str) -> None:
        self.sock.bind(inproc)
        bind_ipc(self.sock, ipc, 0o600)

    def start(self, crew: Crew, owner: Parking) -> None:
        """`owner` is where the device waits."""
        self._parking = owner
        self._links.start(crew)

    def close(self) -> None:
        self._links.stop()
        self._give_up()
        self.sock.close(0)

    # -- asking ------------------------------------------------------------------------------

    def reserve(self) -> bool:
        """Take a place for one request, if there is one; `ask` uses it."""
        if len(self._out) + self._reserved >= len(self._connected):
            return False
        self._reserved += 1
        return True

    def ask(self, body: bytes) -> bytes | None:
        """The reply to a request for which a place is reserved; None: it has to be done here."""
        self._reserved -= 1
        self._next += 1
        ticket = TICKET.pack(self._next)
        answer: AsyncResult[bytes | None] = AsyncResult()
        try:
            if not events(self.sock) & POLLOUT:
                return None
            send(self.sock, [ticket, b"", body])
        except Again:  # the worker has just gone
            return None
        finally:
            if self._parking.occupied and readable(self.sock):  # R2
                self._parking.wake()
        self.asked += 1
        self._out[ticket] = answer
        try:
            reply = answer.wait(self._silent_s)
        finally:
            if ticket in self._out:
                self._out[ticket] = None
        if not answer.ready():
            self.lost += 1
            log.error("a worker process did not answer within %.0f s", self._silent_s)
        return reply

    # -- in the device's greenlet --------------------------------------------------------------

    def drain(self) -> int:
        """Hand replies to those who wait for them."""
        count = 0
        try:
            while count < BATCH_MESSAGES:
                frames = receive(self.sock)
                count += 1
                self._take(frames)
        except Again:
            if self._broken:  # and nothing is left of what was sent before
                self._broken = False
                self._give_up()
        if count:
            self.on_room()
        return count

    def _take(self, frames: list[bytes]) -> None:
        answer = self._out.pop(frames[0], None)
        if answer is None or len(frames) != 3:
            self.late += 1
            return
        self.answered += 1
        answer.set(frames[2])

    def _came(self, connection: int) -> None:
        self._connected.add(connection)
        self.on_room()

    def _went(self, connection: int) -> None:
        if connection in self._connected:
            self._connected.discard(connection)
            # Which requests it had, a DEALER does not tell.
            self._broken = self._broken or bool(self._out)
            self._parking.wake()

    def _give_up(self) -> None:
        waiting = [answer for answer in self._out.values() if answer is not None]
        self._out.clear()
        if waiting:
            self.lost += len(waiting)
            log.warning("a worker process has gone: %d requests are done here", len(waiting))
        for answer in waiting:
            answer.set(None)


class RepWorker:
    """The `worker socket`: REP, connected to `workers`; serves one request after the other."""

    def __init__(self, context: Context, address: str, handle: Handle) -> None:
        self._handle = handle
        self.sock: Socket = plain_socket(context, zmq.REP)
        self.sock.set(zmq.LINGER, 0)
        self.sock.set(zmq.SNDHWM, 0)  # REP drops replies on a full pipe, silently
        self.sock.set(zmq.RECONNECT_IVL, 50)
        self.sock.set(zmq.RECONNECT_IVL_MAX, 500)
        self._parking = Parking()
        self._doorbell = Doorbell(self.sock, self._parking.ring)
        self.busy = False
        self.sock.connect(address)

    def run(self) -> None:
        """Serve until killed."""
        served = 0
        while True:
            try:
                body = self.sock.recv(NOBLOCK)
            except Again:
                served = 0
                self._parking.park()
                continue
            self.busy = True
            self.sock.send(self._handle(body), NOBLOCK)
            self.busy = False
            served += 1
            if served >= BATCH_MESSAGES:
                served = 0
                gevent.sleep(0)

    def close(self, linger_ms: int = 0) -> None:
        self._doorbell.close()
        self.sock.close(linger_ms)
