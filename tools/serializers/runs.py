"""The recorded run: the micro-benchmark, all codecs on one master, each alone on a master.

Together, the codecs live under the same load: their latencies can be compared. Alone, what the
master uses is one codec's: CPU and memory can be told apart. The record is a small JSON file, from
which `page` makes the page again at any time.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from greensalt.serializers import Codec, Facts
from loadtest._payloads import PAYLOADS
from tools.serializers.micro import library, measure_all

ROOT: Final = Path(__file__).parent.parent.parent
ACCEPTED: Final = "return accepted"
ALONE_PAYLOADS: Final = ("grains", "highstate")


class Plan(NamedTuple):
    """How long each part takes, in seconds, and how many users run jobs."""

    micro_s: float = 0.1
    together_s: int = 75
    alone_s: int = 6
    users: int = 6
    pause_s: float = 0.15


class RunFailed(Exception):
    """Locust has failed, or has not measured what it should have."""


def record(codecs: Sequence[Codec], plan: Plan) -> dict[str, Any]:
    """Measure everything. Raises RunFailed."""
    names = [codec.name for codec in codecs]
    micro = [figures._asdict() for figures in measure_all(codecs, plan.micro_s)]
    together = locust(_together(names, plan))
    alone = []
    for name in names:
        found = locust(_alone(name, plan))
        alone.append({"codec": name, "command": found["command"], **cost(found)})
    return {
        "plan": plan._asdict(),
        "libraries": {name: library(name) for name in names},
        "facts": {
            codec.name: dict(zip(Facts._fields, codec.facts, strict=True)) for codec in codecs
        },
        "micro": micro,
        "together": together,
        "alone": alone,
    }


def cost(found: dict[str, Any]) -> dict[str, float]:
    """What the master of a run used: CPU for each return, and memory at the end."""
    (master,) = [each for each in found["usages"] if each["name"] == "greensalt master"]
    returns_per_s = sum(
        row["per_s"] for row in found["rows"] if row["name"].endswith(f": {ACCEPTED}")
    )
    return {
        "returns_per_s": round(returns_per_s, 1),
        "cpu_ms": round(master["cpu_percent"] / 100 / returns_per_s * 1e3, 3),
        "memory_mib": round(master["memory_mib"], 1),
    }


def locust(options: Sequence[str]) -> dict[str, Any]:
    """One headless run of the load test; its record, with the command as a user would type it."""
    shown = ["locust", "-f", "loadtest/", "--headless", *options]
    print(f"$ {shlex.join(shown)}", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(prefix="serializers-") as where:
        path = Path(where) / "record.json"
        argv = [sys.executable, "-m", *shown, "--only-summary", "--record", str(path)]
        done = subprocess.run(argv, cwd=ROOT, check=False, capture_output=True, text=True)
        if done.returncode or not path.exists():
            raise RunFailed(f"{shlex.join(shown)} has failed:\n{done.stderr[-4000:]}")
        found: dict[str, Any] = json.loads(path.read_text())
    keep = ("machine", "ended", "rows", "usages", "machine_percent", "parts", "verdict")
    return {"command": shlex.join(shown), **{name: found[name] for name in keep}}


def _together(names: Sequence[str], plan: Plan) -> list[str]:
    users = ["-u", str(plan.users), "-r", str(plan.users), "-t", f"{plan.together_s}s"]
    return [*users, "--pause", str(plan.pause_s), "--payload", *PAYLOADS, "--serializer", *names]


def _alone(name: str, plan: Plan) -> list[str]:
    users = ["-u", "4", "-r", "4", "-t", f"{plan.alone_s}s", "--pause", "0.1", "--minions", "10"]
    return [*users, "--payload", *ALONE_PAYLOADS, "--serializer", name]
