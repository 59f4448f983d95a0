"""Which minions there are and which of them are up."""

from __future__ import annotations

from greensalt.master.context import MasterContext

GREEN = True


def joined(*, context: MasterContext) -> list[str]:
    """List the minions whose keys are accepted.

    CLI Example:

        greensalt run manage.joined
    """
    return sorted(context.roster.ids())
