"""The serializers side by side, in one process: size, encode, decode, fidelity.

    python -m tools.serializers [--seconds S] [--codec NAME ...] [--out FILE] [--json FILE]

Prints Markdown. Times are medians of many; compare the ratios, not the figures of two runs.
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

from greensalt.config.codecs import BUILT_IN
from greensalt.errors import SerializerUnusable
from greensalt.serializers import MSGPACK, Codec, Facts, find, names
from tools.serializers.payloads import payloads

LEAST_BATCHES = 7
BATCH_S = 0.002  # long enough for the clock, short enough for a median


class Figures(NamedTuple):
    """Of one codec and payload; times of one call in microseconds."""

    bytes: int
    encode_us: float
    decode_us: float


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=0.2, help="for each figure (0.2)")
    parser.add_argument("--codec", action="append", help="only these; may be repeated")
    parser.add_argument("--out", type=Path, help="write the tables there, too")
    parser.add_argument("--json", type=Path, help="write the figures there")
    args = parser.parse_args()
    codecs = available(args.codec or names())
    measured = {
        payload: {codec.name: measure(codec, load, args.seconds) for codec in codecs}
        for payload, load in payloads().items()
    }
    text = report(codecs, measured)
    print(text)
    if args.out:
        args.out.write_text(text + "\n")
    if args.json:
        rows = {
            payload: {name: figures._asdict() for name, figures in by_codec.items()}
            for payload, by_codec in measured.items()
        }
        args.json.write_text(json.dumps(rows, indent=1) + "\n")
    return 0


def available(wanted: Sequence[str]) -> list[Codec]:
    """The codecs whose libraries are there, msgpack first: the others are compared with it."""
    codecs = [MSGPACK]
    for name in wanted:
        try:
            codec = find(name)
        except SerializerUnusable as error:
            print(f"left out: {error}", file=sys.stderr)
            continue
        if codec is not MSGPACK:
            codecs.append(codec)
    return codecs


def measure(codec: Codec, load: Mapping[str, Any], seconds: float) -> Figures:
    """Prove that a codec carries a load, then time it."""
    packed = codec.dumps(load)
    if codec.loads(packed) != MSGPACK.loads(MSGPACK.dumps(load)):
        raise AssertionError(f"{codec.name} changes {load['fun']}")
    return Figures(
        len(packed),
        median_us(lambda: codec.dumps(load), seconds),
        median_us(lambda: codec.loads(packed), seconds),
    )


def median_us(work: Callable[[], object], seconds: float) -> float:
    """The median time of a call over batches of calls, in microseconds."""
    started = time.perf_counter()
    work()
    once_s = max(time.perf_counter() - started, 1e-7)
    calls = max(1, int(BATCH_S / once_s))
    times: list[float] = []
    was_on = gc.isenabled()
    gc.disable()
    try:
        until = time.perf_counter() + seconds
        while len(times) < LEAST_BATCHES or time.perf_counter() < until:
            begun = time.perf_counter()
            for _ in range(calls):
                work()
            times.append((time.perf_counter() - begun) / calls)
    finally:
        if was_on:
            gc.enable()
    return statistics.median(times) * 1e6


def report(codecs: Sequence[Codec], measured: Mapping[str, Mapping[str, Figures]]) -> str:
    """All tables as Markdown."""
    parts = [f"Python {platform.python_version()}, {platform.machine()}."]
    for payload, by_codec in measured.items():
        base = by_codec[MSGPACK.name]
        rows = [
            (
                name,
                f"{each.bytes:,}",
                f"{each.encode_us:,.1f}",
                f"{each.decode_us:,.1f}",
                f"{(each.encode_us + each.decode_us) / (base.encode_us + base.decode_us):.2f}",
            )
            for name, each in by_codec.items()
        ]
        head = ("codec", "bytes", "encode µs", "decode µs", "both, msgpack = 1")
        parts.append(f"### {payload}\n\n{table(head, rows)}")
    facts = [(codec.name, library(codec.name), *codec.facts) for codec in codecs]
    parts.append(f"### Fidelity\n\n{table(('codec', 'library', *Facts._fields), facts)}")
    return "\n\n".join(parts)


def library(name: str) -> str:
    """The package that does the work, and its version."""
    package = BUILT_IN.get(name) or name
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return "standard library"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
