"""The two native threads' sides of the database: one writes, one reads.

Nothing here knows of greenlets, and nothing here raises: what went wrong is a value, because it
has to cross from a native thread to whoever waits.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

from greensalt.errors import StoreError, Unstorable
from greensalt.store.schema import damaged

Connection: TypeAlias = sqlite3.Connection
Apply: TypeAlias = Callable[[Connection, Sequence[Any]], Sequence[Any]]
"""Writes rows in the open transaction. One result for each row; a StoreError is that row's own."""

Work: TypeAlias = tuple[Apply, Any]
"""What is to be done, and one row to do it with."""

_ROW_IS_WRONG: Final = (
    sqlite3.DataError,
    sqlite3.IntegrityError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    OverflowError,
    TypeError,
    ValueError,
)
_STORE_IS_WRONG: Final = (sqlite3.Error, OSError, MemoryError)

# A row may be the reason for these, or the disk; the connection stays good.
_ROW_MAY_BE_WRONG: Final = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_NOMEM})
_WAIT_IS_OVER: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_DAMAGE: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})

FAILURES_IN_A_ROW: Final = 2
"""So many rows that fail one after the other, each by itself, and it is not the rows."""


class Committed(NamedTuple):
    """What became of a batch: one result for each row, the reason if the store itself failed."""

    results: list[Any]
    trouble: str | None
    took_s: float


class _Handle:
    """A connection that is opened when it is needed, and anew after an error."""

    def __init__(self, path: Path, connect: Callable[[], Connection]) -> None:
        self._path = path
        self._connect = connect
        self._connection: Connection | None = None
        self._file = (0, 0)

    def get(self) -> Connection:
        """The connection; raises an error if its file has gone, or is another one by now."""
        if self._connection is None:
            self._connection = self._connect()
            self._file = self._on_disk()
        elif self._on_disk() != self._file:
            # SQLite would go on writing into a file that nobody will find again.
            self.drop()
            raise FileNotFoundError("the file was removed or replaced while it was in use")
        return self._connection

    def drop(self) -> None:
        """Close the connection; the next `get` opens one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.close()
            except sqlite3.Error:
                pass  # it is being dropped because it is broken

    def roll_back(self) -> None:
        """Leave the transaction, if SQLite has not done so by itself."""
        if self._connection is not None and self._connection.in_transaction:
            self._connection.rollback()

    def explain(self, error: BaseException, doing: str) -> StoreError:
        """Make ours of a foreign error, and drop the connection if that may help."""
        if isinstance(error, StoreError):
            self.drop()
            return error
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code not in _ROW_MAY_BE_WRONG | _WAIT_IS_OVER:
            self.drop()
        if code in _DAMAGE:
            return damaged(self._path, error)
        return StoreError(f"{self._path} can't be {doing}: {str(error) or type(error).__name__}")

    def _on_disk(self) -> tuple[int, int]:
        stat = self._path.stat()
        return stat.st_dev, stat.st_ino


class Writer:
    """Commits batches. For one native thread at a time."""

    def __init__(self, path: Path, connect: Callable[[], Connection]) -> None:
        self._handle = _Handle(path, connect)

    def open(self) -> StoreError | None:
        """Open the file now; gives the reason if that fails."""
        try:
            self._handle.get()
        except (StoreError, *_STORE_IS_WRONG) as error:
            return self._handle.explain(error, "opened")
        return None

    def commit(self, batch: Sequence[Work]) -> Committed:
        """Do the work of a batch in one transaction; if a row spoils it, each in one of its own."""
        begun = time.perf_counter()
        trouble: str | None = None
        results: list[Any]
        try:
            results = list(self._transaction(batch))
        except (StoreError, *_ROW_IS_WRONG, *_STORE_IS_WRONG) as error:
            if _may_be_a_rows_fault(error) and len(batch) > 1:
                results, trouble = self._one_by_one(batch)
            else:
                results, trouble = self._failed(error, len(batch))
        return Committed(results, trouble, time.perf_counter() - begun)

    def alone(self, work: Callable[[Connection], Any]) -> tuple[Any, StoreError | None]:
        """Do something that needs to be outside of a transaction; gives its result or why not."""
        try:
            return work(self._handle.get()), None
        except (StoreError, *_STORE_IS_WRONG) as error:
            return None, self._handle.explain(error, "written")

    def close(self) -> None:
        """Close the file; SQLite copies the log back into it."""
        self._handle.drop()

    def _transaction(self, batch: Sequence[Work]) -> Iterator[Any]:
        connection = self._handle.get()
        self._handle.roll_back()
        connection.execute("BEGIN IMMEDIATE")
        try:
            for apply, work in groupby(batch, itemgetter(0)):
                yield from apply(connection, [row for _, row in work])
            connection.execute("COMMIT")
        except BaseException:
            self._handle.roll_back()
            raise

    def _one_by_one(self, batch: Sequence[Work]) -> tuple[list[Any], str | None]:
        results: list[Any] = []
        trouble: str | None = None
        failures = 0
        for place, work in enumerate(batch):
            try:
                results += list(self._transaction([work]))
                failures = 0
            except (StoreError, *_ROW_IS_WRONG, *_STORE_IS_WRONG) as error:
                result, reason = self._failed(error, 1)
                results += result
                if reason is not None:
                    trouble = reason
                    failures += 1
                if failures == FAILURES_IN_A_ROW:
                    results += [StoreError(reason) for _ in batch[place + 1 :]]
                    break
        return results, trouble

    def _failed(self, error: BaseException, rows: int) -> tuple[list[Any], str | None]:
        if isinstance(error, _ROW_IS_WRONG):
            return [Unstorable(f"can't be kept: {error}") for _ in range(rows)], None
        reason = str(self._handle.explain(error, "written"))
        return [StoreError(reason) for _ in range(rows)], reason


class Reader:
    """Answers questions. For one native thread at a time."""

    def __init__(self, path: Path, connect: Callable[[], Connection]) -> None:
        self._handle = _Handle(path, connect)

    def ask(self, question: Callable[[Connection], Any]) -> tuple[Any, StoreError | None]:
        """Give the answer, or the reason why there is none."""
        try:
            return question(self._handle.get()), None
        except _ROW_IS_WRONG as error:
            return None, StoreError(f"the store can't be asked this: {error}")
        except (StoreError, *_STORE_IS_WRONG) as error:
            return None, self._handle.explain(error, "read")

    def close(self) -> None:
        """Close the connection."""
        self._handle.drop()


def _may_be_a_rows_fault(error: BaseException) -> bool:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return isinstance(error, (*_ROW_IS_WRONG, MemoryError)) or code in _ROW_MAY_BE_WRONG
