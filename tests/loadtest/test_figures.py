from __future__ import annotations

import random

from hypothesis import given, strategies as st

from greensalt.wire.dialect import pack
from greensalt.wire.jid import is_jid
from loadtest._knee import Step, knee, sentence
from loadtest._payloads import PAYLOADS
from loadtest._publisher import Jids
from loadtest._rounding import KEYS, LEAST_MS, MOST_MS, three_digits

SIZES = {
    "ping": (1, 1),
    "grains": (7_000, 9_000),
    "text": (60_000, 68_000),
    "highstate": (55_000, 65_000),
    "binary": (256 << 10, (256 << 10) + 8),
}


@given(st.floats(LEAST_MS, MOST_MS))
def test_a_time_is_kept_with_three_digits(time_ms: float) -> None:
    assert abs(three_digits(time_ms) - time_ms) <= time_ms * 0.00501


@given(st.floats(allow_nan=False))
def test_whatever_is_measured_has_a_bounded_key(time_ms: float) -> None:
    assert LEAST_MS <= three_digits(time_ms) <= MOST_MS


def test_many_times_share_few_keys() -> None:
    rng = random.Random(1)
    keys = {three_digits(10 ** rng.uniform(-5, 8)) for _ in range(200_000)}
    assert 5_000 < len(keys) <= KEYS


def test_payloads_are_as_large_as_they_say_and_the_same_in_every_run() -> None:
    assert set(PAYLOADS) == set(SIZES)
    for name, (least, most) in SIZES.items():
        data = pack(PAYLOADS[name].make())
        assert least <= len(data) <= most, (name, len(data))
        assert pack(PAYLOADS[name].make()) == data


def test_jids_of_a_process_are_never_the_same() -> None:
    jids = Jids()
    made = [jids.next() for _ in range(5_000)]
    assert made == sorted(set(made))
    assert all(is_jid(jid) for jid in made)


def test_the_knee_is_the_last_step_that_was_worth_its_users() -> None:
    steps = [Step(5, 10, 20), Step(10, 19, 21), Step(15, 27, 30), Step(20, 27.5, 55)]
    assert knee(steps) == steps[2]
    assert sentence(steps).startswith("the knee is at 15 users: 27.0 jobs/s")


def test_a_step_without_a_longer_wait_is_no_knee() -> None:
    assert knee([Step(5, 10, 20), Step(10, 10, 21)]) is None
    assert sentence([Step(5, 10, 20)]) == "no knee up to 5 users"
