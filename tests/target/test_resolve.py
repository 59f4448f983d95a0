"""Master and minion: the same target, the same answer."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from greensalt.errors import TargetError
from greensalt.target import Target, expected, matches
from greensalt.target.expression import And, Node, Not, Or, Term, to_words
from tests._load import cpu_of


@dataclass
class Minion:
    """What one minion is; None is what it has not told the master."""

    id: str
    grains: Mapping[str, Any] = field(default_factory=dict)
    pillar: Mapping[str, Any] = field(default_factory=dict)


class Fleet:
    """A roster of minions, which counts how often it is asked for data."""

    def __init__(self, *minions: Minion, silent: Collection[str] = ()) -> None:
        self.minions = {minion.id: minion for minion in minions}
        self.silent = silent
        self.asked = 0

    def ids(self) -> Collection[str]:
        return list(self.minions)

    def grains(self, minion_id: str) -> Mapping[str, Any] | None:
        self.asked += 1
        return None if minion_id in self.silent else self.minions[minion_id].grains

    def pillar(self, minion_id: str) -> Mapping[str, Any] | None:
        return None if minion_id in self.silent else self.minions[minion_id].pillar


FLEET = Fleet(
    Minion("web1", {"os": "Debian", "ipv4": ["10.0.0.1"]}, {"secret": "abc"}),
    Minion("web2", {"os": "RedHat", "ipv4": ["10.0.1.1"]}, {"secret": "abd"}),
    Minion("db1", {"os": "Debian", "roles": ["db"]}, {"secret": "xyz"}),
    Minion("new"),
    silent={"new"},
)
GROUPS = {"web": "web1 or web2", "debian": "G@os:Debian and N@web"}


def who(tgt: object, tgt_type: str = "compound", **options: Any) -> list[str]:
    return expected(tgt, tgt_type, FLEET, nodegroups=GROUPS, **options).minions


@pytest.mark.parametrize(
    ("tgt", "tgt_type", "minions"),
    [
        ("*", "glob", ["db1", "new", "web1", "web2"]),
        ("web*", "glob", ["web1", "web2"]),
        ("web1", "glob", ["web1"]),
        ("web1,db*,,nobody", "glob", ["db1", "web1"]),
        ("w|n", "pcre", ["new", "web1", "web2"]),
        ("web1,db1", "list", ["db1", "web1"]),
        (["web1", "db1"], "list", ["db1", "web1"]),
        ("os:Debian", "grain", ["db1", "web1"]),
        ("os:.*hat", "grain_pcre", ["web2"]),
        ("secret:ab*", "pillar", ["web1", "web2"]),
        ("secret:ab[cx]", "pillar_pcre", ["web1"]),
        ("secret:xyz", "pillar_exact", ["db1"]),
        ("10.0.0.0/24", "ipcidr", ["web1"]),
        ("web* and G@os:Debian", "compound", ["web1"]),
        ("G@os:Debian or E@new", "compound", ["db1", "new", "web1"]),
        ("not G@os:Debian", "compound", ["new", "web2"]),
        ("* not L@web1,new", "compound", ["db1", "web2"]),
        ("not ( web* or db1 )", "compound", ["new"]),
        ("web1 or db* and web1", "compound", ["web1"]),
        ("not web1,web2", "compound", ["db1", "new", "web1", "web2"]),
        ("N@web", "compound", ["web1", "web2"]),
        ("not N@web", "compound", ["db1", "new"]),
        (["N@web", "and", "I@secret:abc"], "compound", ["web1"]),
        ("debian", "nodegroup", ["web1"]),
    ],
)
def test_the_master_expects(tgt: object, tgt_type: str, minions: list[str]) -> None:
    assert who(tgt, tgt_type) == minions


def test_named_minions_that_are_not_there_are_missing() -> None:
    assert expected(["b", "web1", "a", "b"], "list", FLEET).missing == ["b", "a"]
    found = expected("L@a,web1 or ( web* and not L@b ) or not ( L@c )", "compound", FLEET)
    assert found.missing == ["a"]
    assert expected("nobody", "glob", FLEET).missing == []
    assert expected("not ( L@c or web* )", "compound", FLEET).missing == ["c"]


def test_minions_without_data_match_only_what_needs_none() -> None:
    assert "new" not in who("G@os:*")
    assert "new" not in who("S@0.0.0.0/0")
    assert "new" in who("not G@os:*")
    assert "new" in who("new or G@os:*")


@pytest.mark.parametrize(
    ("tgt", "tgt_type", "minions"),
    [
        ("os:Debian", "grain", ["db1", "new", "web1"]),
        ("secret:abc", "pillar", ["new", "web1"]),
        ("not G@os:Debian", "compound", ["new", "web2"]),
        ("web* and G@os:Debian", "compound", ["web1"]),
        ("not ( G@os:Debian and not G@os:x )", "compound", ["new", "web2"]),
        ("not ( G@os:Debian or web* )", "compound", ["new"]),
        ("n* not I@secret:x", "compound", ["new"]),
    ],
)
def test_the_widest_answer_has_all_that_could_be_meant(
    tgt: str, tgt_type: str, minions: list[str]
) -> None:
    assert who(tgt, tgt_type, widest=True) == minions


def test_requests_of_minions_can_not_guess_pillar_by_patterns() -> None:
    for tgt, tgt_type in [
        ("secret:ab*", "pillar"),
        ("secret:ab.", "pillar_pcre"),
        ("I@secret:ab*", "compound"),
        ("J@secret:ab.", "compound"),
        ("none or I@secret:[a]bc", "compound"),
    ]:
        assert who(tgt, tgt_type)
        assert who(tgt, tgt_type, exact_pillar=True) == []
    assert who("secret:abc", "pillar", exact_pillar=True) == ["web1"]
    assert who("I@secret:abc", exact_pillar=True) == ["web1"]
    assert who("secret:abc", "pillar_exact", exact_pillar=True) == ["web1"]
    assert who("os:D*", "grain", exact_pillar=True) == ["db1", "web1"]


def test_a_delimiter_applies_to_single_terms_of_every_kind() -> None:
    assert who("os|Debian", "grain", delimiter="|") == ["db1", "web1"]
    for kind in ("pillar", "pillar_pcre", "pillar_exact"):
        assert who("secret|abc", kind, delimiter="|") == ["web1"]
    assert who("G@os:Debian and I|@secret|abc", delimiter="|") == ["web1"]


@pytest.mark.parametrize(
    ("tgt", "tgt_type"),
    [
        ("", "glob"), (",", "glob"), (None, "glob"), ("x", "nonsense"), ("(", "pcre"),
        ("os", "grain"), ("a and", "compound"), (7, "compound"), (["a", 7], "compound"),
        ("N@gone", "compound"), ("gone", "nodegroup"), ("", "nodegroup"), (["web"], "nodegroup"),
        ("10.0.0.1/8", "ipcidr"),
        ("G@os", "compound"), ("a or E@(", "compound"), ({}, "list"),
    ],
)  # fmt: skip
def test_what_can_not_be_understood_is_an_error_on_the_master_and_nobody_on_the_minion(
    tgt: object, tgt_type: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(TargetError):
        who(tgt, tgt_type)
    with caplog.at_level(logging.ERROR):
        if tgt != ",":
            assert not matches(tgt, tgt_type, FLEET.minions["web1"])
            assert "matches nothing" in caplog.text


def test_the_minion_decides_with_what_it_is() -> None:
    web1 = FLEET.minions["web1"]
    assert matches("web1", "glob", web1)
    assert not matches("web1,web2", "glob", web1)
    assert matches("G@os:Debian and not db*", "compound", web1)
    assert matches("N@web", "compound", web1, nodegroups=GROUPS)
    assert matches("debian", "nodegroup", web1, nodegroups=GROUPS)
    assert not matches("debian", "nodegroup", web1)
    assert matches("os|Debian", "grain", web1, delimiter="|")
    assert not matches("web1", None, web1)
    assert not matches("os:Debian", "grain", web1, delimiter=None)


def test_data_are_fetched_only_for_minions_that_can_still_match() -> None:
    fleet = Fleet(*(Minion(f"m{n}", {"os": "Debian"}) for n in range(100)))
    assert expected("G@os:Debian and m7", "compound", fleet).minions == ["m7"]
    assert fleet.asked == 1
    assert len(expected("G@os:x or not L@m7", "compound", fleet).minions) == 99
    assert fleet.asked == 2


def test_ten_thousand_minions_are_resolved_in_a_moment() -> None:
    fleet = Fleet(*(Minion(f"web{n}.example.com", {"os": "Debian", "n": n}) for n in range(10_000)))
    names = [f"web{n}.example.com" for n in range(0, 20_000, 2)]
    took = {}
    for tgt, tgt_type, count in [
        ("*", "glob", 10_000),
        ("web*5.example.com", "glob", 1000),
        (names, "list", 5000),
        (r"web\d*5\.", "pcre", 1000),
        ("os:deb*", "grain", 10_000),
        ("web*1.* and not ( G@os:Arch or L@web1.example.com )", "compound", 999),
    ]:
        assert len(expected(tgt, tgt_type, fleet).minions) == count
        took[str(tgt)[:20]] = cpu_of(partial(expected, tgt, tgt_type, fleet))
    assert max(took.values()) < 1, took


_grains = st.fixed_dictionaries(
    {}, optional={"os": st.sampled_from(["Debian", "RedHat", 4]), "r": st.just(["a", {"b": 1}])}
)
_minions = st.lists(
    st.builds(Minion, st.text(alphabet="ab1", min_size=1, max_size=2), _grains, _grains),
    max_size=6,
    unique_by=lambda minion: minion.id,
)
_terms = st.one_of(
    st.builds(Term, st.just("glob"), st.sampled_from(["*", "a*", "?", "[ab]1", "a", "a,b"])),
    st.builds(Term, st.just("list"), st.sampled_from(["a", "a,b1", "1,1a,zz"])),
    st.builds(Term, st.just("pcre"), st.sampled_from(["a", ".1", "(a|b)+$"])),
    st.builds(
        Term,
        st.sampled_from(["grain", "grain_pcre", "pillar", "pillar_pcre"]),
        st.sampled_from(["os:debian", "os:red.*", "r:a", "r:b:1", "os:4", "*:a"]),
    ),
)
_trees: st.SearchStrategy[Node] = st.recursive(
    _terms,
    lambda inner: st.one_of(
        inner.map(Not),
        st.tuples(inner, inner).map(And),
        st.tuples(inner, inner, inner).map(Or),
    ),
    max_leaves=8,
)


@given(_trees, _minions)
@settings(max_examples=300, deadline=None)
def test_the_master_s_sets_are_the_minions_own_decisions(tree: Node, minions: list[Minion]) -> None:
    words = to_words(tree)
    deciding = {minion.id for minion in minions if matches(words, "compound", minion)}
    assert set(expected(words, "compound", Fleet(*minions)).minions) == deciding


@given(_trees, _minions, st.sets(st.integers(0, 5)))
@settings(max_examples=300, deadline=None)
def test_nobody_outside_the_widest_answer_decides_to_run(
    tree: Node, minions: list[Minion], silent: set[int]
) -> None:
    words = to_words(tree)
    unheard = {minion.id for place, minion in enumerate(minions) if place in silent}
    fleet = Fleet(*minions, silent=unheard)
    target = Target(words, "compound")
    deciding = {minion.id for minion in minions if target.matches(minion)}
    assert deciding <= target.select(fleet, widest=True)
    assert target.select(fleet) <= target.select(fleet, widest=True)


_anything = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.binary(max_size=4), st.text(max_size=20)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=2)
    ),
    max_leaves=5,
)
_types = st.sampled_from(
    ["glob", "pcre", "list", "grain", "grain_pcre", "pillar", "pillar_pcre", "pillar_exact",
     "ipcidr", "compound", "nodegroup", "range", ""]
)  # fmt: skip


@given(_anything, st.one_of(_types, _anything), _anything, _minions)
@settings(max_examples=300, deadline=None)
def test_nothing_but_a_target_error_escapes(
    tgt: Any, tgt_type: Any, delimiter: Any, minions: list[Minion]
) -> None:
    for minion in minions:
        assert matches(tgt, tgt_type, minion, delimiter=delimiter) in (True, False)
    if isinstance(tgt_type, str):
        try:
            expected(tgt, tgt_type, Fleet(*minions))
        except TargetError:
            pass
