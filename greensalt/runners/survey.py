"""Which minions give the same answer, and which differ."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import unified_diff
from typing import Any

from greensalt.errors import SaltInvocationError
from greensalt.functions.arguments import without_pub
from greensalt.master.context import MasterContext
from greensalt.wire.dialect import pack_bin

GREEN = True


def hash(
    tgt: Any, fun: str, *args: Any, survey_sort: str = "down", context: MasterContext, **kwargs: Any
) -> list[dict[str, Any]]:
    """Group minions by what they answer: [{pool: minions, result: answer}].

    The largest pool is first, with survey_sort=up last.

    CLI Example:

        greensalt run survey.hash '*' file.get_hash /etc/hosts
    """
    return _pools(context, tgt, fun, args, kwargs, survey_sort)


def diff(
    tgt: Any, fun: str, *args: Any, survey_sort: str = "down", context: MasterContext, **kwargs: Any
) -> list[dict[str, Any]]:
    """As `survey.hash`, and show how each pool differs from the first.

    CLI Example:

        greensalt run survey.diff '*' cmd.run 'cat /etc/resolv.conf'
    """
    pools = _pools(context, tgt, fun, args, kwargs, survey_sort)
    first: list[str] = []
    for number, pool in enumerate(pools):
        lines = str(pool["result"]).splitlines()
        shown = lines if number == 0 else list(unified_diff(first, lines, lineterm=""))
        first = first or lines
        head = [f"{len(pool['pool'])} minions: {', '.join(pool['pool'])}", *shown, ""]
        context.progress({"data": "\n".join(head), "outputter": "line"})
    return pools


def _pools(
    context: MasterContext,
    tgt: Any,
    fun: str,
    args: Sequence[Any],
    kwargs: dict[str, Any],
    order: str,
) -> list[dict[str, Any]]:
    if order not in ("up", "down"):
        raise SaltInvocationError("survey_sort is up or down")
    answers = context.ask(tgt, fun, args, tgt_type="compound", kwarg=without_pub(kwargs))
    pools: dict[bytes, dict[str, Any]] = {}
    for minion_id, ret in sorted(answers.results.items()):
        pool = pools.setdefault(pack_bin(ret), {"pool": [], "result": ret})
        pool["pool"].append(minion_id)
    return sorted(pools.values(), key=lambda pool: len(pool["pool"]), reverse=order == "down")
