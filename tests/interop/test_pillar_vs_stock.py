"""One pillar tree, compiled by stock Salt and by greensalt: every minion's pillar is the same."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from greensalt.config import MasterConfig
from greensalt.master.pillar import Asked, PillarService
from tests._daemons import NEWEST, stock_bin
from tests.master.pillar._compiling import write_tree

SCRIPT = Path(__file__).with_name("_stock_pillars.py")

TREE = {
    "base/top.sls": """
{% set role = grains.get('role', 'none') %}
include: [more_tops]
base:
  '*':
    - common
    - sub.*
    - {{ 'roles.' ~ role }}
    - ignore_missing: true
  'os:Debian':
    - match: grain
    - order: 5
    - debian
  'G@os:Debian and not web2': [compounded]
  'web1,db1': [{match: list}, listed]
  'w.b\\d': [{match: pcre}, regexed]
  webs: [{match: nodegroup}, grouped]
  '10.0.0.0/24': [{match: ipcidr}, networked]
  'os:(Deb|Ubu)': [{match: grain_pcre}, grain_regexed]
  'web*': [{match: glob}, include_key, lists]
  'db1': [broken_yaml, undefined, missing, not_a_dict, duplicate, broken_include]
dev:
  'web1': [dev_only]
""",
    "base/more_tops.sls": "base: {'web2': [from_more_tops]}",
    "base/from_more_tops.sls": "extra_top: {{ sls }}",
    "base/common.sls": """
#!jinja|yaml
{% from 'macros.jinja' import user, defaults with context %}
{% import_yaml 'data.yaml' as data %}
{% import_json 'data.json' as jdata %}
{% import_text 'text.txt' as text %}
{% load_yaml as inner %}
a: [1, {b: {{ grains.os }}}]
{% endload %}
{% set by = salt['grains.filter_by']({
  'Debian': {'pkg': 'apache2', 'deep': {'x': 1}},
  'Red*': {'pkg': 'httpd'},
  'default': {'pkg': 'none'}}, grain='os', merge={'deep': {'y': 2}}) %}
name: {{ grains['id'] }}
file: {{ [sls, slspath, slsdotpath, slscolonpath, tplfile, tpldir, tpldot, saltenv] | json }}
env: {{ opts.pillarenv | json }}
minion: {{ opts['id'] }}
users: {{ user('ann', 1000) }}
default: {{ defaults | json }}
data: {{ data | json }}
jdata: {{ jdata | yaml }}
text: {{ text | yaml_dquote }}
inner: {{ inner | tojson }}
by: {{ by | json }}
nested: {{ salt['grains.get']('deep:a:0', 'fallback') }}
dotted: {{ salt.grains.get('os') }}
absent: {{ salt['grains.get']('nope', 'fallback') }}
from_pillar: {{ salt['pillar.get']('nope', 7) }}
matched: {{ salt['match.glob']('web*', minion_id=grains.id) }}
matched_too: {{ salt['match.compound']('G@os:Debian or db*', minion_id=grains.id) }}
octal: 0644
zero: 0
hex: 0x1F
date: 2024-01-02
stamp: 2024-01-02 03:04:05
yes: yes
no: 'no'
float: 1.5
sci: 1e3
null: ~
binary: !!binary aGVsbG8
multi: |
  one
    two
folded: >-
  a
  b
base_anchor: &anchor {one: 1, two: 2}
anchored:
  <<: *anchor
  two: 22
