"""The runner `saltutil`: the master brings its own modules from its file server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests._bench import Bench
from tests.master.test_runs import ask, ran

Make = Callable[..., Bench]


def offer(srv: Path, path: str, text: str = "def x():\n    return 1\n") -> None:
    place = srv / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)


def served(bench: Make, srv: Path, **options: Any) -> Bench:
    return bench(file_roots={"base": [str(srv)]}, **options)


def test_runners_are_brought_called_and_removed(bench: Make, tmp_path: Path) -> None:
    offer(tmp_path, "_runners/garden.py", "def beds(n):\n    return ['roses'] * n\n")
    master = served(bench, tmp_path)
    assert ran(master, "saltutil.sync_runners")["return"] == ["runners.garden"]
    assert ran(master, "garden.beds", 2)["return"] == ["roses", "roses"]
    offer(tmp_path, "_runners/garden.py", "def beds(n):\n    return n\n")
    assert ran(master, "saltutil.sync_runners")["return"] == ["runners.garden"]
    assert ran(master, "garden.beds", 2)["return"] == 2
    assert ran(master, "saltutil.sync_runners")["return"] == []
    (tmp_path / "_runners/garden.py").unlink()
    assert ran(master, "saltutil.sync_runners")["return"] == []
    assert "not available" in ran(master, "garden.beds", 2)["return"]


def test_wheel_functions_are_brought_and_called(bench: Make, tmp_path: Path) -> None:
    offer(tmp_path, "_wheel/garden.py", "def beds():\n    return ['roses']\n")
    master = served(bench, tmp_path)
    assert ran(master, "saltutil.sync_wheel")["return"] == ["wheel.garden"]
    assert ask(master, "wheel", "garden.beds")["data"]["return"] == ["roses"]


def test_all_kinds_come_at_once_but_those_that_may_not(bench: Make, tmp_path: Path) -> None:
    offer(tmp_path, "_runners/one.py")
    offer(tmp_path, "_runners/secret.py")
    offer(tmp_path, "_pillar/two.py")
    master = served(bench, tmp_path, extmod_blacklist={"runners": ["secret"]})
    brought = ran(master, "saltutil.sync_all")["return"]
    assert {name: names for name, names in brought.items() if names} == {
        "runners": ["runners.one"],
        "pillar": ["pillar.two"],
    }
    copies = master.config.extension_modules
    assert (copies / "runners/one.py").stat().st_mode & 0o777 == 0o600
    assert not (copies / "runners/secret.py").exists()


def test_a_link_out_of_the_roots_is_not_brought(bench: Make, tmp_path: Path) -> None:
    offer(tmp_path, "outside.py")
    offer(tmp_path, "srv/_runners/one.py")
    (tmp_path / "srv/_runners/two.py").symlink_to("../../outside.py")
    master = served(bench, tmp_path / "srv")
    assert ran(master, "saltutil.sync_runners")["return"] == ["runners.one"]
