from __future__ import annotations

import logging
import re
import sys
from pathlib import Path

import pytest

from greensalt.functions.loader import Loader
from tests._calls import Caller


def write(directory: Path, name: str, text: str) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_built_in_functions_are_found_by_their_full_names() -> None:
    loader = Loader()
    function = loader.function("test.ping")
    assert function is not None
    assert function.fn() is True
    assert loader.function("test.pong") is None
    assert loader.function("nothing.here") is None
    assert loader.function("test") is None


def test_modules_are_imported_when_they_are_first_needed(tmp_path: Path) -> None:
    write(tmp_path, "eager.py", "raise RuntimeError('imported')")
    loader = Loader([tmp_path])
    assert loader.known("test.ping") is None
    assert loader.function("test.ping") is not None
    assert loader.known("test.ping") is not None


def test_a_trailing_underscore_is_dropped_and_helpers_stay_hidden() -> None:
    names = Loader().names()
    assert "test.true" in names
    assert not [name for name in names if name.endswith("_") or "._" in name]
    assert not [name for name in names if name.startswith("_")]


def test_all_built_in_functions_are_documented_with_an_example() -> None:
    loader = Loader()
    for name in loader.names():
        function = loader.function(name)
        assert function is not None
        assert function.doc, name
        # A second name of a function has the example of the first.
        first = f"{name.partition('.')[0]}.{function.fn.__name__.rstrip('_')}"
        names = f"{re.escape(name)}|{re.escape(first)}"
        assert re.search(rf"greensalt-cli \S+ ({names})\b", function.doc), name


def test_a_users_module_is_one_more(tmp_path: Path) -> None:
    write(tmp_path, "garden.py", "def water(litres=1): return litres * 2")
    caller = Caller(tmp_path, tmp_path)
    assert caller.call("garden.water", 4) == 8
    assert caller.call("sys.argspec", "garden.water")["garden.water"]["args"] == ["litres"]


def test_a_users_package_is_one_module(tmp_path: Path) -> None:
    write(tmp_path, "pack/__init__.py", "from .part import two\n__all__ = ['two']\n")
    write(tmp_path, "pack/part.py", "def two(): return 2\ndef three(): return 3")
    caller = Caller(tmp_path, tmp_path)
    assert caller.call("pack.two") == 2
    assert not caller.job("pack.three").success


def test_imported_functions_and_classes_are_not_offered(tmp_path: Path) -> None:
    text = "from os.path import join\nclass Thing: ...\ndef f(): return 1\ndef _g(): ...\n"
    write(tmp_path, "own.py", text)
    assert [n for n in Loader([tmp_path]).names() if n.startswith("own.")] == ["own.f"]


def test_names_may_be_changed(tmp_path: Path) -> None:
    text = "__virtualname__ = 'zoo'\n__func_alias__ = {'lions': 'cats'}\ndef lions(): return 3\n"
    write(tmp_path, "animals.py", text)
    caller = Caller(tmp_path, tmp_path)
    assert caller.call("zoo.cats") == 3
    assert not caller.job("animals.lions").success


def test_a_users_module_replaces_a_built_in_one_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path, "mine_too.py", "__virtualname__ = 'test'\ndef ping(): return 'own'\n")
    loader = Loader([tmp_path])
    function = loader.function("test.ping")
    assert function is not None
    assert function.fn() == "own"
    assert loader.function("test.echo") is None
    assert "the built-in module test is hidden by" in caplog.text
    assert "mine_too.py" in caplog.text


