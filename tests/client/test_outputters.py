"""Outputters: what they print where stock Salt loses something or prints nonsense.

That the rest is Salt's text, byte by byte, is held by tests/interop/test_outputters_vs_stock.py.
"""

from __future__ import annotations

import logging
import subprocess
import sys
from typing import Any

import pytest

from greensalt.client.outputters import MODULES, NAMES, Outputter, Style, load, render
from greensalt.client.outputters.ansi import harmless

COLOR = Style(color=True)


def state(key: str = "test_|-i_|-i_|-nop", **fields: Any) -> dict[str, Any]:
    result = {"result": True, "comment": "fine", "changes": {}, "__run_num__": 0, "duration": 1.5}
    return {key: {**result, "start_time": "10:00:00", **fields}}


@pytest.mark.parametrize("name", MODULES)
def test_every_outputter_shows_every_kind_of_data(name: str) -> None:
    outputter = load(name)
    assert outputter is not None
    for value in (None, True, 1, 1.5, "x", b"\xff", [], {}, [1, [2]], {"a": {"b": [1]}}, {None: 1}):
        for data in (value, {"m1": value}):
            assert isinstance(outputter.output(data, Style()), str)


def test_names_are_those_for_the_command_line() -> None:
    assert "no_return" not in NAMES
    assert set(NAMES) | {"no_return"} == set(MODULES)


def test_an_unknown_outputter_is_shown_nested() -> None:
    """A minion names the outputter of its return."""
    assert render({"m1": True}, "bogus") == "m1:\n    True"


