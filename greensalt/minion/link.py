"""The connection to the publish port: kept up, followed when the master moves, greeted when back.

Source: docs/protocol.md 1.1, 5.1.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from typing import Any

import gevent

from greensalt.config import MinionConfig
from greensalt.errors import GreensaltError, TransportError
from greensalt.green import Crew
from greensalt.minion.session import MasterSession
from greensalt.serializers import MSGPACK
from greensalt.transport import addresses
from greensalt.transport.publish import Subscriber
from greensalt.transport.sockets import Context

log = logging.getLogger(__name__)

LOOK_S = 0.5  # least time between two looks at where the master is
ASK_S = 5.0  # between two questions whether the master still publishes in our codec

PING: dict[str, Any] = {
    "cmd": "_minion_event",
    "pretag": None,
    "tag": "minion_ping",
    "data": "ping",
}


class Link:
    """Owns the Subscriber. `take` gets the publishes, `failed(reason)` is called when it is broken
    for good, `back()` when the connection stands again after it broke,
    and `up()` each time it stands.
    """

    def __init__(
        self,
        config: MinionConfig,
        context: Context,
        session: MasterSession,
        topics: frozenset[bytes],
        take: Callable[[list[bytes]], object],
        failed: Callable[[str], object],
        back: Callable[[], object],
        up: Callable[[], object],
    ) -> None:
        self._config = config
        self._context = context
        self._session = session
        self._topics = topics
        self._take = take
        self._failed = failed
        self._back = back
        self._up = up
        self._subscriber: Subscriber | None = None
        self._opened = ""  # the address that the subscriber is for
        self._crew = Crew("link")
        self._greeting: gevent.Greenlet[..., Any] | None = None
        self._following: gevent.Greenlet[..., Any] | None = None
        self._was_up = False
        self.is_up = False

    @property
    def publisher(self) -> str:
        """The address that jobs come from."""
        return addresses.tcp(self._session.address, self._session.publish_port)

    def open(self) -> None:
        """Subscribe at the address that the session knows."""
        config = self._config
        reconnect_ms = config.recon_default
        if config.recon_randomize:
            reconnect_ms += random.uniform(0, config.recon_max)
        self._subscriber = Subscriber(
            self._context,
            identity=config.id,
            topics=sorted(self._topics),
            reconnect_ms=int(reconnect_ms),
            reconnect_max_ms=int(config.recon_max),
            take=self._take,
            moved=self._moved,
            ipv6=bool(config.ipv6),
        )
        self._subscriber.failed.rawlink(lambda result: self._failed(str(result.value)))
        self._opened = self.publisher
        self._subscriber.start(self._opened)
        self._session.settled = self._signed_in

    def close(self) -> None:
        self._crew.stop()
        if self._subscriber is not None:
            self._subscriber.stop()

    def ping(self) -> None:
        """Prove to both sides that the session holds; a new sign-in follows when it does not."""
        try:
            self._session.request(PING)
        except GreensaltError as error:
            log.warning("the master does not answer: %s", error)

    def _moved(self, is_up: bool) -> None:
        """The connection stands, or broke."""
        if is_up and not self.is_up and self._was_up:
            log.info("the connection to the master stands again")
            self._session.hurry()
            if self._greeting is None or self._greeting.dead:  # one, however often it flaps
                self._greeting = self._crew.spawn("greet", self._greet)
        elif not is_up and self.is_up:
            log.warning("the connection to the master broke")
            self._start_following()
        if is_up and not self.is_up:
            self._up()
        self.is_up = is_up
        self._was_up = self._was_up or is_up

    def _signed_in(self) -> None:
        """A sign-in may have told another publish port: that of another codec."""
        if self.publisher != self._opened:
            # In a greenlet of its own: it may be the subscriber's that has signed in.
            self._crew.spawn("move", self._move)

    def _move(self) -> None:
        """Subscribe at the address that the session knows now."""
        if self._subscriber is None or self.publisher == self._opened:
            return
        self._opened = self.publisher
        log.info("the master has moved: jobs come from %s", self._opened)
        self._subscriber.stop()
        self.is_up = False
        self.open()
        self._start_following()

    def _greet(self) -> None:
        self.ping()
        self._back()

    def _start_following(self) -> None:
        """One is enough, however often the connection flaps."""
        if self._following is None or self._following.dead:
            self._following = self._crew.spawn("follow", self._follow)

    def _follow(self) -> None:
        """While the link is down, look the master's name up again: it may have moved.

        It may also have stopped publishing in our codec, which a request brings to light: the
        master does not read it, so that a new sign-in follows.
        """
        asked = time.monotonic()
        while not self.is_up:
            gevent.sleep(max(LOOK_S, self._config.recon_default / 1000))
            self._look()
            if self._session.codec is not MSGPACK and time.monotonic() - asked > ASK_S:
                asked = time.monotonic()
                self._ask()

    def _look(self) -> None:
        try:
            self._session.resolve()
        except TransportError as error:
            log.warning("%s", error)
            return
        self._move()

    def _ask(self) -> None:
        try:
            self._session.request(PING, timeout_s=ASK_S, tries=1)
        except GreensaltError as error:
            log.info("the master does not answer: %s", error)
