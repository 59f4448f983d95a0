"""The figures of a master's process as events, `master_stats_event_iter` seconds apart.

`salt/stats/<worker>` has Salt's fields: `time` (s since the last one), `worker`, `pool`,
`pool_index` and `stats`, {command: {mean (s), runs}}, which begin anew with each event. What the
event says besides, of lanes, device and hub, counts from the start of the process.

Source: docs/operations.md, "Figures of a running master".
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any, Final

import gevent

from greensalt.wire import tags

POOL: Final = "default"


class Tally:
    """How often commands ran, and how long, since the last `take`."""

    def __init__(self) -> None:
        self._runs: defaultdict[str, list[float]] = defaultdict(lambda: [0, 0.0])

    def add(self, command: str, duration_s: float) -> None:
        entry = self._runs[command]
        entry[0] += 1
        entry[1] += duration_s

    def take(self) -> dict[str, dict[str, float]]:
        """{command: {runs, mean}}, and begin anew."""
        taken, self._runs = self._runs, defaultdict(lambda: [0, 0.0])
        return {
            command: {"runs": int(runs), "mean": total_s / runs}
            for command, (runs, total_s) in taken.items()
        }


class Stats:
    """Fires the events. `more` gives what is told besides the runs."""

    def __init__(
        self,
        number: int,
        tally: Tally,
        more: Callable[[], dict[str, Any]],
        fire: Callable[[str, dict[str, Any]], object],
        interval_s: float,
    ) -> None:
        self._number = number
        self._worker = f"MWorker-{POOL}-{number}"
        self._tally = tally
        self._more = more
        self._fire = fire
        self._interval_s = interval_s

    def run(self) -> None:
        """Fire until killed."""
        begun = time.monotonic()
        while True:
            gevent.sleep(self._interval_s)
            now = time.monotonic()
            data = {
                "time": now - begun,
                "worker": self._worker,
                "pool": POOL,
                "pool_index": self._number,
                "stats": self._tally.take(),
            }
            self._fire(tags.stats(self._worker), {**data, **self._more()})
            begun = now
