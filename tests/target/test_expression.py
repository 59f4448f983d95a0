"""The parser of compound targets."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from greensalt.errors import TargetError
from greensalt.target.expression import (
    ENGINES,
    MAX_DEPTH,
    MAX_WORDS,
    And,
    Node,
    Not,
    Or,
    Term,
    parse,
    parse_term,
    to_words,
)
from greensalt.target.matchers import MAX_TARGET


def glob(pattern: str) -> Term:
    return Term("glob", pattern)


A, B, C = map(glob, "abc")


@pytest.mark.parametrize(
    ("expression", "tree"),
    [
        ("a", A),
        ("a and b", And((A, B))),
        ("a or b", Or((A, B))),
        ("not a", Not(A)),
        ("a and b and c", And((A, B, C))),
        ("a or b and c", Or((A, And((B, C))))),
        ("a and b or c", Or((And((A, B)), C))),
        ("( a or b ) and c", And((Or((A, B)), C))),
        ("not a and b", And((Not(A), B))),
        ("not ( a and b )", Not(And((A, B)))),
        ("a not b", And((A, Not(B)))),
        ("a and not b", And((A, Not(B)))),
        ("a or not b", Or((A, Not(B)))),
        ("a or b not c", Or((A, And((B, Not(C)))))),
        ("( a ) not ( b )", And((A, Not(B)))),
        ("( not a )", Not(A)),
        ("( ( a ) )", A),
        ("  a\tand\n b ", And((A, B))),
        ("AND", glob("AND")),
        ("G@os:Debian", Term("grain", "os:Debian")),
        (
            "not G@os:Debian or E@web.*",
            Or((Not(Term("grain", "os:Debian")), Term("pcre", "web.*"))),
        ),
    ],
)
def test_precedence_is_not_before_and_before_or(expression: str, tree: Node) -> None:
    assert parse(expression) == tree


@pytest.mark.parametrize(
    ("word", "term"),
    [
        ("web*", glob("web*")),
        ("G@os:x", Term("grain", "os:x")),
        ("P@os:x", Term("grain_pcre", "os:x")),
        ("I@os:x", Term("pillar", "os:x")),
        ("J@os:x", Term("pillar_pcre", "os:x")),
        ("L@a,b", Term("list", "a,b")),
        ("S@10.0.0.0/8", Term("ipcidr", "10.0.0.0/8")),
        ("E@web", Term("pcre", "web")),
        ("N@web", Term("nodegroup", "web")),
        ("G|@os|x", Term("grain", "os|x", "|")),
        ("GG@osGx", Term("grain", "osGx", "G")),
        ("G@@os@x", Term("grain", "os@x", "@")),
        ("G@os@x", Term("grain", "os@x")),
        ("G@@", Term("grain", "@")),
        ("web@host", glob("web@host")),
        ("Ea@host", glob("Ea@host")),
        ("1@host", glob("1@host")),
        ("é@host", glob("é@host")),
        ("@", glob("@")),
        ("G", glob("G")),
    ],
)
def test_terms(word: str, term: Term) -> None:
    assert parse_term(word) == term
    assert to_words(term) == [word]


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        ("", "the compound target is empty"),
        ([], "the compound target is empty"),
        ("and", "'and' at word 1 is not where a term must be"),
        ("or a", "'or' at word 1 is not where a term must be"),
        ("a and", "ends after 'and'"),
        ("not", "ends after 'not'"),
        ("a or or b", "'or' at word 3 is not where a term must be"),
        ("not not a", "'not' at word 2 is not where a term must be"),
        ("a b", "'b' at word 2 lacks an operator before it"),
        ("a ( b )", r"'\(' at word 2 lacks an operator before it"),
        ("( a b )", "'b' at word 3 lacks an operator before it"),
        ("( )", r"'\)' at word 2 is not where a term must be"),
        ("( and a )", "'and' at word 2 is not where a term must be"),
        ("a )", r"'\)' at word 2 is alone"),
        ("( a", "parenthesis at word 1 is never closed"),
        ("a and ( b or ( c )", "parenthesis at word 3 is never closed"),
        ("not g@os:Debian", "'g@os:Debian': there is no engine g@, only G@ P@"),
        ("R@%range", "there is no engine R@"),
        ("T@vm", "there is no engine T@"),
        ("X@y", "there is no engine X@"),
        ("G@", "'G@' lacks a pattern"),
        ("L@", "'L@' lacks a pattern"),
        ("L|@a|b", r"L@ takes no delimiter"),
        ("G|@", "G@ takes no delimiter, or lacks a pattern"),
        (["a", "and", 3], "made of words, not of int"),
        ("a or " * MAX_WORDS + "b", "words is too long"),
        ("a" * (MAX_TARGET + 1), "compound target is too long"),
        ("( " * (MAX_DEPTH + 1) + "a" + " )" * (MAX_DEPTH + 1), "100 parentheses"),
    ],
)
def test_an_invalid_expression_is_refused_with_the_reason(expression: Any, says: str) -> None:
    with pytest.raises(TargetError, match=says):
        parse(expression)


def test_parentheses_may_be_as_deep_as_allowed_and_as_many_as_they_like() -> None:
    assert parse("( " * MAX_DEPTH + "a" + " )" * MAX_DEPTH) == A
    assert isinstance(parse(" or ".join(["( a )"] * 500)), Or)


def test_words_given_one_by_one_may_contain_spaces() -> None:
    assert parse(["G@os:Red Hat", "and", "a"]) == And((Term("grain", "os:Red Hat"), A))


_patterns = st.text(alphabet="ab*:.|[]@,0 ()", min_size=1, max_size=8)
_terms = st.one_of(
    _patterns.map(glob),
    st.builds(
        Term,
        st.sampled_from(sorted(set(ENGINES.values()) - {"grain"})),
        _patterns.filter(lambda text: text[0] != "@"),
    ),
    st.builds(
        Term,
        st.just("grain"),
        _patterns.filter(lambda text: text[0] != "@"),
        st.one_of(st.none(), st.characters(codec="utf-8")),
    ),
).filter(lambda term: term.kind != "glob" or _is_glob(term.pattern))


def _is_glob(word: str) -> bool:
    try:
        return word not in ("(", ")") and parse_term(word).kind == "glob"
    except TargetError:
        return False


@pytest.mark.parametrize(
    ("expression", "printed"),
    [
        ("( a ) or ( ( b and c ) )", "a or b and c"),
        ("a or ( b or c )", "a or ( b or c )"),
        ("a and ( b and c )", "a and ( b and c )"),
        ("( a or b ) not c", "( a or b ) and not c"),
        ("not ( not ( a or G|@b|c ) )", "not ( not ( a or G|@b|c ) )"),
    ],
)
def test_a_tree_is_printed_with_no_needless_parentheses(expression: str, printed: str) -> None:
    assert " ".join(to_words(parse(expression))) == printed


def _many(kind: Any, inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    return st.lists(inner, min_size=2, max_size=4).map(lambda operands: kind(tuple(operands)))


trees: st.SearchStrategy[Node] = st.recursive(
    _terms,
    lambda inner: st.one_of(inner.map(Not), _many(And, inner), _many(Or, inner)),
    max_leaves=12,
)


@given(trees)
@settings(max_examples=300, deadline=None)
def test_a_printed_tree_parses_to_the_same_tree(tree: Node) -> None:
    assert parse(to_words(tree)) == tree


_words = st.sampled_from(["and", "or", "not", "(", ")", "a", "web*", "G@os:x", "L@a,b", "X@y"])


@given(st.one_of(st.text(), st.lists(_words, max_size=12), st.lists(st.text(), max_size=4)))
@settings(max_examples=500, deadline=None)
def test_nothing_but_a_target_error_escapes(expression: Any) -> None:
    try:
        tree = parse(expression)
    except TargetError:
        return
    assert parse(to_words(tree)) == tree