def test_the_first_directory_wins(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path / "1", "same.py", "def f(): return 1")
    write(tmp_path / "2", "same.py", "def f(): return 2")
    assert Caller(tmp_path, tmp_path / "1", tmp_path / "2").call("same.f") == 1
    assert "is hidden by" in caplog.text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import no_such_module_anywhere", "No module named 'no_such_module_anywhere'"),
        ("def f(: pass", "invalid syntax (broken.py, line 1)"),
        ("raise SystemExit(3)", "3"),
        ("__virtualname__ = 'not a name'", "__virtualname__ is 'not a name', not a name"),
        ("def available(): return None", "available() gave None, neither True nor a reason"),
        ("def available(): return 1 / 0", "division by zero"),
    ],
)
def test_a_broken_module_is_told_of_and_harms_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str, reason: str
) -> None:
    write(tmp_path, "broken.py", text)
    write(tmp_path, "fine.py", "def f(): return 1")
    caller = Caller(tmp_path, tmp_path)
    assert caller.call("fine.f") == 1
    assert caller.call("test.ping") is True
    assert caller.context.loader.why_missing("broken.f") == reason
    assert caller.job("broken.f").ret == f"'broken' __virtual__ returned False: {reason}"
    assert str(tmp_path / "broken.py") in caplog.text


@pytest.mark.parametrize(
    ("text", "ending"),
    [
        ("def available(): return 'needs a moon'", ": needs a moon"),
        ("def __virtual__(): return False, 'needs a moon'", ": needs a moon"),
        ("def __virtual__(): return False", ""),
    ],
)
def test_a_module_that_cannot_work_here_says_why(tmp_path: Path, text: str, ending: str) -> None:
    write(tmp_path, "rocket.py", f"{text}\ndef start(): return 1\n")
    outcome = Caller(tmp_path, tmp_path).job("rocket.start")
    assert outcome.ret == f"'rocket' __virtual__ returned False{ending}"
    assert (outcome.retcode, outcome.success) == (1, False)


def test_the_first_variant_that_can_work_provides_a_name(tmp_path: Path) -> None:
    head = "__virtualname__ = 'power'\n"
    write(tmp_path, "power_a.py", f"{head}def available(): return 'no sun'\ndef f(): return 'a'")
    write(tmp_path, "power_b.py", f"{head}def available(): return True\ndef f(): return 'b'")
    caller = Caller(tmp_path, tmp_path)
    assert caller.call("power.f") == "b"
    assert caller.call("test.provider", "power") == "power_b"
    assert "power_a" in caller.call("test.not_loaded")


def test_reasons_of_all_variants_are_told(tmp_path: Path) -> None:
    for name, reason in (("a", "no sun"), ("b", "no wind")):
        text = f"__virtualname__ = 'power'\ndef available(): return {reason!r}\n"
        write(tmp_path, f"power_{name}.py", text)
    assert Loader([tmp_path]).why_missing("power.f") == "no sun; no wind"


def test_a_changed_module_is_read_again_on_reload(tmp_path: Path) -> None:
    path = write(tmp_path, "news.py", "def f(): return 1")
    caller = Caller(tmp_path, tmp_path)
    assert caller.call("news.f") == 1
    path.write_text("def f(): return 2")
    assert caller.call("news.f") == 1
    caller.context.loader.reload()
    assert caller.call("news.f") == 2
    path.unlink()
    caller.context.loader.reload()
    assert caller.job("news.f").ret == "'news.f' is not available."


def test_modules_can_be_disabled_or_the_only_ones_allowed() -> None:
    assert Loader(disabled=["cmd"]).function("cmd.run") is None
    assert Loader(disabled=["cmd"]).function("test.ping") is not None
    only = Loader(allowed=["test", "sys"])
    assert only.modules() == ["sys", "test"]
    assert only.function("cmd.run") is None


def test_a_directory_that_is_not_there_is_no_fault(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        assert Loader([Path("/no/such/directory")]).function("test.ping") is not None
    assert "/no/such/directory" not in caplog.text


def test_importing_a_module_with_a_users_name_does_not_find_it_elsewhere(tmp_path: Path) -> None:
    write(tmp_path, "json.py", "def f(): return 'mine'")
    assert Caller(tmp_path, tmp_path).call("json.f") == "mine"
    import json

    assert "json" in sys.modules
    assert json.loads("1") == 1
