"""Jobs that were published while the subscription was broken: the minion asks for them.

A PUB socket forgets whoever is not connected. So each time the subscription stands, and each time
a serial is skipped, the minion asks the master which jobs of the last `job_redelivery_window`
seconds it should have had. The journal sees to it that none runs twice.

Source: Spec 12.5.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

import gevent

from greensalt.errors import GreensaltError
from greensalt.green import Crew, OnCall
from greensalt.minion.journal import Journal
from greensalt.minion.session import MasterSession

log = logging.getLogger(__name__)

COMMAND = "_missed_jobs"
TOLD_MOST = 200  # jids that a question names
AGAIN_S = 1.0  # a subscription takes effect some time after the connection stands
ANSWER_S = 3.0  # other requests wait as long, so it is short
TRIES = 5
ROUNDS_MOST = 10  # questions in a row, while each brings something new


class MissedJobs:
    """Asks when told to `hurry`; `take(load)` is given each job, and says whether it was new."""

    def __init__(
        self,
        session: MasterSession,
        journal: Journal,
        window_s: float,
        take: Callable[[dict[str, Any]], bool],
    ) -> None:
        self._session = session
        self._journal = journal
        self._window_s = window_s
        self._take = take
        self._started = time.monotonic()
        self._asking = OnCall("missed jobs", self._ask_twice)
        self._is_understood = True
        self.asked = self.redelivered = 0

    def hurry(self) -> None:
        """Something may have been missed."""
        if self._window_s and self._is_understood:
            self._asking.call()

    def start(self, crew: Crew) -> None:
        """Ask from now on, until the crew is stopped."""
        self._asking.start(crew)

    def _ask_twice(self) -> None:
        """Ask, and once more a little later."""
        answers, tries = 0, 0
        while self._is_understood and answers < 2 and tries < TRIES:
            if tries:
                gevent.sleep(AGAIN_S)
            answers += self.ask()
            tries += 1

    def ask(self) -> bool:
        """Ask for what was missed, and take it; False when the master did not answer."""
        for _ in range(ROUNDS_MOST):
            try:
                jobs = self._session.request(self._question(), timeout_s=ANSWER_S, tries=1)
            except GreensaltError as error:
                log.warning("the master can't be asked for missed jobs: %s", error)
                return False
            self.asked += 1
            if not isinstance(jobs, list):  # a stock master says {}
                self._is_understood = False
                log.info("the master does not know which jobs were missed")
                return True
            taken = sum(self._take(job) for job in jobs if isinstance(job, dict))
            self.redelivered += taken
            if not taken:
                break
        return True

    def _question(self) -> dict[str, Any]:
        """Without a memory of earlier runs only jobs since the start of this one are wanted."""
        age_s = time.monotonic() - self._started
        window_s = min(self._window_s, age_s) if self._journal.is_new else self._window_s
        return {"cmd": COMMAND, "window": window_s, "seen": self._journal.newest(TOLD_MOST)}
