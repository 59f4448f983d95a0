"""One SQLite file between greenlets that wait and two native threads that work.

Writes are gathered while the commit before them runs, and committed together: an idle store
commits at once, a busy one commits more rows each time. One thread alone touches the writing
connection; reads have a connection and a thread of their own, on a snapshot, so that a slow
listing delays no commit.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from gevent.event import Event
from gevent.threadpool import ThreadPool

from greensalt.errors import StoreError
from greensalt.green import Crew
from greensalt.store.connections import Committed, Connection, Reader, Work, Writer
from greensalt.store.schema import TABLES, Sync, connect_reader, connect_writer

log = logging.getLogger(__name__)

R = TypeVar("R")
T = TypeVar("T")

MAX_BATCH: Final = 1024  # rows in one transaction: those behind it wait for the next
BUSY_TIMEOUT_S: Final = 5.0


class _Batch:
    """Writes that will be committed together, and those who wait for that."""

    __slots__ = ("committed", "results", "work")

    def __init__(self) -> None:
        self.work: list[Work] = []
        self.results: list[Any] = []
        self.committed = Event()


class Database:
    """One open database file; a new one gets `tables`. Raises StoreError if it can't be opened.

    For monitoring: `commits`, `rows` (written), `failed` (writes that got an error),
    `last_commit_s`, and `queue_len`, the writes that wait. The queue is bounded by those who wait
    in it.
    """

    def __init__(
        self,
        path: Path,
        sync: Sync = "full",
        busy_timeout_s: float = BUSY_TIMEOUT_S,
        tables: str = TABLES,
    ) -> None:
        self.path = path
        self.commits = self.rows = self.failed = 0
        self.last_commit_s = 0.0
        self._writer = Writer(path, lambda: connect_writer(path, sync, busy_timeout_s, tables))
        self._reader = Reader(path, lambda: connect_reader(path, busy_timeout_s))
        self._writing = ThreadPool(1)
        self._reading = ThreadPool(1)
        self._batches: deque[_Batch] = deque()
        self._committing: _Batch | None = None
        self._wake = Event()
        self._idle = Event()
        self._refusing = self._closed = False
        self._out_since: float | None = None
        self._lost = 0
        error: StoreError | None = self._writing.apply(self._writer.open)
        if error is not None:
            self._stop_threads()
            raise error
        self._crew = Crew("store")
        self._committer = self._crew.spawn_vital("committer", self._commit_batches)
        self.dead = self._crew.failed
        """Gets the reason if the committer dies; `close` doesn't count."""

    @property
    def queue_len(self) -> int:
        """The writes that wait for a commit, those of the running one included."""
        waiting = sum(len(batch.work) for batch in self._batches)
        return waiting + (len(self._committing.work) if self._committing else 0)

    # -- for everybody -----------------------------------------------------------------------

    def write(
        self, apply: Callable[[Connection, Sequence[R]], Sequence[T | StoreError]], row: R
    ) -> T:
        """Have a row written and wait until it is committed; gives `apply`'s result for it.

        `apply` runs in the writing thread, in a transaction, with all rows that follow each other
        in the queue and are for the same function. Raises StoreError.
        """
        (result,) = self.write_all(apply, (row,))
        if isinstance(result, StoreError):
            raise result
        return result

    def write_all(
        self,
        apply: Callable[[Connection, Sequence[R]], Sequence[T | StoreError]],
        rows: Sequence[R],
    ) -> list[T | StoreError]:
        """As `write`, of several rows in one commit; gives the errors of rows among the results."""
        self._check_open()
        if not self._batches or len(self._batches[-1].work) + len(rows) > MAX_BATCH:
            self._batches.append(_Batch())
        batch = self._batches[-1]
        first = len(batch.work)
        batch.work += [(apply, row) for row in rows]
        self._wake.set()
        batch.committed.wait()
        return batch.results[first : first + len(rows)]

    def read(self, question: Callable[[Connection], T]) -> T:
        """Have a question answered by the reading thread; raises StoreError."""
        self._check_open()
        answer: T
        answer, error = self._reading.apply(self._reader.ask, (question,))
        if error is not None:
            raise error
        return answer

    def alone(self, work: Callable[[Connection], T]) -> T:
        """Have the writing thread do something between two transactions; raises StoreError."""
        self._check_open()
        result: T
        result, error = self._writing.apply(self._writer.alone, (work,))
        if error is not None:
            raise error
        return result

    def close(self) -> None:
        """Commit what is waiting, then close; a second call does nothing."""
        if self._closed:
            return
        self._refusing = self._closed = True
        self._idle.clear()
        self._wake.set()
        if self._committer:
            self._idle.wait()
        self._crew.stop()
        self._reading.apply(self._reader.close)
        self._writing.apply(self._writer.close)
        self._stop_threads()

    def _check_open(self) -> None:
        if self._refusing:
            raise StoreError(f"{self.path} is closed")

    # -- the committer -----------------------------------------------------------------------

    def _commit_batches(self) -> None:
        try:
            while True:
                self._wake.wait()
                self._wake.clear()
                while self._batches:
                    self._commit(self._batches.popleft())
                self._idle.set()
        finally:
            # Without a committer nobody may wait for one.
            self._refusing = True
            while self._batches:
                self._answer(self._batches.popleft(), [])
            self._idle.set()

    def _commit(self, batch: _Batch) -> None:
        self._committing = batch
        results: list[Any] = []
        try:
            committed: Committed = self._writing.apply(self._writer.commit, (batch.work,))
            results = committed.results
            self._count(committed)
        except Exception:
            log.exception("a commit failed in a way that nobody foresaw")
        finally:
            self._committing = None
            self._answer(batch, results)

    def _answer(self, batch: _Batch, results: list[Any]) -> None:
        reason = f"{self.path} is closed: the write was not finished"
        batch.results = results or [StoreError(reason) for _ in batch.work]
        batch.committed.set()

    def _count(self, committed: Committed) -> None:
        failed = sum(isinstance(result, StoreError) for result in committed.results)
        written = len(committed.results) - failed
        self.failed += failed
        self.rows += written
        if committed.trouble is None:
            self.commits += 1
            self.last_commit_s = committed.took_s
            self._tell_recovery()
        else:
            self._tell_outage(committed.trouble, failed)

    def _tell_outage(self, reason: str, failed: int) -> None:
        self._lost += failed
        if self._out_since is None:
            self._out_since = time.monotonic()
            log.critical("the store refuses writes, and who sent them is told so: %s", reason)

    def _tell_recovery(self) -> None:
        if self._out_since is not None:
            log.warning(
                "%s can be written again; it could not for %.1f s, and %d writes were refused",
                self.path,
                time.monotonic() - self._out_since,
                self._lost,
            )
            self._out_since, self._lost = None, 0

    def _stop_threads(self) -> None:
        self._reading.kill()
        self._writing.kill()
