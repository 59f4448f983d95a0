"""docs/performance.md and the sizing, from recorded runs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tools.bench import page
from tools.bench.page import DOCS, RUNS
from tools.sizing import __main__ as sizing

MACHINE = {"cpus": 2, "model": "X", "kernel": "6", "python": "3", "stock": "3008.3"}
MACHINE |= {"commit": "abc", "date": "2026-01-01"}


def _run(ours: dict[str, float], stock: dict[str, float]) -> dict[str, Any]:
    figures = {"greensalt": ours, "stock": stock}
    return {"title": "t", "command": "python -m x", "machine": MACHINE, "figures": figures}


def test_the_page_is_what_the_recorded_runs_make() -> None:
    runs = page.load()
    assert (DOCS / "performance.md").read_text() == page.page(runs)
    assert (RUNS / "compared.svg").read_text() == page.plot(runs)


@pytest.mark.parametrize(("idle", "verdict"), [(45.0, "met"), (45.1, "**missed**")])
def test_a_goal_is_met_or_missed_as_the_run_says(idle: float, verdict: str) -> None:
    names = {"`'*' test.ping` from the shell, s": 1.0, "idle minion, MiB": 1.0}
    shown = page.goals({"basics": _run({**names, "idle master, MiB": idle}, {})})
    assert f"| idle master | 45 MiB | {idle:.1f} MiB | {verdict} |" in shown
    assert "| CPU per sign-in | 1/3 of stock's | - | not measured |" in shown


def test_the_size_of_a_machine_follows_from_the_run() -> None:
    ours = {
        "CPU of the master per return, ms": 0.5,
        "memory per connected minion, KiB": 100.0,
        "returns per second": 2000.0,
    }
    stock = {"CPU of the master per return, ms": 10.0}
    fleet = sizing.Fleet(minions=5000, jobs_per_hour=720, return_bytes=1000, keep_hours=1)
    need = sizing.need(fleet, _run(ours, stock)["figures"])
    assert fleet.returns_per_s == 1000
    assert need.busy == pytest.approx(0.5)
    assert need.cores == 2
    assert need.memory_mib == pytest.approx(sizing.SYSTEM_MIB + 5000 * 100 / 1024)
    assert need.burst_s == pytest.approx(2.5)
    assert need.stock_cores == pytest.approx(1000 * 0.01 / sizing.BUSY)
    assert need.disk_gib == pytest.approx(3600 * 1000 * (1000 + sizing.ROW_BYTES) / 2**30)


def test_the_recorded_run_answers_for_a_fleet(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["sizing", "--minions", "2000", "--jobs-per-hour", "60"]
    monkeypatch.setattr("sys.argv", words)
    assert sizing.main() == 0
    shown = capsys.readouterr().out
    assert shown.startswith("2000 minions, 60 jobs an hour to all of them:\n")
    assert json.loads((RUNS / "scale.json").read_text())["machine"]["commit"] in shown
