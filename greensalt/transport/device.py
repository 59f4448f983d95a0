"""The QUEUE device of the ReqServer: ROUTER `clients` <-> workers, in one owner greenlet.

The device greenlet owns the ROUTER (`clients`, tcp:4506) and the DEALER (`workers`, ipc and
inproc). Workers inside the process take requests from its shared queue, so that no request waits
behind a busy worker. Each of them may pass its work on to a REP worker in another process through
`outside`, and waits for the reply. A full queue, in requests or in bytes, stops reading: TCP pushes
back to the peers.

Source: docs/architecture.md, "The request path".
"""

from __future__ import annotations

import collections
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

import gevent
import zmq

from greensalt.green import Crew
from greensalt.green.deferred import Deferred
from greensalt.transport.links import Links
from greensalt.transport.outside import SILENT_S, Outside
from greensalt.transport.sockets import (
    BATCH_MESSAGES,
    HEARTBEAT_MS,
    Again,
    Context,
    Doorbell,
    Outgoing,
    Parking,
    bind_tcp,
    plain_socket,
    readable,
    receive_from,
    set_server_options,
)

log = logging.getLogger(__name__)

Reply = bytes | None  # None: this request is not answered
Handle = Callable[[bytes, int], Reply | Deferred[Reply]]  # of a request and its connection
Request = tuple[list[bytes], bytes, int]  # where the reply goes, the body, the connection

MAX_HOPS = 8  # frames before the empty one that a request may carry
# Messages that libzmq keeps for one peer, in and out. A peer that does not read its replies loses
# those beyond; a REQ never has more than one, and who asks ahead has to keep to it.
REQUESTS_AHEAD = 16
REPLIES_BEHIND = 1000
IDLE_MOST = 64  # workers that are kept for the next requests
REQUESTS_AT_ONCE = 16  # that a worker handles before others have their turn
LAST_WORDS_S = 0.05  # for reading the last replies: a REQ loses what it has not read with its link
LAST_CALL_S = 0.1  # after a stop, for reading what has already arrived


def split_envelope(frames: list[bytes]) -> tuple[list[bytes], bytes] | None:
    """(return path up to and with the empty frame, body), or None when the request is malformed.

    A plain REQ sends [id, '', body]; REQ_CORRELATE and proxies put more frames before the empty
    one (R8).
    """
    if len(frames) < 3 or len(frames) > MAX_HOPS + 2 or frames[-2] or not all(frames[:-2]):
        return None
    return frames[:-1], frames[-1]


