"""The minion's copies of the master's `_modules`, `_grains` and so on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from greensalt.minion.context import Context
from greensalt.minion.extmods import KINDS, sync

Names = dict[str, list[str]]


def sync_all(
    saltenv: Any = None,
    refresh: bool = True,
    extmod_whitelist: Any = None,
    extmod_blacklist: Any = None,
    clean_pillar_cache: bool = True,  # there is none: taken, as Salt's callers may give it
    *,
    context: Context,
) -> Names:
    """Bring all kinds of extension modules from the master; return what is new, by kind.

    ``extmod_whitelist`` and ``extmod_blacklist`` are maps from kinds to names.

    CLI Example:

        greensalt-cli '*' saltutil.sync_all
        greensalt-cli '*' saltutil.sync_all saltenv=dev
        greensalt-cli '*' saltutil.sync_all extmod_whitelist='{"modules": ["garden"]}'
    """
    brought = {
        name: _bring(kind, context, saltenv, extmod_whitelist or {}, extmod_blacklist or {})
        for name, kind in KINDS.items()
    }
    if refresh:
        _refresh(context, brought)
    return brought


def _bring(kind: str, context: Context, saltenv: Any, allowed: Any, refused: Any) -> list[str]:
    return context.home.aside(
        sync,
        kind,
        context.opts,
        context.request,
        saltenv=saltenv,
        allowed=allowed,
        refused=refused,
    )


def _refresh(context: Context, brought: Mapping[str, list[str]]) -> None:
    context.refresh("modules")
    if "grains" in brought:
        context.refresh("grains")


def _syncer(name: str, what: str) -> Callable[..., list[str]]:
    """The function that brings one kind."""
    kind = KINDS[name]

    def bring(
        saltenv: Any = None,
        refresh: bool = True,
        extmod_whitelist: Any = None,
        extmod_blacklist: Any = None,
        *,
        context: Context,
    ) -> list[str]:
        brought = _bring(kind, context, saltenv, extmod_whitelist, extmod_blacklist)
        if refresh:
            _refresh(context, {name: brought})
        return brought

    bring.__name__ = bring.__qualname__ = f"sync_{name}"
    bring.__doc__ = f"""Bring {what} from ``salt://_{kind}`` on the master; return what is new.

    Those that the master has no longer are removed. ``extmod_whitelist`` and ``extmod_blacklist``
    are names of those that are wanted or not.

    CLI Example:

        greensalt-cli '*' saltutil.sync_{name}
        greensalt-cli '*' saltutil.sync_{name} saltenv=dev
    """
    return bring


sync_beacons = _syncer("beacons", "beacons")
sync_clouds = _syncer("clouds", "cloud modules")
sync_engines = _syncer("engines", "engines")
sync_executors = _syncer("executors", "executors")
sync_grains = _syncer("grains", "grains modules")
sync_log_handlers = _syncer("log_handlers", "log handlers")
sync_matchers = _syncer("matchers", "matchers")
sync_modules = _syncer("modules", "execution modules")
sync_output = _syncer("output", "outputters")
sync_proxymodules = _syncer("proxymodules", "proxy modules")
sync_renderers = _syncer("renderers", "renderers")
sync_resources = _syncer("resources", "resource modules")
sync_returners = _syncer("returners", "returners")
sync_sdb = _syncer("sdb", "SDB modules")
sync_serializers = _syncer("serializers", "serializers")
sync_states = _syncer("states", "state modules")
sync_thorium = _syncer("thorium", "Thorium modules")
sync_utils = _syncer("utils", "utility modules")
sync_outputters = sync_output
