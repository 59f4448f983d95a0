"""What programs on the machine may order of the schedule: the bus tag `manage_schedule`.

Each order is answered on the bus, with the schedule as it is then.

Source: docs/protocol.md 7.3.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

from greensalt.errors import GreensaltError
from greensalt.minion.schedule.scheduler import Scheduler

log = logging.getLogger(__name__)

ANSWERS: Final = {
    "add": "add_complete",
    "delete": "delete_complete",
    "disable": "disabled_complete",
    "disable_job": "disabled_job_complete",
    "enable": "enabled_complete",
    "enable_job": "enabled_job_complete",
    "list": "list_complete",
    "modify": "modify_complete",
    "reload": "reloaded",
    "run_job": "run_job_complete",
    "save_schedule": "saved",
}


def manage(
    scheduler: Scheduler, data: Mapping[str, Any], fire: Callable[[str, dict[str, Any]], object]
) -> None:
    """Carry out one order and fire `/salt/minion/minion_schedule_<answer>`."""
    func = str(data.get("func"))
    if func not in ANSWERS:
        log.warning("the schedule can't be asked to %r", func)
        return
    complete = True
    try:
        _carry_out(scheduler, func, data)
    except (GreensaltError, KeyError, OSError) as error:
        log.error("schedule, %s: %s", func, error)
        complete = False
    schedule = scheduler.listed(data.get("where"))
    tag = f"/salt/minion/minion_schedule_{ANSWERS[func]}"
    fire(tag, {"complete": complete, "schedule": schedule})


def _carry_out(scheduler: Scheduler, func: str, data: Mapping[str, Any]) -> None:
    name = data.get("name")
    if func in ("add", "modify"):
        given = data.get("schedule") or {}
        jobs = {name: given} if name is not None else given
        for each, config in jobs.items():
            scheduler.put(str(each), config)
    elif func == "delete":
        scheduler.drop(str(name))
    elif func in ("enable_job", "disable_job"):
        scheduler.switch(str(name), on=func == "enable_job")
    elif func in ("enable", "disable"):
        scheduler.switch(None, on=func == "enable")
    elif func == "run_job":
        scheduler.run_now(str(name))
    elif func == "reload":
        scheduler.reload()
    elif func == "save_schedule":
        scheduler.save()
