"""Outputters, compared byte by byte with stock Salt's.

Where ours differ on purpose the difference has a test of its own in tests/client, and the cases
here leave it out: terminal sequences in keys, comments and ids; values that stock Salt drops
(bytes that are not UTF-8, cells and scalars in tables); the colour of a minion's name when states
failed and others would change; warnings in one-line state output, where it forgets a line end.
"""

from __future__ import annotations

import copy
import random
from typing import Any

import pytest

from greensalt.client.outputters import STATE_OUTPUTS, Style, load
from tests.interop._stock_answers import Case, stock_texts

VALUES: list[Any] = [
    "word",
    "two\nlines\n",
    "",
    " lead",
    "trail \n",
    "\n\nx\n\n\ny",
    "   \n",
    "tab\there",
    "a\rb",
    "bell\x07",
    "\x1b[31mred\x1b[0m",
    "Größe \u2028 日本",
    *("yes", "null", "1.0", "2026-01-01", "- a", "a: b", "a #b", "@x", "*a", "%x", "!t", "{a: 1}"),
    "'quoted\"",
    "x" * 200 + " " + "y" * 200,
    *(None, True, False, 0, 1, -1, 1.5, 0.1, 1e16, 1e300, 10**20, float("nan")),
    b"bytes",
    ("tuple", 1),
    [],
    {},
    [[], [[]], {}, [{}]],
    [1, "a", None, [2, [3]], {"a": 1}, "x\ny", ["p\nq"]],
    [{"a": 1, "b": {"c": [1]}}, {"c": 3}],
    {"a": 1, "b": {"c": [1, 2], "d": "x\ny", "e": {}}, "f": [], "g": None, "h": True, "k": ""},
    {1: 2, "z": 3, None: 4},
    {10: 1, 9: 2, 100: 3},
    {"B": 1, "a": 2, "_": 3},
    {"two\nlines": 1, "": 2},
    {"long": "word " * 60},
]


def random_value(dice: random.Random, depth: int = 0) -> Any:
    kind = dice.random()
    if depth > 3 or kind < 0.5:
        return dice.choice([value for value in VALUES if not isinstance(value, list | dict)])
    if kind < 0.75:
        return [random_value(dice, depth + 1) for _ in range(dice.randint(0, 4))]
    keys = ["a", "b", "cc", "d d", "é", "9"]
    return {dice.choice(keys): random_value(dice, depth + 1) for _ in range(dice.randint(0, 4))}


def values() -> list[Any]:
    dice = random.Random(1)
    return VALUES + [random_value(dice) for _ in range(25)]


def check(cases: list[Case], version: str = "3008.3") -> None:
    """Every case must give the text of stock Salt's outputter; a stock text of None is skipped."""
    wrong = []
    for (data, name, options), wanted in zip(cases, stock_texts(cases, version), strict=True):
        outputter = load(name)
        assert outputter is not None
        settings = {"color": False, **options}
        settings["indent"] = settings.pop("output_indent", None)
        text = outputter.output(copy.deepcopy(data), Style(**settings)).rstrip()
        if wanted is not None and text != wanted:
            wrong.append(f"{name} {options} {data!r:.300}\n  stock {wanted!r}\n  ours  {text!r}")
    assert not wrong, f"{len(wrong)} of {len(cases)} differ:\n" + "\n".join(wrong[:5])


@pytest.mark.parametrize("name", ["nested", "txt", "raw", "pprint", "key"])
def test_plain_values(name: str) -> None:
    check(
        [
            (data, name, {"color": color})
            for value in values()
            for data, color in (
                ({"m1": value}, True),
                ({"m1": value, "m0": 1}, False),
                (value, True),
            )
        ]
    )


@pytest.mark.parametrize("name", ["json", "yaml"])
def test_data_formats_with_their_indentation(name: str) -> None:
    check(
        [
            (data, name, {} if indent is None else {"output_indent": indent})
            for value in values()
            for data, indents in (({"m1": value}, (None, 2, -1)), (value, (0,)))
            for indent in indents
        ]
    )


def test_values_only_and_quiet_of_the_last_salt_that_had_them() -> None:
    names = ("newline_values_only", "quiet")
    check(
        [({"m1": value}, name, {"color": False}) for value in values() for name in names],
        version="3007.17",
    )


