"""The minion's own event bus: some events are orders to the minion itself.

Those are carried out before they go out on `epub`, one after the other in a greenlet, so that the
bus goes on meanwhile. An event that fails to be handled is logged and harms nothing.

Source: docs/protocol.md 7.3.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from greensalt.errors import ProtocolError
from greensalt.green import Crew, OnCall
from greensalt.transport.bus import EventPublisher
from greensalt.transport.sockets import Context, RareDrain

log = logging.getLogger(__name__)

Handler = Callable[[dict[str, Any]], object]

ORDERS_WAITING_MOST = 1000
SUBSCRIBER_HWM = 2000  # a machine may have many minions


class MinionBus:
    """An EventPublisher with a table of orders: {tag prefix: handler}."""

    def __init__(self, context: Context, orders: Mapping[str, Handler]) -> None:
        self._orders = orders
        self._waiting: deque[tuple[str, dict[str, Any], Handler]] = deque()
        self._handling = OnCall("orders", self._handle)
        self.publisher = EventPublisher(
            context, intercept=self._intercept, hwm=SUBSCRIBER_HWM, drain=RareDrain
        )
        self._crew = Crew("minion bus")
        self.failed_orders = 0

    def start(self, epub: str, epull: str) -> None:
        self.publisher.bind(epub, epull)
        self.publisher.start()
        self._handling.start(self._crew)

    def stop(self) -> None:
        self._crew.stop()
        self.publisher.stop()

    def fire(self, tag: str, data: dict[str, Any]) -> None:
        self.publisher.fire(tag, data)

    def _intercept(self, tag: str, data: dict[str, Any]) -> bool:
        for prefix, handler in self._orders.items():
            if tag.startswith(prefix):
                if len(self._waiting) >= ORDERS_WAITING_MOST:
                    self.failed_orders += 1
                    log.error("too many orders wait on the minion's bus, %s is dropped", tag)
                    return False
                self._waiting.append((tag, data, handler))
                self._handling.call()
                return True
        return False

    def _handle(self) -> None:
        while self._waiting:
            tag, data, handler = self._waiting.popleft()
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
