"""Run by a stock Salt's own interpreter: says when its schedule runs a job, by a clock of ours.

Reads one JSON object ({root, begin, seconds, jobs: [config, ...]}), writes for each job the list of
the seconds after `begin` at which it ran.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from datetime import datetime, timedelta
from typing import Any

warnings.simplefilter("ignore")

import salt.config  # noqa: E402
import salt.utils.schedule  # noqa: E402


def runs(root: str, config: dict[str, Any], begin: datetime, seconds: int) -> list[int]:
    """The schedule is asked each second, as a minion asks it."""
    opts = {**salt.config.DEFAULT_MINION_OPTS, "cachedir": root, "sock_dir": root, "id": "mouse"}
    opts.update(grains={}, pillar={}, loop_interval=1, schedule={"j": config})
    functions = {"test.ping": bool, "config.merge": lambda *_, **__: {}}
    schedule = salt.utils.schedule.Schedule(opts, functions, returners={}, new_instance=True)
    found: list[int] = []
    second = 0
    schedule._check_max_running = lambda func, data, opts, now: data
    schedule._run_job = lambda *_, **__: found.append(second)
    for second in range(seconds):  # `_run_job` reads it
        schedule.eval(now=begin + timedelta(seconds=second))
    return found


def main() -> None:
    """Ask for all jobs."""
    asked = json.load(sys.stdin)
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    begin = datetime.fromisoformat(asked["begin"])
    found = [runs(asked["root"], config, begin, asked["seconds"]) for config in asked["jobs"]]
    json.dump(found, answer)


if __name__ == "__main__":
    main()
