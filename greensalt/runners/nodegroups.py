"""The nodegroups of the master's configuration."""

from __future__ import annotations

from typing import Any

from greensalt.master.context import MasterContext
from greensalt.target import expand_nodegroup

GREEN = True


def list_(*, context: MasterContext) -> dict[str, Any]:
    """Return the nodegroups as they are configured.

    CLI Example:

        greensalt run nodegroups.list
    """
    return dict(context.config.nodegroups)


def expand(name: str, *, context: MasterContext) -> dict[str, Any]:
    """Tell what a nodegroup stands for, and whom of the accepted minions it means.

    CLI Example:

        greensalt run nodegroups.expand web
    """
    expression = expand_nodegroup(name, context.config.nodegroups)
    return {"expression": expression, "minions": context.chosen(expression, "compound")}
