"""Run by a stock Salt's own interpreter: prints its defaults and what it makes of configurations.

Arguments: a directory with the files `master` and `minion`. Output: one JSON object.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import salt.config

where = Path(sys.argv[1])
answer = {
    "names": list(salt.config.VALID_OPTS),
    "master": dict(salt.config.DEFAULT_MASTER_OPTS),
    "minion": dict(salt.config.DEFAULT_MINION_OPTS),
    "loaded_master": dict(salt.config.master_config(str(where / "master"))),
    "loaded_minion": dict(salt.config.minion_config(str(where / "minion"))),
}


def plain(value: object) -> object:
    """Salt's immutable containers, by what they have in common with the usual ones."""
    if hasattr(value, "items"):
        return dict(value.items())
    if hasattr(value, "__iter__"):
        return list(value)
    return repr(value)


sys.stdout.write(json.dumps(answer, default=plain))
