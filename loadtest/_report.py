"""What a run has shown, beyond locust's own tables: rows, processes, shares, a verdict.

Written as JSON with `--record FILE`, printed to the log, and shown in the web UI.
"""

from __future__ import annotations

import json
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import psutil
from locust.env import Environment
from locust.stats import StatsEntry

from greensalt import __version__
from loadtest._meters import Meters, Usage
from loadtest._options import Settings
from loadtest._shares import Share
from loadtest._site import Lane
from loadtest._steps import ACCEPTED, row


class Row(NamedTuple):
    """One row of the statistics; times in milliseconds, size in bytes."""

    lane: str
    name: str
    requests: int
    failures: int
    per_s: float
    least_ms: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    most_ms: float
    size: float


class Part(NamedTuple):
    """Where the median time from a minion's send to the acknowledgement went, in per cent."""

    lane: str
    payload: str
    accepted_ms: float
    serializer: float
    crypto: float
    zmq: float
    store: float
    rest: float


class Report(NamedTuple):
    """Everything about a run that has ended."""

    command: list[str]
    machine: dict[str, Any]
    settings: dict[str, Any]
    ended: str
    rows: list[Row]
    usages: list[Usage]
    machine_percent: float
    parts: list[Part]
    shares: list[Share]
    knee: str
    verdict: list[str]

    @classmethod
    def of(
        cls,
        environment: Environment,
        settings: Settings,
        lanes: Sequence[Lane],
        meters: Meters,
        shares: list[Share],
        knee: str,
    ) -> Report:
        found = rows(environment)
        return cls(
            command=sys.argv,
            machine=machine(),
            settings=settings._replace(key_file="")._asdict(),
            ended=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            rows=found,
            usages=meters.usages(),
            machine_percent=meters.machine_percent,
            parts=parts(found, lanes, shares),
            shares=shares,
            knee=knee,
            verdict=meters.verdict(),
        )

    def lines(self) -> list[str]:
        """The report as text. Locust prints the rows as well, but in whole milliseconds."""
        said = [
            f"{each.lane}, {each.name}: p50 {each.p50_ms:.3g}, p95 {each.p95_ms:.3g}, p99"
            f" {each.p99_ms:.3g} ms, {each.failures} of {each.requests} failed"
            for each in self.rows
        ]
        said += [
            f"{each.name}: {each.cpu_percent:.0f} % of a core (at most"
            f" {each.cpu_most_percent:.0f} %), {each.memory_mib:.0f} MiB"
            for each in self.usages
        ]
        said.append(f"the machine: {self.machine_percent:.0f} % of {psutil.cpu_count()} cores")
        said += [
            f"{each.lane}, {each.payload}: of {each.accepted_ms:.3g} ms until a return is accepted"
            f" the serializer takes {each.serializer:.0f} %, encryption {each.crypto:.0f} %,"
            f" ZeroMQ {each.zmq:.0f} %, the store {each.store:.0f} %, the rest {each.rest:.0f} %"
            for each in self.parts
        ]
        if self.knee:
            said.append(self.knee)
        return said + [f"BEWARE: {each}" for each in self.verdict]

    def as_json(self) -> dict[str, Any]:
        def plain(value: Any) -> Any:
            return [each._asdict() for each in value]

        named = {"rows", "usages", "parts", "shares"}
        return {
            key: plain(value) if key in named else value for key, value in self._asdict().items()
        }

    def write(self, path: str) -> None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(json.dumps(self.as_json(), indent=1))


def rows(environment: Environment) -> list[Row]:
    """The statistics so far, sorted by name and then by lane."""
    entries = environment.stats.entries.values()
    found = [_row(entry) for entry in entries]
    return sorted(found, key=lambda each: (each.name, each.lane))


def _row(entry: StatsEntry) -> Row:
    return Row(
        lane=str(entry.method),
        name=entry.name,
        requests=entry.num_requests,
        failures=entry.num_failures,
        per_s=round(entry.total_rps, 3),
        least_ms=round(entry.min_response_time or 0.0, 4),
        p50_ms=entry.get_response_time_percentile(0.5),
        p95_ms=entry.get_response_time_percentile(0.95),
        p99_ms=entry.get_response_time_percentile(0.99),
        most_ms=round(entry.max_response_time, 4),
        size=round(entry.avg_content_length, 1),
    )


def parts(found: Sequence[Row], lanes: Sequence[Lane], shares: Sequence[Share]) -> list[Part]:
    """The measured parts as shares of the measured whole, for lanes on greensalt's master.

    Nothing is known about the inside of another master, and a whole that is smaller than the sum of
    its parts (they were measured one after the other) leaves no rest.
    """
    whole = {(each.lane, each.name): each.p50_ms for each in found}
    result = []
    for lane in lanes:
        for share in shares:
            accepted_ms = whole.get((lane.label, row(share.payload, ACCEPTED)))
            if share.codec == lane.codec and accepted_ms and lane.bus_kind != "stream":
                result.append(_part(lane.label, share, accepted_ms))
    return result


def _part(label: str, share: Share, accepted_ms: float) -> Part:
    base = max(accepted_ms, share.known_ms)

    def percent(part_ms: float) -> float:
        return round(part_ms / base * 100, 1)

    return Part(
        lane=label,
        payload=share.payload,
        accepted_ms=accepted_ms,
        serializer=percent(share.dumps_ms + share.loads_ms),
        crypto=percent(share.crypto_ms),
        zmq=percent(share.zmq_ms),
        store=percent(share.store_ms),
        rest=percent(base - share.known_ms),
    )


def machine() -> dict[str, Any]:
    """What the run ran on."""
    model = platform.processor()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return {
        "cpu": model,
        "cores": psutil.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "greensalt": __version__,
    }
