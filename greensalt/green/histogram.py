"""Durations in a bounded number of buckets: what 50, 99 and 100 percent of them did not exceed."""

from __future__ import annotations

import math
from typing import Any, Final

LEAST_S: Final = 10e-6
PER_OCTAVE: Final = 4  # so a quantile is at most 19 % too high
BUCKETS: Final = 24 * PER_OCTAVE  # up to 168 s; what is longer counts into the last one


class Histogram:
    """Counts durations, in seconds."""

    __slots__ = ("_buckets", "count", "longest_s", "total_s")

    def __init__(self) -> None:
        self._buckets = [0] * (BUCKETS + 1)
        self.count = 0
        self.total_s = 0.0
        self.longest_s = 0.0

    def add(self, duration_s: float) -> None:
        self.count += 1
        if duration_s <= LEAST_S:
            self._buckets[0] += 1
            return
        self.total_s += duration_s
        self.longest_s = max(self.longest_s, duration_s)
        bucket = math.ceil(math.log2(duration_s / LEAST_S) * PER_OCTAVE)
        self._buckets[min(bucket, BUCKETS)] += 1

    def quantile_s(self, share: float) -> float:
        """What the given share (0 to 1) of all durations did not exceed, rounded up to a bucket."""
        left = math.ceil(share * self.count)
        for number, count in enumerate(self._buckets):
            left -= count
            if left <= 0 and count:
                return min(self.longest_s, LEAST_S * 2 ** (number / PER_OCTAVE))
        return 0.0

    def figures(self) -> dict[str, Any]:
        """{count, mean, p50, p99, max}, in seconds."""
        return {
            "count": self.count,
            "mean": self.total_s / self.count if self.count else 0.0,
            "p50": self.quantile_s(0.5),
            "p99": self.quantile_s(0.99),
            "max": self.longest_s,
        }
