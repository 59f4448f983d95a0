"""The serializers alone, in one process: size, time and memory of packing and unpacking."""

from __future__ import annotations

import gc
import random
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NamedTuple

from greensalt.config.codecs import BUILT_IN
from greensalt.errors import SerializerUnusable
from greensalt.serializers import MSGPACK, Codec, find
from loadtest._payloads import PAYLOADS, return_load

LEAST_BATCHES = 7
BATCH_S = 0.002  # long enough for the clock, short enough for a median
JID = "20260101120000123456"


class Figures(NamedTuple):
    """Of one codec and payload; times of one call in microseconds.

    `peak_kib` is the most that one packing and one unpacking have allocated at a time, as
    tracemalloc sees it: what a library takes from the system past Python's allocators is not in it.
    """

    codec: str
    payload: str
    bytes: int
    encode_us: float
    decode_us: float
    peak_kib: float


def loads() -> Mapping[str, dict[str, Any]]:
    """What the minions of the load test return, with the fields that a session adds, by payload."""
    chance = random.Random(20260101)
    session = {"nonce": chance.randbytes(16).hex(), "ts": 1767268800, "tok": chance.randbytes(256)}
    return {
        each.name: {**return_load("web17.example.org", JID, each.fun, each.make()), **session}
        for each in PAYLOADS.values()
    }


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


def measure_all(codecs: Sequence[Codec], seconds: float) -> list[Figures]:
    """Every payload with every codec, each figure measured for so many seconds."""
    return [
        measure(codec, payload, load, seconds)
        for payload, load in loads().items()
        for codec in codecs
    ]


def measure(codec: Codec, payload: str, load: Mapping[str, Any], seconds: float) -> Figures:
    """Prove that a codec carries a load, then time it."""
    packed = codec.dumps(load)
    if codec.loads(packed) != MSGPACK.loads(MSGPACK.dumps(load)):
        raise AssertionError(f"{codec.name} changes {load['fun']}")
    return Figures(
        codec.name,
        payload,
        len(packed),
        round(median_us(lambda: codec.dumps(load), seconds), 2),
        round(median_us(lambda: codec.loads(packed), seconds), 2),
        round(max(peak_kib(lambda: codec.dumps(load)), peak_kib(lambda: codec.loads(packed))), 1),
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


def peak_kib(work: Callable[[], object]) -> float:
    """What a call has allocated at its worst moment, in KiB."""
    tracemalloc.start()
    try:
        result = work()
        peak: int = tracemalloc.get_traced_memory()[1]
        del result
    finally:
        tracemalloc.stop()
    return peak / 1024


def library(name: str) -> str:
    """The package that does the work, and its version."""
    package = BUILT_IN.get(name) or name
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return "standard library"
