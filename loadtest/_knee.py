"""Where more users stop to bring more jobs: what `--model ramp` looks for."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple

WORTH: Final = 0.5
"""A step is worth its users if the throughput grows by this part of what they could bring."""
SLOWER: Final = 2.0
"""Beyond the knee the last return takes so many times as long as on the first step."""


class Step(NamedTuple):
    """One step of a ramp that is over; `last_return_ms` is the mean of its jobs."""

    users: int
    jobs_per_s: float
    last_return_ms: float


def knee(steps: Sequence[Step]) -> Step | None:
    """The last step that was worth its users; None when all were so far.

    A step beyond the knee has a longer wait and hardly more jobs; one of the two alone is chance.
    """
    for before, after in pairwise(steps):
        hoped = before.jobs_per_s * (1 + WORTH * (after.users / before.users - 1))
        is_slow = after.last_return_ms > steps[0].last_return_ms * SLOWER
        if is_slow and after.jobs_per_s < hoped:
            return before
    return None


def sentence(steps: Sequence[Step]) -> str:
    """What a ramp has found, for people."""
    if not steps:
        return "the ramp ended before its first step: no knee is known"
    found = knee(steps)
    if found is None:
        return f"no knee up to {steps[-1].users} users"
    return (
        f"the knee is at {found.users} users: {found.jobs_per_s:.1f} jobs/s,"
        f" last return after {found.last_return_ms:.3g} ms on average"
    )
