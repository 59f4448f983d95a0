"""One returner's greenlet: it follows returns or events in the store and never loses its place.

A returner that is down is tried again, ever more slowly, and its backlog waits in the store. What a
returner refuses for good, or answers with an error again and again when it is alone, becomes a dead
letter, so that one return can't hold up all others. A return may be delivered twice (a kill between
the delivery and the commit of the cursor), with the same key.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import gevent
from gevent.event import Event
from gevent.threadpool import ThreadPool

from greensalt.errors import GreensaltError, ReturnerDown, ReturnerError, StoreError
from greensalt.green import Backoff
from greensalt.master.returners.feed import LOOK_S, Feed
from greensalt.master.returners.returner import EventItem, Item
from greensalt.store.outbox import Waiting

log = logging.getLogger(__name__)

FIRST_WAIT_S: Final = 1.0
MOST_WAIT_S: Final = 60.0
PAGE_BYTES: Final = 1 << 20
SPLIT_AFTER: Final = 3
"""So many errors as answers to the same batch, and its returns are tried one by one."""
TRIES: Final = 10
"""So many errors as answers to a return that is alone, and it is a dead letter."""


class Sent(NamedTuple):
    """What became of a batch, as a value: it comes from a native thread."""

    cursor: int = 0
    """The last return that was taken, or that nobody wanted; 0 for none."""
    taken: int = 0
    trouble: ReturnerError | None = None
    item: Item | EventItem | None = None


class Sender:
    """Feeds one returner. `trouble` says what is wrong with it at the moment, "" if nothing."""

    def __init__(self, name: str, feed: Feed, backoff: Backoff | None = None) -> None:
        self.name = name
        self.trouble = ""
        self.outbox = feed.outbox
        self._feed = feed
        self._backoff = backoff or Backoff(FIRST_WAIT_S, MOST_WAIT_S)
        self._size = feed.batch
        self._errors = 0  # answers to the same batch
        self._hurry = Event()
        # One thread of its own: a returner that hangs takes nobody else's.
        self._thread = ThreadPool(1)

    def run(self) -> None:
        """Until killed."""
        while True:
            self._hurry.clear()
            pause_s = 0.0
            try:
                busy = self._revive()
                if not busy:
                    pause_s = self._feed.pause_s()
                    busy = not pause_s and self._next()
            except StoreError as error:
                self._tell(f"the store: {error}")
                gevent.sleep(self._backoff.next_s())
                continue
            if not busy:
                self._hurry.wait(min(pause_s or LOOK_S, LOOK_S))

    def hurry(self) -> None:
        """There is something new to send."""
        self._hurry.set()

    def _next(self) -> bool:
        """Send what comes next; whether there was anything."""
        batch = self.outbox.waiting(self.name, self._size, PAGE_BYTES)
        if not batch:
            self._feed.drained()
            return False
        sent = self._apply(self._send_batch, batch)
        if sent.cursor:
            self.outbox.delivered(self.name, sent.cursor, sent.taken)
            self._errors = 0
        if sent.trouble is None:
            self._succeeded()
        elif len(batch) > 1:
            self._failed(sent.trouble)
        elif sent.item is not None and self._is_hopeless(sent.trouble):
            log.error("%s: %s is a dead letter: %s", self.name, sent.item.key, sent.trouble)
            self.outbox.bury(self.name, batch[0].seq, sent.item._asdict(), str(sent.trouble))
            self._errors = 0
        else:
            self._failed(sent.trouble)
        return True

    def _revive(self) -> bool:
        """Send one dead letter that somebody wants to be sent again; whether there was one."""
        letter = self.outbox.revived(self.name)
        if letter is None:
            return False
        sent = self._apply(self._send_item, letter.item)
        reason = None if sent.trouble is None else str(sent.trouble)
        if sent.trouble is not None and isinstance(sent.trouble, ReturnerDown):
            self._tell(str(sent.trouble))
        self.outbox.settle(self.name, letter.num, reason)
        return True

    def _is_hopeless(self, trouble: ReturnerError) -> bool:
        if not isinstance(trouble, ReturnerDown):
            return True
        return trouble.answered and self._errors + 1 >= TRIES

    def _failed(self, trouble: ReturnerError) -> None:
        if not isinstance(trouble, ReturnerDown):
            self._size = 1  # one of them is the reason: which?
            return
        self._tell(str(trouble))
        self._errors += trouble.answered
        if self._errors >= SPLIT_AFTER and self._size > 1:
            self._size, self._errors = 1, 0
        gevent.sleep(self._backoff.next_s())

    def _succeeded(self) -> None:
        self._backoff.reset()
        self._errors = 0
        self._size = min(self._feed.batch, self._size * 2)
        if self.trouble:
            log.warning("the returner %s works again", self.name)
            self.trouble = ""

    def _tell(self, trouble: str) -> None:
        if trouble != self.trouble:
            log.error("the returner %s is down: %s", self.name, trouble)
        self.trouble = trouble

    # -- in the native thread ----------------------------------------------------------------

    def _apply(self, work: Callable[[Any], Sent], given: Any) -> Sent:
        sent: Sent = self._thread.apply(work, (given,))
        return sent

    def _send_batch(self, batch: Sequence[Waiting]) -> Sent:
        try:
            items = [self._feed.item_of(waiting) for waiting in batch]
        except GreensaltError as error:
            return Sent(trouble=ReturnerError(str(error)), item=self._feed.unreadable(batch[0]))
        wanted = [place for place, item in enumerate(items) if self._feed.is_wanted(item)]
        sent = self._send([items[place] for place in wanted]) if wanted else Sent()
        # Up to the one that was not taken, or else to the end.
        done = wanted[sent.taken] if sent.trouble is not None else len(batch)
        return sent._replace(cursor=batch[done - 1].seq if done else 0)

    def _send_item(self, fields: dict[str, Any]) -> Sent:
        return self._send([self._feed.revived(fields)])

    def _send(self, items: Sequence[Any]) -> Sent:
        try:
            self._feed.send(items)
        except ReturnerError as error:
            taken = error.taken if isinstance(error, ReturnerDown) else 0
            taken = min(max(0, taken), len(items) - 1)
            return Sent(taken=taken, trouble=error, item=items[taken])
        except Exception as error:  # noqa: BLE001  # a foreign returner may do anything
            told = f"{type(error).__name__}: {error}"
            return Sent(trouble=ReturnerDown(told, answered=True), item=items[0])
        return Sent(taken=len(items))
