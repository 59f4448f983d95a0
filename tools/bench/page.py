"""docs/performance.md, written from recorded runs: `python -m tools.bench.page`.

The runs are the JSON files in docs/performance/, which the benchmarks write with `--out`. Nothing
here is measured, and no figure is written by hand: a goal is met or missed as the files say.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

from tools.bench.report import machine_line, table
from tools.serializers.plots import Panel, bars

DOCS: Final = Path(__file__).resolve().parent.parent.parent / "docs"
RUNS: Final = DOCS / "performance"
Runs = dict[str, dict[str, Any]]

HEAD = """# Performance

Every figure on this page comes from a recorded run, by the command above its table; `make
performance` takes all of them anew, some in longer runs, and writes this page. All daemons, real or
emulated minions and clients share the machine that is named: ratios within a run mean more than the
figures.
"""


class Section(NamedTuple):
    """A recorded run: its file, heading, and what is to be known about it."""

    run: str
    heading: str
    text: str


SECTIONS = (
    Section(
        "basics",
        "One minion, and a small fleet",
        "Real daemons and real commands from the shell; the figures per return come from 250"
        " emulated minions.",
    ),
    Section(
        "scale",
        "A thousand minions",
        "The minions are emulated: real keys, sockets and loads, and no work. CPU includes all"
        " threads and processes of the master. During the storm as many minions sign in once more,"
        " a hundred at a time, on a machine that has to do the minions' half of it as well.",
    ),
    Section(
        "many",
        "As many as this machine allows",
        "Each of these minions has a subscription of its own; their requests share 300 connections,"
        " since 20,000 open files are the most here.",
    ),
    Section(
        "minions",
        "A thousand minions in one process",
        "Real ones, of `greensalt minion --count`, each with its own keys. What one takes is the"
        " difference between two fleets.",
    ),
    Section(
        "limit",
        "How far it is to the limit",
        "`tools/bench/flat.py` is the same way of a return, with the same checks, the committed row"
        " and the event, written flat in one file and nothing else. The two run in turns.",
    ),
    Section(
        "steps",
        "Where a return's time goes",
        "Steps of one return, each alone in a warm loop.",
    ),
    Section(
        "bus",
        "The event bus",
        "Events of 1 KiB come in on `master_event_pull.ipc` and go out to subscribers of"
        " everything.",
    ),
    Section(
        "workers",
        "More processes",
        "Pillars that have to be rendered, with and without a worker process; the clients run"
        " beside them.",
    ),
    Section(
        "files",
        "States, files and pillar",
        "A stock minion on both masters. A proxy between them counts how long it waits for the"
        " master.",
    ),
)


class Goal(NamedTuple):
    """Something to reach: `value` takes it from the runs, `is_met` judges it."""

    name: str
    goal: str
    run: str
    value: Callable[[dict[str, Any]], float]
    shown: str
    is_met: Callable[[float], bool]


def _ours(name: str) -> Callable[[dict[str, Any]], float]:
    return lambda figures: float(figures["greensalt"][name])


def _share(name: str) -> Callable[[dict[str, Any]], float]:
    """How many times as much stock Salt takes."""
    return lambda figures: float(figures["stock"][name] / figures["greensalt"][name])


def _times(name: str) -> Callable[[dict[str, Any]], float]:
    return lambda figures: float(figures["greensalt"][name] / figures["stock"][name])


CPU = "CPU of the master per return, ms"
STORM = "storm: return of the others, p99, ms"
CONNECTED = "memory per connected minion, KiB"
SEEN = "publish to last return seen, p99, s"
GOALS = (
    Goal(
        "CPU per return, 1,000 minions",
        "1/60 of stock's",
        "scale",
        _share(CPU),
        "1/{:.0f}",
        lambda v: v >= 60,
    ),
    Goal(
        "the same beside the limit",
        "1.4 times",
        "limit",
        lambda f: float(f["greensalt"]["CPU per return, us"] / f["limit"]["CPU per return, us"]),
        "{:.2f} times",
        lambda v: v <= 1.4,
    ),
    Goal(
        "returns per second",
        "40 times stock's",
        "scale",
        _times("returns per second"),
        "{:.0f} times",
        lambda v: v >= 40,
    ),
    Goal(
        "job to 1,000 minions, last return seen, p99",
        "1/20 of stock's",
        "scale",
        _share(SEEN),
        "1/{:.0f}",
        lambda v: v >= 20,
    ),
    Goal(
        "memory per connected minion",
        "80 KiB",
        "many",
        _ours(CONNECTED),
        "{:.0f} KiB",
        lambda v: v <= 80,
    ),
    Goal(
        "CPU per sign-in",
        "1/3 of stock's",
        "scale",
        _share("CPU per sign-in alone, ms"),
        "1/{:.1f}",
        lambda v: v >= 3,
    ),
    Goal(
        "return of the others in a storm, p99",
        "250 ms",
        "scale",
        _ours(STORM),
        "{:.0f} ms",
        lambda v: v <= 250,
    ),
    Goal(
        "sign-ins after a restart",
        "none",
        "scale",
        _ours("sign-ins after the restart"),
        "{:.0f}",
        lambda v: v == 0,
    ),
    Goal(
        "`'*' test.ping` from the shell",
        "0.15 s",
        "basics",
        _ours("`'*' test.ping` from the shell, s"),
        "{:.3f} s",
        lambda v: v <= 0.15,
    ),
    Goal(
        "idle master",
        "45 MiB",
        "basics",
        _ours("idle master, MiB"),
        "{:.1f} MiB",
        lambda v: v <= 45,
    ),
    Goal(
        "idle minion",
        "35 MiB",
        "basics",
        _ours("idle minion, MiB"),
        "{:.1f} MiB",
        lambda v: v <= 35,
    ),
    Goal(
        "memory per minion of `minion --count`",
        "150 KiB",
        "minions",
        _ours("memory per minion, KiB"),
        "{:.0f} KiB",
        lambda v: v <= 150,
    ),
    Goal(
        "pillars with one worker process",
        "1.3 times",
        "workers",
        _ours("ratio"),
        "{:.2f} times",
        lambda v: v >= 1.3,
    ),
)


COMPARED = (
    ("basics", "`'*' test.ping` from the shell, s", "test.ping from the shell, s"),
    ("basics", "idle master, MiB", "idle master, MiB"),
    ("scale", CPU, "CPU per return, 1,000 minions, ms"),
    ("scale", SEEN, "job to 1,000 minions, p99, s"),
    ("scale", "CPU per sign-in alone, ms", "CPU per sign-in, ms"),
)


def main() -> int:
    runs = load()
    (DOCS / "performance.md").write_text(page(runs))
    (RUNS / "compared.svg").write_text(plot(runs))
    return 0


def plot(runs: Runs) -> str:
    """Greensalt and stock Salt side by side, a panel for each figure."""
    panels = []
    for run, name, title in COMPARED:
        figures = runs.get(run, {}).get("figures", {})
        if {"greensalt", "stock"} <= figures.keys():
            rows = [(kind, [figures[kind][name]]) for kind in ("greensalt", "stock")]
            panels.append(Panel(title, rows))
    return bars("greensalt and stock Salt on one machine", "", panels)


def load() -> Runs:
    """The recorded runs by the names of their files."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(RUNS.glob("*.json"))}


def page(runs: Runs) -> str:
    """The whole page."""
    parts = [HEAD, goals(runs)]
    for section in SECTIONS:
        if section.run not in runs:
            continue
        run = runs[section.run]
        parts.append(
            f"## {section.heading}\n\n{section.text}\n\n"
            f"    {run['command']}\n\n"
            f"{machine_line(run['machine'])}\n\n{table(run['figures'])}"
        )
    return "\n".join(parts)


def goals(runs: Runs) -> str:
    """What was to be reached, and what the recorded runs say."""
    lines = ["## Goals\n", "| figure | goal | measured | |", "|---|---|---|---|"]
    for goal in GOALS:
        if goal.run not in runs:
            lines.append(f"| {goal.name} | {goal.goal} | - | not measured |")
            continue
        value = goal.value(runs[goal.run]["figures"])
        verdict = "met" if goal.is_met(value) else "**missed**"
        lines.append(f"| {goal.name} | {goal.goal} | {goal.shown.format(value)} | {verdict} |")
    picture = "![greensalt and stock Salt](performance/compared.svg)"
    return "\n".join([*lines, "", picture]) + "\n"


if __name__ == "__main__":
    sys.exit(main())
