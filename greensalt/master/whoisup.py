"""Who is up: one place, so that all runners say the same and know it in the same way."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final, NamedTuple

from greensalt.master.context import MasterContext

BY_PING: Final = "answered test.ping"


class Present(NamedTuple):
    """The minions of a target by whether they are up; `how` tells of each that is how it shows."""

    up: list[str]
    down: list[str]
    how: dict[str, str]


def present(
    context: MasterContext,
    tgt: Any = "*",
    tgt_type: str = "glob",
    timeout_s: float | None = None,
    gather_s: float | None = None,
) -> Present:
    """Who of a target is up: from the connections of the master, or else by a ping."""
    wanted = context.chosen(tgt, tgt_type)
    if context.presence is not None:
        connected: Collection[str] = context.presence.connected()
        how = {each: str(context.presence.how(each)) for each in wanted if each in connected}
    elif not wanted:
        how = {}
    else:
        answers = context.ask(
            wanted, "test.ping", tgt_type="list", timeout_s=timeout_s, gather_s=gather_s
        )
        how = dict.fromkeys(sorted(answers.returns), BY_PING)
    return Present(sorted(how), sorted(set(wanted) - how.keys()), how)
