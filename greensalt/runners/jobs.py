"""The jobs that the master has: those at work, those that ended, and what they returned.

Wherever a jid is meant, that of a runner is fine, too: then the master is the one that returned.
"""

from __future__ import annotations

import fnmatch
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from greensalt.errors import SaltInvocationError
from greensalt.master.context import MasterContext
from greensalt.runners._jobs import (
    NO_SUCH_JOB,
    answer_of,
    formatted,
    listed,
    metadata_of,
    result_of,
)
from greensalt.store.jobs import JobSummary, returns_of
from greensalt.wire.jid import display_time, is_jid

GREEN = True
__outputter__ = {"lookup_jid": "nested"}

MOST_LISTED: Final = 10_000
RUNNING: Final = "saltutil.running"
FORMATS: Final = ("%Y, %b %d", "%Y, %b %d %H:%M", "%Y, %b %d %H:%M:%S", "%Y, %b %d %H:%M:%S.%f")
"""Of times as listings of jobs show them, besides those of ISO 8601."""


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
) -> Any:
    """List the jobs in the store: {jid: what it was}, the oldest first.

    `search_function` and `search_target` are patterns, or lists of them; `search_metadata` is a
    dict of which a job's metadata must have an entry. Times are like 2026-11-22 or
    "2026-11-22 19:24", in UTC. Not more than the newest `limit` are looked at. `outputter` names
    the form in which the list is shown.

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
        if search_metadata and not _has_metadata(job, search_metadata):
            continue
        found[job.jid] = listed(job)
    return _shown_by(outputter, found)


def list_jobs_filter(
    count: int,
    filter_find_job: bool = True,
    ext_source: str | None = None,
    outputter: str | None = None,
    display_progress: bool = False,
    *,
    context: MasterContext,
) -> Any:
    """List the newest `count` jobs, the oldest of them first, without those that look for others.

    Each is what `jobs.list_jobs` says of it, with its `JID`.

    CLI Example:

        greensalt run jobs.list_jobs_filter 20
    """
    hidden = {"saltutil.find_job"} if filter_find_job else set()
    newest = context.store.list_jobs(limit=MOST_LISTED)
    chosen = [job for job in newest if job.fun not in hidden][: int(count)]
    shown = [{**formatted(job), "JID": job.jid, **_begun(job.jid)} for job in reversed(chosen)]
    return _shown_by(outputter, shown)


def list_job(jid: str, ext_source: str | None = None, *, context: MasterContext) -> dict[str, Any]:
    """Show one job: what it was, its minions, and what they returned.

    CLI Example:

        greensalt run jobs.list_job 20261122192410230816
    """
    job = context.store.job(_checked(jid))
    if job is None:
        return _unknown(jid)
    return {
        "jid": jid,
        **formatted(job),
        "Minions": sorted(job.minions),
        **_begun(jid),
        "Result": {row.id: answer_of(row) for row in returns_of(context.store, jid)},
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
) -> Any:
    """Return what the minions have returned for a job: {minion: result}.

    Without `returned` those are left out; with `missing` minions that have not returned are named.
    What a minion wants to be shown in another form, as states are, is {outputter: its name,
    data: {minion: result}}.

    CLI Example:

        greensalt run jobs.lookup_jid 20261122192410230816
        greensalt run jobs.lookup_jid 20261122192410230816 returned=False missing=True
    """
    job = context.store.job(_checked(jid))
    if job is None:
        return {}
    rows = list(returns_of(context.store, jid))
    shown = {row.id: result_of(row) for row in rows} if returned else {}
    if missing:
        absent = sorted(set(job.minions) - {row.id for row in rows})
        shown.update(dict.fromkeys(absent, "Minion did not return"))
    out = rows[0].load.get("out") if rows else None
    return _shown_by(out if isinstance(out, str) else None, shown)


def exit_success(
    jid: str, ext_source: str | None = None, *, context: MasterContext
) -> dict[str, bool]:
    """Tell of each minion of a job whether it has returned, with the exit code 0.

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
) -> dict[str, Any] | bool:
    """Show the newest job of minions that fits, as `jobs.print_job` does; False without one.

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
    return False


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
                **_begun(run["jid"]),
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
    """What minions say they run: those that are connected, and those that may be."""
    known = context.presence.connected() | context.presence.unknown()
    return context.ask(sorted(known), RUNNING, tgt_type="list").results if known else {}


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
    return {**shown, **_begun(load["jid"]), "Running": [], "Returned": returned}


def end_run(jid: str, *, context: MasterContext) -> bool:
    """End a runner or wheel function that is at work; False if it is not (any longer).

    One that blocks in a native thread is left to itself there; its run ends all the same.

    CLI Example:

        greensalt run jobs.end_run 20261122192410230816
    """
    return context.runs.end(_checked(jid))


# -- helpers -------------------------------------------------------------------------------------


def _begun(jid: str) -> dict[str, str]:
    return {"StartTime": display_time(jid)}


def _shown_by(outputter: str | None, data: Any) -> Any:
    """Data, with the outputter that shows it if there is to be another one than usual."""
    return {"outputter": outputter, "data": data} if outputter else data


def _checked(jid: object) -> str:
    text = str(jid)
    if not is_jid(text):
        raise SaltInvocationError(f"{text!r:.80} is not a job id")
    return text


def _unknown(jid: str) -> dict[str, Any]:
    return {
        "jid": str(jid),
        "Error": NO_SUCH_JOB,
        **_begun(str(jid)),
        "Result": {},
    }


def _moment(text: Any) -> float | None:
    if text is None:
        return None
    if is_jid(str(text)):
        return datetime.strptime(str(text)[:20], "%Y%m%d%H%M%S%f").replace(tzinfo=UTC).timestamp()
    for parse in (datetime.fromisoformat, *(_parser(form) for form in FORMATS)):
        try:
            moment = parse(str(text))
        except ValueError:
            continue
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    now = datetime.fromtimestamp(time.time(), UTC)
    raise SaltInvocationError(f"{text!r} is not a time; one is {now:%Y-%m-%d %H:%M:%S} (in UTC)")


def _parser(form: str) -> Callable[[str], datetime]:
    return lambda text: datetime.strptime(text, form).replace(tzinfo=UTC)


def _patterns(given: str | Sequence[str]) -> list[str]:
    return given.split(",") if isinstance(given, str) else [str(each) for each in given]


def _any_match(names: Sequence[str], given: str | Sequence[str]) -> bool:
    return any(
        fnmatch.fnmatchcase(str(name), pattern.strip())
        for pattern in _patterns(given)
        for name in names
    )


def _has_metadata(job: JobSummary, wanted: Mapping[str, Any]) -> bool:
    if not isinstance(wanted, Mapping):
        raise SaltInvocationError("search_metadata is not a dict")
    metadata = metadata_of(job)
    return isinstance(metadata, Mapping) and any(
        key in metadata and metadata[key] == value for key, value in wanted.items()
    )


def _is_good(retcode: Any) -> bool:
    if isinstance(retcode, dict):
        return all(map(_is_good, retcode.values()))
    return all(map(_is_good, retcode)) if isinstance(retcode, list) else not retcode


def _is_true(success: Any) -> bool:
    values = success.values() if isinstance(success, dict) else success
    return all(values) if isinstance(success, dict | list) else bool(success)