80: http
'81': https
unicode: Größe
filters:
  {% set l = [3, 1, 2, 3] %}
  unique: {{ l | unique | list | json }}
  union: {{ l | union([4]) | sort | json }}
  intersect: {{ l | intersect([3, 9]) | json }}
  difference: {{ l | difference([3]) | json }}
  symmetric: {{ l | symmetric_difference([3, 9]) | sort | json }}
  regex_match: {{ 'ab12' | regex_match('([a-z])b([0-9]+)') | json }}
  regex_search: {{ 'xab12' | regex_search('B([0-9]+)', ignorecase=True) | json }}
  regex_replace: {{ 'a-b' | regex_replace('-', '_') }}
  regex_escape: {{ 'a.b' | regex_escape | yaml_encode }}
  to_bool: {{ 'yes' | to_bool }}
  sequence: {{ 'x' | sequence | list | json }}
  minimum: {{ l | min }}
  maximum: {{ l | max }}
  avg: {{ l | avg }}
  quote: {{ "it's" | quote | yaml_dquote }}
  squote: {{ "it's" | yaml_squote }}
  sha256: {{ 'x' | sha256 }}
  md5: {{ 'x' | md5 }}
  b64: {{ 'x' | base64_encode }}
  unb64: {{ 'eA==' | base64_decode }}
  flatten: {{ [1, [2, [3, None]]] | flatten | json }}
  flatten1: {{ [1, [2, [3]]] | flatten(levels=1) | json }}
  to_num: {{ '5' | to_num + 1 }}
  traverse: {{ {'a': {'b': [1, 2]}} | traverse('a:b:1') }}
  is_list: {{ l | is_list }}
  is_iter: {{ 'x' | is_iter }}
  snake: {{ 'camelCaseText' | to_snake_case }}
  camel: {{ 'snake_case_text' | to_camelcase }}
  ignorecase: {{ ['b', 'A', 'c'] | sorted_ignorecase | json }}
  whitespace: {{ 'a b' | contains_whitespace }}
  substring: {{ 'a' | substring_in_list(['bar', 'x']) }}
  yaml_block: {{ {'z': [1, 'two']} | yaml(False) | indent(4) | json }}
{% set added = [] %}
{% do added.append(1) %}
added: {{ added | json }}
{% for i in range(5) %}{% if i == 2 %}{% break %}{% endif %}
loop{{ i }}: {{ loop.index }}
{% endfor %}
""",
    "base/macros.jinja": """
{% macro user(name, uid) %}{name: {{ name }}, uid: {{ uid }}, os: {{ grains.os }}}{% endmacro %}
{% set defaults = {'os': grains.os, 'sls': sls} %}
""",
    "base/data.yaml": "from: {{ 'jinja' }}\nlist: [1, 2]\n",
    "base/data.json": '{"a": [1, null, true]}',
    "base/text.txt": "plain text",
    "base/sub/init.sls": "include: [.b, .deep]\nsub_init: {{ slspath }}\nshared: {init: 1, who: init}",  # noqa: E501
    "base/sub/b.sls": "sub_b: {{ tplfile }}\nshared: {b: 1, who: b}\n",
    "base/sub/deep/init.sls": "include:\n  - .leaf\nsub_deep: {{ slsdotpath }}\nshared: {who: deep}",  # noqa: E501
    "base/sub/deep/leaf.sls": "leaf: {{ sls }}\nshared: {leaf: 1, who: leaf}",
    "base/roles/web.sls": "role_is: web",
    "base/debian.sls": "shared: {who: debian, list: [1, 2]}\norder: last",
    "base/compounded.sls": "order: first\nshared: {list: [2, 3]}",
    "base/listed.sls": "listed: true",
    "base/regexed.sls": "regexed: true",
    "base/grouped.sls": "grouped: true",
    "base/networked.sls": "networked: true",
    "base/grain_regexed.sls": "grain_regexed: true",
    "base/include_key.sls": """
include:
  - keyed:
      key: outer:inner
      defaults: {given: from_defaults}
  - plain
