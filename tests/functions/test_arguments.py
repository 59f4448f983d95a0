from __future__ import annotations

from typing import Any

import pytest

from greensalt.errors import SaltInvocationError
from greensalt.functions.arguments import condition, without_pub
from greensalt.functions.function import LoadedFunction, describe
from greensalt.minion.context import Context


def plain(a: Any, b: Any = 2) -> None: ...


def greedy(*args: Any, **kwargs: Any) -> None: ...


def contextual(a: Any, *, only: Any = None, context: Context) -> None: ...


def loaded(fn: Any) -> LoadedFunction:
    return describe(f"mod.{fn.__name__}", fn, green=True)


def test_marked_dicts_become_keywords_and_everything_else_stays_in_place() -> None:
    args, kwargs = condition(loaded(plain), [1, {"x": 2}, {"b": 3, "__kwarg__": True}])
    assert (args, kwargs) == ([1, {"x": 2}], {"b": 3})


def test_text_with_an_equals_sign_becomes_a_keyword_with_a_yaml_value() -> None:
    args, kwargs = condition(loaded(plain), ["one", "b=[1, two]"])
    assert (args, kwargs) == (["one"], {"b": [1, "two"]})


def test_other_text_is_not_read_as_yaml_again() -> None:
    assert condition(loaded(plain), ["123", "[a]"]) == (["123", "[a]"], {})


def test_a_mark_that_is_not_true_makes_no_keywords() -> None:
    given = {"a": 1, "__kwarg__": "yes"}
    assert condition(loaded(greedy), [given]) == ([given], {})


def test_unknown_keywords_are_refused_all_at_once() -> None:
    with pytest.raises(SaltInvocationError) as caught:
        condition(loaded(plain), ["x=1", {"y": 2, "a": 3, "__kwarg__": True}])
    assert str(caught.value) == "The following keyword arguments are not valid: x=1, y=2"


def test_a_function_that_takes_any_keyword_learns_about_its_job() -> None:
    load = {"jid": "1", "fun": "mod.greedy"}
    _, kwargs = condition(loaded(greedy), ["x=1"], load)
    assert kwargs == {"x": 1, "__pub_jid": "1", "__pub_fun": "mod.greedy"}
    assert without_pub(kwargs) == {"x": 1}


def test_a_function_without_any_keywords_learns_nothing_about_its_job() -> None:
    assert condition(loaded(plain), [1], {"jid": "1"}) == ([1], {})


def test_the_context_is_never_taken_from_a_request() -> None:
    for fn in (contextual, greedy):
        with pytest.raises(SaltInvocationError):
            condition(loaded(fn), ["context=x"])
    assert condition(loaded(contextual), ["only=1"]) == ([], {"only": 1})


def test_the_argspec_does_not_show_the_context() -> None:
    assert loaded(contextual).argspec() == {
        "args": ["a", "only"],
        "defaults": (None,),
        "varargs": None,
        "kwargs": None,
    }
    assert loaded(greedy).argspec() == {
        "args": None,
        "defaults": None,
        "varargs": True,
        "kwargs": True,
    }
