"""The jobs that the master has: those at work, those that ended, and what they returned.

Wherever a jid is meant, that of a runner is fine, too: then the master is the one that returned.
"""

from __future__ import annotations

import fnmatch
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from greensalt.errors import SaltInvocationError
from greensalt.master.context import MasterContext
from greensalt.master.whoisup import present
from greensalt.runners._jobs import NO_SUCH_JOB, formatted, listed, result_of
from greensalt.store.jobs import Job, returns_of
from greensalt.wire.jid import display_time, is_jid

GREEN = True
__outputter__ = {"lookup_jid": "nested"}

MOST_LISTED: Final = 10_000
RUNNING: Final = "saltutil.running"
FORMATS: Final = ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d", "%Y, %b %d %H:%M:%S")


def list_jobs(
    ext_source: str | None = None,
    outputter: str | None = None,
    search_metadata: Mapping[str, Any] | None = None,
    search_function: str | Sequence[str] | None = None,
    search_target: str | Sequence[str] | None = None,
    start_time: str | None = None,
    end_time: str | None = None,
    display_progress: bool = False,
    *,
    limit: int = MOST_LISTED,
    context: MasterContext,
) -> dict[str, Any]:
    """List the jobs in the store: {jid: what it was}, the oldest first.

    `search_function` and `search_target` are patterns, or lists of them; `search_metadata` is a
    dict whose entries a job's metadata must have. Times are like 2026-11-22 or
    "2026-11-22 19:24", in UTC. Not more than the newest `limit` are looked at.

    CLI Example:

        greensalt run jobs.list_jobs
        greensalt run jobs.list_jobs search_function='test.*,pkg.install'
        greensalt run jobs.list_jobs search_target='web*' start_time='2026-11-22 19:24'
    """
    summaries = context.store.list_jobs(
        since=_moment(start_time), until=_moment(end_time), limit=min(int(limit), MOST_LISTED)
    )
    found: dict[str, Any] = {}
    for job in reversed(summaries):
        functions = [job.fun] if isinstance(job.fun, str) else job.fun
        if search_function and not _any_match(functions, search_function):
            continue
        targets = job.tgt if isinstance(job.tgt, list) else [str(job.tgt)]
        if search_target and not _any_match(targets, search_target):
            continue
        if search_metadata and not _has_metadata(context, job.jid, search_metadata):
            continue
        found[job.jid] = listed(job)
    return found


def list_jobs_filter(
    count: int, filter_find_job: bool = True, *, context: MasterContext
) -> dict[str, Any]:
    """List the newest `count` jobs, without those that only look for others.

    CLI Example:

        greensalt run jobs.list_jobs_filter 20
    """
    hidden = {"saltutil.find_job"} if filter_find_job else set()
    newest = context.store.list_jobs(limit=MOST_LISTED)
    chosen = [job for job in newest if job.fun not in hidden][: int(count)]
    return {job.jid: listed(job) for job in reversed(chosen)}


def list_job(jid: str, ext_source: str | None = None, *, context: MasterContext) -> dict[str, Any]:
    """Show one job: what it was, its minions, and what they returned.

    CLI Example:

        greensalt run jobs.list_job 20261122192410230816
    """
    job = context.store.job(_checked(jid))
    if job is None:
        return _unknown(jid)
    result = {
        row.id: {"return": result_of(row), "retcode": row.retcode, "success": row.success}
        for row in returns_of(context.store, jid)
    }
    return {
        "jid": jid,
        **formatted(job),
        "StartTime": display_time(jid),
        "Minions": sorted(job.minions),
        "Result": result,
    }


def print_job(jid: str, ext_source: str | None = None, *, context: MasterContext) -> dict[str, Any]:
    """Show one job as {jid: what `jobs.list_job` says, without the jid}.

    CLI Example:

        greensalt run jobs.print_job 20261122192410230816
    """
    shown = list_job(jid, context=context)
    del shown["jid"]
    return {jid: shown}


def lookup_jid(
    jid: str,
    ext_source: str | None = None,
    returned: bool = True,
    missing: bool = False,
    display_progress: bool = False,
    *,
    context: MasterContext,
) -> dict[str, Any]:
    """Return what the minions have returned for a job: {minion: result}.

    Without `returned` those are left out; with `missing` minions that have not returned are named.

    CLI Example:

        greensalt run jobs.lookup_jid 20261122192410230816
        greensalt run jobs.lookup_jid 20261122192410230816 returned=False missing=True
    """
    job = context.store.job(_checked(jid))
    if job is None:
        return {}
    results = {row.id: result_of(row) for row in returns_of(context.store, jid)}
    shown = dict(results) if returned else {}
    if missing:
        absent = sorted(set(job.minions) - results.keys())
        shown.update(dict.fromkeys(absent, "Minion did not return"))
    return shown


def exit_success(
    jid: str, ext_source: str | None = None, *, context: MasterContext
) -> dict[str, bool]:
    """Tell of each minion of a job whether it has returned with success.

    CLI Example:

        greensalt run jobs.exit_success 20261122192410230816
    """
    job = context.store.job(_checked(jid))
    if job is None:
        return {}
    good = {
        row.id: _is_good(row.retcode) and _is_true(row.success)
        for row in returns_of(context.store, jid)
    }
    return {minion: good.get(minion, False) for minion in sorted({*job.minions, *good})}


