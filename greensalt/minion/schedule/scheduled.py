"""One job of a schedule: what it runs, and when it is due.

Source: docs/schedule.md.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from greensalt.errors import ConfigError
from greensalt.minion.schedule.cron import Cron
from greensalt.minion.schedule.moments import Moment, Span

UNITS: Final = {"seconds": 1, "minutes": 60, "hours": 3600, "days": 86400}
ONCE_FORMAT: Final = "%Y-%m-%dT%H:%M:%S"
A_SECOND: Final = timedelta(seconds=1)
_NOTHING: Final = timedelta()
CLOCK_S: Final = 60.0
"""How often jobs that go by the clock look at it: it may be set."""
KNOWN: Final = frozenset(
    {
        *UNITS,
        *("name", "function", "args", "kwargs", "job_args", "job_kwargs", "cron", "once"),
        *("once_fmt", "splay", "maxrunning", "jid_include", "enabled", "run_on_start"),
        *("return_job", "metadata", "returner", "return_config", "return_kwargs"),
        *("when", "until", "after", "range", "skip_during_range", "run_after_skip_range"),
        "skip_explicit",
    }
)


class ScheduledJob:
    """A job as configured. ConfigError, naming the job, for what can't be a schedule.

    Times of intervals are those of a monotonic clock, so that a clock that is set does no harm;
    everything else goes by the machine's local time.
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
        self.when = [Moment(each) for each in _as_list(config.get("when"))]
        if sum(map(bool, (self.interval_s, self.cron, self.once, self.when))) != 1:
            raise ConfigError("it needs one of: an interval (seconds, ...), cron, when, once")
        self._read_limits()
        run_now = bool(config.get("run_on_start", True))
        self._due = now if run_now else now + self.interval_s
        self._minute: tuple[int, ...] = ()
        self._seen: datetime | None = None
        self.over = False

    def _read_limits(self) -> None:
        """What keeps it from running although it is due."""
        config = self.config
        self._until, self._after = (
            Moment(config[name]) if config.get(name) else None for name in ("until", "after")
        )
        self._range, self._not_in = (
            Span(config[name]) if config.get(name) else None
            for name in ("range", "skip_during_range")
        )
        self._skipped = [_skipped(each) for each in _as_list(config.get("skip_explicit"))]

    def is_due(self, now: float, clock: datetime) -> bool:
        """Whether it is time for it; if so, the next time is reckoned from here."""
        before, self._seen = self._seen or clock - A_SECOND, clock
        skipping = self._not_in if self.config.get("run_after_skip_range") else None
        is_after = skipping is not None and skipping.has_ended(before, clock)
        return self._is_time(now, clock, before) or is_after

    def _is_time(self, now: float, clock: datetime, before: datetime) -> bool:
        if self.when:
            return any(moment.has_come(before, clock) for moment in self.when)
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
        waits = [CLOCK_S]
        if self.config.get("run_after_skip_range") and self._not_in is not None:
            waits.append(self._not_in.wait_s(clock))
        if self.when:
            waits += [moment.wait_s(clock) for moment in self.when]
        elif self.cron is not None:
            waits.append(60.0 - clock.second - clock.microsecond / 1e6)
        elif self.once is not None:
            waits.append(CLOCK_S if self.over else (self.once - clock).total_seconds())
        else:
            waits[0] = self._due - now
        return max(0.0, min(waits))

    def hindrance(self, clock: datetime) -> str | None:
        """Why it must not run now, in Salt's words; None if it may."""
        if self._range is not None and not self._range.allows(clock):
            return "in_skip_range" if self._range.is_inverted else "not_in_range"
        if self._not_in is not None and self._not_in.covers(clock):
            return "in_skip_range"
        if any(A_SECOND >= clock - each.at(clock) >= _NOTHING for each in self._skipped):
            return "skip_explicit"
        if self._until is not None and self._until.at(clock) <= clock:
            return "until_passed"
        if self._after is not None and clock <= self._after.at(clock):
            return "after_not_passed"
        return None

    def splay_s(self) -> float:
        """By how much this run is put off."""
        return random.uniform(*self.splay)


def _skipped(given: Any) -> Moment:
    if isinstance(given, Mapping):
        return Moment(datetime.strptime(str(given["time"]), str(given["time_fmt"])))  # noqa: DTZ007
    return Moment(given)


def _as_list(value: Any) -> list[Any]:
    if not value:
        return []
    return value if isinstance(value, list) else [value]


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
