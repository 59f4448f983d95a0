"""Run by a stock Salt's own interpreter: the pillars that its master would compile.

Reads one JSON object from stdin, {root, master: {option: value}, minions: [{id, grains, saltenv,
pillarenv, override}]}; writes the list of the pillars.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import warnings
from pathlib import Path
from typing import Any

warnings.simplefilter("ignore")

import salt.config  # noqa: E402
import salt.pillar  # noqa: E402


def compiled(opts: dict[str, Any], asked: dict[str, Any]) -> Any:
    return salt.pillar.Pillar(
        opts,
        {**asked["grains"], "id": asked["id"]},
        asked["id"],
        asked.get("saltenv"),
        pillar_override=asked.get("override") or {},
        pillarenv=asked.get("pillarenv"),
    ).compile_pillar()


def main() -> None:
    """Compile all pillars in order."""
    given = json.load(sys.stdin)
    # Whatever Salt prints must not get between the lines of the answer.
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    logging.disable()
    path = Path(given["root"]) / "master"
    path.write_text(json.dumps({"root_dir": given["root"], "user": "root", **given["master"]}))
    opts = salt.config.master_config(str(path))
    json.dump([compiled(opts, asked) for asked in given["minions"]], answer, default=str)


if __name__ == "__main__":
    main()
