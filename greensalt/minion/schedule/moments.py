"""Times as people write them in a schedule, and ranges of them, by the machine's local time.

A time is a date with a time (`2026-01-31T17:00`, `1/31/2026 5:00pm`), a time of every day
(`5:00pm`), or one of a day of the week (`Monday 5:00pm`).
"""

# ruff: noqa: DTZ005, DTZ007  # schedules go by local time

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from typing import Any, Final

from greensalt.errors import ConfigError
from greensalt.minion.schedule.cron import DAYS

TIMES: Final = ("%H:%M", "%H:%M:%S", "%I:%M%p", "%I:%M:%S%p", "%I%p")
DATES: Final = ("%m/%d/%Y", "%B %d, %Y", "%b %d, %Y", "%d %B %Y", "%d %b %Y")
LONG_DAYS: Final = tuple(
    f"{day}day" for day in ("sun", "mon", "tues", "wednes", "thurs", "fri", "satur")
)
_A_DAY: Final = timedelta(days=1)
_A_MOMENT: Final = timedelta(milliseconds=1)  # the end belongs to a range, what follows does not


class Moment:
    """One time; ConfigError for what is none."""

    def __init__(self, given: Any) -> None:
        self._date: date | None = None
        self._weekday: int | None = None
        if isinstance(given, datetime):
            local = given.astimezone().replace(tzinfo=None) if given.tzinfo else given
            self._date, self._time = local.date(), local.time()
        elif isinstance(given, int):
            self._time = _sexagesimal(given)
        else:
            self._read(str(given).strip())

    def _read(self, text: str) -> None:
        first, _, rest = text.partition(" ")
        day = first.lower().rstrip(",")
        if day in (*DAYS, *LONG_DAYS):
            self._weekday, text = DAYS.index(day[:3]), rest.strip()
        moment = _absolute(text) if self._weekday is None else None
        if moment is not None:
            self._date, self._time = moment.date(), moment.time()
            return
        found = _parsed(text.replace(" ", ""), TIMES)
        if found is None:
            raise ConfigError(
                f"{text!r} is not a time; one is 2026-01-31T17:00, 5:00pm or Mon 17:00"
            )
        self._time = found.time()

    @property
    def kind(self) -> str:
        """Whether it comes once, daily or weekly."""
        if self._date is not None:
            return "once"
        return "daily" if self._weekday is None else "weekly"

    def at(self, clock: datetime) -> datetime:
        """The time that is meant on a day: that of today, or of the next such day of the week."""
        if self._date is not None:
            return datetime.combine(self._date, self._time)
        days = 0 if self._weekday is None else (self._weekday - clock.isoweekday()) % 7
        return datetime.combine(clock.date() + days * _A_DAY, self._time)

    def has_come(self, before: datetime, now: datetime) -> bool:
        """Whether it came after `before`, and not later than now."""
        return any(before < self.at(day) <= now for day in (before, now))

    def wait_s(self, clock: datetime) -> float:
        """How long it takes until it comes; infinite if it is over."""
        coming = [at for at in (self.at(clock), self.at(clock + _A_DAY)) if at > clock]
        return (min(coming) - clock).total_seconds() if coming else math.inf


class Span:
    """From one time to another, both included; ConfigError unless it ends after it starts."""

    def __init__(self, given: Any) -> None:
        if not isinstance(given, Mapping) or not {"start", "end"} <= given.keys():
            raise ConfigError(f"{given!r} is not a range: {{start: ..., end: ...}}")
        self.start, self.end = Moment(given["start"]), Moment(given["end"])
        self.is_inverted = bool(given.get("invert"))
        if self.start.kind != self.end.kind or self.start.kind == "weekly":
            raise ConfigError("a range is from date to date, or from one time of a day to another")
        today = datetime.now()
        if self.end.at(today) <= self.start.at(today):
            raise ConfigError("a range must end after it starts")

    def covers(self, clock: datetime) -> bool:
        return self.start.at(clock) <= clock <= self.end.at(clock)

    def allows(self, clock: datetime) -> bool:
        """Whether a time is in it, or outside of it if it is inverted; its ends always are."""
        if self.is_inverted:
            return not self.start.at(clock) < clock < self.end.at(clock)
        return self.covers(clock)

    def has_ended(self, before: datetime, now: datetime) -> bool:
        """Whether it was over after `before`, and not later than now."""
        return self.end.has_come(before - _A_MOMENT, now - _A_MOMENT)

    def wait_s(self, clock: datetime) -> float:
        """How long it takes until it is over."""
        return self.end.wait_s(clock - _A_MOMENT)


def _sexagesimal(number: int) -> time:
    """What YAML has made a number of: 17:00 is 1020 in base 60, and 17:00:30 is 61230."""
    seconds = number * 60 if number < 24 * 60 else number
    if number < 60 or not 3600 <= seconds < 24 * 3600:
        raise ConfigError(f"{number} is not a time")
    return time(seconds // 3600, seconds // 60 % 60, seconds % 60)


def _absolute(text: str) -> datetime | None:
    """A date with or without a time."""
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone().replace(tzinfo=None) if moment.tzinfo else moment
    except ValueError:
        pass
    forms = [f"{day} {hour}" for day in DATES for hour in (*TIMES, "%I:%M %p", "%I %p")]
    return _parsed(text, (*DATES, *forms))


def _parsed(text: str, forms: tuple[str, ...]) -> datetime | None:
    for form in forms:
        try:
            return datetime.strptime(text, form)
        except ValueError:
            continue
    return None
