"""What a job store keeps, and what it can do: the contract of every backend.

The store is the truth about a job, events are hints: a client follows a job by asking for the
returns after the last `seq` it has seen, so that a lost event can't lose a result.

Source: Spec 8.1, 8.2.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple, Protocol

from greensalt.errors import StoreError

PAGE_ROWS: Final = 200
PAGE_BYTES: Final = 4 << 20
"""Of returns that are read at once, so that a large job does not fill the memory."""


class Job(NamedTuple):
    """A published job."""

    jid: str
    fun: str | list[str]
    arg: list[Any]
    tgt: Any
    """An expression (str), or a list of ids."""
    tgt_type: str
    user: str
    minions: list[str]
    """The ids that are expected to return."""
    missing: list[str]
    """Ids that were named as a target but are not known."""
    load: dict[str, Any]
    """The publish request without its key."""
    started: float
    """Seconds since 1970."""


class JobSummary(NamedTuple):
    """A job as listings show it: without its minions, of which there may be thousands."""

    jid: str
    fun: str | list[str]
    arg: list[Any]
    tgt: Any
    tgt_type: str
    user: str
    started: float
    options: dict[str, Any]
    """The `kwargs` of its publish request."""


class Return(NamedTuple):
    """What one minion returned for one job."""

    seq: int
    """The place in the order in which returns were stored; `add_return` gives it, the one that is
    passed in is not looked at."""
    jid: str
    id: str
    fun: str | list[str]
    ret: Any
    retcode: Any
    """An int; for several functions in one job a list or a dict of them."""
    success: Any
    """A bool; for several functions as `retcode`."""
    received: float
    """Seconds since 1970."""
    load: dict[str, Any]
    """The whole load of the minion's `_return` request."""


class PackedReturn(NamedTuple):
    """A return as a store keeps it."""

    jid: str
    id: str
    received: float
    body: bytes


class JobStore(Protocol):
    """Keeps jobs and returns. Every method may be called from many greenlets at once.

    Methods that write come back once the data is on the disk: what they did outlives a kill of the
    process. Each may raise StoreError: with the leaf Unstorable for a value that can never be
    kept; without a leaf when the disk is full or broken, and then a later try may succeed.
    A greenlet that is killed while it waits leaves open whether its write was done.
    """

    def add_job(self, job: Job) -> None:
        """Keep a job.

        One jid may be published several times, to different lists of minions: the later ones add
        their minions (and functions, for listings); the rest stays as it was first.
        """
        ...

    def extend_minions(self, jid: str, ids: Sequence[str]) -> None:
        """Add ids to those expected to return; raises UnknownJob."""
        ...

    def add_return(self, ret: Return) -> bool:
        """Keep a return. False if this minion had returned for this job before: the first stays.

        Raises UnknownJob when there is no such job (any longer).
        """
        ...

    def packed_return(self, ret: Return) -> PackedReturn:
        """Make ready for `add_returns`; raises Unstorable."""
        ...

    def add_returns(self, rows: Sequence[PackedReturn]) -> list[bool | StoreError]:
        """Keep several returns in one commit: for each what `add_return` would give or raise."""
        ...

    def job(self, jid: str) -> Job | None:
        """Find a job, with all the minions that were ever expected."""
        ...

    def returns(
        self, jid: str, after: int = 0, limit: int = 500, max_bytes: int | None = None
    ) -> list[Return]:
        """Give the returns of a job whose `seq` is above `after`, in the order they were stored.

        With `max_bytes` a page ends, after at least one return, before their stored size exceeds
        it: it may then be shorter than `limit`, and only an empty page is the end.
        """
        ...

    def returned(self, jid: str) -> list[str]:
        """Give the ids that have returned for a job, sorted."""
        ...

    def list_jobs(
        self,
        since: float | None = None,
        until: float | None = None,
        fun: str | None = None,
        user: str | None = None,
        minion: str | None = None,
        limit: int = 500,
    ) -> list[JobSummary]:
        """List the newest jobs first that fit all filters.

        `since` and `until` are seconds since 1970 and inclusive. `fun` is one function (a job of
        several has it among them), `minion` an id that has returned.
        """
        ...

    def prune(self, older_than_s: float, max_bytes: int) -> int:
        """Remove jobs and their returns, the oldest first; gives the number of jobs removed.

        Those that started more than `older_than_s` seconds ago go, then more until the store's
        data is no larger than `max_bytes`. A limit of 0 or less is none.
        """
        ...

    def close(self) -> None:
        """Finish what was begun and close; whoever writes later gets a StoreError."""
        ...


def returns_of(store: JobStore, jid: str, after: int = 0) -> Iterator[Return]:
    """All returns of a job so far whose `seq` is above `after`; raises StoreError."""
    while page := store.returns(jid, after, PAGE_ROWS, PAGE_BYTES):
        yield from page
        after = page[-1].seq
