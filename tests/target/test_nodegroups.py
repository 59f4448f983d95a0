"""Nodegroups, expanded before a target goes out."""

from __future__ import annotations

from typing import Any

import pytest

from greensalt.errors import TargetError
from greensalt.target import expand_compound, expand_nodegroup, parse
from greensalt.target.expression import MAX_DEPTH

GROUPS: dict[str, Any] = {
    "web": "G@role:web or web*",
    "listed": "L@a,b",
    "names": ["a.example.com", "b.example.com"],
    "text": "a.example.com b.example.com",
    "one": "db1",
    "regex": "db[12]",
    "star": "db*",
    "words": ["G@os:Debian", "and", "web*"],
    "phrase": ["G@os:Debian and web*"],
    "nested": "( N@listed or G@os:X ) and p*",
    "deeper": "N@nested and not N@web",
    "alias": "N@listed",
    "self": "a or N@self",
    "ping": "N@pong",
    "pong": ["a", "or", "N@ping"],
    "lost": "a or N@nowhere",
    "empty": " ",
    "none": [],
    "number": 7,
    "numbers": [1, 2],
}


@pytest.mark.parametrize(
    ("name", "expression"),
    [
        ("web", "( G@role:web or web* )"),
        ("listed", "L@a,b"),
        ("names", "L@a.example.com,b.example.com"),
        ("text", "L@a.example.com,b.example.com"),
        ("one", "L@db1"),
        ("regex", "E@db[12]"),
        ("star", "db*"),
        ("words", "( G@os:Debian and web* )"),
        ("phrase", "( G@os:Debian and web* )"),
        ("nested", "( ( L@a,b or G@os:X ) and p* )"),
        ("deeper", "( ( ( L@a,b or G@os:X ) and p* ) and not ( G@role:web or web* ) )"),
        ("alias", "( L@a,b )"),
        ("numbers", "L@1,2"),
    ],
)
def test_a_nodegroup_is_a_compound_expression_in_parentheses(name: str, expression: str) -> None:
    assert expand_nodegroup(name, GROUPS) == expression
    parse(expression)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nowhere", "there is no nodegroup 'nowhere'"),
        ("lost", "there is no nodegroup 'nowhere'"),
        ("self", "nodegroup 'self' contains itself: self > self"),
        ("ping", "nodegroup 'ping' contains itself: ping > pong > ping"),
        ("empty", "nodegroup 'empty' is empty"),
        ("none", "nodegroup 'none' is empty"),
        ("number", "nodegroup 'number' is neither a text nor a list"),
    ],
)
def test_a_broken_nodegroup_is_named(name: str, says: str) -> None:
    with pytest.raises(TargetError, match=says):
        expand_nodegroup(name, GROUPS)


def test_only_nodegroups_are_replaced_in_an_expression() -> None:
    assert expand_compound("not N@web and x*", GROUPS) == "not ( G@role:web or web* ) and x*"
    assert expand_compound(["a", "or", "N@one"], GROUPS) == "a or L@db1"
    assert expand_compound("N@", GROUPS) == "N@"


def test_nodegroups_that_double_each_time_are_stopped() -> None:
    bombs = {f"g{n}": f"N@g{n + 1} or N@g{n + 1}" for n in range(60)} | {"g60": "a*"}
    with pytest.raises(TargetError, match="with its nodegroups the target has more than"):
        expand_nodegroup("g0", bombs)


def test_nodegroups_within_each_other_are_limited() -> None:
    chain = {f"g{n}": f"N@g{n + 1}" for n in range(MAX_DEPTH + 1)} | {f"g{MAX_DEPTH + 1}": "a*"}
    with pytest.raises(TargetError, match="100 nodegroups within each other"):
        expand_nodegroup("g0", chain)
    assert expand_nodegroup("g2", chain).split()[MAX_DEPTH - 1] == "a*"
