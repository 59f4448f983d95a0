"""Which codec to take when: sentences derived from the recorded figures, and from nothing else.

Two codecs differ when they differ by more than the run's noise. The noise is measured in the run
itself: a publish does the same work whatever its minions will return, so what its median differs by
from payload to payload, for the same codec, is no difference of anything.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Any, Final

BASE: Final = "msgpack"
ACCEPTED: Final = "return accepted"
PUBLISHED: Final = "publish acknowledged"

Medians = Mapping[str, Mapping[str, float]]
"""Milliseconds by payload and codec."""


def medians(run: Mapping[str, Any], what: str) -> dict[str, dict[str, float]]:
    """The medians of a row of the run, by payload and codec."""
    found: dict[str, dict[str, float]] = {}
    for row in run["together"]["rows"]:
        payload, _, name = row["name"].partition(": ")
        if name == what:
            found.setdefault(payload, {})[row["lane"]] = row["p50_ms"]
    return found


def noise(published: Medians) -> float:
    """By what part the medians of the same publish differ at worst: so many figures are compared
    that one of them is as far off as the worst of these.
    """
    spreads = []
    for codec in next(iter(published.values())):
        times = [by_codec[codec] for by_codec in published.values()]
        spreads.append(max(times) / min(times) - 1)
    return max(spreads)


def advice(run: Mapping[str, Any]) -> str:
    """One paragraph, and what it rests on."""
    accepted = medians(run, ACCEPTED)
    blur = noise(medians(run, PUBLISHED))
    better: dict[str, list[str]] = {}
    worse: dict[str, list[str]] = {}
    for payload, by_codec in accepted.items():
        for codec, time_ms in by_codec.items():
            ratio = time_ms / by_codec[BASE]
            if ratio < 1 / (1 + blur):
                better.setdefault(codec, []).append(f"{payload} ({ratio:.2f})")
            elif ratio > 1 + blur:
                worse.setdefault(codec, []).append(f"{payload} ({ratio:.2f})")
    base = (
        f"Take **{BASE}**, the default, where nothing speaks against it: it is the only one that"
        " stock Salt reads, and needs no second publish port."
    )
    parts = [base]
    if better:
        parts.append(
            "Until a return is accepted took distinctly less than with msgpack (msgpack = 1) with "
            + "; ".join(f"**{codec}** for {', '.join(of)}" for codec, of in better.items())
            + "."
        )
    else:
        parts.append("No other codec got any payload accepted distinctly sooner.")
    if worse:
        parts.append(
            "It took distinctly more with "
            + "; ".join(f"**{codec}** for {', '.join(of)}" for codec, of in worse.items())
            + ": don't take these for such returns."
        )
    else:
        parts.append("None got a payload accepted distinctly later.")
    parts += [_alone(run), _sizes(run)]
    parts.append(
        f"Distinctly is by more than {blur:.0%}: by so much the median of an acknowledged publish"
        " differs from payload to payload for one of the codecs, although a publish is the same"
        " work for all of them."
    )
    return " ".join(parts)


def _alone(run: Mapping[str, Any]) -> str:
    """By what the codecs differ when they are alone in a process."""
    totals: dict[str, dict[str, float]] = {}
    for each in run["micro"]:
        totals.setdefault(each["payload"], {})[each["codec"]] = (
            each["encode_us"] + each["decode_us"]
        )
    ratios = {
        codec: statistics.geometric_mean(
            [by_codec[codec] / by_codec[BASE] for by_codec in totals.values()]
        )
        for codec in next(iter(totals.values()))
    }
    quick, slow = min(ratios, key=ratios.__getitem__), max(ratios, key=ratios.__getitem__)
    return (
        f"Alone in a process the codecs are further apart: packing and unpacking takes from"
        f" {ratios[quick]:.2f} ({quick}) to {ratios[slow]:.2f} ({slow}) of msgpack's time, as a"
        " geometric mean over the payloads."
    )


def _sizes(run: Mapping[str, Any]) -> str:
    sizes = {(each["payload"], each["codec"]): each["bytes"] for each in run["micro"]}
    name, payload, ratio = max(
        ((codec, of, size / sizes[of, BASE]) for (of, codec), size in sizes.items()),
        key=lambda found: found[2],
    )
    return (
        f"The largest load in comparison is {name}'s for {payload}, {ratio:.2f} of msgpack's bytes."
    )
