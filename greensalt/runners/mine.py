"""The mine, as somebody on the master may read it: whole, without the lists of who gets what."""

from __future__ import annotations

from typing import Any

from greensalt.master.context import MasterContext

GREEN = True


def get(tgt: Any, fun: str, tgt_type: str = "glob", *, context: MasterContext) -> dict[str, Any]:
    """Return what minions have put into the mine under a function: {minion: value}.

    Of several functions, with commas between, {function: {minion: value}}.

    CLI Example:

        greensalt run mine.get '*' network.ip_addrs
    """
    functions = [name.strip() for name in str(fun).split(",")]
    found = {
        function: {minion_id: _value(entry) for minion_id, entry in values.items()}
        for function, values in context.cache.mine_of(
            functions, context.chosen(tgt, tgt_type)
        ).items()
    }
    return found if len(functions) > 1 else found[functions[0]]


def _value(entry: Any) -> Any:
    is_guarded = isinstance(entry, dict) and "__saltmine_acl__" in entry
    return entry.get("__data__") if is_guarded else entry