def test_keys_by_state() -> None:
    lists: list[Any] = [
        {"minions": ["b", "a"], "minions_pre": ["c"], "minions_rejected": [], "minions_denied": []},
        {"local": ["master.pem", "master.pub"], "minions": ["a"]},
        {"minions": {"b": "aa:bb", "a": "cc:dd"}},
        {"minions_pre": {"a": "aa:bb"}, "local": {"master.pub": "two\nlines"}},
        {"minions_rejected": ["y"], "minions_denied": ["z"]},
        {"minions": []},
        {},
    ]
    check([(keys, "key", {"color": color}) for keys in lists for color in (False, True)])


def test_messages_about_minions_that_did_not_return() -> None:
    text = "Minion did not return. [No response]\nThe minions may\n\nsalt-run jobs.lookup_jid 1"
    check([({"m1": text}, "no_return", {"color": color}) for color in (False, True)])


def test_tables() -> None:
    rows: list[Any] = [
        [{"a": 1, "b": "x"}, {"a": 22, "b": "yyy"}],
        {"t": [{"bb": 1, "aa": 2}]},
        {"deep": {"t": [{"a": None, "b": True, "c": 1.5}]}},
        [{"n": ["x", "y"], "d": {"k": 1}}, {"n": 12345678901234567890, "d": 0.1}],
        {"rows": ["a", "b"]},
    ]
    check([({"m1": each}, "table", {"color": color}) for each in rows for color in (False, True)])


def random_state(dice: random.Random, number: int) -> dict[str, Any]:
    changes: list[Any] = [
        *({}, {}, {}, {"a": 1}, {"diff": "--- a\n+++ b\n-x"}, {"pkg": {"old": "1", "new": "2"}}),
        *({"l": [1, {"b": 2}]}, "text", ["x"], [], ""),
    ]
    comments = ["fine", "two\nlines", "", "ü\n\nx\n  in", ["a", "b"], "x " * 80, None, "end\n", 7]
    result: dict[str, Any] = {
        "name": f"name{number}",
        "result": dice.choice([True, True, False, None]),
        "comment": dice.choice(comments),
        "changes": dice.choice(changes),
        "__run_num__": number,
        "__id__": dice.choice([f"id{number}", f"name{number}", "two words"]),
        "start_time": dice.choice([f"10:00:00.{number:06}", ""]),
        "duration": dice.choice([0.0, 1.5, 12.25, 1234.567, 99999.9, 3, 0.001]),
    }
    if dice.random() < 0.2:
        warnings = [["w1"], ["w1", "w2\nw3"], [], ["long warning " * 12]]
        result["warnings"] = dice.choice(warnings)
    for name in ("start_time", "__id__", "name"):
        if dice.random() < 0.1:
            del result[name]
    return result


def random_run(dice: random.Random, options: dict[str, Any]) -> dict[str, Any]:
    run = {}
    for number in dice.sample(range(120), dice.choice([1, 2, 3, 12, 60])):
        state = random_state(dice, number)
        if options["color"] and state["result"] is None:
            state["result"] = True
        if not options["state_output"].startswith("full"):
            state.pop("warnings", None)
        module = dice.choice(["pkg", "file", "cmd"])
        run[f"{module}_|-id{number}_|-name{number}_|-run"] = state
    return run


def test_results_of_states() -> None:
    dice = random.Random(2)
    cases: list[Case] = []
    modes = [mode + suffix for mode in STATE_OUTPUTS for suffix in ("", "_id")]
    for mode in modes:
        for _ in range(12):
            options = {
                "color": dice.random() < 0.5,
                "state_output": mode,
                "state_verbose": dice.random() < 0.7,
                "state_output_profile": dice.random() < 0.8,
                "state_output_diff": dice.random() < 0.2,
            }
            cases.append(({"m1": random_run(dice, options)}, "highstate", options))
    check(cases)


def test_state_runs_that_are_not_what_they_should_be() -> None:
    dice = random.Random(3)
    inner = random_run(dice, {"color": True, "state_output": "full"})
    ordered = {
        "salt_|-o_|-o_|-state": {
            "result": True,
            "comment": "done",
            "changes": {"out": "highstate", "ret": {"m9": inner}},
            "__run_num__": 0,
            "__id__": "o",
        }
    }
    odd: list[Any] = [
        ["Rendering SLS 'base:x' failed: y", "second\nline"],
        "The function is running",
        "two\nlines",
        *(True, 3, {}, []),
        ordered,
    ]
    check(
        [({"m1": each}, "highstate", {"color": color}) for each in odd for color in (True, False)]
    )
