"""The keys of minions."""

from __future__ import annotations

from greensalt.master.context import MasterContext
from greensalt.store.keys import State

# Keys are files: these run beside the hub, no GREEN.


def list_all(*, context: MasterContext) -> dict[str, list[str]]:
    """List the keys of all states, and the master's own under "local".

    CLI Example:

        greensalt run salt.wheel key.list_all
    """
    listed = {state.folder: sorted(context.keys.ids(state)) for state in State}
    return {**listed, "local": ["master.pem", "master.pub"]}
