"""Pillars as the master would give them now."""

from __future__ import annotations

from typing import Any

from greensalt.master.context import MasterContext

GREEN = True


def show_pillar(
    minion: str = "*",
    saltenv: str | None = None,
    pillarenv: str | None = None,
    pillar: dict[str, Any] | None = None,
    *,
    context: MasterContext,
) -> dict[str, Any]:
    """Compile the pillar of a minion, with the grains that it has sent last.

    Without a minion it is that of the master's own id. `pillar` is on top of it.

    CLI Example:

        greensalt run pillar.show_pillar web1
        greensalt run pillar.show_pillar minion=web1 pillarenv=dev
    """
    minion_id = context.config.id if minion == "*" else str(minion)
    return context.pillars.pillar(
        minion_id,
        context.cache.grains(minion_id) or {},
        saltenv=saltenv,
        pillarenv=pillarenv,
        override=pillar,
    )


def show_top(
    minion: str | None = None, saltenv: str = "base", *, context: MasterContext
) -> dict[str, list[str]]:
    """Tell which SLS files the pillar of a minion is made of: {environment: names}.

    Without a minion it is that of the master's own id.

    CLI Example:

        greensalt run pillar.show_top web1
    """
    minion_id = str(minion or context.config.id)
    return context.pillars.top(minion_id, context.cache.grains(minion_id) or {}, saltenv=saltenv)
