"""The master's reactor: which SLS files react to which events, until the master's next start."""

from __future__ import annotations

from typing import Any

from greensalt.errors import CommandExecutionError, ConfigError, SaltInvocationError
from greensalt.master.context import MasterContext
from greensalt.master.reactor import Reactor

GREEN = True
__func_alias__ = {"list_": "list"}


def list_(*, context: MasterContext) -> list[dict[str, list[str]]]:
    """Show the patterns of tags, each with its SLS files.

    CLI Example:

        greensalt run reactor.list
    """
    return _reactor(context).table.shown()


def add(event: str, reactors: str | list[str], *, context: MasterContext) -> dict[str, Any]:
    """Have SLS files react to the events whose tag matches a pattern.

    CLI Example:

        greensalt run reactor.add 'my/app/*' reactors='/srv/reactor/app/*.sls'
    """
    try:
        added = _reactor(context).table.add(event, reactors)
    except ConfigError as error:
        raise SaltInvocationError(str(error)) from error
    comment = "Reactor added." if added else "Reactor already exists."
    return {"status": added, "comment": comment}


def delete(event: str, *, context: MasterContext) -> dict[str, Any]:
    """Have nothing react to a pattern any more.

    CLI Example:

        greensalt run reactor.delete 'my/app/*'
    """
    deleted = _reactor(context).table.delete(event)
    comment = "Reactor deleted." if deleted else "Reactor does not exists."
    return {"status": deleted, "comment": comment}


def is_leader(*, context: MasterContext) -> bool:
    """Tell whether this master reacts to events.

    CLI Example:

        greensalt run reactor.is_leader
    """
    return _reactor(context).is_leader


def set_leader(value: bool = True, *, context: MasterContext) -> bool:
    """Let this master react to events, or not.

    CLI Example:

        greensalt run reactor.set_leader False
    """
    reactor = _reactor(context)
    reactor.is_leader = bool(value)
    return reactor.is_leader


def _reactor(context: MasterContext) -> Reactor:
    if context.reactor is None:
        raise CommandExecutionError("Reactor system is not running.")
    return context.reactor
