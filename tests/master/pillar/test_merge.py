from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from greensalt.config.master import MERGING_STRATEGIES
from greensalt.master.pillar.merge import STRATEGIES, merge

values = st.recursive(
    st.one_of(st.none(), st.integers(), st.text(max_size=3)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
    max_leaves=12,
)
pillars = st.dictionaries(st.sampled_from("abc"), values, max_size=3)
RECURSIVE = ["smart", "recurse", "none"]


def test_the_configuration_knows_all_strategies() -> None:
    assert STRATEGIES == MERGING_STRATEGIES


@pytest.mark.parametrize(
    ("strategy", "merged"),
    [
        ("smart", {"a": {"x": 1, "y": 3}, "l": [2], "b": 1, "c": 2}),
        ("recurse", {"a": {"x": 1, "y": 3}, "l": [2], "b": 1, "c": 2}),
        ("none", {"a": {"x": 1, "y": 3}, "l": [2], "b": 1, "c": 2}),
        ("overwrite", {"a": {"y": 3}, "l": [2], "b": 1, "c": 2}),
        ("aggregate", {"a": {"y": 3}, "l": [2], "b": 1, "c": 2}),
        ("list", {"a": [{"x": 1, "y": 2}, {"y": 3}], "l": [[1], [2]], "b": 1}),
    ],
)
def test_each_strategy_has_its_way(strategy: str, merged: Any) -> None:
    below = {"a": {"x": 1, "y": 2}, "l": [1], "b": 1}
    assert merge(below, {"a": {"y": 3}, "l": [2], "c": 2}, strategy) == merged


def test_lists_are_joined_without_what_is_there_already() -> None:
    merged = merge(
        {"a": [1, 2], "b": {"c": [1]}}, {"a": [2, 3, 3], "b": {"c": [2]}}, merge_lists=True
    )
    assert merged == {"a": [1, 2, 3], "b": {"c": [1, 2]}}


@settings(suppress_health_check=[HealthCheck.too_slow])  # the first value takes a while
@given(pillars, pillars, st.sampled_from(STRATEGIES), st.booleans())
def test_nothing_given_is_changed(below: Any, above: Any, strategy: str, lists: bool) -> None:
    before = deepcopy((below, above))
    merge(below, above, strategy, merge_lists=lists)
    assert (below, above) == before


@given(pillars, st.sampled_from(RECURSIVE))
def test_merging_with_nothing_or_with_itself_changes_nothing(data: Any, strategy: str) -> None:
    assert (
        merge(data, {}, strategy)
        == merge({}, data, strategy)
        == merge(data, data, strategy)
        == data
    )


@given(pillars, pillars)
def test_what_is_above_wins_and_no_key_is_lost(below: Any, above: Any) -> None:
    merged = merge(below, above)
    assert merged.keys() == below.keys() | above.keys()
    for key, value in above.items():
        if not isinstance(value, dict):
            assert merged[key] == value
