"""The minion's schedule: jobs that it runs by itself."""

from __future__ import annotations

from typing import Any

import yaml

from greensalt.errors import CommandExecutionError, ConfigError, GreensaltError
from greensalt.minion.context import Context, Schedule

GREEN = True


def _schedule(context: Context) -> Schedule:
    if context.schedule is None:
        raise CommandExecutionError("there is no schedule here: no minion runs")
    return context.schedule


def _answer(
    comment: str, changes: dict[str, str] | None = None, *, result: bool = True
) -> dict[str, Any]:
    return {"comment": comment, "result": result, "changes": changes or {}}


def _jobs(context: Context, where: str | None = None) -> dict[str, Any]:
    listed = _schedule(context).listed(where)
    return {name: job for name, job in listed.items() if isinstance(job, dict)}


def list_(
    show_all: bool = False,
    show_disabled: bool = True,
    where: str | None = None,
    return_yaml: bool = True,
    *,
    context: Context,
) -> Any:
    """List the jobs of the schedule; `where` is opts or pillar.

    CLI Example:

        greensalt-cli '*' schedule.list
    """
    jobs = _jobs(context, where)
    if not show_all:
        jobs = {name: job for name, job in jobs.items() if not name.startswith("__")}
    if not show_disabled:
        jobs = {name: job for name, job in jobs.items() if job.get("enabled", True)}
    if not return_yaml:
        return jobs
    return (
        yaml.safe_dump({"schedule": jobs}, default_flow_style=False) if jobs else {"schedule": {}}
    )


def is_enabled(name: str | None = None, *, context: Context) -> Any:
    """Return whether the schedule is enabled; of one job, the job itself when it is there.

    CLI Example:

        greensalt-cli '*' schedule.is_enabled name=job1
    """
    if name:
        return _jobs(context).get(name, {})
    return bool(_schedule(context).listed().get("enabled", True))


def build_schedule_item(name: str, **kwargs: Any) -> dict[str, Any]:
    """Build a job of a schedule from its options.

    CLI Example:

        greensalt-cli '*' schedule.build_schedule_item job1 function=test.ping seconds=3600
    """
    item = {key: value for key, value in kwargs.items() if not key.startswith("__")}
    for plain, named in (("job_args", "args"), ("job_kwargs", "kwargs")):
        if plain in item:
            item[named] = item.pop(plain)
    return {"maxrunning": 1, "name": name, "enabled": True, "jid_include": True, **item}


def add(name: str, *, context: Context, **kwargs: Any) -> dict[str, Any]:
    """Add a job to the schedule.

    CLI Example:

        greensalt-cli '*' schedule.add job1 function=test.ping seconds=3600
    """
    if name in _jobs(context):
        return _answer(f"Job {name} already exists in schedule.", result=False)
    return _put(name, kwargs, "added to", "Added job: {} to schedule.", context)


def modify(name: str, *, context: Context, **kwargs: Any) -> dict[str, Any]:
    """Change a job of the schedule; options that are not named go.

    CLI Example:

        greensalt-cli '*' schedule.modify job1 function=test.ping seconds=60
    """
    if name not in _jobs(context):
        return _answer(f"Job {name} does not exist in schedule.", result=False)
    return _put(name, kwargs, "modified in", "Modified job: {} in schedule.", context)


def _put(
    name: str, kwargs: dict[str, Any], would: str, did: str, context: Context
) -> dict[str, Any]:
    if kwargs.pop("test", False):
        return _answer(f"Job: {name} would be {would} schedule.")
    kwargs.pop("persist", None)
    try:
        _schedule(context).put(name, build_schedule_item(name, **kwargs))
    except ConfigError as error:
        return _answer(str(error), result=False)
    return _answer(did.format(name), {name: "added" if would == "added to" else "modified"})


def delete(name: str, test: bool = False, *, context: Context) -> dict[str, Any]:
    """Delete a job from the schedule.

    CLI Example:

        greensalt-cli '*' schedule.delete job1
    """
    if name not in _jobs(context):
        return _answer(f"Job {name} does not exist.", result=False)
    if test:
        return _answer(f"Job: {name} would be deleted from schedule.")
    try:
        _schedule(context).drop(name)
    except GreensaltError as error:
        return _answer(str(error), result=False)
    return _answer(f"Deleted Job {name} from schedule.", {name: "removed"})


def enable_job(name: str, *, context: Context) -> dict[str, Any]:
    """Enable a job of the schedule.

    CLI Example:

        greensalt-cli '*' schedule.enable_job job1
    """
    return _switch(name, context, on=True)


def disable_job(name: str, *, context: Context) -> dict[str, Any]:
    """Disable a job of the schedule.

    CLI Example:

        greensalt-cli '*' schedule.disable_job job1
    """
    return _switch(name, context, on=False)


def _switch(name: str, context: Context, *, on: bool) -> dict[str, Any]:
    word = "Enabled" if on else "Disabled"
    if name not in _jobs(context):
        return _answer(f"Job {name} does not exist.", result=False)
    _schedule(context).switch(name, on=on)
    return _answer(f"{word} Job {name} in schedule.", {name: word.lower()})


def enable(*, context: Context) -> dict[str, Any]:
    """Enable the whole schedule.

    CLI Example:

        greensalt-cli '*' schedule.enable
    """
    _schedule(context).switch(None, on=True)
    return _answer("Enabled schedule on minion.")


def disable(*, context: Context) -> dict[str, Any]:
    """Disable the whole schedule.

    CLI Example:

        greensalt-cli '*' schedule.disable
    """
    _schedule(context).switch(None, on=False)
    return _answer("Disabled schedule on minion.")


def run_job(name: str, force: bool = False, *, context: Context) -> dict[str, Any]:
    """Run a job of the schedule now; a disabled one only with `force`.

    CLI Example:

        greensalt-cli '*' schedule.run_job job1
    """
    job = _jobs(context).get(name)
    if job is None:
        return _answer(f"Job {name} does not exist.", result=False)
    if not job.get("enabled", True) and not force:
        return _answer(f"Job {name} is disabled.", result=False)
    _schedule(context).run_now(name)
    return _answer(f"Scheduling Job {name} on minion.")


def save(*, context: Context) -> dict[str, Any]:
    """Write the schedule to minion.d/_schedule.conf.

    CLI Example:

        greensalt-cli '*' schedule.save
    """
    _schedule(context).save()
    return _answer("Schedule (non-pillar items) saved.")


def reload(*, context: Context) -> dict[str, Any]:
    """Read the schedule from minion.d/_schedule.conf anew.

    CLI Example:

        greensalt-cli '*' schedule.reload
    """
    _schedule(context).reload()
    return _answer("Reloaded schedule from disk.")
