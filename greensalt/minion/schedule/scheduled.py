"""One job of a schedule: what it runs, and when it is due.

Source: docs/schedule.md.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from greensalt.errors import ConfigError
from greensalt.minion.schedule.cron import Cron

UNITS: Final = {"seconds": 1, "minutes": 60, "hours": 3600, "days": 86400}
ONCE_FORMAT: Final = "%Y-%m-%dT%H:%M:%S"
KNOWN: Final = frozenset(
    {
        *UNITS,
        *("name", "function", "args", "kwargs", "job_args", "job_kwargs", "cron", "once"),
        *("once_fmt", "splay", "maxrunning", "jid_include", "enabled", "run_on_start"),
        *("return_job", "metadata", "returner", "return_config", "return_kwargs"),
    }
)


class ScheduledJob:
    """A job as configured. ConfigError, naming the job, for what can't be a schedule.

    Times of intervals are those of a monotonic clock, so that a clock that is set does no harm;
    `cron` and `once` go by the machine's local time.
    """

    def __init__(self, name: str, config: Mapping[str, Any], now: float) -> None:
        self.name, self.config = name, dict(config)
        try:
            self._read(now)
        except (ConfigError, TypeError, ValueError) as error:
            raise ConfigError(f"the schedule {name!r}: {error}") from None

    def _read(self, now: float) -> None:
        config = self.config
        if unknown := sorted(set(config) - KNOWN):
            raise ConfigError(f"{', '.join(unknown)}: unknown, or not supported")
        self.function = config.get("function")
        if not isinstance(self.function, str) or "." not in self.function:
            raise ConfigError("it has no function")
        self.args = list(config.get("args") or config.get("job_args") or [])
        self.kwargs = dict(config.get("kwargs") or config.get("job_kwargs") or {})
        self.enabled = bool(config.get("enabled", True))
        self.maxrunning = int(config.get("maxrunning", 1))
        self.splay = _splay(config.get("splay"))
        self.interval_s = sum(float(config.get(unit) or 0) * s for unit, s in UNITS.items())
        self.cron = Cron(str(config["cron"])) if config.get("cron") else None
        self.once = _once(config)
        if sum(map(bool, (self.interval_s, self.cron, self.once))) != 1:
            raise ConfigError("it needs one of: an interval (seconds, ...), cron, once")
        run_now = bool(config.get("run_on_start", True))
        self._due = now if run_now else now + self.interval_s
        self._minute: tuple[int, ...] = ()
        self.over = False

    def is_due(self, now: float, clock: datetime) -> bool:
        """Whether it has to run; if so, the next time is reckoned from here."""
        if self.cron is not None:
            minute = clock.timetuple()[:5]
            if minute == self._minute or not self.cron.fits(clock):
                return False
            self._minute = minute
            return True
        if self.once is not None:
            if self.over or clock < self.once:
                return False
            self.over = True
            return True
        if now < self._due:
            return False
        missed = int((now - self._due) // self.interval_s)
        self._due += (missed + 1) * self.interval_s
        return True

    def wait_s(self, now: float, clock: datetime) -> float:
        """How long at least it is not due."""
        if self.cron is not None:
            return 60.0 - clock.second - clock.microsecond / 1e6
        if self.once is not None:
            return 3600.0 if self.over else max(0.0, (self.once - clock).total_seconds())
        return max(0.0, self._due - now)

    def splay_s(self) -> float:
        """By how much this run is put off."""
        return random.uniform(*self.splay)


def _splay(value: Any) -> tuple[float, float]:
    if not value:
        return 0.0, 0.0
    if isinstance(value, Mapping):
        return float(value["start"]), float(value["end"])
    return 0.0, float(value)


def _once(config: Mapping[str, Any]) -> datetime | None:
    value = config.get("once")
    if not value or isinstance(value, datetime):
        return value or None
    form = str(config.get("once_fmt") or ONCE_FORMAT)
    return datetime.strptime(str(value), form)  # noqa: DTZ007  # local time
