"""The asking side of the Ret interface: one REQ socket, one request in flight."""

from __future__ import annotations

import logging

import gevent
import zmq
from gevent.lock import BoundedSemaphore

from greensalt.errors import RequestTimeout, TransportError
from greensalt.transport.sockets import (
    MAX_MESSAGE_BYTES,
    Context,
    Socket,
    green_socket,
    set_keepalive,
    shared_context,
)

log = logging.getLogger(__name__)


class ReqChannel:
    """A REQ socket to `address` that stays usable when a reply is lost.

    Several greenlets may ask; their requests go one after the other. A request whose reply does
    not come in time closes the socket, and the next one opens a new one (docs/protocol.md 1.1).
    """

    def __init__(self, address: str, context: Context | None = None, *, ipv6: bool = False) -> None:
        self.address = address
        self._context = context or shared_context()
        self._ipv6 = ipv6
        self._turn = BoundedSemaphore(1)
        self._sock: Socket | None = None
        self._closed = self._interrupted = False

    def request(self, body: bytes, timeout_s: float) -> bytes:
        """The reply to `body`; RequestTimeout when it takes longer than `timeout_s` seconds.

        The time counts from when this request has its turn.
        """
        with self._turn:
            if self._closed:
                raise TransportError(f"the channel to {self.address} is closed")
            self._interrupted = False
            sock = self._sock = self._sock or self._open()
            done = False
            try:
                with gevent.Timeout(timeout_s, RequestTimeout):
                    sock.send(body)
                    reply = sock.recv()
                done = True
                return reply
            except RequestTimeout:
                raise RequestTimeout(f"no reply from {self.address} in {timeout_s:g} s") from None
            except zmq.ZMQError as error:
                if self._interrupted:
                    raise RequestTimeout(f"the connection to {self.address} was lost") from None
                raise TransportError(f"request to {self.address}: {error}") from error
            finally:
                if not done:  # a REQ that misses a reply is stuck
                    self._drop()

    def interrupt(self) -> None:
        """Connect anew: a request in flight fails at once with RequestTimeout.

        For whoever knows that the peer was away: the reply will not come, and the socket would
        take up to RECONNECT_IVL_MAX to find the peer again.
        """
        self._interrupted = True
        self._drop()

    def move(self, address: str) -> None:
        """Ask at another address from the next request on; the one in flight fails."""
        self.address = address
        self._drop()

    def close(self) -> None:
        """Close; a request in flight fails with TransportError."""
        self._closed = True
        self._drop()

    def _open(self) -> Socket:
        sock = green_socket(self._context, zmq.REQ)
        sock.set(zmq.LINGER, 0)
        sock.set(zmq.IPV6, int(self._ipv6))
        sock.set(zmq.MAXMSGSIZE, MAX_MESSAGE_BYTES)
        sock.set(zmq.IMMEDIATE, 1)
        sock.set(zmq.RECONNECT_IVL_MAX, 5000)
        set_keepalive(sock, idle_s=300, interval_s=-1, count=-1)
        try:
            sock.connect(self.address)
        except zmq.ZMQError as error:
            sock.close(0)
            raise TransportError(f"can't connect to {self.address}: {error}") from error
        return sock

    def _drop(self) -> None:
        sock, self._sock = self._sock, None
        if sock is not None:
            sock.close(0)
