"""Words of the command line, and keyword arguments of the API, as arguments of a job.

What single words mean is held by tests/wire/test_arguments.py and, against stock Salt, by
tests/interop/test_command_words_vs_stock.py.
"""

from __future__ import annotations

from greensalt.client.arguments import add_kwargs, parse_args


def test_keyword_arguments_are_one_marked_dict_at_the_end() -> None:
    assert parse_args(["a=1", "x", "b={c: d}", "2"]) == [
        "x",
        2,
        {"__kwarg__": True, "a": 1, "b": {"c": "d"}},
    ]


def test_no_keyword_arguments_no_dict() -> None:
    assert parse_args(["x"]) == ["x"]
    assert add_kwargs(["x"], {}) == ["x"]
    assert add_kwargs(["x"], None) == ["x"]


def test_values_that_are_not_to_be_parsed_stay_text() -> None:
    assert parse_args(["a=1", "b=1"], ["a"]) == [{"__kwarg__": True, "a": "1", "b": 1}]


def test_nobody_can_take_the_mark_away() -> None:
    assert parse_args(["__kwarg__=no", "a=1"]) == [{"__kwarg__": True, "a": 1}]
    assert add_kwargs([], {"__kwarg__": False, "a": 1}) == [{"__kwarg__": True, "a": 1}]


def test_job_ids_are_text() -> None:
    assert parse_args(["20261122192410230816"]) == ["20261122192410230816"]
    assert add_kwargs([20261122192410230816, -20261122192410230816, 7], None) == [
        "20261122192410230816",
        -20261122192410230816,
        7,
    ]
