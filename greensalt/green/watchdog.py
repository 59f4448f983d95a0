"""The hub's lateness as a figure, and the line that held it up.

A timer on the hub stamps the clock; how late it fires is how long something kept the hub from
running. A native thread looks at the stamp: when it is older than `report_s`, the stack of the
main thread is logged, once per stall.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
import traceback
from typing import Any

import gevent

from greensalt.green.histogram import Histogram

log = logging.getLogger(__name__)

TICK_S = 0.1


class Watchdog:
    """Measures how late the hub is.

    `longest_s` is the longest stall since the start, `lateness_s` the latest one, `stalls` counts
    those beyond `report_s`, `late` has all of them, one every tick.
    """

    def __init__(self, report_s: float = 0.25) -> None:
        self.report_s = report_s
        self.longest_s = 0.0
        self.lateness_s = 0.0
        self.stalls = 0
        self.late = Histogram()
        self._stamp = time.monotonic()
        self._main = threading.get_ident()
        self._stopped = threading.Event()
        self._timer = gevent.get_hub().loop.timer(TICK_S, TICK_S, ref=False)
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def start(self) -> None:
        self._stamp = time.monotonic()
        self._timer.start(self._tick)
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._timer.stop()
        self._timer.close()

    def figures(self) -> dict[str, Any]:
        """The lateness of the hub in seconds (p50, p99, max), and how often it stalled."""
        return {"late": self.late.figures(), "stalls": self.stalls}

    def _tick(self) -> None:
        now = time.monotonic()
        self.lateness_s = max(0.0, now - self._stamp - TICK_S)
        self._stamp = now
        self.late.add(self.lateness_s)
        if self.lateness_s > self.longest_s:
            self.longest_s = self.lateness_s
        if self.lateness_s > self.report_s:
            self.stalls += 1

    def _watch(self) -> None:
        reported = 0.0
        while not self._stopped.wait(self.report_s):
            stamp = self._stamp
            late_s = time.monotonic() - stamp - TICK_S
            if late_s > self.report_s and stamp != reported:
                reported = stamp
                frame = sys._current_frames().get(self._main)
                stack = "".join(traceback.format_stack(frame)) if frame else ""
                log.warning("the hub has been blocked for %.0f ms at\n%s", late_s * 1e3, stack)
