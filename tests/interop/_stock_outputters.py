"""Runs inside a stock Salt's interpreter: its own texts of results, its reading of words.

Reads pickled questions from stdin: {"texts": [(data, outputter, options), ...], "words": [[word,
...], ...]}. Answers each with a line of JSON: {"texts": [...], "args": [...]}, a text being null
where the outputter fails and the arguments being written as Python writes them.
"""

from __future__ import annotations

import copy
import json
import pickle
import sys
from typing import Any

import salt.config
import salt.output
import salt.utils.args


def text(base: dict[str, Any], data: Any, name: str, options: dict[str, Any]) -> str | None:
    try:
        # A copy: the highstate outputter writes into its data.
        made: str = salt.output.out_format(
            copy.deepcopy(data), name, {**base, "color": False, **options}
        )
    except Exception:
        return None
    return made


def main() -> None:
    base = salt.config.master_config("/nonexistent/master")
    while True:
        try:
            asked = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        texts = [text(base, *each) for each in asked.get("texts", ())]
        args = [repr(salt.utils.args.parse_input(list(words))) for words in asked.get("words", ())]
        sys.stdout.write(json.dumps({"texts": texts, "args": args}) + "\n")
        sys.stdout.flush()


main()
