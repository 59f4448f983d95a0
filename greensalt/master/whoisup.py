"""Who is up: one place, so that all runners say the same and know it in the same way."""

from __future__ import annotations

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
    """Who of a target is up: from the connections of the master.

    Only those that have not spoken since the master's start are asked, by a ping.
    """
    wanted = context.chosen(tgt, tgt_type)
    connected, unknown = context.presence.connected(), context.presence.unknown()
    how = {each: context.presence.how(each) for each in wanted if each in connected}
    silent = [each for each in wanted if each in unknown]
    if silent:
        answers = context.ask(
            silent, "test.ping", tgt_type="list", timeout_s=timeout_s, gather_s=gather_s
        )
        how.update(dict.fromkeys(answers.returns, BY_PING))
    return Present(sorted(how), sorted(set(wanted) - how.keys()), how)
