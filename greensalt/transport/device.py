"""The QUEUE device of the ReqServer: ROUTER `clients` <-> workers, in one owner greenlet.

The device greenlet owns the ROUTER (`clients`, tcp:4506) and the DEALER (`workers`, ipc and
inproc). Workers inside the process take requests from its shared queue, so that no request waits
behind a busy worker; what exceeds `local_queue` goes over the DEALER to REP workers in other
processes, when there are any. A full queue, in requests or in bytes, stops reading: TCP pushes back
to the peers.

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
    bind_tcp,
    events,
    plain_socket,
    readable,
    receive,
    send,
    set_server_options,
)

log = logging.getLogger(__name__)

Handle = Callable[[bytes], bytes]

MAX_HOPS = 8  # frames before the empty one that a request may carry
# Messages that libzmq keeps for one peer, in and out. A peer that does not read its replies loses
# those beyond; a REQ never has more than one, and who asks ahead has to keep to it.
REQUESTS_AHEAD = 16
REPLIES_BEHIND = 1000
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

    `handle` makes the reply of one request; it runs in a worker greenlet and may wait. Worker
    greenlets are started as they are needed, up to `workers_most`. Counters: `served` here,
    `forwarded` to other processes, `malformed`, `lost` by workers elsewhere that died.
    """

    def __init__(
        self,
        context: Context,
        handle: Handle,
        *,
        workers_most: int = 1000,
        queue_most: int = 2000,
        queue_bytes_most: int = 128 << 20,
        local_queue: int = 64,
        credit: int = 64,
        lost_after_s: float = 60.0,
        backlog: int = 4096,
        ipv6: bool = False,
    ) -> None:
        self._handle = handle
        self._workers_most = workers_most
        self._queue_most = queue_most
        self._queue_bytes_most = queue_bytes_most
        self._local_queue = local_queue
        self._credit = credit
        self._lost_after_s = lost_after_s
        self.clients = plain_socket(context, zmq.ROUTER)
        set_server_options(self.clients, backlog=backlog, ipv6=ipv6)
        self.clients.set(zmq.ROUTER_HANDOVER, 1)
        self.clients.set(zmq.RCVHWM, REQUESTS_AHEAD)
        self.clients.set(zmq.SNDHWM, REPLIES_BEHIND)
        self.workers = plain_socket(context, zmq.DEALER)
        self.workers.set_hwm(0)
        self.workers.set(zmq.LINGER, 0)
        self._queue: collections.deque[tuple[list[bytes], bytes]] = collections.deque()
        self._idle: list[Parking] = []
        self._outside: collections.deque[float] = collections.deque()  # when each was forwarded
        self._parking = Parking()
        self._doorbells: list[Doorbell] = []
        self._crew = Crew("device")
        self._workers = 0
        self._busy = 0
        self._bytes = 0  # of the requests that are accepted and not answered yet
        self._held = self._stopping = False
        self.served = self.forwarded = self.malformed = self.lost = 0

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

    def bind_workers(self, inproc: str, ipc: str) -> None:
        self.workers.bind(inproc)
        bind_ipc(self.workers, ipc, 0o600)

    def bind_clients(self, address: str) -> str:
        """Open the Ret interface; returns the address with its real port."""
        return bind_tcp(self.clients, address)

    def start(self) -> None:
        self._doorbells = [
            Doorbell(self.clients, self._ring_of_clients),
            Doorbell(self.workers, self._parking.ring),
        ]
        self._crew.spawn_vital("owner", self._own)

    def stop(self, timeout_s: float) -> int:
        """Answer what has been accepted, then close. Returns how many stayed unanswered."""
        until = time.monotonic() + timeout_s
        last_call = min(until, time.monotonic() + LAST_CALL_S)
        while not self._held and readable(self.clients) and time.monotonic() < last_call:
            gevent.sleep(0.001)
        self._stopping = True  # or new requests would never let the old ones come to an end
        while (self._queue or self._busy or self._outside) and time.monotonic() < until:
            gevent.sleep(0.005)
        unanswered = len(self._queue) + self._busy
        for bell in self._doorbells:
            bell.close()
        self._crew.stop()
        self.workers.close(0)
        self.clients.close()
        return unanswered

    def _own(self) -> None:
        while True:
            moved = self._return_replies() + self._take_requests()
            if moved:
                gevent.sleep(0)  # R4
                continue
            self._forget_lost()
            if (self._reads and readable(self.clients)) or readable(self.workers):
                continue  # R1: a send of a worker may have consumed the edge
            self._parking.park()

    @property
    def _reads(self) -> bool:
        return not self._held and not self._stopping

    def _ring_of_clients(self) -> bool:
        """While nothing is read, a message of the clients is no reason to wake the owner."""
        return self._reads and self._parking.ring()

    def _return_replies(self) -> int:
        """Replies from workers elsewhere go back to the clients."""
        count = 0
        try:
            while count < BATCH_MESSAGES:
                frames = receive(self.workers)
                count += 1
                self._reply(frames[:-1], frames[-1])
                if self._outside:
                    self._outside.popleft()
        except Again:
            pass
        return count

    def _take_requests(self) -> int:
        count = 0
        queue = self._queue
        self._held = False
        if self._stopping:
            return 0
        worker_elsewhere = events(self.workers) & POLLOUT
        try:
            while count < BATCH_MESSAGES:
                outside = (
                    worker_elsewhere
                    and len(queue) >= self._local_queue
                    and len(self._outside) < self._credit
                )
                if not outside and self._is_full():
                    self._held = True
                    break
                request = split_envelope(receive(self.clients))
                count += 1
                if request is None:
                    self.malformed += 1
                elif outside:
                    self._forward(request)
                else:
                    self._accept(request)
        except Again:
            pass
        return count

    def _forward(self, request: tuple[list[bytes], bytes]) -> None:
        try:
            send(self.workers, [*request[0], request[1]])
        except Again:  # the worker has just gone
            self._accept(request)
            return
        self.forwarded += 1
        self._outside.append(time.monotonic())

    def _is_full(self) -> bool:
        return len(self._queue) >= self._queue_most or self._bytes >= self._queue_bytes_most

    def _accept(self, request: tuple[list[bytes], bytes]) -> None:
        """Queue a request, and see to it that a worker takes it."""
        self._queue.append(request)
        self._bytes += len(request[1])
        if self._idle:
            self._idle.pop().wake()
        elif self._workers < self._workers_most:
            self._workers += 1
            self._crew.spawn("worker", self._work)

    def _work(self) -> None:
        queue, idle, parking = self._queue, self._idle, Parking()
        while True:
            while queue:
                path, body = queue.popleft()
                self._busy += 1
                try:
                    reply = self._handle(body)
                except Exception:  # `handle` answers its own errors: this is a bug, but not fatal
                    log.exception("a request could not be handled")
                    reply = b""
                finally:
                    self._busy -= 1
                    self._bytes -= len(body)
                self.served += 1
                self._reply(path, reply)
                # R2: this send may have swallowed an inbound edge.
                if self._parking.occupied and (
                    self._resumable() or (self._reads and readable(self.clients))
                ):
                    self._parking.wake()
            idle.append(parking)
            parking.park()

    def _resumable(self) -> bool:
        return (
            self._held
            and len(self._queue) <= self._queue_most // 2
            and self._bytes <= self._queue_bytes_most // 2
        )

    def _reply(self, path: Sequence[bytes], body: bytes) -> None:
        try:
            send(self.clients, [*path, body])
        except zmq.ZMQError as error:  # for a gone peer, and one that reads nothing, it is dropped
            log.error("a reply could not be sent: %s", error)

    def _forget_lost(self) -> None:
        """Give back the credit of requests whose worker died; their senders try again."""
        now = time.monotonic()
        while self._outside and now - self._outside[0] >= self._lost_after_s:
            self._outside.popleft()
            self.lost += 1
            log.error("a worker process did not answer within %.0f s", self._lost_after_s)


class RepWorker:
    """The `worker socket`: REP, connected to `workers`; serves one request after the other."""

    def __init__(self, context: Context, address: str, handle: Handle) -> None:
        self._handle = handle
        self.sock: Socket = plain_socket(context, zmq.REP)
        self.sock.set(zmq.LINGER, 0)
        self.sock.set(zmq.SNDHWM, 0)  # REP drops replies on a full pipe, silently
        self._parking = Parking()
        self._doorbell = Doorbell(self.sock, self._parking.ring)
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
            self.sock.send(self._handle(body), NOBLOCK)
            served += 1
            if served >= BATCH_MESSAGES:
                served = 0
                gevent.sleep(0)

    def close(self) -> None:
        self._doorbell.close()
        self.sock.close(0)
