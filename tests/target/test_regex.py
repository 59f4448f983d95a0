"""Regular expressions from other hosts: the language of `re`, but never for ever."""

from __future__ import annotations

import logging
import re
import warnings
from importlib import import_module
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from greensalt.errors import TargetError
from greensalt.target import automaton
from greensalt.target.automaton import Automaton
from greensalt.target.regex import MAX_PATTERN, Regex
from tests._load import cpu_of

parse: Any = import_module("re._parser").parse

# Each of them keeps `re` busy for longer than anybody waits.
CATASTROPHES = [
    "(a+)+$",
    "([a-zA-Z]+)*$",
    "(a|aa)+$",
    "(a|a?)+$",
    "(.*)*x",
    ".*.*.*.*.*.*.*.*x",
    "(?:a?){30}a{30}x",
    "(x+x+)+y",
    "(?:(?:|){30}){30}b",
    r"(\w+\s?)*$",
]


def _automaton(pattern: str) -> Automaton | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Automaton.of(parse(pattern))


@pytest.mark.parametrize("pattern", CATASTROPHES)
def test_a_catastrophic_pattern_is_answered_at_once(pattern: str) -> None:
    def match() -> None:
        regex = Regex(pattern)
        assert not regex.matches("a" * 253 + "!")
        for text in ["x" * 252 + "!", "ax" * 126, ""]:
            regex.matches(text)

    assert cpu_of(match) < 2


@pytest.mark.parametrize(
    "pattern",
    [
        "x(?=(a+)+b)x",
        r"(a)\1*(.*)*x",
        r"(?:(?>a|b)+)+(?:(?>a|b)+)+x",
        "(a++|b)*(a|b)*(a|b)*x",
        "(((a{1000}){1000}){1000})",
        "(){4294967294}",
        "(?:(?:(?:a|b|){9}){9}){9}(?=x)",
        "(x)?(?(1)(a|b)+|(c|d)+)*z",
    ],
)
def test_a_costly_pattern_that_no_automaton_can_do_is_refused(pattern: str) -> None:
    with pytest.raises(TargetError, match="could take for ever"):
        Regex(pattern)


def test_looking_ahead_at_the_start_costs_nothing() -> None:
    regex = Regex("^(?!.*db)(?=.*1).*prod.*web.*$")
    assert regex.matches("prod-web1")
    assert regex.matches("1prod" * 1000 + "web")
    assert not regex.matches("1prod" * 1000 + "db")
    assert not regex.matches("prod" * 1000 + "web")


def test_looking_behind_is_matched_as_long_as_it_is_bearable(
    caplog: pytest.LogCaptureFixture,
) -> None:
    regex = Regex(".*(?<!x)prod.*")
    assert regex.matches("eu-prod-web1")
    assert regex.matches("eu-prod-web1" * 10)
    assert not regex.matches("xprod")
    assert not caplog.records
    with caplog.at_level(logging.WARNING):
        assert not regex.matches("prod web" * 1000)
    assert "too costly for a text of 8000 characters" in caplog.text


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("(", "bad regular expression '\\('"),
        ("a" * (MAX_PATTERN + 1), "too long"),
        ("(" * 5000 + ")" * 5000, "nested too deep"),
        ("a{99999999999}", "bad regular expression"),
        ("(?i)" + "[\x00-\U0010ffff]", "too many ranges"),
        ("*" + "x" * 100, r"\.\.\."),
    ],
)
def test_a_pattern_that_is_not_one_is_refused(pattern: str, says: str) -> None:
    with pytest.raises(TargetError, match=says):
        Regex(pattern)


def test_a_pattern_that_re_warns_of_is_taken() -> None:
    assert Regex("[[a]").matches("[")


def test_a_match_begins_at_the_start_and_may_end_anywhere() -> None:
    assert Regex("web").matches("web1.example.com")
    assert not Regex("example").matches("web1.example.com")


def test_a_long_alternation_is_matched_by_re_itself() -> None:
    regex = Regex("|".join(f"host{number}" for number in range(4000)))
    assert regex.matches("host3999")
    assert not regex.matches("guest1")


