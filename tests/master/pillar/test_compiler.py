"""Top files, includes, errors and plug-ins: docs/pillar.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from greensalt.errors import ConfigError
from greensalt.master.pillar import Asked
from tests.master.pillar._compiling import compiled, make_service, rendered, write_tree

TOP = "base: {'*': [one]}"


def test_without_files_there_is_no_pillar_and_no_error(tmp_path: Path) -> None:
    assert compiled(tmp_path, {}) == {}
    assert make_service(tmp_path, pillar_roots={}).compile(Asked("m1", {})) == {}


def test_a_target_that_cannot_be_understood_means_nobody(tmp_path: Path) -> None:
    top = "base: {'G@': [one], 'x': [{match: telepathy}, one], '*': [two]}"
    files = {"top.sls": top, "one.sls": "a: 1", "two.sls": "b: 2"}
    assert compiled(tmp_path, files) == {"b": 2}


@pytest.mark.parametrize("top", ["base: {'*': one}", "base: [a]", "base: 7"])
def test_a_top_file_of_another_shape_is_an_error(tmp_path: Path, top: str) -> None:
    pillar = compiled(tmp_path, {"top.sls": top})
    assert pillar == {"_errors": ["Error encountered while rendering pillar top file."]}


def test_a_top_file_that_cannot_be_rendered_is_an_error(tmp_path: Path) -> None:
    told = ["Rendering Primary Top file failed. Please see master log for details."]
    assert compiled(tmp_path, {"top.sls": "base: {{ nothing }}"}) == {"_errors": told}
    assert compiled(tmp_path, {"top.sls": "just text"}) == {"_errors": told}


def test_the_detail_of_an_error_is_told_only_on_demand(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text = "\na: {{ password.nothing }}"
    reason = "Jinja variable 'password' is undefined; line 2 of one.sls"
    assert rendered(tmp_path, text) == {
        "_errors": ["Rendering SLS 'one' failed. Please see master log for details."]
    }
    assert reason in caplog.text
    assert rendered(tmp_path, text, pillar_safe_render_error=False) == {
        "_errors": [
            "Rendering SLS 'one' failed, render error:\n" + reason,
        ]
    }


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{% if %}", "Jinja syntax error: Expected an expression, got 'end of statement block'"),
        ("a: {{ 1 / 0 }}", "ZeroDivisionError: division by zero; line 1 of one.sls"),
        ("{{ raise('no such role') }}", "no such role"),
        ("{% include 'gone' %}", "gone is not in this environment"),
        ("a: {{ salt['cmd.run']('id') }}", "'cmd.run' is not available to pillar templates"),
        ("a: 1\na: 2", "found conflicting ID 'a'; line 2"),
        ("a: [1", "line 2"),
        ("#!py\n", "the renderer 'py' is not available: there are jinja, yaml, json"),
        ("#!yaml|jinja\n", "is no order of renderers"),
        ("#!jinja\na: 1", "its last renderer must be yaml or json"),
        ("#!json\n{", "not JSON"),
        ("? {a: b}\n: 1", "found a key that is a list or a map"),
        ("a: !!binary 'x'", "failed to decode base64"),
        ("<<: [1]", "expected a mapping for merging"),
    ],
)
def test_a_file_that_cannot_be_rendered_says_why(tmp_path: Path, text: str, reason: str) -> None:
    (error,) = rendered(tmp_path, text, pillar_safe_render_error=False)["_errors"]
    assert error.startswith("Rendering SLS 'one' failed, render error:\n")
    assert reason in error


def test_json_and_plain_yaml_are_renderers_too(tmp_path: Path) -> None:
    assert rendered(tmp_path, '#!json\n{"a": [1]}') == {"a": [1]}
    assert rendered(tmp_path, '#!jinja|json\n{"a": "{{ grains.id }}"}') == {"a": "m1"}
    assert rendered(tmp_path, "#!yaml\na: '{{ x }}'") == {"a": "{{ x }}"}
    assert rendered(tmp_path, "a: 1", renderer="yaml") == {"a": 1}


def test_a_file_that_is_no_text_is_an_error(tmp_path: Path) -> None:
    write_tree(tmp_path / "base", {"top.sls": TOP})
    (tmp_path / "base/one.sls").write_bytes(b"a: \xff")
    pillar = make_service(tmp_path).compile(Asked("m1", {}))
    assert pillar["_errors"] == ["Rendering SLS 'one' failed. Please see master log for details."]


def test_files_that_include_each_other_end(tmp_path: Path) -> None:
    files = {
        "top.sls": TOP,
        "one.sls": "include: [two, one]\na: 1",
        "two.sls": "include: [one]\nb: 2",
    }
    assert compiled(tmp_path, files) == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    ("include", "error"),
    [
        ("include: text", "Include Declaration in SLS 'one' is not formed as a list"),
        ("include: [7]", "Include Declaration in SLS 'one' is not formed as a list"),
        (
            "include: [gone]",
            "Specified SLS 'gone' in environment 'base' is not available on the salt master",
        ),
        ("include: [{two: {defaults: 7}}]", "Rendering SLS 'two' failed"),
    ],
)
def test_an_include_that_is_none_is_an_error(tmp_path: Path, include: str, error: str) -> None:
    files = {"top.sls": TOP, "one.sls": include, "two.sls": "a: {{ given }}"}
    assert error in compiled(tmp_path, files)["_errors"][0]


def test_data_that_contain_themselves_are_an_error(tmp_path: Path) -> None:
    endless = "x: &x {y: *x}"
    files = {"top.sls": "base: {'*': [a, b]}", "a.sls": endless, "b.sls": endless}
    assert compiled(tmp_path, files)["_errors"]


def test_several_roots_of_an_environment_are_one(tmp_path: Path) -> None:
    write_tree(tmp_path / "first", {"top.sls": "base: {'*': [one, t*]}", "one.sls": "a: first"})
    write_tree(tmp_path / "second", {"one.sls": "a: second", "two.sls": "b: second"})
    roots = {"base": [str(tmp_path / "first"), str(tmp_path / "second")]}
    pillar = compiled(tmp_path, {}, pillar_roots=roots)
    assert pillar["a"] == "first"
    assert pillar["b"] == "second"


def test_any_environment_has_the_roots_of_env(tmp_path: Path) -> None:
    write_tree(tmp_path / "qa", {"top.sls": "qa: {'*': [one]}", "one.sls": "is: {{ saltenv }}"})
    roots = {"__env__": [f"{tmp_path}/__env__"]}
    assert compiled(tmp_path, {}, pillar_roots=roots, pillarenv="qa") == {"is": "qa"}


PLUGIN = """
def ext_pillar(minion_id, pillar, *args, grains, **kwargs):
    if args == ("fail",):
        raise RuntimeError("the password of the database")
    if args == ("list",):
        return ["x"]
    pillar["changed"] = True
    return {"ext": {"os": grains["os"], "args": list(args), "kwargs": kwargs}}
