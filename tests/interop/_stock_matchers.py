"""Runs inside a stock Salt's interpreter: what its own matchers say to a table of targets.

Reads a Python literal from stdin: {"dir", "fleet", "silent", "nodegroups", "targets"}, where the
fleet is {id: {"grains", "pillar"}} and a target is (tgt, tgt_type, delimiter). Prints one JSON
line: {"minion": [[id, ...], ...], "master": [[id, ...], ...]}, a list of ids per target.
"""

from __future__ import annotations

import ast
import json
import logging
import sys
from pathlib import Path
from typing import Any

import salt.cache
import salt.config
import salt.loader
import salt.utils.minions

PEM = "-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----\n"


def config(root: Path, kind: str, **options: Any) -> dict[str, Any]:
    path = root / kind
    path.write_text(json.dumps({"root_dir": str(root), "id": "x", **options}))
    load = salt.config.master_config if kind == "master" else salt.config.minion_config
    opts: dict[str, Any] = load(str(path))
    return opts


def minion_answers(table: dict[str, Any]) -> list[list[str]]:
    """For each target the minions that take the job, decided as a stock minion does."""
    opts = config(Path(table["dir"]), "minion", nodegroups=table["nodegroups"])
    answers: list[list[str]] = [[] for _ in table["targets"]]
    for minion_id, facts in table["fleet"].items():
        mine = {**opts, **facts, "id": minion_id}
        matchers = salt.loader.matchers(mine)
        for (tgt, tgt_type, delimiter), taken in zip(table["targets"], answers, strict=True):
            matcher = matchers.get(f"{tgt_type}_match.match")
            passed = tgt_type in ("grain", "grain_pcre", "pillar")
            try:
                if matcher and matcher(tgt, **({"delimiter": delimiter} if passed else {})):
                    taken.append(minion_id)
            except Exception as error:
                # A stock minion logs it, and does not take the job.
                logging.getLogger(__name__).info("%s %r: %r", tgt_type, tgt, error)
    return [sorted(taken) for taken in answers]


def master_answers(table: dict[str, Any]) -> list[list[str]]:
    """For each target the minions that a stock master expects."""
    root = Path(table["dir"])
    opts = config(root, "master", nodegroups=table["nodegroups"])
    keys = Path(opts["pki_dir"]) / "minions"
    keys.mkdir(parents=True)
    cache = salt.cache.factory(opts)
    for minion_id, facts in table["fleet"].items():
        (keys / minion_id).write_text(PEM)
        if minion_id not in table["silent"]:
            cache.store("grains", minion_id, facts["grains"])
            cache.store("pillar", minion_id, facts["pillar"])
    minions = salt.utils.minions.CkMinions(opts)
    return [
        sorted(set(minions.check_minions(tgt, tgt_type, delimiter)["minions"]))
        for tgt, tgt_type, delimiter in table["targets"]
    ]


if __name__ == "__main__":
    logging.disable()
    given = ast.literal_eval(sys.stdin.read())
    sys.stdout.write(
        json.dumps({"minion": minion_answers(given), "master": master_answers(given)}) + "\n"
    )