def last_run(
    ext_source: str | None = None,
    outputter: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    function: str | None = None,
    target: str | None = None,
    display_progress: bool = False,
    *,
    context: MasterContext,
) -> dict[str, Any]:
    """Show the newest job of minions that fits, as `jobs.print_job` does; {} if there is none.

    CLI Example:

        greensalt run jobs.last_run
        greensalt run jobs.last_run target='web*' function=state.apply
    """
    found = list_jobs(
        search_metadata=metadata, search_function=function, search_target=target, context=context
    )
    for jid in reversed(found):
        name = found[jid]["Function"]
        if function or not str(name).startswith(("runner.", "wheel.")):
            return print_job(jid, context=context)
    return {}


def active(display_progress: bool = False, *, context: MasterContext) -> dict[str, Any]:
    """Show the jobs that are at work: runners of the master, and what minions say they run.

    CLI Example:

        greensalt run jobs.active
    """
    name = context.config.id
    found: dict[str, Any] = {}
    for run in context.runs.active():
        if run["jid"] != context.jid:
            found[run["jid"]] = {
                "Function": run["fun"],
                "Arguments": run["fun_args"],
                "Target": name,
                "Target-type": "list",
                "User": run["user"],
                "StartTime": display_time(run["jid"]),
                "Running": [{name: 0}],
                "Returned": [],
            }
    for minion_id, jobs in _running(context).items():
        for job in jobs if isinstance(jobs, list) else ():
            if isinstance(job, dict) and is_jid(job.get("jid")):
                entry = found.setdefault(job["jid"], _at_work(context, job))
                entry["Running"].append({minion_id: job.get("pid", 0)})
    return found


def _running(context: MasterContext) -> dict[str, Any]:
    """What the minions that are up say they run."""
    here = present(context).up
    return context.ask(here, RUNNING, tgt_type="list").results if here else {}


def _at_work(context: MasterContext, load: dict[str, Any]) -> dict[str, Any]:
    job = context.store.job(load["jid"])
    known = {
        "Function": load.get("fun", ""),
        "Arguments": load.get("arg", []),
        "Target": load.get("tgt", ""),
        "Target-type": load.get("tgt_type", ""),
        "User": load.get("user", ""),
    }
    shown = known if job is None else formatted(job)
    returned = context.store.returned(load["jid"])
    return {**shown, "StartTime": display_time(load["jid"]), "Running": [], "Returned": returned}


def end_run(jid: str, *, context: MasterContext) -> bool:
    """End a runner or wheel function that is at work; False if it is not (any longer).

    One that blocks in a native thread is left to itself there; its run ends all the same.

    CLI Example:

        greensalt run jobs.end_run 20261122192410230816
    """
    return context.runs.end(_checked(jid))


# -- helpers -------------------------------------------------------------------------------------


def _checked(jid: object) -> str:
    text = str(jid)
    if not is_jid(text):
        raise SaltInvocationError(f"{text!r:.80} is not a job id")
    return text


def _unknown(jid: str) -> dict[str, Any]:
    return {
        "jid": str(jid),
        "Error": NO_SUCH_JOB,
        "StartTime": display_time(str(jid)),
        "Result": {},
    }


def _moment(text: Any) -> float | None:
    if text is None:
        return None
    for form in FORMATS:
        try:
            return datetime.strptime(str(text), form).replace(tzinfo=UTC).timestamp()
        except ValueError:
            continue
    if is_jid(str(text)):
        return datetime.strptime(str(text)[:20], "%Y%m%d%H%M%S%f").replace(tzinfo=UTC).timestamp()
    now = datetime.fromtimestamp(time.time(), UTC)
    raise SaltInvocationError(f"{text!r} is not a time; one is {now:{FORMATS[0]}} (in UTC)")


def _patterns(given: str | Sequence[str]) -> list[str]:
    return given.split(",") if isinstance(given, str) else [str(each) for each in given]


def _any_match(names: Sequence[str], given: str | Sequence[str]) -> bool:
    return any(
        fnmatch.fnmatchcase(str(name), pattern.strip())
        for pattern in _patterns(given)
        for name in names
    )


def _has_metadata(context: MasterContext, jid: str, wanted: Mapping[str, Any]) -> bool:
    if not isinstance(wanted, Mapping):
        raise SaltInvocationError("search_metadata is not a dict")
    job: Job | None = context.store.job(jid)
    options = (job.load.get("kwargs") if job is not None else None) or {}
    metadata = options.get("metadata") if isinstance(options, dict) else None
    return isinstance(metadata, dict) and all(
        key in metadata and metadata[key] == value for key, value in wanted.items()
    )


def _is_good(retcode: Any) -> bool:
    if isinstance(retcode, dict):
        return all(map(_is_good, retcode.values()))
    return all(map(_is_good, retcode)) if isinstance(retcode, list) else not retcode


def _is_true(success: Any) -> bool:
    values = success.values() if isinstance(success, dict) else success
    return all(values) if isinstance(success, dict | list) else bool(success)