shared: {who: include_key}
""",
    "base/keyed.sls": "got: {{ given }}\nshared: {who: keyed}",
    "base/plain.sls": "plain: [a, b]\nshared: {who: plain}",
    "base/lists.sls": "#!yaml\nplain: [b, c]\nraw: '{{ not.rendered }}'",
    "base/broken_yaml.sls": "a: [1\nb: 2",
    "base/undefined.sls": "a: {{ nothing.at.all }}",
    "base/not_a_dict.sls": "- a\n- b",
    "base/duplicate.sls": "a: 1\na: 2",
    "base/broken_include.sls": "include: not_a_list\nkept: true",
    "dev/top.sls": "dev: {'*': [dev_only], 'os:Debian': [{match: grain}, 'dev_*']}",
    "dev/dev_only.sls": "dev: {{ saltenv }}\nshared: {who: dev}",
    "dev/dev_two.sls": "dev_two: {{ opts.pillarenv | json }}",
}  # fmt: skip

MINIONS: list[dict[str, Any]] = [
    {
        "id": "web1",
        "grains": {"os": "Debian", "role": "web", "ipv4": ["10.0.0.7"], "deep": {"a": ["x"]}},
    },
    {"id": "web2", "grains": {"os": "RedHat", "role": "web", "ipv4": ["10.1.0.7"]}},
    {"id": "db1", "grains": {"os": "Debian", "ipv4": ["10.0.0.9"]}},
    {"id": "db2", "grains": {"os": "Arch", "ipv4": []}, "override": {"shared": {"who": "cli"}}},
    {"id": "web1", "grains": {"os": "Debian"}, "pillarenv": "dev"},
    {"id": "web2", "grains": {"os": "RedHat"}, "pillarenv": "base"},
    {"id": "web2", "grains": {"os": "RedHat"}, "pillarenv": "gone"},
    {"id": "web2", "grains": {"os": "RedHat"}, "saltenv": "dev"},
]

OPTIONS: list[dict[str, Any]] = [
    {},
    {"pillar_merge_lists": True},
    {"pillar_source_merging_strategy": "recurse", "pillar_includes_override_sls": True},
    {"pillar_source_merging_strategy": "overwrite"},
    {"pillar_source_merging_strategy": "aggregate"},
    {"pillar_source_merging_strategy": "list"},
    {"pillar_source_merging_strategy": "none"},
    {"env_order": ["dev", "base"]},
    {"ext_pillar": [{"more": {"given": 1}}, {"more": ["a"]}]},
    {"ext_pillar": [{"more": {"given": 2}}], "ext_pillar_first": True},
]

PLUGIN = """
def ext_pillar(minion_id, pillar, *args, **kwargs):
    return {"ext": {"id": minion_id, "seen": sorted(map(str, pillar)), "args": list(args)},
            "ext_" + str(kwargs.get("given")): kwargs, "shared": {"who": "ext"}}
"""


def stock_pillars(root: Path, master: Mapping[str, Any], minions: list[Any]) -> list[Any]:
    asked = json.dumps({"root": str(root), "master": master, "minions": minions})
    done = subprocess.run(
        [stock_bin(NEWEST) / "python", SCRIPT],
        input=asked,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    answer: list[Any] = json.loads(done.stdout)
    return answer


def differences(ours: Any, theirs: Any) -> dict[str, Any]:
    """{key: (ours, theirs)} where two pillars are not the same."""
    keys = dict.fromkeys([*ours, *theirs])
    return {
        key: (ours.get(key), theirs.get(key)) for key in keys if ours.get(key) != theirs.get(key)
    }


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: " ".join(options) or "default")
def test_the_pillars_are_those_of_stock_salt(tmp_path: Path, options: dict[str, Any]) -> None:
    write_tree(tmp_path / "srv", TREE)
    conf = tmp_path / "conf"
    conf.mkdir()
    extmods = tmp_path / "extmods"
    write_tree(extmods, {"pillar/more.py": PLUGIN})
    master = {
        "pillar_roots": {name: [str(tmp_path / "srv" / name)] for name in ("base", "dev")},
        "nodegroups": {"webs": "web*"},
        "extension_modules": str(extmods),
        **options,
    }
    stock = stock_pillars(tmp_path, master, MINIONS)
    service = PillarService(MasterConfig.load(conf, master))
    for asked, theirs in zip(MINIONS, stock, strict=True):
        ours = service.compile(
            Asked(
                asked["id"],
                {**asked["grains"], "id": asked["id"]},
                asked.get("saltenv"),
                asked.get("pillarenv"),
                asked.get("override") or {},
            )
        )
        as_json = json.loads(json.dumps(ours, default=str))
        assert differences(as_json, theirs) == {}, asked
    # The comparison is about something.
    assert any(stock)
