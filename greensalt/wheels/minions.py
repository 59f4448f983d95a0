"""Minions as the master knows them."""

from __future__ import annotations

from greensalt.master.context import MasterContext
from greensalt.master.whoisup import present

GREEN = True


def connected(*, context: MasterContext) -> list[str]:
    """List the minions that are connected.

    CLI Example:

        greensalt run salt.wheel minions.connected
    """
    return present(context).up