def test_conditions_and_back_references_keep_their_meaning() -> None:
    assert Regex(r"(a)?b(?(1)c|d)").matches("abc")
    assert Regex(r"(a)?b(?(1)c)").matches("bx")
    assert Regex(r"(\w)\1").matches("aa")
    assert not Regex(r"(\w)\1").matches("ab")
    assert Regex(r"a++(?<=a)b").matches("aab")
    assert Regex(r"(?>a+)b").matches("aab")


def test_ten_thousand_ids_take_no_time_even_with_nested_repeats() -> None:
    ids = [f"web{number}.example.com" for number in range(10_000)]
    regex = Regex(r"([a-z0-9]+\.)+com$")
    matched: list[bool] = []
    assert cpu_of(lambda: matched.extend(map(regex.matches, ids))) < 1
    assert sum(matched) == 10_000


@pytest.mark.parametrize(
    "pattern",
    [
        "", "a", "^a$", r"\Aa\Z", r"\bab\b", r"a\Bb", "a|b|", "(a|b)*c", "(?:ab)+?", "a{2,3}b",
        "a{2,}", "(a*)*b", "(a?b?)*$", "[^a-c]d", r"[\d_]+", r"\D\S\W", r"\s\w\d", "[^a]", ".",
        "(?s).", "(?s:.)a", "(?-s:.)a", "(?i)aB", "(?i:a)B", "(?m)^b$", "(?m:a$)", "(?a)\\w",
        "(?a:\\w)b", "(?u:\\w)b", "(?i)[a-z]", "(?x) a b # c", "é", "(?:)*a", "(a)(b)?", "$",
        "a$\n", "[]a]", "[a-]", "(?!a)", "^(?=a)(?!ab).*", "(?!a|b)^", r"\A(?!.*b$)",
        r"[\]\\^-]", "(?i)\u017f", "(?i)\u212a",
    ],
)  # fmt: skip
def test_an_automaton_says_what_re_says(pattern: str) -> None:
    made = _automaton(pattern)
    assert made is not None
    for text in [
        "", "a", "b", "ab", "abc", "aab", "aaab", "A", "AB", "aB", "b\na", "a\n", "a\n\n", "\n",
        "\na", "\nb", "1_", " x1", "é", "éb", "_b", "ac", "ad", "dd", "-", "]", "\\", "^", "x 1",
        "a b", "ab c", "s", "k", "aabb" * 3, "cccab",
    ]:  # fmt: skip
        assert made.matches(text) == bool(re.match(pattern, text)), text


_texts = st.text(alphabet="ab.-1\n", max_size=12)
_atoms = st.sampled_from(
    ["a", "b", ".", "1", "-", r"\d", r"\w", r"\W", "[ab]", "[^a]", "^", "$", r"\b", r"\B", ""]
)
_patterns = st.recursive(
    _atoms,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map("|".join),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{0,2}", "*?", "{1,}?"])).map(
            lambda pair: f"(?:{pair[0]}){pair[1]}"
        ),
        inner.map("({})".format),
    ),
    max_leaves=8,
)


@given(_patterns, _texts)
@settings(max_examples=400, deadline=None)
def test_whatever_the_pattern_automaton_and_re_agree(pattern: str, text: str) -> None:
    made = _automaton(pattern)
    assert made is not None
    assert made.matches(text) == bool(re.match(pattern, text))
    assert Regex(pattern).matches(text) == bool(re.match(pattern, text))


@given(st.text(max_size=30), st.text(max_size=30))
@settings(deadline=None)
def test_nothing_but_a_target_error_escapes(pattern: str, text: str) -> None:
    try:
        regex = Regex(pattern)
    except TargetError:
        return
    assert isinstance(regex.matches(text), bool)


def test_a_full_memory_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(automaton, "MAX_MEMORY", 3)
    made = _automaton("(a|b)*c")
    assert made is not None
    assert made.matches("abababbbc")
    assert len(made._memory) <= 3


def test_there_is_no_automaton_of_more_states_than_bearable() -> None:
    assert _automaton("(?:abc){1000}") is None
    assert _automaton("a{3000}") is None
    assert _automaton("a{0,3000}") is None
    assert _automaton("(?:(){1500}){1500}") is None
