"""Jobs of the store in the form in which listings show them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from greensalt.store.jobs import Job, JobSummary, Return
from greensalt.wire.arguments import KWARG_MARK
from greensalt.wire.jid import display_time

NO_SUCH_JOB: Final = "Cannot contact returner or no job with this jid"


def formatted(job: Job | JobSummary) -> dict[str, Any]:
    """One job of a list."""
    metadata = metadata_of(job)
    return {
        "Function": job.fun,
        "Arguments": list(job.arg),
        "Target": job.tgt,
        "Target-type": job.tgt_type,
        "User": job.user,
        **({} if metadata is None else {"Metadata": metadata}),
    }


def metadata_of(job: Job | JobSummary) -> Any:
    """What was given with a job to find it by, as an option or as an argument; None for nothing."""
    options = job.load.get("kwargs") if isinstance(job, Job) else job.options
    given = [each for each in job.arg if isinstance(each, Mapping) and each.get(KWARG_MARK)]
    for where in (options, *given):
        if isinstance(where, Mapping) and "metadata" in where:
            return where["metadata"]
    return None


def listed(job: Job | JobSummary) -> dict[str, Any]:
    """One job of a list that has the jids as its keys."""
    return {**formatted(job), "StartTime": display_time(job.jid)}


def answer_of(row: Return) -> dict[str, Any]:
    """What somebody has returned, with how it went and how it wants to be shown."""
    shown = {"return": result_of(row), "retcode": row.retcode, "success": row.success}
    out = row.load.get("out")
    return {**shown, "out": out} if out else shown


def result_of(row: Return) -> Any:
    """What somebody has returned; of a runner the whole of its last event, as Salt keeps it."""
    if not str(row.fun).startswith("runner."):
        return row.ret
    stamp = datetime.fromtimestamp(row.received, UTC).isoformat()
    fields = ("fun", "jid", "user", "fun_args", "return", "success")
    return {**{key: row.load[key] for key in fields if key in row.load}, "_stamp": stamp}
