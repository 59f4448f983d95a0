"""The Publisher, PULL -> PUB, and the minion's SUB.

The Publisher takes signed jobs on `pull` and sends each at once on `pub`. A message is one frame,
or two with a topic (docs/protocol.md 5.1).
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Callable, Sequence
from typing import Any

import zmq

from greensalt.green import Crew
from greensalt.transport.sockets import (
    HEARTBEAT_MS,
    MAX_MESSAGE_BYTES,
    Context,
    Drain,
    RareDrain,
    Socket,
    bind_ipc,
    bind_tcp,
    plain_socket,
    send,
    set_keepalive,
    set_server_options,
)

log = logging.getLogger(__name__)

# What subscribers send are topics of 40 characters, which a PUB keeps in a tree of 48 bytes for
# each byte, and their handshake, which has the id of the minion in it.
SUBSCRIPTION_MOST_BYTES = 1024


class Publisher:
    """Owns `pull` and `pub`; each message from `pull` goes to every subscriber of `pub`."""

    def __init__(
        self,
        context: Context,
        *,
        hwm: int,
        backlog: int,
        ipv6: bool = False,
        heartbeat_ms: tuple[int, int] = HEARTBEAT_MS,
    ) -> None:
        self._context = context
        self.pub: Socket = plain_socket(context, zmq.PUB)
        set_server_options(self.pub, backlog=backlog, ipv6=ipv6, heartbeat_ms=heartbeat_ms)
        self.pub.set_hwm(hwm)
        self.pub.set(zmq.MAXMSGSIZE, SUBSCRIPTION_MOST_BYTES)
        self.pull = plain_socket(context, zmq.PULL)
        self.pull.set(zmq.RCVHWM, 0)
        self._drain: Drain | None = None
        self._crew = Crew("publisher")
        self.published = self.malformed = 0

    @property
    def failed(self) -> Any:
        """Set to the reason when the publisher can't go on."""
        return self._crew.failed

    def bind(self, pub: str, pull: str) -> str:
        """Open both sockets; returns the address of `pub` with its real port."""
        bind_ipc(self.pull, pull, 0o600)
        return bind_tcp(self.pub, pub)

    def start(self) -> None:
        self._drain = Drain(self.pull, self._publish)
        self._drain.start(self._crew)

    def stop(self) -> None:
        self._crew.stop()
        if self._drain is not None:
            self._drain.close(0)
        self.pub.close()

    def _publish(self, frames: list[bytes]) -> None:
        if len(frames) > 2:
            self.malformed += 1
            return
        send(self.pub, frames)  # PUB never blocks: a slow subscriber's pipe drops
        self.published += 1


class Pusher:
    """The end of `publish_pull.ipc` that hands jobs to the Publisher."""

    def __init__(self, context: Context, address: str) -> None:
        self._sock = plain_socket(context, zmq.PUSH)
        self._sock.set(zmq.SNDHWM, 0)
        self._sock.set(zmq.LINGER, 1000)
        self._sock.connect(address)

    def push(self, frames: Sequence[bytes]) -> None:
        send(self._sock, frames)

    def close(self) -> None:
        self._sock.close()


class Subscriber:
    """The minion's SUB: `take` gets the frames of every publish, `moved` the link's ups and downs.

    `moved(True)` means that the connection to the master stands, `moved(False)` that it broke.
    """

    def __init__(
        self,
        context: Context,
        *,
        identity: str,
        topics: Sequence[bytes],
        reconnect_ms: int,
        reconnect_max_ms: int,
        take: Callable[[list[bytes]], object],
        moved: Callable[[bool], object],
        ipv6: bool = False,
    ) -> None:
        self._moved = moved
        self.sub = plain_socket(context, zmq.SUB)
        self.sub.set(zmq.IDENTITY, identity.encode())
        self.sub.set(zmq.LINGER, 0)
        self.sub.set(zmq.RCVHWM, 0)
        self.sub.set(zmq.IPV6, int(ipv6))
        self.sub.set(zmq.MAXMSGSIZE, MAX_MESSAGE_BYTES)
        self.sub.set(zmq.RECONNECT_IVL, reconnect_ms)
        self.sub.set(zmq.RECONNECT_IVL_MAX, reconnect_max_ms)
        set_keepalive(self.sub, idle_s=300, interval_s=-1, count=-1)
        for topic in topics:
            self.sub.set(zmq.SUBSCRIBE, topic)
        self._events = f"inproc://monitor-{id(self.sub):x}"
        self.sub.monitor(self._events, zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED)
        monitor = plain_socket(context, zmq.PAIR)
        monitor.set(zmq.LINGER, 0)
        monitor.connect(self._events)
        self._drains = [RareDrain(self.sub, take), RareDrain(monitor, self._monitored)]
        self._crew = Crew("subscriber")

    @property
    def failed(self) -> Any:
        """Set to the reason when the subscriber can't go on."""
        return self._crew.failed

    def start(self, address: str) -> None:
        for drain in self._drains:
            drain.start(self._crew)
        self.sub.connect(address)

    def stop(self) -> None:
        self._crew.stop()
        self.sub.disable_monitor()
        for drain in self._drains:
            drain.close(0)

    def _monitored(self, frames: list[bytes]) -> None:
        (event,) = struct.unpack_from("=H", frames[0])
        if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
            # A SUB sends its subscriptions anew only once its own thread touches it.
            self.sub.get(zmq.EVENTS)
            self._drains[0].recheck()
            self._moved(True)
        elif event == zmq.EVENT_DISCONNECTED:
            self._moved(False)
