"""Run by a stock Salt's interpreter: what its own matchers say.

Standard input is JSON: {facts: [{id, grains, pillar}], targets: [[tgt, tgt_type]], nodegroups};
standard output is a list per facts of whether each target matches them.
"""

from __future__ import annotations

import json
import logging
import sys
import tempfile
from typing import Any

import salt.config
import salt.loader


def verdicts(facts: dict[str, Any], targets: list[tuple[Any, str]], **more: Any) -> list[bool]:
    opts = {**salt.config.DEFAULT_MINION_OPTS, **facts, **more}
    matchers = salt.loader.matchers(opts)

    def verdict(target: Any, kind: str) -> bool:
        try:
            # As in its minion: only some of them are given a delimiter, and it is the default.
            return bool(matchers[f"{kind}_match.match"](target, opts=opts, minion_id=opts["id"]))
        except Exception:
            return False

    return [verdict(target, kind) for target, kind in targets]


def main() -> None:
    logging.disable(logging.CRITICAL)
    asked = json.load(sys.stdin)
    with tempfile.TemporaryDirectory() as cache:
        more = {"nodegroups": asked["nodegroups"], "cachedir": cache, "extension_modules": cache}
        json.dump(
            [verdicts(facts, asked["targets"], **more) for facts in asked["facts"]], sys.stdout
        )


if __name__ == "__main__":
    main()
