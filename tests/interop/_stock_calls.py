"""Run by a stock Salt's own interpreter: runs jobs as its minion would, without a master.

Reads one JSON object ({root, pillar, calls: [load, ...]}), writes the list of what the minion
would return for each load.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from pathlib import Path
from typing import Any

warnings.simplefilter("ignore")

import salt.config  # noqa: E402
import salt.loader  # noqa: E402
import salt.minion  # noqa: E402

JID = "20260102030405060708"
FIELDS = ("return", "retcode", "success", "out")


def make_minion(root: Path, pillar: dict[str, Any]) -> Any:
    """A minion with everything that running a job needs, and nothing else."""
    (root / "etc").mkdir(parents=True)
    config = {"id": "mouse", "root_dir": str(root), "file_client": "local", "cachedir": "/cache"}
    (root / "etc" / "minion").write_text(json.dumps(config))
    opts = salt.config.minion_config(str(root / "etc" / "minion"))
    opts["grains"] = salt.loader.grains(opts)
    opts["pillar"] = pillar
    minion = object.__new__(salt.minion.Minion)
    minion.opts = opts
    minion.functions = salt.loader.minion_mods(opts, utils=salt.loader.utils(opts))
    minion.executors = salt.loader.executors(opts, minion.functions)
    minion.returners = salt.loader.returners(opts, minion.functions)
    minion.function_errors = {}
    minion.connected = True
    minion.gen_modules = lambda *args, **kwargs: None
    minion.proc_dir = str(root / "proc")
    Path(minion.proc_dir).mkdir()
    return minion


def run(minion: Any, load: dict[str, Any]) -> dict[str, Any]:
    """The return of one job, as it would go to the master."""
    returned: list[dict[str, Any]] = []
    minion._return_pub = lambda ret, *args, **kwargs: returned.append(ret)
    full = {"jid": JID, "user": "root", "tgt": "*", "tgt_type": "glob", "ret": "", **load}
    several = isinstance(full["fun"], list)
    entry = minion._thread_multi_return if several else minion._thread_return
    entry(minion, minion.opts, full)
    final = minion._prepare_return_pub(returned[0])
    return {name: final.get(name) for name in FIELDS}


def main() -> None:
    """Run all loads in order."""
    asked = json.load(sys.stdin)
    # Whatever Salt prints must not get between the lines of the answer.
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    minion = make_minion(Path(asked["root"]), asked["pillar"])
    json.dump([run(minion, load) for load in asked["calls"]], answer, default=str)


if __name__ == "__main__":
    main()
