"""What is remembered, and when it is not."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from greensalt.master.pillar import Asked, PillarService
from greensalt.master.pillar.render import Recent
from tests.master.pillar._compiling import make_service, write_tree

FILES = {
    "top.sls": "base: {'*': [one, 'g*']}",
    "one.sls": "include: [.sub.two]\n{% import_yaml 'data.yaml' as data %}\nos: {{ grains.os }}\n"
    "data: {{ data | json }}",
    "sub/two.sls": "two: 1",
    "data.yaml": "a: 1",
    "g1.sls": "",
}
M1 = Asked("m1", {"os": "Debian"})


@pytest.fixture
def service(tmp_path: Path) -> PillarService:
    write_tree(tmp_path / "base", FILES)
    make_old(tmp_path)
    made = make_service(tmp_path)
    assert made.compile(M1) == {"os": "Debian", "data": {"a": 1}, "two": 1}
    return made


def make_old(root: Path) -> None:
    """As if nothing had changed lately; the time of the inode can't be set, only waited for."""
    for path in [root / "base", *(root / "base").rglob("*")]:
        os.utime(path, ns=(0, 0))
    newest = max(path.stat().st_ctime_ns for path in (root / "base").rglob("*"))
    while time.time_ns() - newest < 60_000_000:
        pass


def counts(service: PillarService) -> tuple[int, int]:
    return service.hits, service.misses


def test_the_same_question_has_the_same_answer_without_work(service: PillarService) -> None:
    first = service.compile(M1)
    assert counts(service) == (1, 1)
    first["os"] = "changed by its owner"
    assert service.compile(M1)["os"] == "Debian"


@pytest.mark.parametrize(
    "other",
    [
        Asked("m2", {"os": "Debian"}),
        Asked("m1", {"os": "Arch"}),
        Asked("m1", {"os": "Debian", "more": 1}),
        M1._replace(override={"a": 1}),
        M1._replace(pillarenv="base"),
        M1._replace(saltenv="base"),
    ],
)
def test_another_question_is_another_pillar(service: PillarService, other: Asked) -> None:
    assert service.compile(other)["os"] == other.grains["os"]
    assert counts(service) == (0, 2)


@pytest.mark.parametrize(
    ("rel", "text", "change"),
    [
        ("top.sls", "base: {}", {"os": None, "data": None, "two": None}),
        ("sub/two.sls", "two: 2", {"two": 2}),
        ("data.yaml", "a: 2", {"data": {"a": 2}}),
        ("glob.sls", "found: 1", {"found": 1}),
        ("sub/two.sls", None, {"two": None, "_errors": ["Specified SLS 'sub.two'"]}),
    ],
)
def test_a_change_of_a_file_is_seen_at_once(
    service: PillarService, tmp_path: Path, rel: str, text: str | None, change: dict[str, Any]
) -> None:
    path = tmp_path / "base" / rel
    path.write_text(text) if text is not None else path.unlink()
    pillar = service.compile(M1)
    for key, value in change.items():
        if key == "_errors":
            assert pillar[key][0].startswith(value[0])
        else:
            assert pillar.get(key) == value


def test_what_has_just_changed_is_not_remembered(tmp_path: Path, service: PillarService) -> None:
    """Within the granularity of the file system's clock the next change would leave no trace."""
    (tmp_path / "base/data.yaml").write_text("a: 2")
    service.compile(M1)
    service.compile(M1)
    assert service.hits == 0


def test_what_a_plug_in_says_is_asked_each_time(tmp_path: Path) -> None:
    plugin = "n = []\ndef ext_pillar(minion_id, pillar):\n    n.append(1)\n    return {'n': len(n)}"
    write_tree(tmp_path, {"pillar/count.py": plugin})
    options = {"ext_pillar": [{"count": []}], "extension_modules": str(tmp_path)}
    service = make_service(tmp_path, **options)
    assert [service.compile(M1)["n"] for _ in range(3)] == [1, 2, 3]


def test_what_can_not_be_sent_is_an_error(tmp_path: Path) -> None:
    plugin = "def ext_pillar(minion_id, pillar):\n    return {'f': object()}"
    write_tree(tmp_path, {"pillar/odd.py": plugin})
    options = {"ext_pillar": [{"odd": []}], "extension_modules": str(tmp_path)}
    pillar = make_service(tmp_path, **options).compile(M1)
    assert pillar == {
        "_errors": ["The pillar could not be compiled: Please see master log for details."]
    }


def test_what_is_kept_has_a_limit() -> None:
    recent: Recent[str] = Recent(3, 10)
    for key, size in (("a", 4), ("b", 4), ("a", 4), ("c", 4)):
        recent.put(key, key, size)
    assert [recent.get(key) for key in "abc"] == ["a", None, "c"]
    recent.drop("a")
    recent.drop("gone")
    for key in "defg":
        recent.put(key, key)
    assert [recent.get(key) for key in "acdefg"] == [None, None, None, "e", "f", "g"]
