"""Figures as a table for people and as JSON for tools, with the machine they were taken on."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests._daemons import StockMaster

Figures = dict[str, float]


def machine() -> dict[str, Any]:
    """Where and when figures were taken."""
    return {
        "cpus": os.cpu_count(),
        "model": _cpu_model(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "stock": StockMaster.version,
        "commit": _commit(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
    }


def machine_line(machine: Mapping[str, Any]) -> str:
    return (
        f"{machine['date']}, {machine['cpus']} x {machine['model']}, Linux {machine['kernel']},"
        f" Python {machine['python']}; stock Salt {machine['stock']}; commit {machine['commit']}"
    )


def table(figures: Mapping[str, Figures]) -> str:
    """A Markdown table: a row per figure, a column per kind, and the ratio when there are two."""
    kinds = list(figures)
    other = next((kind for kind in ("stock", "limit") if kind in kinds), None)
    head = ["figure", *kinds, *(["ratio"] if other else [])]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for name in dict.fromkeys(name for each in figures.values() for name in each):
        row = [_figure(figures[kind].get(name)) for kind in kinds]
        if other:
            row.append(_ratio(figures["greensalt"].get(name), figures[other].get(name)))
        lines.append(f"| {name} | {' | '.join(row)} |")
    return "\n".join(lines) + "\n"


def write(title: str, figures: Mapping[str, Figures], out: Path | None) -> None:
    """Print the table; with `out` keep everything as JSON there, too."""
    here = machine()
    print(f"{title}\n{machine_line(here)}\n\n{table(figures)}", flush=True)
    if out is not None:
        out.write_text(
            json.dumps(
                {"title": title, "command": _command(), "machine": here, "figures": figures},
                indent=1,
            )
            + "\n"
        )


def _command() -> str:
    """How this was called."""
    module = Path(sys.argv[0]).with_suffix("").parts[-3:]
    name = ".".join(module[module.index("tools") :]).removesuffix(".__main__")
    return " ".join(["python", "-m", name, *sys.argv[1:]])


def percentile(values: list[float], percent: float) -> float:
    """The value below which `percent` per cent of them are."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def _figure(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


def _ratio(ours: float | None, stock: float | None) -> str:
    """1/x where ours is the smaller one, x times where it is the larger one."""
    if not ours or not stock:
        return "-"
    return f"1/{stock / ours:.1f}" if ours <= stock else f"{ours / stock:.1f} x"


def _cpu_model() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor()


def _commit() -> str:
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], check=False, capture_output=True, text=True
    )
    return done.stdout.strip() or "unknown"
