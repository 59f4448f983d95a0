"""A tree of states for real minions, and what they made of it, in a form that can be compared.

All states of the top file succeed; `broken` has them and some that fail on purpose. A minion writes
below its grain `where`. The tree wants the pillar of `PILLAR`, and the value
`SHARED` in the mine of the minion `giver`.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import stat
from pathlib import Path
from typing import Any

LARGE_BYTES = 20_000_000
HUGE_BYTES = 200 << 20
SHARED = "from the mine of another"

TREE = {
    "top.sls": "base:\n  '*':\n    - web\n",
    "web/init.sls": """\
{% from "web/map.jinja" import names with context %}
{% set where = grains['where'] %}
include:
  - web.extra

conf:
  file.managed:
    - name: {{ where }}/etc/site.conf
    - source: salt://web/files/site.conf.j2
    - template: jinja
    - makedirs: True
    - mode: '0640'
    - context:
        answer: {{ salt['answer.value'](6) }}
        names: {{ names | json }}

told:
  cmd.run:
    - name: echo told >> {{ where }}/told
    - onchanges:
      - file: conf

files:
  file.recurse:
    - name: {{ where }}/tree
    - source: salt://web/files/tree
    - include_empty: True
    - require:
      - cmd: told

message:
  file.managed:
    - name: {{ where }}/message
    - contents_pillar: site:message

shared:
  file.managed:
    - name: {{ where }}/shared
    - contents: '{{ salt['mine.get']('giver', 'shared') | tojson }}'

{% for owner, port in salt['pillar.get']('site:owners').items() %}
owner-{{ owner }}:
  file.append:
    - name: {{ where }}/owners
    - text: '{{ owner }} {{ port }} {{ pillar['site']['list'] | join('+') }}'
{% endfor %}

heard:
  cmd.run:
    - name: echo heard >> {{ where }}/heard
    - onchanges_any:
      - file: message
      - file: shared

before:
  cmd.run:
    - name: echo before >> {{ where }}/before
    - prereq:
      - file: after

after:
  file.managed:
    - name: {{ where }}/after
    - contents: after
""",
    "web/map.jinja": "{% set names = ['a', 'b', 'grün'] %}\n",
    "web/extra.sls": """\
linked:
  file.symlink:
    - name: {{ grains['where'] }}/link
    - target: etc/site.conf
    - makedirs: True
    - require_in:
      - file: conf
""",
    "broken.sls": """\
include:
  - web

broken:
  test.fail_without_changes:
    - order: last

rescued:
  file.managed:
    - name: {{ grains['where'] }}/rescued
    - contents: rescued
    - onfail:
      - test: broken

never:
  test.succeed_without_changes:
    - require:
      - test: broken

missing:
  file.managed:
    - name: {{ grains['where'] }}/missing
    - source: salt://web/files/not-there
""",
    "web/files/site.conf.j2": "{% import_yaml 'web/files/data.yaml' as data %}"
    "{{ answer }} {{ names | join(',') }} {{ data.port }} {{ saltenv }}\n",
    "web/files/data.yaml": "port: 8080\n",
    "web/files/tree/one.txt": "one\n",
    "web/files/tree/deep/two.txt": "two\n",
    "web/files/tree/deep/empty.txt": "",
    "_modules/answer.py": "def value(factor):\n    return 7 * factor\n",
}

PILLAR = {
    "top.sls": "base:\n  '*':\n    - site\n",
    "site.sls": """\
site:
  message: |
    Größe: {{ 6 * 7 }}
    kernel: {{ grains['kernel'] }}
  owners:
    anna: 8080
    bert: 9090
  list: [1, 2.5, true, null, text]
""",
}


def write_states(root: Path) -> Path:
    """The tree below `root/srv`, with a large file in it; the same every time."""
    srv = root / "srv"
    for name, text in TREE.items():
        place = srv / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    (srv / "web/files/tree/hollow").mkdir(exist_ok=True)
    (srv / "large.bin").write_bytes(random.Random(4).randbytes(LARGE_BYTES))
    return srv


def write_pillar(root: Path) -> Path:
    """The pillar that the states want, below `root/pillar`."""
    pillar = root / "pillar"
    pillar.mkdir()
    for name, text in PILLAR.items():
        (pillar / name).write_text(text)
    return pillar


def write_huge(place: Path) -> str:
    """A file of HUGE_BYTES, no two of its pieces the same; its hash."""
    piece = random.Random(5).randbytes(1 << 20)
    with place.open("wb") as file:
        for number in range(HUGE_BYTES // len(piece)):
            file.write(number.to_bytes(8, "big") + piece[8:])
    return sha256(place)


def outcome(states: dict[str, Any], where: Path) -> list[dict[str, Any]]:
    """The results of a state run in the order in which they ran, without times and pids."""
    text = json.dumps(states).replace(str(where), "WHERE")
    plain: dict[str, dict[str, Any]] = json.loads(text)
    for key, result in plain.items():
        result["key"] = key
        for vague in ("start_time", "duration"):
            result.pop(vague, None)
        # A state of several files tells of them in the order of a set.
        result["comment"] = sorted(str(result["comment"]).splitlines())
        if isinstance(result.get("changes"), dict):
            result["changes"].pop("pid", None)
    return sorted(plain.values(), key=lambda result: int(result["__run_num__"]))


def made(where: Path) -> dict[str, Any]:
    """All files and directories that a state run made: mode, and content or target."""
    found: dict[str, Any] = {}
    for place in sorted(where.rglob("*")):
        name = os.fspath(place.relative_to(where))
        mode = stat.filemode(place.lstat().st_mode)
        if place.is_symlink():
            found[name] = (mode, os.fspath(place.readlink()))
        else:
            found[name] = (mode, place.read_text() if place.is_file() else "")
    return found


def sha256(place: Path) -> str:
    with place.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