"""


def with_plugin(tmp_path: Path, given: Any, **options: Any) -> dict[str, Any]:
    write_tree(tmp_path / "ext", {"pillar/mine.py": PLUGIN})
    return compiled(
        tmp_path,
        {"top.sls": "base: {'*': [one]}", "one.sls": "seen: {{ pillar.ext is defined }}"},
        grains={"os": "Debian"},
        extension_modules=str(tmp_path / "ext"),
        ext_pillar=[{"mine": given}],
        **options,
    )


def test_a_plug_in_gets_its_arguments_and_the_grains(tmp_path: Path) -> None:
    ext = {"os": "Debian", "args": [], "kwargs": {"a": 1}}
    assert with_plugin(tmp_path, {"a": 1}) == {"seen": False, "ext": ext}
    assert with_plugin(tmp_path, ["x"])["ext"]["args"] == ["x"]
    assert with_plugin(tmp_path, "x")["ext"]["args"] == ["x"]


def test_plug_ins_may_come_before_the_files(tmp_path: Path) -> None:
    assert with_plugin(tmp_path, "x", ext_pillar_first=True)["seen"] is True


def test_a_plug_in_that_fails_is_an_error_without_its_secrets(tmp_path: Path) -> None:
    failed = "Failed to load ext_pillar mine: "
    pillar = with_plugin(tmp_path, "fail")
    assert pillar["_errors"] == [f"{failed}Please see master log for details."]
    pillar = with_plugin(tmp_path, "fail", pillar_safe_render_error=False)
    assert pillar["_errors"] == [f"{failed}the password of the database"]
    pillar = with_plugin(tmp_path, "list", pillar_safe_render_error=False)
    assert pillar["_errors"] == [f"{failed}it gave no dictionary but list"]


def test_an_option_that_means_nothing_ends_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no plug-in 'gone'; there are: none at all"):
        make_service(tmp_path, ext_pillar=[{"gone": 1}], extension_modules=str(tmp_path))
    with pytest.raises(ConfigError, match="a list of maps with one key each"):
        make_service(tmp_path, ext_pillar={"gone": 1})
    write_tree(tmp_path, {"pillar/bad.py": "1 / 0", "pillar/none.py": ""})
    for name, reason in (("bad", "can't be loaded"), ("none", "has no function ext_pillar")):
        with pytest.raises(ConfigError, match=reason):
            make_service(tmp_path, ext_pillar=[{name: 1}], extension_modules=str(tmp_path))
    with pytest.raises(ConfigError, match="renderer: the renderer 'mako' is not available"):
        make_service(tmp_path, renderer="mako")
    with pytest.raises(ConfigError, match="pillar_source_merging_strategy"):
        make_service(tmp_path, pillar_source_merging_strategy="clever")


def test_what_the_request_overrides_comes_last(tmp_path: Path) -> None:
    write_tree(tmp_path / "base", {"top.sls": TOP, "one.sls": "a: {x: 1, y: 1}"})
    asked = Asked("m1", {}, override={"a": {"x": 2}, "b": 3})
    assert make_service(tmp_path).compile(asked) == {"a": {"x": 2, "y": 1}, "b": 3}
