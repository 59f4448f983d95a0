"""What a simulated user does, and the rows of the statistics that come of it.

Every row is of one lane (locust's "type") and names the payload where there is one. All times are
milliseconds.
"""

from __future__ import annotations

import itertools
import logging
import os
import time
from typing import Any, Final

from gevent.lock import BoundedSemaphore
from locust.env import Environment

from greensalt.errors import GreensaltError, RequestTimeout
from greensalt.transport.addresses import tcp
from loadtest._control import Control
from loadtest._options import Settings
from loadtest._payloads import payload
from loadtest._publisher import Jids, Published, Publisher
from loadtest._site import Lane
from loadtest._watch import EVENTS, Arrivals, BusWatch

log = logging.getLogger(__name__)

PUBLISHED: Final = "publish acknowledged"
FIRST: Final = "first return"
MEDIAN: Final = "median return"
LAST: Final = "last return"
ACCEPTED: Final = "return accepted"
EVENT: Final = "event on the bus"
SIGN_IN: Final = "sign-in"
JOB_ROWS: Final = (PUBLISHED, FIRST, MEDIAN, LAST, ACCEPTED)

ACKS_GRACE_S: Final = 1.0
"""How long an acknowledgement may take after its return was seen on the bus."""


def row(payload_name: str, what: str) -> str:
    """The name of a row about jobs with a payload."""
    return f"{payload_name}: {what}"


class Links:
    """What all users of a process share: the watches of the buses, and the jids."""

    def __init__(self) -> None:
        self.jids = Jids()
        self._watches: dict[str, BusWatch] = {}
        self._numbers = itertools.count()
        self._opening = BoundedSemaphore(1)

    def watch(self, lane: Lane, control: Control) -> BusWatch | None:
        """The watch of a lane's bus; None where the bus is out of reach."""
        if not lane.bus:
            return None
        with self._opening:  # the first user waits for the bus, the others for that user
            if lane.bus not in self._watches:
                self._watches[lane.bus] = BusWatch(
                    lane.bus, lane.bus_kind, lambda tag: control.event(lane.codec, tag)
                )
            return self._watches[lane.bus]

    def event_tag(self) -> str:
        """A tag that no other event of the run has."""
        return f"{EVENTS}{os.getpid()}/{next(self._numbers)}"

    def close(self) -> None:
        for watch in self._watches.values():
            watch.close()
        self._watches.clear()


class Missing(GreensaltError):
    """Returns of a job that did not come in time."""


class Steps:
    """The steps of one user on one lane."""

    def __init__(
        self, environment: Environment, lane: Lane, settings: Settings, links: Links
    ) -> None:
        self._request = environment.events.request
        self._lane = lane
        self._timeout_s = settings.job_timeout_s
        self._links = links
        self._publisher = Publisher(tcp(lane.host, lane.ret_port), lane.key_file)
        self._control = Control(lane.control, settings.job_timeout_s + 2 * ACKS_GRACE_S)
        self._watch = links.watch(lane, self._control)

    def close(self) -> None:
        self._publisher.close()
        self._control.close()

    # -- a job -------------------------------------------------------------------------------

    def job(self, payload_name: str) -> None:
        """Publish a job and wait until every minion's return was seen and acknowledged."""
        jid = self._links.jids.next()
        arrivals = self._watch.expect(jid) if self._watch else Arrivals()
        began = time.time()
        try:
            fun = payload(payload_name).fun
            published = self._publisher.publish(self._lane.target, fun, self._timeout_s, jid)
        except GreensaltError as error:
            self._fire(row(payload_name, PUBLISHED), self._timeout_s, began, error=error)
        else:
            took_s = published.acknowledged - published.sent
            self._fire(row(payload_name, PUBLISHED), took_s, began, size=published.size)
            self._returns(payload_name, published, arrivals, began)
        finally:
            if self._watch:
                self._watch.forget(jid)

    def _returns(
        self, payload_name: str, published: Published, arrivals: Arrivals, began: float
    ) -> None:
        count = self._lane.minions
        if self._watch:
            arrivals.wait(count, self._timeout_s)
            acks = self._acks(published.jid, ACKS_GRACE_S)
        else:
            # Without the bus a return counts when the master has acknowledged it to its minion.
            acks = self._acks(published.jid, self._timeout_s)
            for ack in acks:
                if not ack["error"]:
                    arrivals.add(ack["id"], ack["acknowledged"])
        self._fire_arrivals(payload_name, arrivals, published.sent, began)
        self._fire_acks(payload_name, acks, began)

    def _acks(self, jid: str, timeout_s: float) -> list[dict[str, Any]]:
        """What the fleet knows of a job's returns; nothing when it does not answer."""
        try:
            return self._control.acks(jid, self._lane.minions, timeout_s)
        except GreensaltError as error:
            log.warning("%s", error)
            return []

    def _fire_arrivals(
        self, payload_name: str, arrivals: Arrivals, sent: float, began: float
    ) -> None:
        """First, median and last of the returns; each is a failure if it never came."""
        count = self._lane.minions
        times = sorted(arrivals.times.values())
        for what, place in ((FIRST, 0), (MEDIAN, (count - 1) // 2), (LAST, count - 1)):
            if place < len(times):
                self._fire(row(payload_name, what), times[place] - sent, began)
            else:
                error = Missing(f"{count - len(times)} of {count} returns did not come")
                self._fire(row(payload_name, what), self._timeout_s, began, error=error)

    def _fire_acks(self, payload_name: str, acks: list[dict[str, Any]], began: float) -> None:
        """Every minion's return: from its send to the master's acknowledgement."""
        name = row(payload_name, ACCEPTED)
        for ack in acks:
            error = GreensaltError(ack["error"]) if ack["error"] else None
            took_s = ack["acknowledged"] - ack["sent"]
            self._fire(name, took_s, began, size=ack["size"], error=error)
        for _ in range(self._lane.minions - len(acks)):
            error = Missing("a minion did not return, or was not answered")
            self._fire(name, self._timeout_s, began, error=error)

    # -- the others --------------------------------------------------------------------------

    def event(self) -> None:
        """A minion fires an event; it is timed until it is seen on the master's bus."""
        if self._watch is None:
            return
        tag = self._links.event_tag()
        arrivals = self._watch.expect(tag)
        began = time.time()
        try:
            sent, size = self._control.event(self._lane.codec, tag)
            if not arrivals.wait(1, self._timeout_s):
                raise RequestTimeout("the event did not appear on the bus")
        except GreensaltError as error:
            self._fire(EVENT, self._timeout_s, began, error=error)
        else:
            self._fire(EVENT, arrivals.times[tag] - sent, began, size=size)
        finally:
            self._watch.forget(tag)

    def sign_in(self) -> None:
        """A minion that was never here before connects and signs in."""
        began = time.time()
        try:
            took_s = self._control.sign_in(self._lane.codec)
        except GreensaltError as error:
            self._fire(SIGN_IN, self._timeout_s, began, error=error)
        else:
            self._fire(SIGN_IN, took_s, began)

    def _fire(
        self,
        name: str,
        took_s: float,
        began: float,
        *,
        size: int = 0,
        error: Exception | None = None,
    ) -> None:
        self._request.fire(
            request_type=self._lane.label,
            name=name,
            response_time=took_s * 1e3,
            response_length=size,
            exception=error,
            context={},
            start_time=began,
        )
