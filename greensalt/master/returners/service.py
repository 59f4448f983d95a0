"""All returners of a master, as `master_returners` and `event_return` say."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

import gevent

from greensalt.config import MasterConfig
from greensalt.errors import CommandExecutionError, ConfigError
from greensalt.green import Backoff, Crew
from greensalt.master.returners.feed import EventFeed, Feed, ReturnFeed
from greensalt.master.returners.returner import make, number
from greensalt.master.returners.sender import FIRST_WAIT_S, MOST_WAIT_S, Sender
from greensalt.store.database import Database
from greensalt.store.eventbox import EventBox
from greensalt.store.outbox import DeadLetter, Outbox

log = logging.getLogger(__name__)

LOOK_S: Final = 0.1
OWN: Final = ("type", "jobs", "retry_first", "retry_most")


class Returners:
    """Starts, stops and describes them. Raises ConfigError for options that are wrong.

    One that is fed with events, from `events`, has the name `<its name>/events` for these.
    """

    def __init__(
        self, config: MasterConfig, database: Database, events: EventBox | None = None
    ) -> None:
        self._outbox = Outbox(database)
        self._crew = Crew("returners")
        self._senders: dict[str, Sender] = {}
        for name, given in config.master_returners.items():
            try:
                self._add(name, given, config, events)
            except ConfigError as error:
                raise ConfigError(f"master_returners: {name}: {error}") from error

    def _add(self, name: str, given: Any, config: MasterConfig, events: EventBox | None) -> None:
        """What is wrong is told with the kinds and options that there are."""
        if not isinstance(given, Mapping):
            raise ConfigError("it must be a map with a type")
        feeds: dict[str, Feed] = {}
        returner, functions = _made(name, given), _functions(given)
        if functions is None or functions:
            feeds[name] = ReturnFeed(returner, self._outbox, functions)
        if events is not None and name in config.event_return:
            if not hasattr(returner, "event_return"):
                raise ConfigError("it is named by event_return, but takes no events")
            # One of its own: two threads don't share a returner.
            own = _made(name, given) if feeds else returner
            gather, most_s = config.event_return_queue, config.event_return_queue_max_seconds
            feeds[f"{name}/events"] = EventFeed(name, own, events, gather, most_s)
        for each, feed in feeds.items():
            self._senders[each] = Sender(name, feed, _backoff(given))

    def start(self) -> None:
        """Go on where the last run ended; raises StoreError."""
        names = [sender.name for sender in self._senders.values() if sender.outbox is self._outbox]
        for name, waiting in self._outbox.open(names).items():
            log.warning("%d returns waited for the returner %s, which is gone", waiting, name)
        for name, sender in self._senders.items():
            self._crew.spawn_vital(name, sender.run)
        self._crew.spawn_vital("bell", self._ring)

    @property
    def failed(self) -> Any:
        """Set to the reason when one of them can't go on."""
        return self._crew.failed

    def stop(self) -> None:
        """At once: what is under way is sent again after the next start."""
        self._crew.stop()

    def status(self) -> dict[str, dict[str, Any]]:
        """How each of them stands; raises StoreError."""
        return {
            name: {**sender.outbox.tally(sender.name)._asdict(), "trouble": sender.trouble}
            for name, sender in self._senders.items()
        }

    def dead(self, name: str, most: int = 100) -> list[DeadLetter]:
        """The newest dead letters of one of them."""
        sender = self._find(name)
        return sender.outbox.dead(sender.name, most)

    def retry(self, name: str) -> int:
        """Send all dead letters of one of them once more; gives their number."""
        sender = self._find(name)
        count = sender.outbox.retry(sender.name)
        sender.hurry()
        return count

    def _find(self, name: str) -> Sender:
        if name not in self._senders:
            known = ", ".join(self._senders) or "none"
            raise CommandExecutionError(f"there is no returner {name!r}; there are: {known}")
        return self._senders[name]

    def _ring(self) -> None:
        """Tell the senders when something was committed."""
        seen = {each: each.database.commits for each in self._outboxes()}
        while True:
            gevent.sleep(LOOK_S)
            for outbox, commits in seen.items():
                if outbox.database.commits != commits:
                    seen[outbox] = outbox.database.commits
                    for sender in self._senders.values():
                        if sender.outbox is outbox:
                            sender.hurry()

    def _outboxes(self) -> set[Outbox]:
        return {sender.outbox for sender in self._senders.values()}


def _made(name: str, given: Mapping[str, Any]) -> Any:
    options = {key: value for key, value in given.items() if key not in OWN}
    return make(str(given.get("type", name)), options)


def _backoff(given: Mapping[str, Any]) -> Backoff:
    first_s = number(given, "retry_first", FIRST_WAIT_S, 0.01)
    return Backoff(first_s, number(given, "retry_most", MOST_WAIT_S, first_s))


def _functions(given: Mapping[str, Any]) -> Sequence[str] | None:
    jobs = given.get("jobs")
    if jobs is None:
        return None
    if isinstance(jobs, str):
        return (jobs,)
    if not isinstance(jobs, list | tuple) or not all(isinstance(each, str) for each in jobs):
        raise ConfigError("jobs must be a list of functions, or patterns of their names")
    return jobs
