"""When a scheduled job runs, beside stock Salt's own schedule on the same clock."""

from __future__ import annotations

import json
import subprocess
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from greensalt.minion.schedule.scheduled import ScheduledJob
from tests._daemons import NEWEST, stock_bin

STOCK = Path(__file__).with_name("_stock_schedule.py")
NOON = datetime(2026, 1, 1, 12, 0)  # noqa: DTZ001  # schedules go by local time
SECONDS = 45 * 60
FROM_10_TO_30 = {"start": "1/1/2026 12:10pm", "end": "1/1/2026 12:30pm"}
# Stock's first run, at the start, is not kept from running by limits: docs/schedule.md.
EVERY_TEN: dict[str, Any] = {"minutes": 10, "run_on_start": False}
JOBS: list[dict[str, Any]] = [
    {"minutes": 10},
    EVERY_TEN,
    {**EVERY_TEN, "until": "2026-01-01T12:20"},
    {**EVERY_TEN, "after": "1/1/2026 12:20pm"},
    {**EVERY_TEN, "range": FROM_10_TO_30},
    {**EVERY_TEN, "range": {**FROM_10_TO_30, "invert": True}},
    {**EVERY_TEN, "skip_during_range": FROM_10_TO_30},
    {"when": "1/1/2026 12:15pm"},
    {"when": "1/1/2026 11:15am"},
    {"when": ["1/1/2026 12:15pm", "2026-01-01T12:20", "1/1/2026 11:15am"]},
]


def runs(config: dict[str, Any]) -> list[int]:
    job = ScheduledJob("j", config, 0.0)
    clocks = [NOON + timedelta(seconds=second) for second in range(SECONDS)]
    return [
        second
        for second, clock in enumerate(clocks)
        if job.is_due(second, clock) and job.hindrance(clock) is None
    ]


def test_jobs_run_at_the_same_seconds(tmp_path: Path) -> None:
    jobs = [{"function": "test.ping", **job} for job in JOBS]
    asked = {"root": str(tmp_path), "begin": str(NOON), "seconds": SECONDS, "jobs": jobs}
    done = subprocess.run(
        [stock_bin(NEWEST) / "python", STOCK],
        input=json.dumps(asked),
        check=False,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    expected = json.loads(done.stdout)
    assert [runs(job) for job in jobs] == expected
    assert sum(map(len, expected)) > len(JOBS)
