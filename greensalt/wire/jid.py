"""Job ids: the UTC time of a job to the microsecond, as 20 digits of text (Spec 8.1)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from greensalt.errors import MalformedMessage

JID_RETURN_UNASKED: Final = "req"
"""Stands for "give this return a jid of its own": nobody had asked for it."""

JID_DO_NOT_STORE: Final = "nocache"

_SHAPE: Final = re.compile(r"[0-9]{20}(_[0-9]{1,20})?")
_ONE_MICROSECOND: Final = timedelta(microseconds=1)


def format_jid(utc: datetime) -> str:
    """Return the jid of a moment; a naive one is taken as UTC."""
    return f"{_in_utc(utc):%Y%m%d%H%M%S%f}".rjust(20, "0")


def is_jid(value: object) -> bool:
    """Tell whether a value is a jid, and so may become part of a path or of a tag.

    Digits that are no date (month 13) are no jid; ``_<digits>`` may follow (Salt's unique_jid).
    """
    if not isinstance(value, str) or _SHAPE.fullmatch(value) is None:
        return False
    try:
        _moment(value)
    except ValueError:
        return False
    return True


def jid_time(jid: str) -> datetime:
    """Return the moment a jid names, in UTC; raises MalformedMessage for what is no jid."""
    if not is_jid(jid):
        raise MalformedMessage(f"not a job id: {jid!r:.80}")
    return _moment(jid)


def display_time(jid: str) -> str:
    """Return the time of a jid as job listings show it: ``2026, Nov 22 19:24:10.230816``."""
    return f"{jid_time(jid):%Y, %b %d %H:%M:%S.%f}"


class JidClock:
    """Gives out jids that are strictly increasing even if the clock of the host is not."""

    def __init__(self) -> None:
        self._last = datetime.min.replace(tzinfo=UTC)

    def next(self, now: datetime) -> str:
        """Return the jid for a job that starts now, later than every one before."""
        self._last = max(_in_utc(now), self._last + _ONE_MICROSECOND)
        return format_jid(self._last)


def _in_utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _moment(jid: str) -> datetime:
    return datetime(
        int(jid[0:4]),
        int(jid[4:6]),
        int(jid[6:8]),
        int(jid[8:10]),
        int(jid[10:12]),
        int(jid[12:14]),
        int(jid[14:20]),
        UTC,
    )
