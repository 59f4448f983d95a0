"""Runs inside a stock Salt's interpreter: what its own access lists say to a table of requests.

Reads a Python literal from stdin: {"dir", "ids", "jobs", "runs", "users"}. A job is (rules,
functions, arguments, target, target type), a run (rules, kind, function, arguments, keyword
arguments), a user (section of external_auth, name, groups, permissive).
Prints one JSON line: {"jobs": [bool, ...], "runs": [bool, ...], "users": [[rule, ...], ...]}.
"""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path
from typing import Any

import salt.config
import salt.utils.minions

PEM = "-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----\n"


def answers(table: dict[str, Any]) -> dict[str, Any]:
    root = Path(table["dir"])
    (root / "master").write_text(json.dumps({"root_dir": str(root)}))
    opts = salt.config.master_config(str(root / "master"))
    keys = Path(opts["pki_dir"]) / "minions"
    keys.mkdir(parents=True)
    for minion_id in table["ids"]:
        (keys / minion_id).write_text(PEM)
    check = salt.utils.minions.CkMinions(opts)
    jobs = []
    for rules, functions, arguments, tgt, tgt_type in table["jobs"]:
        minions = check.check_minions(tgt, tgt_type)["minions"]
        jobs.append(
            check.auth_check(
                rules,
                functions,
                arguments,
                tgt,
                tgt_type,
                minions=minions,
                whitelist=["saltutil.find_job"],
            )
        )
    runs = []
    for rules, kind, function, arguments, named in table["runs"]:
        verdict = check.spec_check(rules, function, {"arg": arguments, "kwarg": named}, kind)
        runs.append(verdict is True)
    users = [
        check.fill_auth_list(section, name, groups, permissive=permissive)
        for section, name, groups, permissive in table["users"]
    ]
    return {"jobs": jobs, "runs": runs, "users": users}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(answers(ast.literal_eval(sys.stdin.read()))) + "\n")
