"""Jobs of the store in the form in which listings show them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from greensalt.store.jobs import Job, JobSummary, Return
from greensalt.wire.jid import display_time

NO_SUCH_JOB: Final = "Cannot contact returner or no job with this jid"


def formatted(job: Job | JobSummary) -> dict[str, Any]:
    """One job of a list."""
    return {
        "Function": job.fun,
        "Arguments": list(job.arg),
        "Target": job.tgt,
        "Target-type": job.tgt_type,
        "User": job.user,
    }


def listed(job: Job | JobSummary) -> dict[str, Any]:
    """One job of a list that has the jids as its keys."""
    return {**formatted(job), "StartTime": display_time(job.jid)}


def result_of(row: Return) -> Any:
    """What somebody has returned; of a runner the whole of its last event, as Salt keeps it."""
    if not str(row.fun).startswith("runner."):
        return row.ret
    stamp = datetime.fromtimestamp(row.received, UTC).isoformat()
    fields = ("fun", "jid", "user", "fun_args", "return", "success")
    return {**{key: row.load[key] for key in fields if key in row.load}, "_stamp": stamp}
