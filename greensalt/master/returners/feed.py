"""What a returner is fed with: the returns of minions, or the events of the master's bus."""

from __future__ import annotations

import time
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any, Final, Protocol

from greensalt.master.returners.returner import EventItem, EventReturner, Item, Returner
from greensalt.store.blobs import unpack
from greensalt.store.eventbox import EventBox
from greensalt.store.outbox import Outbox, Waiting
from greensalt.store.sqlite import load_of

LOOK_S: Final = 2.0
"""What another process has stored is found that late."""


class Feed(Protocol):
    """One stream from an outbox into one returner; `batch` is how many it takes at once at most."""

    batch: int

    @property
    def outbox(self) -> Outbox:
        """Where it comes from."""

    def pause_s(self) -> float:
        """How long not to send yet; 0: whatever there is goes now. Raises StoreError."""

    def drained(self) -> None:
        """Nothing waits any more."""

    def item_of(self, waiting: Waiting) -> Any:
        """What waits, as the returner gets it; raises StoreError."""

    def unreadable(self, waiting: Waiting) -> Any:
        """What can be said of it when its body can't be read."""

    def revived(self, fields: dict[str, Any]) -> Any:
        """An item from the fields that a dead letter has."""

    def is_wanted(self, item: Any) -> bool:
        """Whether the returner is to get it."""

    def send(self, items: Sequence[Any]) -> None:
        """Blocks; raises what the returner raises."""


class ReturnFeed:
    """Returns of the functions that match one of the patterns; None: of all."""

    def __init__(
        self, returner: Returner, outbox: Outbox, functions: Sequence[str] | None = None
    ) -> None:
        self.batch = returner.batch
        self.outbox = outbox
        self.send = returner.send
        self._functions = functions

    def pause_s(self) -> float:
        return 0.0

    def drained(self) -> None:
        pass

    def item_of(self, waiting: Waiting) -> Item:
        load = load_of(waiting.body)
        jid = waiting.jid or str(load.get("jid", ""))
        return Item(
            key=f"{jid}/{waiting.id}",
            jid=jid,
            id=waiting.id,
            fun=load.get("fun"),
            fun_args=load.get("fun_args"),
            ret=load.get("return"),
            retcode=load.get("retcode"),
            success=load.get("success"),
            received=waiting.received,
        )

    def unreadable(self, waiting: Waiting) -> Item:
        jid = waiting.jid or ""
        nothing = (None, None, None, None, None)
        return Item(f"{jid}/{waiting.id}", jid, waiting.id, *nothing, waiting.received)

    def revived(self, fields: dict[str, Any]) -> Item:
        return Item(**fields)

    def is_wanted(self, item: Item) -> bool:
        if self._functions is None:
            return True
        functions = [item.fun] if isinstance(item.fun, str) else item.fun or [""]
        return any(
            fnmatchcase(str(function), pattern)
            for function in functions
            for pattern in self._functions
        )


class EventFeed:
    """Events, as soon as `gather` of them wait, or the first has waited for `most_s` (0: for ever).

    Then all that wait are sent.
    """

    def __init__(
        self, name: str, returner: EventReturner, box: EventBox, gather: int, most_s: float
    ) -> None:
        self.batch = returner.batch
        self.outbox = box
        self._name = name
        self._returner = returner
        self._gather = gather
        self._most_s = most_s
        self._is_due = gather <= 1

    def pause_s(self) -> float:
        if self._is_due:
            return 0.0
        count, oldest = self.outbox.depth(self._name)
        if count < self._gather:
            if oldest is None or not self._most_s:
                return LOOK_S
            if (left_s := oldest + self._most_s - time.time()) > 0:
                return left_s
        self._is_due = True
        return 0.0

    def drained(self) -> None:
        self._is_due = self._gather <= 1

    def item_of(self, waiting: Waiting) -> EventItem:
        return self._item(waiting, unpack(waiting.body))

    def unreadable(self, waiting: Waiting) -> EventItem:
        return self._item(waiting, {})

    def revived(self, fields: dict[str, Any]) -> EventItem:
        return EventItem(**fields)

    def is_wanted(self, _item: EventItem) -> bool:
        return True  # what is not, is not in the outbox

    def send(self, items: Sequence[EventItem]) -> None:
        self._returner.event_return([item.event() for item in items])

    def _item(self, waiting: Waiting, data: dict[str, Any]) -> EventItem:
        # The number alone begins anew in a new file.
        key = f"{waiting.received:.6f}-{waiting.seq}"
        return EventItem(key, waiting.id, data, waiting.received)
