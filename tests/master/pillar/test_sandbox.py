"""CVE-2021-25283: no template reaches Python's internals. CVE-2024-22232: no path its root's."""

from __future__ import annotations

from pathlib import Path

import pytest

from greensalt.errors import PillarError
from greensalt.master.pillar import Asked
from greensalt.master.pillar.tree import Tree
from tests.master.pillar._compiling import compiled, make_service, rendered, write_tree

FAILED = {"_errors": ["Rendering SLS 'one' failed. Please see master log for details."]}

ESCAPES = [
    "''.__class__.__mro__",
    "''['__class__']",
    "''|attr('__class__')",
    "'{0.__class__.__mro__}'.format(7)",
    "'{x.__globals__}'.format_map({'x': salt['grains.get']})",
    "salt['grains.get'].func.__globals__",
    "salt['grains.get'].__self__",
    "salt['grains.get'].__reduce__()",
    "salt._table",
    "salt.grains._functions",
    "salt.__class__",
    "salt['cmd.run']('id')",
    "salt.cmd.run('id')",
    "raise.__globals__",
    "lipsum.__globals__['os']",
    "cycler.__init__.__globals__",
    "self._TemplateReference__context",
    "grains.__class__.__base__",
    "namespace().__init__.__globals__",
    "range(10 ** 9) | list",
    "(1).__class__",
    "caller.__globals__",
    "'x' | load_yaml.__globals__",
    "'!!python/object/apply:os.system [id]' | load_yaml",
]


@pytest.mark.parametrize("expression", ESCAPES)
def test_cve_2021_25283_a_template_stays_in_its_sandbox(tmp_path: Path, expression: str) -> None:
    assert rendered(tmp_path, "a: {{ " + expression + " }}") == FAILED


def test_an_internal_attribute_is_undefined_in_filters_too(tmp_path: Path) -> None:
    text = "a: {{ [''] | map(attribute='__class__') | list }}"
    assert rendered(tmp_path, text) == {"a": ["Undefined"]}


def test_what_a_minion_says_is_never_a_template(tmp_path: Path) -> None:
    evil = "{{ 7 * 7 }}{% raw %}"
    pillar = rendered(tmp_path, "a: {{ grains.evil | yaml_dquote }}", grains={"evil": evil})
    assert pillar == {"a": evil}


def test_python_tags_of_yaml_are_refused(tmp_path: Path) -> None:
    assert rendered(tmp_path, "a: !!python/object/apply:os.system [id]") == FAILED


PATHS = [
    "{% include '../secret' %}",
    "{% include '/etc/passwd' %}",
    "{% include 'a/../../secret' %}",
    "{% include './../secret' %}",
    "{% import_text grains.path as x %}a: x",
    "{% from 'salt://../secret' import x %}",
    "include: [..secret]",
    "include: ['../secret']",
    "include: ['/etc/passwd']",
    "include: ['...secret']",
]


@pytest.mark.parametrize("text", PATHS)
def test_no_file_outside_of_the_roots_is_read(tmp_path: Path, text: str) -> None:
    write_tree(tmp_path, {"secret": "secret: yes", "secret.sls": "secret: yes"})
    pillar = rendered(tmp_path, text, grains={"path": "../secret"})
    assert "secret" not in {key for key in pillar if key != "_errors"}
    assert len(pillar["_errors"]) == 1


@pytest.mark.parametrize("name", ["../other", "..", "/etc", "a/b", "", ".hidden", "a\0b", "x y"])
def test_cve_2024_22232_an_environment_is_a_plain_name(tmp_path: Path, name: str) -> None:
    roots = {"__env__": (f"{tmp_path}/__env__",)}
    if not name:
        assert Tree(roots, name).roots == {"base": (f"{tmp_path}/base",)}
        return
    with pytest.raises(PillarError, match="no name of an environment"):
        Tree(roots, name)


def test_a_bad_environment_is_told_as_an_error(tmp_path: Path) -> None:
    roots = {"__env__": [f"{tmp_path}/__env__"]}
    pillar = compiled(tmp_path, {}, pillar_roots=roots, pillarenv="../x")
    assert "no name of an environment" in pillar["_errors"][0]


def test_one_minions_template_leaves_nothing_for_the_next(tmp_path: Path) -> None:
    """Jinja would keep the module of an import without context for all."""
    write_tree(
        tmp_path / "base",
        {
            "top.sls": "base: {'*': [one]}",
            "map.jinja": "{% set seen = [] %}",
            "data.yaml": "list: []",
            "one.sls": "{% from 'map.jinja' import seen %}{% import_yaml 'data.yaml' as data %}"
            "{% do seen.append(grains.id) %}{% do data.list.append(grains.id) %}"
            "{% do grains.update(id='forged') %}{% do opts.update(id='forged') %}"
            "seen: {{ seen | json }}\ndata: {{ data.list | json }}",
        },
    )
    service = make_service(tmp_path)
    for minion_id in ("m1", "m2", "m1"):
        pillar = service.compile(Asked(minion_id, {"id": minion_id}))
        assert pillar == {"seen": [minion_id], "data": [minion_id]}
