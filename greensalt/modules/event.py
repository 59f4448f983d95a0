"""Fires events on the minion's own bus and on the master's."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from greensalt.minion.context import Context

GREEN = True


def fire(data: Any, tag: str, *, context: Context) -> bool:
    """Fire an event on the minion's own bus.

    CLI Example:

        greensalt-cli '*' event.fire '{"data": "my event data"}' 'tag'
    """
    return context.fire_event(tag, _as_data(data))


def fire_master(data: Any, tag: str, preload: Any = None, *, context: Context) -> bool:
    """Fire an event on the master's bus.

    CLI Example:

        greensalt-cli '*' event.fire_master '{"data": "my event data"}' 'tag'
    """
    return context.fire_master(tag, _as_data(data))


def send(
    tag: str,
    data: Any = None,
    preload: Any = None,
    with_env: Any = False,
    with_grains: Any = False,
    with_pillar: Any = False,
    with_env_opts: Any = False,
    *,
    context: Context,
    **kwargs: Any,
) -> bool:
    """Fire an event on the master's bus, with what the caller wants to be in it.

    ``with_env``, ``with_grains`` and ``with_pillar`` add the environment, the grains and the pillar
    (a list: only those names), ``with_env_opts`` the ``saltenv`` and ``pillarenv``. All further
    keyword arguments become part of the data.

    CLI Example:

        greensalt-cli '*' event.send myco/mytag foo=Foo bar=Bar
        greensalt-cli '*' event.send myco/mytag '{foo: Foo, bar: Bar}' with_grains='[os, id]'
    """
    content: dict[str, Any] = {}
    for name, wanted, source in (
        ("environ", with_env, os.environ),
        ("grains", with_grains, context.grains),
        ("pillar", with_pillar, context.pillar),
    ):
        if wanted:
            names = wanted if isinstance(wanted, list) else source
            content[name] = {key: value for key, value in source.items() if key in names}
    if with_env_opts:
        content["saltenv"] = context.opts.saltenv or "base"
        content["pillarenv"] = context.opts.pillarenv
    # The job's own fields (__pub_...) travel along, as they always did.
    content.update(kwargs)
    if isinstance(data, Mapping):
        content.update(data)
    return context.fire_master(tag, content)


def _as_data(data: Any) -> dict[str, Any]:
    return dict(data) if isinstance(data, Mapping) else {"data": data}
