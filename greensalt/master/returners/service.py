"""All returners of a master, as `master_returners` says."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

import gevent

from greensalt.errors import CommandExecutionError, ConfigError
from greensalt.green import Backoff, Crew
from greensalt.master.returners.returner import make, number
from greensalt.master.returners.sender import FIRST_WAIT_S, MOST_WAIT_S, Sender
from greensalt.store.database import Database
from greensalt.store.outbox import DeadLetter, Outbox

log = logging.getLogger(__name__)

LOOK_S: Final = 0.1
OWN: Final = ("type", "jobs", "retry_first", "retry_most")


class Returners:
    """Starts, stops and describes them. Raises ConfigError for options that are wrong."""

    def __init__(self, options: Mapping[str, Any], database: Database) -> None:
        self._database = database
        self._outbox = Outbox(database)
        self._crew = Crew("returners")
        self._senders = {
            name: _sender(name, given, self._outbox) for name, given in options.items()
        }

    def start(self) -> None:
        """Go on where the last run ended; raises StoreError."""
        for name, waiting in self._outbox.open(self._senders).items():
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
            name: {**self._outbox.tally(name)._asdict(), "trouble": sender.trouble}
            for name, sender in self._senders.items()
        }

    def dead(self, name: str, most: int = 100) -> list[DeadLetter]:
        """The newest dead letters of one of them."""
        self._check(name)
        return self._outbox.dead(name, most)

    def retry(self, name: str) -> int:
        """Send all dead letters of one of them once more; gives their number."""
        self._check(name)
        count = self._outbox.retry(name)
        self._senders[name].hurry()
        return count

    def _check(self, name: str) -> None:
        if name not in self._senders:
            known = ", ".join(self._senders) or "none"
            raise CommandExecutionError(f"there is no returner {name!r}; there are: {known}")

    def _ring(self) -> None:
        """Tell the senders when something was committed."""
        seen = self._database.commits
        while True:
            gevent.sleep(LOOK_S)
            if self._database.commits != seen:
                seen = self._database.commits
                for sender in self._senders.values():
                    sender.hurry()


def _sender(name: str, given: Any, outbox: Outbox) -> Sender:
    try:
        if not isinstance(given, Mapping):
            raise ConfigError("it must be a map with a type")
        options = {key: value for key, value in given.items() if key not in OWN}
        returner = make(str(given.get("type", name)), options)
        first_s = number(given, "retry_first", FIRST_WAIT_S, 0.01)
        most_s = number(given, "retry_most", MOST_WAIT_S, first_s)
        return Sender(name, returner, outbox, _functions(given), Backoff(first_s, most_s))
    except ConfigError as error:
        raise ConfigError(f"master_returners: {name}: {error}") from error


def _functions(given: Mapping[str, Any]) -> Sequence[str]:
    jobs = given.get("jobs", ())
    if isinstance(jobs, str):
        return (jobs,)
    if not isinstance(jobs, list | tuple) or not all(isinstance(each, str) for each in jobs):
        raise ConfigError("jobs must be a list of functions, or patterns of their names")
    return jobs
