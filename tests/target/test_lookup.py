"""Looking up `key:value` in grains and pillar."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from greensalt.errors import TargetError
from greensalt.target.lookup import MAX_EXPRESSION, MAX_PARTS, Lookup, Mode
from tests._load import cpu_of

DATA: dict[str, Any] = {
    "os": "Debian",
    "num": 4,
    "flag": True,
    "none": None,
    "a": {"b": {"c": "d"}},
    "x": "y:z",
    "x:y": "w",
    "roles": ["Web", "db", {"k": "v", "deep": {"er": 1}}, ["in", "list"]],
    "ports": {80: "http", 1.5: "float", True: "yes", None: "nil", "443": "https"},
    "dicts": [{"name": "one"}, {"name": "two", 3: "three"}],
    "empty": {},
    "nothing": [],
    "pair": ("p", "q"),
}


def found(expression: str, mode: Mode = "glob", delimiter: str = ":", data: Any = DATA) -> bool:
    return Lookup(expression, delimiter, mode).found(data)


@pytest.mark.parametrize(
    "expression",
    [
        "os:Debian", "os:debian", "os:DEB*", "os:*", "os:[DR]ebian", "os:?ebian",
        "num:4", "flag:true", "none:none",
        "a:b:c:d", "a:b:*", "a:*", "a:b:c", "a:b",
        "x:y:z", "x:*",
        "roles:web", "roles:d?", "roles:k:v", "roles:k:*", "roles:deep:er:1", "roles:k",
        "roles:0:web", "roles:-1:in", "roles:3:in", "roles:deep:er",
        "ports:80:http", "ports:1.5:float", "ports:yes:yes", "ports:null:nil", "ports:None:nil",
        "ports:443:https", "ports:80", "ports:*",
        "dicts:name:one", "dicts:3:three", "dicts:1:name:two",
        "pair:p", "*:os", "*:os:debian", "*:b:c:d", "*:*:c", "*:deb*", "*:db",
        "*:*", "none:*",
    ],
)  # fmt: skip
def test_found(expression: str) -> None:
    assert found(expression)


@pytest.mark.parametrize(
    "expression",
    [
        "os:Red*", "os:ebian", "missing:*", "OS:Debian", "os:x:Debian", "num:4:x", "a:b:c:x",
        "roles:9:web", "roles:-9:web", "roles:nobody", "roles:zz:v", "empty:*", "empty:a:b",
        "nothing:*", "nothing:0:x", "ports:81:http", "ports:8_0:http", "ports:!!bool x:yes",
        "ports:[:x", "ports:[1, 2]:x", "ports:2001-99-99:x", "ports:\x07:x", "ports:abc:yes",
        "a:[b]:*", "x:y:w", "*:c:d", "pair:0:p", "*:nowhere", "none:x:y",
        f"ports:{'9' * 65}:x", "*:*:*:nowhere",
    ],
)  # fmt: skip
def test_not_found(expression: str) -> None:
    assert not found(expression)


@pytest.mark.parametrize(
    ("expression", "there"),
    [
        ("os:^Deb", True),
        ("os:deb|red", True),
        ("os:ebian", False),
        ("roles:w.b", True),
        ("a:.:c", False),
        ("a:^z", False),
        ("a:*", True),
        ("missing:*", False),
        # The first cut breaks the group, the second one does not.
        ("x:(y:z)", True),
    ],
)
def test_regular_expressions_match_at_the_start(expression: str, there: bool) -> None:
    assert found(expression, "regex") is there


def test_a_cut_through_a_regular_expression_matches_nothing() -> None:
    assert not found("x:(y:z)", "regex", data={"x": {"(y": "z)"}})
    assert found("x:(y:z)", "regex", data={"x": ["z", "y:z"]})


def test_a_regular_expression_that_no_cut_makes_whole_is_refused() -> None:
    with pytest.raises(TargetError, match="bad regular expression '\\['"):
        found("roles:[", "regex")


@pytest.mark.parametrize(
    ("expression", "there"),
    [
        ("os:debian", True),
        ("os:deb*", False),
        ("os:*", False),
        ("roles:WEB", True),
        ("roles:w*", False),
        ("a:b", True),
        ("a:*", True),
        ("a:b:c:d", True),
    ],
)
def test_exact_mode_knows_no_patterns_but_presence(expression: str, there: bool) -> None:
    assert found(expression, "exact") is there


def test_another_delimiter_cuts_at_the_top_and_the_colon_below() -> None:
    assert found("x|y:z", delimiter="|")
    assert found("a|b|c|d", delimiter="|")
    assert found("a|b:c:d", delimiter="|")
    assert not found("os:x|Debian", delimiter="|")
    assert found("os->Debian", delimiter="->")
    assert not found("*|os", delimiter="|")


def test_any_mapping_will_do() -> None:
    assert found("a:b:c", data=MappingProxyType({"a": MappingProxyType({"b": "c"})}))


@pytest.mark.parametrize(
    ("expression", "delimiter", "says"),
    [
        ("os", ":", "'os' is not of the form key:value"),
        ("os:Debian", "|", r"key\|value"),
        ("os:Debian", "", "delimiter is empty"),
        ("a" + ":" * MAX_PARTS, ":", "parts is too long"),
        ("a|b" + ":" * MAX_PARTS, "|", "parts is too long"),
        ("a:" + "b" * MAX_EXPRESSION, ":", "characters is too long"),
    ],
)
def test_an_expression_that_can_match_nothing_is_refused(
    expression: str, delimiter: str, says: str
) -> None:
    with pytest.raises(TargetError, match=says):
        Lookup(expression, delimiter, "glob")


def test_stars_in_deep_data_take_no_time() -> None:
    data: dict[str, Any] = {}
    for _ in range(60):
        data = {"a": data, "b": dict(data), "*": "x"}
    answer: list[bool] = []
    assert cpu_of(lambda: answer.append(found("*:" * (MAX_PARTS - 1) + "nowhere", data=data))) < 5
    assert not answer[0]


_keys = st.one_of(st.sampled_from(["a", "b", "*", "a:b", ""]), st.integers(0, 2), st.booleans())
_data = st.recursive(
    st.one_of(st.none(), st.integers(0, 3), st.sampled_from(["a", "b", "a:b", "*"])),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_keys, inner, max_size=3)),
    max_leaves=10,
)


@given(
    st.dictionaries(_keys, _data, max_size=4),
    st.one_of(
        st.text(max_size=20),
        st.lists(st.sampled_from(["a", "b", "*", "0", "-1", "(", "true", "[a]"]), max_size=6).map(
            ":".join
        ),
    ),
    st.sampled_from(["glob", "regex", "exact"]),
    st.sampled_from([":", "|", "a"]),
)
@settings(max_examples=300, deadline=None)
def test_nothing_but_a_target_error_escapes(
    data: dict[Any, Any], expression: str, mode: Mode, delimiter: str
) -> None:
    try:
        lookup = Lookup(expression, delimiter, mode)
    except TargetError:
        return
    assert isinstance(lookup.found(data), bool)