class Device:
    """Forwards each request to an idle worker and its reply back to who asked.

    `handle` makes the reply of one request; it runs in a worker greenlet and may wait, or say that
    the reply comes later. Worker greenlets are started as they are needed, up to `workers_most`.
    Counters: `served`, `dropped` (requests that `handle` leaves unanswered), `malformed`; those of
    `outside` are its own.
    """

    def __init__(
        self,
        context: Context,
        handle: Handle,
        *,
        workers_most: int = 20_000,
        queue_most: int = 2000,
        queue_bytes_most: int = 128 << 20,
        silent_s: float = SILENT_S,
        backlog: int = 4096,
        ipv6: bool = False,
        heartbeat_ms: tuple[int, int] = HEARTBEAT_MS,
    ) -> None:
        self._handle = handle
        self._context = context
        self._links: Links | None = None
        self.workers_most = workers_most
        self._queue_most = queue_most
        self._queue_bytes_most = queue_bytes_most
        self.clients = plain_socket(context, zmq.ROUTER)
        set_server_options(self.clients, backlog=backlog, ipv6=ipv6, heartbeat_ms=heartbeat_ms)
        self.clients.set(zmq.ROUTER_HANDOVER, 1)
        self.clients.set(zmq.RCVHWM, REQUESTS_AHEAD)
        self.clients.set(zmq.SNDHWM, REPLIES_BEHIND)
        # For a gone peer, and one that reads nothing, a reply is dropped.
        self._replies = Outgoing(self.clients, self._replied, _cannot_send)
        self.outside = Outside(context, silent_s=silent_s)
        self.workers = self.outside.sock
        self._queue: collections.deque[Request] = collections.deque()
        self._idle: list[Parking] = []
        self._parking = Parking()
        self._doorbells: list[Doorbell] = []
        self._crew = Crew("device")
        self._workers = 0
        self._called = False  # a worker, that has not run yet
        self._busy = 0
        self._bytes = 0  # of the requests that are accepted and not answered yet
        self._held = self._stopping = False
        self.served = self.dropped = self.malformed = 0

    @property
    def failed(self) -> Any:
        """Set to the reason when the device can't go on."""
        return self._crew.failed

    @property
    def waiting(self) -> int:
        """Requests that no worker has taken yet."""
        return len(self._queue)

    @property
    def missed(self) -> int:
        """Messages that waited without a doorbell."""
        return sum(bell.missed for bell in self._doorbells)

    def figures(self) -> dict[str, Any]:
        """Its counters, as plain data."""
        return {
            "served": self.served,
            "dropped": self.dropped,
            "malformed": self.malformed,
            "waiting": self.waiting,
            "missed": self.missed,
            "outside": self.outside.figures(),
        }

    def bind_workers(self, inproc: str, ipc: str) -> None:
        self.outside.bind(inproc, ipc)

    def watch_clients(
        self, opened: Callable[[int], object], closed: Callable[[int], object]
    ) -> None:
        """Tell of each connection to the Ret interface; before it is opened."""
        self._links = Links(self._context, self.clients, opened, closed)

    def bind_clients(self, address: str) -> str:
        """Open the Ret interface; returns the address with its real port."""
        if self._links is not None:
            self._links.start(self._crew)
        return bind_tcp(self.clients, address)

    def start(self) -> None:
        self._doorbells = [
            Doorbell(self.clients, self._ring_of_clients),
            Doorbell(self.workers, self._parking.ring),
        ]
        self.outside.start(self._crew, self._parking)
        self._crew.spawn_vital("owner", self._own)

    def stop(self, timeout_s: float) -> int:
        """Answer what has been accepted, then close. Returns how many stayed unanswered."""
        until, served = time.monotonic() + timeout_s, self.served
        last_call = min(until, time.monotonic() + LAST_CALL_S)
        while not self._held and readable(self.clients) and time.monotonic() < last_call:
            gevent.sleep(0.001)
        self._stopping = True  # or new requests would never let the old ones come to an end
        while (self._queue or self._busy) and time.monotonic() < until:
            gevent.sleep(0.005)
        unanswered = len(self._queue) + self._busy
        self._replies.flush()
        if self.served > served:
            gevent.sleep(LAST_WORDS_S)
        for bell in self._doorbells:
            bell.close()
        self._crew.stop()
        if self._links is not None:
            self._links.stop()
        self.outside.close()
        self.clients.close()
        return unanswered

    def _own(self) -> None:
        while True:
            moved = self.outside.drain() + self._take_requests()
            if moved:
                gevent.sleep(0)  # R4
                continue
            if (self._reads and readable(self.clients)) or readable(self.workers):
                continue  # R1: a send of a worker may have consumed the edge
            self._parking.park()

    @property
    def _reads(self) -> bool:
        return not self._held and not self._stopping

    def _ring_of_clients(self) -> bool:
        """While nothing is read, a message of the clients is no reason to wake the owner."""
        return self._reads and self._parking.ring()

    def _take_requests(self) -> int:
        count = 0
        self._held = False
        if self._stopping:
            return 0
        try:
            while count < BATCH_MESSAGES:
                if self._is_full():
                    self._held = True
                    break
                frames, connection = receive_from(self.clients)
                request = split_envelope(frames)
                count += 1
                if request is None:
                    self.malformed += 1
                else:
                    self._accept((*request, connection))
        except Again:
            pass
        return count

    def _is_full(self) -> bool:
        return len(self._queue) >= self._queue_most or self._bytes >= self._queue_bytes_most

    def _accept(self, request: Request) -> None:
        """Queue a request, and see to it that a worker takes it."""
        self._queue.append(request)
        self._bytes += len(request[1])
        self._call_worker()

    def _call_worker(self) -> None:
        """Have a further worker look at the queue when those before it have finished or wait."""
        if self._called:
            return
        if self._idle:
            self._called = True
            self._idle.pop().wake()
        elif self._workers < self.workers_most:
            self._called = True
            self._workers += 1
            self._crew.spawn("worker", self._work)

    def _work(self) -> None:
        queue, idle, parking = self._queue, self._idle, Parking()
        count = 0
        while True:
            self._called = False
            while queue:
                request = queue.popleft()
                if queue:
                    self._call_worker()
                self._serve(*request)
                count += 1
                if not count % REQUESTS_AT_ONCE:
                    gevent.sleep(0)  # R4
            if len(idle) >= IDLE_MOST:
                self._workers -= 1
                return
            idle.append(parking)
            parking.park()

    def _serve(self, path: list[bytes], body: bytes, connection: int) -> None:
        self._busy += 1
        size = len(body)
        reply: Reply | Deferred[Reply]
        try:
            reply = self._handle(body, connection)
        except Exception:  # `handle` answers its own errors: this is a bug, but not fatal
            log.exception("a request could not be handled")
            reply = b""
        if isinstance(reply, Deferred):
            reply.then(lambda reply: self._answer(path, size, reply))
        else:
            self._answer(path, size, reply)

    def _answer(self, path: list[bytes], size: int, reply: Reply) -> None:
        self._busy -= 1
        self._bytes -= size
        self.served += 1
        if reply is None:
            self.dropped += 1
        else:
            self._replies.add([*path, reply])
        if self._parking.occupied and self._resumable():
            self._parking.wake()

    def _resumable(self) -> bool:
        return (
            self._held
            and len(self._queue) <= self._queue_most // 2
            and self._bytes <= self._queue_bytes_most // 2
        )

    def _replied(self) -> None:
        """R2: the sends may have swallowed an inbound edge."""
        if self._parking.occupied and self._reads and readable(self.clients):
            self._parking.wake()


def _cannot_send(_frames: Sequence[bytes], error: zmq.ZMQError) -> None:
    log.error("a reply could not be sent: %s", error)
