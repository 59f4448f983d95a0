"""Top files: which SLS files a minion gets, by environment.

base:
  '*': [common]
  'os:Debian':
    - match: grain
    - order: 2
    - debian
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, NamedTuple

from greensalt.errors import TargetError
from greensalt.target import Facts, Nodegroups, Target

log = logging.getLogger(__name__)


class Entry(NamedTuple):
    """What one target of a top file gives: names of SLS files, or globs of them."""

    kind: str
    names: list[str]
    order: int
    ignore_missing: bool


class Top(NamedTuple):
    """All top files as one: {environment: {target: entry}}, in the order that counts."""

    entries: dict[str, dict[str, Entry]]

    def of(
        self, facts: Facts, nodegroups: Nodegroups, pillarenv: str | None
    ) -> dict[str, list[str]]:
        """The names for one minion by environment; with `pillarenv` for this one alone."""
        given: dict[str, list[str]] = {}
        for saltenv, targets in self.entries.items():
            if pillarenv and saltenv != pillarenv:
                continue
            for tgt, entry in targets.items():
                if _means(tgt, entry.kind, facts, nodegroups):
                    names = given.setdefault(saltenv, [])
                    names += [name for name in entry.names if name not in names]
        return given

    def ignored(self, saltenv: str) -> set[str]:
        """The names whose files may be missing."""
        entries = self.entries.get(saltenv, {}).values()
        return {name for entry in entries if entry.ignore_missing for name in entry.names}


def merge_tops(tops: list[Mapping[str, Any]]) -> Top:
    """The one top of several files: a target in a later file takes the place of the earlier one.

    Raises TypeError for data that have not the shape of a top file.
    """
    merged: dict[str, dict[str, Entry]] = {}
    for top in tops:
        for saltenv, targets in top.items():
            if saltenv == "include":
                continue
            if not isinstance(targets, Mapping):
                raise TypeError(f"the environment {saltenv!r} has no targets")
            for tgt, given in targets.items():
                merged.setdefault(str(saltenv), {})[str(tgt)] = _entry(str(tgt), given)
    return Top({saltenv: _sorted(targets) for saltenv, targets in merged.items()})


def _sorted(targets: dict[str, Entry]) -> dict[str, Entry]:
    return dict(sorted(targets.items(), key=lambda item: item[1].order))


def _entry(tgt: str, given: Any) -> Entry:
    if not isinstance(given, list):
        raise TypeError(f"what the target {tgt!r} gets is not a list")
    kind, order, ignore_missing = "compound", 0, False
    for item in given:
        if isinstance(item, Mapping):
            kind = str(item.get("match", kind))
            order = _order(item.get("order", order))
            ignore_missing = ignore_missing or bool(item.get("ignore_missing"))
    names = [item for item in given if isinstance(item, str)]
    return Entry(kind, list(dict.fromkeys(names)), order, ignore_missing)


def _order(value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError):
        return 0


def _means(tgt: str, kind: str, facts: Facts, nodegroups: Nodegroups) -> bool:
    """Whether a target means the minion; one that can't be understood means nobody."""
    try:
        return Target(tgt, kind, nodegroups=nodegroups).matches(facts)
    except TargetError as error:
        log.error("the target %r (%s) of a pillar top file: %s", tgt, kind, error)
        return False