def test_data_that_an_outputter_cannot_show_is_shown_nested(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        def output(self, _data: Any, _style: Style) -> str:
            raise ValueError("unfit")

    import greensalt.client.outputters as package

    def load_broken(name: str) -> Outputter | None:
        return Broken() if name == "yaml" else load(name)

    monkeypatch.setattr(package, "load", load_broken)
    with caplog.at_level(logging.DEBUG):
        assert render({"m1": 1}, "yaml") == "m1:\n    1"
    assert "ValueError: unfit" in caplog.text


def test_the_end_of_a_text_has_no_blanks() -> None:
    assert render({"m1": "x  \n\n"}, "nested") == "m1:\n    x"


def test_importing_the_package_imports_no_outputter() -> None:
    """The command line pays only for the one it uses."""
    code = (
        "import sys; import greensalt.client.outputters;"
        "print([m for m in sys.modules if m.startswith('greensalt.client.outputters.')],"
        " 'yaml' in sys.modules, 'json' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] False False"


# -- text from minions does not steer the terminal --------------------------------------------


def test_terminal_sequences_are_made_harmless() -> None:
    assert harmless("\x1b[2J \x9b2J \t\n") == "?[2J ?2J \t\n"


@pytest.mark.parametrize("name", ["nested", "key", "highstate", "table", "no_return"])
def test_no_terminal_sequence_of_a_minion_is_printed(name: str) -> None:
    evil = "\x1b]0;title\x07"
    datas: list[Any] = [
        {evil: evil},
        {"m1": {evil: {evil: [evil]}}},
        {"m1": [evil, {evil: evil}]},
        {evil: state(f"m_|-{evil}_|-{evil}_|-f", comment=evil, changes={evil: evil})},
        {"m1": state(changes=evil, warnings=[evil])},
        {"minions": [evil]},
        {"minions": {"a": evil}},
    ]
    for data in datas:
        assert "\x1b" not in render(data, name, Style(state_output="full"))
        assert "\x1b" not in render(data, name, Style(state_output="terse"))


# -- nested ------------------------------------------------------------------------------------


def test_bytes_that_are_not_text_are_escaped_not_dropped() -> None:
    assert render({"m1": b"a\xff"}, "nested") == "m1:\n    a\\xff"


def test_sets_are_lists() -> None:
    assert render({"m1": {1}}, "nested") == "m1:\n    - 1"


# -- json and yaml -----------------------------------------------------------------------------


def test_yaml_repeats_values_in_place_of_anchors() -> None:
    twice = [1, 2]
    assert render({"a": twice, "b": twice}, "yaml") == "a:\n- 1\n- 2\nb:\n- 1\n- 2"


def test_a_scalar_is_not_followed_by_a_document_end() -> None:
    assert render("x", "yaml") == "x"


def test_json_writes_bytes_as_python_does() -> None:
    assert render({"m1": b"\xff"}, "json", Style(indent=-1)) == '{"m1": "b\'\\\\xff\'"}'


# -- table -------------------------------------------------------------------------------------


def test_a_table_has_the_columns_of_all_its_rows() -> None:
    assert render([{"a": 1}, {"b": "x\ny"}], "table").splitlines() == [
        "-----------",
        "| A |  B  |",
        "-----------",
        "| 1 |     |",
        "-----------",
        "|   | x y |",
        "-----------",
    ]


def test_what_makes_no_table_is_shown_nested() -> None:
    text = render({"m1": {"name": "n", "rows": [{"a": 1}, 2]}}, "table")
    assert text.splitlines() == [
        "m1:",
        "----------",
        "    name:",
        "    ----------",
        "        n",
        "    rows:",
        "    ----------",
        "        |_",
        "          ----------",
        "          a:",
        "              1",
        "        - 2",
    ]


# -- highstate ---------------------------------------------------------------------------------


def test_the_name_of_a_minion_has_the_colour_of_the_worst_state() -> None:
    """Stock Salt takes the last that failed or would change something."""
    fine, differs, failed = (
        state(f"t_|-{result}_|-x_|-f", result=result, __run_num__=number)
        for number, result in enumerate((True, None, False), start=1)
    )
    reds = [{**fine, **differs, **failed}, {**failed, **differs}, {**failed, **fine}]
    for states in reds:
        assert render({"m1": states}, "highstate", COLOR).startswith("\x1b[0;31mm1:")
    assert render({"m1": {**differs, **fine}}, "highstate", COLOR).startswith("\x1b[0;1;33mm1:")
    assert render({"m1": fine}, "highstate", COLOR).startswith("\x1b[0;32mm1:")


def test_warnings_have_lines_of_their_own_in_terse_output() -> None:
    """Stock Salt begins the state on the line where the warning ends."""
    text = render({"m1": state(warnings=["a", "b"])}, "highstate", Style(state_output="terse"))
    assert text.splitlines()[:5] == [
        "m1:",
        "Warnings:",
        "a",
        "b",
        "  Name: i - Function: test.nop - Result: Clean - Started: 10:00:00 - Duration: 1.5 ms",
    ]


def test_a_state_without_all_its_fields_is_shown_in_terse_output_too() -> None:
    """Stock Salt falls back to a dump of the data."""
    lacking = state()
    for name in ("comment", "changes", "duration"):
        del lacking["test_|-i_|-i_|-nop"][name]
    for mode in ("full", "terse", "mixed", "changes"):
        text = render({"m1": lacking}, "highstate", Style(state_output=mode))
        assert "Total states run:     1" in text


def test_names_with_the_separator_of_keys_are_whole() -> None:
    text = render({"m1": state("m_|-i_|-a_|-b_|-f")}, "highstate")
    assert "Function: m.f\n        Name: a_|-b\n" in text


def test_a_result_without_order_is_complained_about_in_red() -> None:
    text = render({"m1": {"m_|-i_|-n_|-f": {"result": True}}}, "highstate", COLOR)
    assert text.startswith("\x1b[0;31mm1:")
    assert "failed to record the order" in text


def test_durations_may_be_text_with_a_unit_or_nonsense() -> None:
    for duration, total in (("2.5 ms", "2.500 ms"), ("soon", "0.000 ms"), (61000, "61.000 s")):
        text = render({"m1": state(duration=duration)}, "highstate")
        assert text.endswith(f" {total}")
