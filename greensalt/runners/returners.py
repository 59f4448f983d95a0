"""The master's returners: how far they have come, and what they could not take."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from greensalt.errors import CommandExecutionError
from greensalt.master.context import MasterContext
from greensalt.master.returners import Returners

GREEN = True


def status(*, context: MasterContext) -> dict[str, dict[str, Any]]:
    """Show how each returner stands; `NAME/events` is what `event_return` feeds one with.

    `delivered` is what it has taken so far, `backlog` what waits for it (the first of it since
    `oldest`), `dead` its dead letters, `lost` what was pruned before its turn; `trouble` is why it
    is down, if it is.

    CLI Example:

        greensalt run returners.status
    """
    if context.returners is None:
        return {}
    shown = context.returners.status()
    for each in shown.values():
        each["oldest"] = None if each["oldest"] is None else _time(each["oldest"])
    return shown


def dead(name: str, limit: int = 100, *, context: MasterContext) -> list[dict[str, Any]]:
    """List the newest dead letters of a returner: the return or event, why, and since when.

    CLI Example:

        greensalt run returners.dead deployments
    """
    letters = _returners(context).dead(str(name), int(limit))
    return [
        {**_shown(letter.item), "reason": letter.reason, "died": _time(letter.died)}
        for letter in letters
    ]


def retry(name: str, *, context: MasterContext) -> int:
    """Send all dead letters of a returner once more; return their number.

    CLI Example:

        greensalt run returners.retry deployments
    """
    return _returners(context).retry(str(name))


def _shown(item: dict[str, Any]) -> dict[str, Any]:
    if "tag" in item:
        return {"tag": item["tag"], "data": item["data"]}
    return {"jid": item["jid"], "id": item["id"], "fun": item["fun"], "return": item["ret"]}


def _returners(context: MasterContext) -> Returners:
    if context.returners is None:
        raise CommandExecutionError("there are no returners: see `master_returners`")
    return context.returners


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
