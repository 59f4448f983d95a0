"""`master_tops`: which states a minion gets from outside the top files.

    master_tops:
      ext_nodes: /usr/local/bin/classify

`ext_nodes` runs a command with the minion's id as its last argument, and reads YAML with `classes`
and optionally `environment`. Other names are plug-ins: a function `top` in
`<extension_modules>/tops/NAME.py`, or the entry point NAME of the group `greensalt.master_tops`.

Source: docs/protocol.md 6.2; docs/tops.md.
"""

from __future__ import annotations

import inspect
import logging
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from greensalt.config import MasterConfig
from greensalt.errors import ConfigError, MalformedMessage
from greensalt.green import offload
from greensalt.green.process import run
from greensalt.master.plugins import Function, find_plugin
from greensalt.master.sessions import Peer

log = logging.getLogger(__name__)

GROUP: Final = "greensalt.master_tops"
EXT_NODES: Final = "ext_nodes"
EXT_NODES_S: Final = 30.0
OUTPUT_MOST: Final = 1 << 20

Tops = dict[str, list[str]]
"""{environment: names of states}."""

Source = Callable[[str, Mapping[str, Any], Mapping[str, Any]], Any]
"""(minion id, its configuration, its grains) -> Tops."""


class MasterTops:
    """Asks all sources and merges what they say; `failures` counts those that had nothing to say.

    A source that fails is in the log and left out: the others count.
    """

    def __init__(self, config: MasterConfig) -> None:
        directory = Path(config.extension_modules) / "tops"
        self._sources: dict[str, Source] = {
            name: _ext_nodes(given) if name == EXT_NODES else _plugin(name, given, directory)
            for name, given in config.master_tops.items()
        }
        self.failures = 0

    def answer(self, peer: Peer, load: Mapping[str, Any]) -> Tops:
        """`_master_tops`: {environment: [states]}. Whom it is about says the session."""
        if not self._sources:
            return {}
        opts = load.get("opts")
        opts = {**opts, "id": peer.id} if isinstance(opts, dict) else {"id": peer.id}
        grains = opts.get("grains")
        grains = {**grains, "id": peer.id} if isinstance(grains, dict) else {"id": peer.id}
        merged: Tops = {}
        for name, source in self._sources.items():
            try:
                _merge(merged, source(peer.id, opts, grains))
            except Exception:
                self.failures += 1
                log.exception("master_tops: %s failed for %s", name, peer.id)
        return merged


def _plugin(name: str, given: Any, directory: Path) -> Source:
    """A function `top`: it gets what it has parameters for of opts, grains, options."""
    function = find_plugin("master_tops", name, directory, "top", GROUP)
    wanted = inspect.signature(function).parameters
    takes_all = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in wanted.values())

    def ask(_id: str, opts: Mapping[str, Any], grains: Mapping[str, Any]) -> Any:
        offered = {"opts": opts, "grains": grains, "options": given}
        chosen = {key: offered[key] for key in offered if takes_all or key in wanted}
        return offload(_called, function, chosen)

    return ask


def _called(function: Function, given: Mapping[str, Any]) -> Any:
    return function(**given)


def _ext_nodes(given: Any) -> Source:
    """A command, run without a shell."""
    if not isinstance(given, str) or not given.strip():
        raise ConfigError("master_tops: ext_nodes needs a command")
    try:
        command = shlex.split(given)
    except ValueError as error:
        raise ConfigError(f"master_tops: ext_nodes: {given!r}: {error}") from error

    def ask(minion_id: str, _opts: Mapping[str, Any], _grains: Mapping[str, Any]) -> Tops:
        done = run([*command, minion_id], timeout_s=EXT_NODES_S)
        if done.returncode:
            text = done.stderr.decode("utf-8", "replace").strip()
            raise MalformedMessage(f"{command[0]} exited with {done.returncode}: {text:.500}")
        if len(done.stdout) > OUTPUT_MOST:
            raise MalformedMessage(f"{command[0]} wrote {len(done.stdout)} bytes")
        return _classes(offload(yaml.safe_load, done.stdout))

    return ask


def _classes(data: Any) -> Tops:
    if data is None:
        return {}
    if not isinstance(data, Mapping):
        raise MalformedMessage(f"it wrote no map but {type(data).__name__}")
    classes = data.get("classes") or []
    if not isinstance(classes, list | Mapping):
        raise MalformedMessage(f"its `classes` are no list or map but {type(classes).__name__}")
    return {str(data.get("environment") or "base"): [str(each) for each in classes]}


def _merge(merged: Tops, more: Any) -> None:
    """Add what a source says; a state counts once in an environment."""
    if more is None:
        return
    if not isinstance(more, Mapping) or not all(isinstance(each, list) for each in more.values()):
        raise MalformedMessage("it gave no map of environments to lists of states")
    for environment, states in more.items():
        known = merged.setdefault(str(environment), [])
        known.extend(state for state in states if state not in known)
