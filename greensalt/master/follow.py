"""Following a job: its returns after a cursor, from the store, and who still works on it.

Source: docs/protocol.md 12.1, 12.7.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from greensalt.errors import AuthenticationError, AuthorizationError, StoreError
from greensalt.master.access import Access
from greensalt.master.jobs import error_reply, may_see
from greensalt.master.liveness import RUNNING, SILENT, Answer, Liveness
from greensalt.store.jobs import PAGE_BYTES, PAGE_ROWS, Job, JobStore, Return
from greensalt.wire.jid import is_jid


class Following:
    """Answers who follows a job."""

    def __init__(
        self,
        store: JobStore,
        access: Access,
        liveness: Liveness,
        batch_of: Callable[[str], dict[str, Any] | None],
        batch_names: Callable[[str], dict[str, Any] | None],
    ) -> None:
        self._batch_of = batch_of
        self._batch_names = batch_names
        self._liveness = liveness
        self._store = store
        self._access = access

    def follow(self, load: dict[str, Any]) -> dict[str, Any]:
        """The clear command `follow_job`: the returns of a job after a cursor (12)."""
        try:
            caller = self._access.authenticate(load)
            jid, after = load.get("jid"), load.get("after", 0)
            if not is_jid(jid) or not isinstance(after, int):
                raise AuthorizationError(f"{jid!r} is not a job id")
            heard = _heard(load)
            batch = self._batch_of(str(jid))  # before its returns: who is over has them all
            job = self._store.job(str(jid))
            if job is not None and not may_see(self._access, caller, job):
                raise AuthorizationError(f"job {jid} belongs to {job.user}")
            if batch and job is None and caller.name != batch["user"] and not caller.is_unbound:
                raise AuthorizationError(f"job {jid} belongs to {batch['user']}")
        except (AuthenticationError, AuthorizationError, StoreError) as error:
            return error_reply(error)
        rows = self._store.returns(str(jid), after, PAGE_ROWS, PAGE_BYTES) if job else []
        more = bool(rows) and bool(self._store.returns(str(jid), rows[-1].seq, limit=1))
        named = job if load.get("minions") is not False else None
        alive = {"liveness": self._alive(job, batch, *heard)._asdict()} if heard else {}
        return {
            "enc": "clear",
            "load": {
                "jid": jid,
                "minions": named.minions if named else [],
                "missing": named.missing if named else [],
                "returns": [_followed(row) for row in rows],
                "cursor": rows[-1].seq if rows else after,
                "more": more,
                **({"batch": batch} if batch else {}),
                **alive,
            },
        }

    def _alive(
        self, job: Job | None, batch: dict[str, Any] | None, after: int, gather_s: float
    ) -> Answer:
        """Who works on a job; of a batch that goes on the batch itself says it."""
        if job is None:
            return Answer(after, {})
        batch = batch and self._batch_names(job.jid)  # all of them
        if batch and batch["state"] == "running":
            given_up = dict.fromkeys(batch["silent"], SILENT)
            return Answer(0, {**dict.fromkeys(batch["running"], RUNNING), **given_up})

        def outstanding() -> set[str]:
            return set(job.minions).difference(self._store.returned(job.jid))

        return self._liveness.known(job.jid, outstanding, after, gather_s)


def _heard(load: dict[str, Any]) -> tuple[int, float] | None:
    """What who asks for the liveness knows already, and how long minions have to answer."""
    after, gather_s = load.get("liveness"), load.get("gather_job_timeout", 0)
    if after is None:
        return None
    if not isinstance(after, int) or not isinstance(gather_s, int | float):
        raise AuthorizationError("`liveness` and `gather_job_timeout` are numbers")
    return after, float(gather_s)


def _followed(row: Return) -> dict[str, Any]:
    followed = {
        "seq": row.seq,
        "id": row.id,
        "fun": row.fun,
        "return": row.ret,
        "retcode": row.retcode,
        "success": row.success,
    }
    if row.load.get("out"):
        followed["out"] = row.load["out"]
    return followed
