"""The minion's own event bus: some events are orders to the minion itself.

Those are carried out before they go out on `epub`, one after the other in a greenlet, so that the
bus goes on meanwhile. An event that fails to be handled is logged and harms nothing.

Source: docs/protocol.md 7.3.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from gevent.queue import Queue

from greensalt.errors import ProtocolError
from greensalt.green import Crew
from greensalt.transport.bus import EventPublisher
from greensalt.transport.sockets import Context

log = logging.getLogger(__name__)

Handler = Callable[[dict[str, Any]], object]

ORDERS_WAITING_MOST = 1000
SUBSCRIBER_HWM = 2000  # a machine may have many minions


class MinionBus:
    """An EventPublisher with a table of orders: {tag prefix: handler}."""

    def __init__(self, context: Context, orders: Mapping[str, Handler]) -> None:
        self._orders = orders
        self._queue: Queue[tuple[str, dict[str, Any], Handler]] = Queue(ORDERS_WAITING_MOST)
        self.publisher = EventPublisher(context, intercept=self._intercept, hwm=SUBSCRIBER_HWM)
        self._crew = Crew("minion bus")
        self.failed_orders = 0

    def start(self, epub: str, epull: str) -> None:
        self.publisher.bind(epub, epull)
        self.publisher.start()
        self._crew.spawn_vital("orders", self._run)

    def stop(self) -> None:
        self._crew.stop()
        self.publisher.stop()

    def fire(self, tag: str, data: dict[str, Any]) -> None:
        self.publisher.fire(tag, data)

    def _intercept(self, tag: str, data: dict[str, Any]) -> bool:
        for prefix, handler in self._orders.items():
            if tag.startswith(prefix):
                if self._queue.full():
                    self.failed_orders += 1
                    log.error("too many orders wait on the minion's bus, %s is dropped", tag)
                    return False
                self._queue.put((tag, data, handler))
                return True
        return False

    def _run(self) -> None:
        while True:
            tag, data, handler = self._queue.get()
            try:
                handler(data)
            except Exception:
                self.failed_orders += 1
                log.exception("the event %s could not be handled", tag)
            try:
                self.publisher.publish(tag, data)
            except ProtocolError as error:
                self.failed_orders += 1
                log.error("the event %s can't be sent: %s", tag, error)
