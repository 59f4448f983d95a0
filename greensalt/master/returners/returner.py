"""The interface of a returner, and how one is found by its name.

A returner is made of its options and then sends returns or events, a few at a time, in a native
thread of its own. Other packages can offer them through the entry point group
`greensalt.returners`: a name, and what to call with a mapping of options.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import import_module
from importlib.metadata import entry_points
from types import MappingProxyType
from typing import Any, Final, NamedTuple, Protocol

from greensalt.errors import ConfigError

GROUP: Final = "greensalt.returners"
BUILT_IN: Final = MappingProxyType({"webhook": "Webhook", "syslog": "Syslog"})


class Item(NamedTuple):
    """One return on its way. `key` is the same however often it is sent: `<jid>/<minion id>`."""

    key: str
    jid: str
    id: str
    fun: Any
    fun_args: Any
    ret: Any
    retcode: Any
    success: Any
    received: float
    """Seconds since 1970."""

    def plain(self) -> dict[str, Any]:
        """The return as JSON can have it: text, numbers, lists and dictionaries."""
        named = self._asdict()
        named["return"] = named.pop("ret")
        named["received"] = datetime.fromtimestamp(self.received, UTC).isoformat()
        made: dict[str, Any] = plain(named)
        return made


class EventItem(NamedTuple):
    """One event of the bus on its way. `key` is the same however often it is sent."""

    key: str
    tag: str
    data: dict[str, Any]
    received: float
    """Seconds since 1970."""

    def event(self) -> dict[str, Any]:
        """The event as Salt gives it to `event_return`, and its key."""
        return {"tag": self.tag, "data": self.data, "key": self.key}


class Returner(Protocol):
    """Sends returns somewhere.

    `batch` is how many `send` takes at once at most. Each `send` comes from a native thread and may
    block, but not for ever.
    """

    batch: int

    def send(self, items: Sequence[Item]) -> None:
        """Send all of them.

        Raises ReturnerDown when a later try may succeed, ReturnerRefused when none ever will.
        Whoever receives them may get one of them again, and knows it by its key.
        """

    def close(self) -> None:
        """Let go of what is open."""


class EventReturner(Protocol):
    """Sends events of the bus somewhere, in the same way.

    A class may be one, a Returner, or both.
    """

    batch: int

    def event_return(self, events: Sequence[dict[str, Any]]) -> None:
        """Send all of them: `{"tag": ..., "data": ..., "key": ...}`; raises as `send` does."""

    def close(self) -> None:
        """Let go of what is open."""


def make(kind: str, options: Mapping[str, Any]) -> Any:
    """A Returner, an EventReturner, or both in one.

    Raises ConfigError for a kind that is not there, or wrong options.
    """
    if kind in BUILT_IN:
        module = import_module(f"greensalt.master.returners.{kind}")
        return getattr(module, BUILT_IN[kind])(options)
    points = list(entry_points(group=GROUP, name=kind))
    if len(points) != 1:
        known = ", ".join(sorted({*BUILT_IN, *entry_points(group=GROUP).names}))
        raise ConfigError(
            f"several packages offer the returner {kind!r}"
            if points
            else f"there is no returner {kind!r}; there are: {known}"
        )
    try:
        return points[0].load()(options)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"the returner {kind!r} can't be loaded: {error}") from error


def taken(options: Mapping[str, Any], *known: str) -> dict[str, Any]:
    """The options of a returner; raises ConfigError for one that it doesn't know."""
    for name in options:
        if name not in known:
            raise ConfigError(f"unknown option {name!r}; there are: {', '.join(known)}")
    return dict(options)


def number(options: Mapping[str, Any], name: str, default: float, least: float) -> float:
    """An option that is a number; raises ConfigError for anything else."""
    value = options.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or value < least:
        raise ConfigError(f"{name} must be a number of at least {least:g}, not {value!r}")
    return value


def plain(value: Any) -> Any:
    """A value as JSON can have it."""
    match value:
        case bool() | int() | str() | None:
            return value
        case float():
            return value if value - value == 0 else str(value)  # JSON has no infinity
        case bytes():
            return value.decode("utf-8", "replace")
        case Mapping():
            return {
                name if isinstance(name, str) else str(plain(name)): plain(each)
                for name, each in value.items()
            }
        case list() | tuple() | set():
            return [plain(each) for each in value]
    return str(value)
