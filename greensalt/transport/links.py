"""The connections of a bound socket, as they come and go.

libzmq tells of them by the number of their file descriptor, which a message that came over one
carries as well (`sockets.receive_from`).
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct

import zmq

from greensalt.green import Crew
from greensalt.transport.sockets import Context, Drain, Socket, plain_socket

EVENTS = int(zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED)
EVENT = Struct("=Hi")  # which event, and the descriptor


class Links:
    """Watches the connections of `sock`: `opened` and `closed` get each one's number.

    Start it before the socket is bound. It must be stopped before the socket is closed.
    """

    def __init__(
        self,
        context: Context,
        sock: Socket,
        opened: Callable[[int], object],
        closed: Callable[[int], object],
    ) -> None:
        self._opened = opened
        self._closed = closed
        self._watched = sock
        address = f"inproc://links-{id(self):x}"
        sock.monitor(address, EVENTS)
        monitor = plain_socket(context, zmq.PAIR)
        monitor.set(zmq.RCVHWM, 0)  # or a storm of connections would hold up libzmq's own thread
        monitor.set(zmq.LINGER, 0)
        monitor.connect(address)
        self._drain = Drain(monitor, self._take)

    def start(self, crew: Crew) -> None:
        """Watch, in a greenlet that the crew can't live without."""
        crew.spawn_vital("links", self._drain.run)

    def stop(self) -> None:
        """Stop watching, once the crew is stopped."""
        self._watched.disable_monitor()
        self._drain.close(0)

    def _take(self, frames: list[bytes]) -> None:
        event, connection = EVENT.unpack(frames[0])
        if event == zmq.EVENT_ACCEPTED:
            self._opened(connection)
        elif event == zmq.EVENT_DISCONNECTED:
            self._closed(connection)
