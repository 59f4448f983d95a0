"""The minion itself: its jobs, its key, and what it should load anew."""

from __future__ import annotations

import fnmatch
import signal
from typing import Any

from greensalt.errors import GreensaltError, SaltInvocationError
from greensalt.functions.arguments import without_pub
from greensalt.minion.context import Context


def find_job(jid: str, *, context: Context) -> dict[str, Any]:
    """Return what is known of a job that runs on the minion; nothing if it does not.

    CLI Example:

        greensalt-cli '*' saltutil.find_job 20130202212912123456
    """
    return context.jobs.find(str(jid))


def running(*, context: Context) -> list[dict[str, Any]]:
    """Return the jobs that run on the minion, this one excepted.

    CLI Example:

        greensalt-cli '*' saltutil.running
    """
    return [job for job in context.jobs.running() if job.get("jid") != context.jid]


def is_running(fun: str, *, context: Context) -> list[dict[str, Any]]:
    """Return the running jobs of a function, which may be a pattern.

    CLI Example:

        greensalt-cli '*' saltutil.is_running 'state.*'
    """
    return [job for job in running(context=context) if _calls(job.get("fun"), fun)]


def _calls(called: Any, pattern: str) -> bool:
    names = called if isinstance(called, list) else [called or ""]
    return any(fnmatch.fnmatch(str(name), pattern) for name in names)


def signal_job(jid: str, sig: int, *, context: Context) -> str:
    """Send a signal to a running job and its commands.

    CLI Example:

        greensalt-cli '*' saltutil.signal_job 20130202212912123456 15
    """
    return context.jobs.signal(str(jid), int(sig))


def term_job(jid: str, *, context: Context) -> str:
    """End a running job, its commands with SIGTERM.

    CLI Example:

        greensalt-cli '*' saltutil.term_job 20130202212912123456
    """
    return signal_job(jid, signal.SIGTERM, context=context)


def kill_job(jid: str, *, context: Context) -> str:
    """End a running job, its commands with SIGKILL.

    CLI Example:

        greensalt-cli '*' saltutil.kill_job 20130202212912123456
    """
    return signal_job(jid, signal.SIGKILL, context=context)


def term_all_jobs(*, context: Context) -> list[str]:
    """End all running jobs but this one, their commands with SIGTERM.

    CLI Example:

        greensalt-cli '*' saltutil.term_all_jobs
    """
    return [term_job(job["jid"], context=context) for job in running(context=context)]


def kill_all_jobs(*, context: Context) -> list[str]:
    """End all running jobs but this one, their commands with SIGKILL.

    CLI Example:

        greensalt-cli '*' saltutil.kill_all_jobs
    """
    return [kill_job(job["jid"], context=context) for job in running(context=context)]


def refresh_grains(*, context: Context, **kwargs: Any) -> bool:
    """Learn the grains anew.

    CLI Example:

        greensalt-cli '*' saltutil.refresh_grains
    """
    _refuse_unknown(kwargs, "refresh_pillar", "clean_pillar_cache")
    return context.refresh("grains")


def refresh_pillar(
    wait: bool = False, timeout: float = 30, clean_cache: bool = True, *, context: Context
) -> bool:
    """Fetch the pillar anew from the master.

    CLI Example:

        greensalt-cli '*' saltutil.refresh_pillar
    """
    return context.refresh("pillar")


def refresh_modules(*, context: Context, **kwargs: Any) -> bool:
    """Look for execution modules anew.

    CLI Example:

        greensalt-cli '*' saltutil.refresh_modules
    """
    _refuse_unknown(kwargs, "async")
    return context.refresh("modules")


def _refuse_unknown(kwargs: dict[str, Any], *known: str) -> None:
    unknown = {name: value for name, value in without_pub(kwargs).items() if name not in known}
    if unknown:
        listed = ", ".join(f"{name}={value}" for name, value in unknown.items())
        raise SaltInvocationError(f"The following keyword arguments are not valid: {listed}")


def revoke_auth(preserve_minion_cache: bool = False, *, context: Context) -> bool:
    """Ask the master to forget this minion's key; the minion must be accepted anew then.

    CLI Example:

        greensalt-cli '*' saltutil.revoke_auth
    """
    load = {
        "cmd": "revoke_auth",
        "id": context.id,
        "preserve_minion_cache": preserve_minion_cache,
    }
    try:
        context.request(load)
    except GreensaltError:
        return False
    return True
