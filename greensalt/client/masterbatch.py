"""A batch that the master leads: begun here, followed here, and none the worse if this ends.

Source: docs/protocol.md 12.6.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import gevent

from greensalt.errors import GreensaltError, RequestTimeout, StoreError, TransportError
from greensalt.wire import tags

if TYPE_CHECKING:
    from greensalt.client.jobclient import JobClient
    from greensalt.client.link import Result

POLL_S: Final = 1.0
LOST_S: Final = 60.0
"""How long the master may be away."""


class MasterBatch:
    """One batch at a greensalt master. Iterate over it for the results, as the master has them.

    `begin` raises MalformedMessage at a master that has no batches. `status` is what the master
    last said of the batch (12.6); `on_status` is called when it has said something.
    """

    def __init__(self, client: JobClient, jid: str = "") -> None:
        self._client = client
        self.jid = client.valid_jid(jid)
        self.status: Mapping[str, Any] = {}
        self.on_status: Callable[[], object] | None = None

    def begin(self, load: dict[str, Any], batch: dict[str, Any]) -> None:
        """Have the master begin; `load` is a publish request."""
        request = {**load, "jid": self.jid, "batch": batch}
        self.status = self._client.link.begin_batch(request)

    def __iter__(self) -> Iterator[Result]:
        bus = self._client.subscribed(tags.job(self.jid))
        if bus is not None:
            bus.subscribe(tags.tag("batch", self.jid) + "/")
        try:
            cursor, seen = 0, time.monotonic()
            while True:
                try:
                    page = self._client.link.follow(self.jid, cursor, minions=False)
                except (RequestTimeout, StoreError) as error:
                    self._away(seen, error)
                    continue
                seen, cursor = time.monotonic(), page.cursor
                self.status = page.batch or self.status
                if self.on_status is not None:
                    self.on_status()
                yield from page.results
                if page.more:
                    continue
                if self.state != "running":
                    return
                if bus is None:
                    gevent.sleep(POLL_S)
                else:
                    bus.next(POLL_S)
                    while bus.next(0):
                        pass
        finally:
            if bus is not None:
                bus.close()

    def _away(self, seen: float, error: GreensaltError) -> None:
        if time.monotonic() - seen > LOST_S:
            raise TransportError(f"the master has been away for {LOST_S:g} s") from error
        gevent.sleep(POLL_S)

    @property
    def state(self) -> str:
        """`running`, `stopped`, `halted` or `complete`."""
        return str(self.status.get("state"))

    def names(self, key: str) -> list[str]:
        """One of the lists of the status; the first ones of many."""
        return [str(each) for each in self.status.get(key) or []]

    def count(self, key: str) -> int:
        """How long this list really is."""
        counts = self.status.get("counts")
        count = counts.get(key) if isinstance(counts, Mapping) else None
        return count if isinstance(count, int) else len(self.names(key))
