"""Cron expressions: five fields, of which each allows some values.

`minute hour day month weekday`; a field is `*`, a number, `a-b`, any of these with `/step`, or
several with commas; months and weekdays have their names too. When both days are restricted, one of
them is enough, as in cron.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from greensalt.errors import ConfigError

MONTHS: Final = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
DAYS: Final = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
FIELDS: Final = (
    ("minute", 0, 59),
    ("hour", 0, 23),
    ("day", 1, 31),
    ("month", 1, 12),
    ("weekday", 0, 7),
)


class Cron:
    """Says of each minute whether it is one of the expression's; ConfigError for what is none."""

    def __init__(self, text: str) -> None:
        words = text.lower().split()
        if len(words) != len(FIELDS):
            raise ConfigError(f"cron {text!r} has {len(words)} fields, not {len(FIELDS)}")
        fields = zip(words, FIELDS, strict=True)
        values = [_values(word, *field) for word, field in fields]
        self._minutes, self._hours, self._days, self._months, weekdays = values
        self._weekdays = frozenset(day % 7 for day in weekdays)
        self._any_day, self._any_weekday = words[2].startswith("*"), words[4].startswith("*")

    def fits(self, when: datetime) -> bool:
        if when.minute not in self._minutes or when.hour not in self._hours:
            return False
        if when.month not in self._months:
            return False
        day = when.day in self._days
        weekday = when.isoweekday() % 7 in self._weekdays
        return day and weekday if self._any_day or self._any_weekday else day or weekday


def _values(word: str, name: str, least: int, most: int) -> frozenset[int]:
    found: set[int] = set()
    for part in word.split(","):
        span, _, step = part.partition("/")
        low, dash, high = span.partition("-")
        try:
            if low == "*":
                first, last = least, most
            else:
                first = _number(low, name)
                last = _number(high, name) if dash else (most if step else first)
            every = int(step) if step else 1
        except ValueError:
            raise ConfigError(f"cron: {part!r} is no {name}") from None
        if not least <= first <= last <= most or every < 1:
            raise ConfigError(f"cron: {part!r} is no {name} ({least}-{most})")
        found.update(range(first, last + 1, every))
    return frozenset(found)


def _number(text: str, name: str) -> int:
    if name == "month" and text in MONTHS:
        return MONTHS.index(text) + 1
    if name == "weekday" and text in DAYS:
        return DAYS.index(text)
    return int(text)
