"""Orchestration: steps on minions and on the master, written as states; and the event bus."""

from __future__ import annotations

import json
import time
from fnmatch import fnmatchcase
from typing import Any

from gevent.queue import Empty, Full, Queue

from greensalt.errors import CommandExecutionError, PillarError, SaltInvocationError
from greensalt.master.context import MasterContext
from greensalt.runners._orchestra import Orchestra
from greensalt.runners._steps import steps_of

GREEN = True

MOST_WAITING = 10_000  # events that state.event has not shown yet; what comes on top is lost


def orchestrate(
    mods: str | list[str],
    saltenv: str = "base",
    test: bool | None = None,
    exclude: Any = None,
    pillar: dict[str, Any] | None = None,
    pillarenv: str | None = None,
    *,
    context: MasterContext,
) -> dict[str, Any]:
    """Run the steps of SLS files, which lie in the master's `file_roots`.

    A step is `salt.state`, `salt.function`, `salt.runner` or `salt.wheel`; `require`, `watch`,
    `onchanges` and `onfail` order them and decide whether they run. Templates see `pillar`. With
    `test` states tell what they would change, and nothing else is run.

    CLI Example:

        greensalt run state.orchestrate deploy
        greensalt run state.orchestrate deploy,check pillar='{version: 3}'
    """
    names = mods.split(",") if isinstance(mods, str) else [str(name) for name in mods]
    orchestra = Orchestra(context, test=bool(test))
    states: Any = orchestra.results
    try:
        steps = [
            step
            for name in names
            for step in steps_of(name, _rendered(context, name.strip(), saltenv, pillar or {}))
        ]
        orchestra.play(steps)
    except (CommandExecutionError, PillarError) as error:
        states = [str(error)]
    failed = isinstance(states, list) or any(each["result"] is False for each in states.values())
    context.retcode = int(failed)
    return {
        "outputter": "highstate",
        "data": {context.config.id: states},
        "retcode": int(failed),
    }


def orch(
    mods: str | list[str],
    saltenv: str = "base",
    test: bool | None = None,
    exclude: Any = None,
    pillar: dict[str, Any] | None = None,
    pillarenv: str | None = None,
    *,
    context: MasterContext,
) -> dict[str, Any]:
    """Run the steps of SLS files, as `state.orchestrate`.

    CLI Example:

        greensalt run state.orch deploy
    """
    return orchestrate(mods, saltenv, test, exclude, pillar, pillarenv, context=context)


def _rendered(
    context: MasterContext, name: str, saltenv: str, pillar: dict[str, Any]
) -> dict[str, Any]:
    data = context.pillars.render_sls(name, saltenv, pillar)
    if data is None:
        raise CommandExecutionError(f"No matching sls found for '{name}' in env '{saltenv}'")
    return data


def event(
    tagmatch: str = "*",
    count: int = -1,
    quiet: bool = False,
    sock_dir: str | None = None,
    pretty: bool = False,
    node: str = "master",
    *,
    timeout: float = 3600,
    context: MasterContext,
) -> None:
    """Show the events of the bus whose tags match a pattern, each on a line: tag, tab, JSON.

    It ends after `count` events (-1: any number), after `timeout` seconds, or when the command
    line that waits for it is interrupted.

    CLI Example:

        greensalt run state.event
        greensalt run state.event 'salt/job/*/ret/*' count=5 pretty=True
    """
    if not isinstance(count, int):
        raise SaltInvocationError("count is a number")
    waiting: Queue[tuple[str, dict[str, Any]]] = Queue(MOST_WAITING)

    def take(tag: str, data: dict[str, Any]) -> None:
        try:
            waiting.put_nowait((tag, data))
        except Full:
            context.retcode = 1

    def is_meant(tag: str) -> bool:
        # What a run shows is no news: two of these would tell each other for ever.
        return fnmatchcase(tag, tagmatch) and not fnmatchcase(tag, "salt/run/*/progress")

    stop = context.bus.listen(is_meant, take)
    try:
        until = time.monotonic() + float(timeout)
        while count != 0 and (left_s := until - time.monotonic()) > 0:
            try:
                tag, data = waiting.get(timeout=left_s)
            except Empty:
                return
            count -= 1
            if not quiet:
                text = json.dumps(data, default=repr, indent=4 if pretty else None)
                context.progress({"data": f"{tag}\t{text}", "outputter": "line"})
    finally:
        stop()
