"""What the master keeps of minions: grains, pillar, mine."""

from __future__ import annotations

from typing import Any

from greensalt.errors import SaltInvocationError
from greensalt.master.context import MasterContext

GREEN = True


def grains(
    tgt: Any = None, tgt_type: str = "glob", *, context: MasterContext
) -> dict[str, dict[str, Any]]:
    """Return the grains that minions have sent: {minion: grains}.

    CLI Example:

        greensalt run cache.grains tgt='*'
    """
    return {each: context.cache.grains(each) or {} for each in _chosen(context, tgt, tgt_type)}


def pillar(
    tgt: Any = None, tgt_type: str = "glob", *, context: MasterContext
) -> dict[str, dict[str, Any]]:
    """Return the pillars that minions have got: {minion: pillar}.

    CLI Example:

        greensalt run cache.pillar tgt=web1
    """
    return {each: context.cache.pillar(each) or {} for each in _chosen(context, tgt, tgt_type)}


def mine(
    tgt: Any = None, tgt_type: str = "glob", *, context: MasterContext
) -> dict[str, dict[str, Any]]:
    """Return the mines of minions: {minion: {function: value}}.

    CLI Example:

        greensalt run cache.mine tgt=web1
    """
    return {each: context.cache.mine_get(each) for each in _chosen(context, tgt, tgt_type)}


def clear_grains(tgt: Any = None, tgt_type: str = "glob", *, context: MasterContext) -> bool:
    """Forget the grains of minions until they send them again; `tgt` must be given.

    CLI Example:

        greensalt run cache.clear_grains tgt='old*'
    """
    for minion_id in _meant(context, tgt, tgt_type):
        if context.cache.grains(minion_id) is not None:
            context.cache.put_grains(minion_id, {})
    return True


def clear_pillar(tgt: Any = None, tgt_type: str = "glob", *, context: MasterContext) -> bool:
    """Forget the pillars of minions until they get them again; `tgt` must be given.

    CLI Example:

        greensalt run cache.clear_pillar tgt='old*'
    """
    for minion_id in _meant(context, tgt, tgt_type):
        known = context.cache.grains(minion_id)
        if known is not None:
            context.cache.put_grains(minion_id, known, {})
    return True


def clear_mine(tgt: Any = None, tgt_type: str = "glob", *, context: MasterContext) -> bool:
    """Forget the mines of minions; `tgt` must be given.

    CLI Example:

        greensalt run cache.clear_mine tgt='old*'
    """
    for minion_id in _meant(context, tgt, tgt_type):
        context.cache.mine_flush(minion_id)
    return True


def clear_mine_func(
    tgt: Any = None,
    tgt_type: str = "glob",
    clear_mine_func_flag: str | None = None,
    *,
    clear_mine_func: str | None = None,
    context: MasterContext,
) -> bool:
    """Forget one function in the mines of minions; `tgt` must be given.

    CLI Example:

        greensalt run cache.clear_mine_func tgt='*' clear_mine_func=network.ip_addrs
    """
    function = clear_mine_func or clear_mine_func_flag
    if not function:
        raise SaltInvocationError("clear_mine_func names the function")
    for minion_id in _meant(context, tgt, tgt_type):
        context.cache.mine_delete(minion_id, function)
    return True


def clear_all(tgt: Any = None, tgt_type: str = "glob", *, context: MasterContext) -> bool:
    """Forget grains, pillar and mine of minions; `tgt` must be given.

    CLI Example:

        greensalt run cache.clear_all tgt='old*'
    """
    context.cache.forget(*_meant(context, tgt, tgt_type))
    return True


def _chosen(context: MasterContext, tgt: Any, tgt_type: str) -> list[str]:
    return context.chosen("*" if tgt is None else tgt, tgt_type)


def _meant(context: MasterContext, tgt: Any, tgt_type: str) -> list[str]:
    if not tgt:
        raise SaltInvocationError("whose? give a target with tgt=")
    return context.chosen(tgt, tgt_type)
