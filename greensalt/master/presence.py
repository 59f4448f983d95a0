"""Who is connected: known from the connections of the Ret interface themselves.

Minions keep their request connection open (stock ones of 3006 to 3008, too), and what comes over it
is authenticated. So a minion is connected as long as a connection lives on which it has proven who
it is: no address is compared, nobody is asked, and NAT makes no difference. A connection ends when
TCP or the heartbeats of ZeroMQ say so.

After a start of the master nobody has spoken yet. greensalt minions do at once when they reconnect,
stock ones when they next have something to say; until then `unknown` has them.

Source: docs/presence.md; docs/protocol.md 7.2.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping

import gevent

from greensalt.transport.bus import EventPublisher
from greensalt.wire import tags

LOOK_S = 1.0  # how soon a change is told; those within it are told together


class Presence:
    """The connections of minions. `accepted` gives the ids that count; `last_seen` when each had
    its last authenticated request (unix seconds, Sessions).
    """

    def __init__(
        self, accepted: Callable[[], Collection[str]], last_seen: Mapping[str, float]
    ) -> None:
        self._accepted = accepted
        self._last_seen = last_seen
        self._open: set[int] = set()
        self._minions: dict[int, str] = {}
        self._connections: dict[str, set[int]] = {}

    # -- what the sockets tell -----------------------------------------------------------------

    def opened(self, connection: int) -> None:
        """A connection was accepted; its number may have been another's before."""
        self._forget(connection)
        self._open.add(connection)

    def closed(self, connection: int) -> None:
        """A connection is gone."""
        self._open.discard(connection)
        self._forget(connection)

    def heard(self, connection: int, minion_id: str) -> None:
        """An authenticated request of a minion came on a connection."""
        if self._minions.get(connection) == minion_id:
            return
        if connection not in self._open:  # the last words on one that is gone
            return
        self._forget(connection)
        self._minions[connection] = minion_id
        self._connections.setdefault(minion_id, set()).add(connection)

    def _forget(self, connection: int) -> None:
        minion_id = self._minions.pop(connection, None)
        if minion_id is not None:
            left = self._connections[minion_id]
            left.discard(connection)
            if not left:
                del self._connections[minion_id]

    # -- what others ask -------------------------------------------------------------------------

    def connected(self) -> frozenset[str]:
        """The accepted minions that are connected."""
        return frozenset(self._connections.keys() & set(self._accepted()))

    def is_connected(self, minion_id: str) -> bool:
        """Whether a minion is connected and its key accepted."""
        return minion_id in self._connections and minion_id in self._accepted()

    def unknown(self) -> frozenset[str]:
        """The accepted minions that have not said anything since the master's start."""
        return frozenset(set(self._accepted()) - self._last_seen.keys() - self._connections.keys())

    def last_seen(self, minion_id: str) -> float | None:
        """When a minion's last authenticated request came, in unix seconds."""
        return self._last_seen.get(minion_id)

    def how(self, minion_id: str) -> str:
        """What is known of a minion, in words."""
        if minion_id in self._connections:
            return "connected"
        seen = self._last_seen.get(minion_id)
        if seen is None:
            return "not seen since the master's start"
        return f"not connected, seen {max(0.0, time.time() - seen):.0f} s ago"


class PresenceEvents:
    """Tells the bus who is there: every change within a second, and everybody each `interval_s`."""

    def __init__(self, presence: Presence, bus: EventPublisher, interval_s: float) -> None:
        self._presence = presence
        self._bus = bus
        self._interval_s = max(LOOK_S, interval_s)

    def run(self) -> None:
        """Until killed."""
        before: frozenset[str] = frozenset()
        told = time.monotonic()
        while True:
            gevent.sleep(LOOK_S)
            now = self._presence.connected()
            if now != before:
                change = {"new": sorted(now - before), "lost": sorted(before - now)}
                self._bus.fire(tags.PRESENCE_CHANGE, change)
                before = now
            if time.monotonic() - told >= self._interval_s:
                told = time.monotonic()
                self._bus.fire(tags.PRESENCE_PRESENT, {"present": sorted(now)})
