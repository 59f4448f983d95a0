"""`saltutil.sync_*`: the master's modules come to the minion, from the real file server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from greensalt.minion.grains import core_grains
from greensalt.minion.grains.modules import module_grains
from tests._calls import Caller
from tests.modules.test_cp import MasterFiles


class Site:
    """A minion and the master's files."""

    def __init__(self, root: Path, **options: Any) -> None:
        self.srv = root / "master/base"
        self.srv.mkdir(parents=True)
        self.extmods = root / "extmods"
        self.master = MasterFiles(root / "master")
        options["extension_modules"] = self.extmods
        self.caller = Caller(root, self.extmods / "modules", **options)
        self.caller.ear.request = self.master.request  # type: ignore[method-assign]

    def offer(self, path: str, text: str = "def x():\n    return 1\n") -> None:
        place = self.srv / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)

    def sync(self, kind: str = "modules", **kwargs: Any) -> Any:
        return self.caller.call(f"saltutil.sync_{kind}", **kwargs)

    def copies(self) -> set[str]:
        return {
            str(path.relative_to(self.extmods))
            for path in self.extmods.rglob("*")
            if path.is_file()
        }


@pytest.fixture(name="site")
def _site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_modules_are_brought_and_can_be_called(site: Site) -> None:
    site.offer("_modules/garden.py", "def beds():\n    return ['roses']\n")
    site.offer("_modules/pack/__init__.py", "def it():\n    return 'packed'\n")
    site.offer("_modules/pack/_part.py")
    site.offer("_modules/readme.txt")
    assert site.sync() == ["modules.garden", "modules.pack.__init__", "modules.pack._part"]
    assert site.caller.ear.refreshed == ["modules"]
    site.caller.context.loader.reload()
    assert site.caller.call("garden.beds") == ["roses"]
    assert site.caller.call("pack.it") == "packed"


def test_only_what_is_new_is_named(site: Site) -> None:
    site.offer("_modules/one.py")
    site.offer("_modules/two.py")
    assert site.sync() == ["modules.one", "modules.two"]
    assert site.sync() == []
    site.offer("_modules/two.py", "def y():\n    return 2\n")
    assert site.sync() == ["modules.two"]


def test_a_module_that_is_gone_from_the_master_is_removed(site: Site) -> None:
    for name in ("one", "pack/two"):
        site.offer(f"_modules/{name}.py")
    site.sync()
    (site.srv / "_modules/pack/two.py").unlink()
    assert site.sync() == []
    assert site.copies() == {"modules/one.py"}
    assert not (site.extmods / "modules/pack").exists()


def test_modules_of_one_s_own_may_stay(tmp_path: Path) -> None:
    site = Site(tmp_path, clean_dynamic_modules=False)
    site.offer("_modules/one.py")
    site.sync()
    (site.srv / "_modules/one.py").unlink()
    site.sync()
    assert site.copies() == {"modules/one.py"}


def test_all_kinds_come_at_once(site: Site) -> None:
    site.offer("_modules/one.py")
    site.offer("_grains/two.py")
    site.offer("_beacons/three.py")
    site.offer("_proxy/four.py")
    brought = site.sync("all")
    assert {name: names for name, names in brought.items() if names} == {
        "modules": ["modules.one"],
        "grains": ["grains.two"],
        "beacons": ["beacons.three"],
        "proxymodules": ["proxy.four"],
    }
    assert site.caller.ear.refreshed == ["modules", "grains"]
    assert site.copies() == {"modules/one.py", "grains/two.py", "beacons/three.py", "proxy/four.py"}


def test_only_wanted_modules_are_brought(tmp_path: Path) -> None:
    site = Site(tmp_path, extmod_blacklist={"modules": ["secret*"]})
    for name in ("one", "two", "secret_one"):
        site.offer(f"_modules/{name}.py")
    assert site.sync() == ["modules.one", "modules.two"]
    assert site.sync(extmod_whitelist="two,three") == []
    assert site.copies() == {"modules/two.py"}
    assert site.sync("all", extmod_whitelist={"modules": ["one"]})["modules"] == ["modules.one"]
    assert site.copies() == {"modules/one.py"}


def test_of_several_environments_the_last_one_counts(site: Site) -> None:
    site.offer("_modules/one.py", "base = 1\n")
    site.offer("../dev/_modules/one.py", "dev = 1\n")
    site.offer("../dev/_modules/two.py")
    assert site.sync(saltenv="base,dev") == ["modules.one", "modules.two"]
    assert (site.extmods / "modules/one.py").read_text() == "dev = 1\n"
    assert site.sync(saltenv=["dev", "base"]) == ["modules.one"]


@pytest.mark.parametrize("path", ["../../evil.py", "x/../../evil.py", "a/../../../evil.py"])
def test_a_master_can_t_write_elsewhere(site: Site, path: str) -> None:
    site.offer("_modules/one.py")
    answer = site.master.request

    def lie(load: dict[str, Any]) -> Any:
        return [f"_modules/{path}"] if load["cmd"] == "_file_list" else answer(load)

    site.caller.ear.request = lie  # type: ignore[method-assign]
    assert "path leaves its directory" in site.caller.job("saltutil.sync_modules").ret
    assert not list(site.extmods.parent.rglob("evil.py"))


def test_a_copy_is_written_beside_a_symlink_not_through_it(site: Site, tmp_path: Path) -> None:
    site.offer("_modules/one.py")
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (site.extmods / "modules").mkdir(parents=True)
    (site.extmods / "modules/one.py").symlink_to(victim)
    assert site.sync() == ["modules.one"]
    assert victim.read_text() == "mine"
    assert (site.extmods / "modules/one.py").stat().st_mode & 0o777 == 0o600


def test_brought_modules_compute_grains(site: Site) -> None:
    site.offer(
        "_grains/site.py",
        "import socket\n"
        "def _private():\n    return {'private': 1}\n"
        "def place():\n    return {'room': 7, 'kernel': 'Mine'}\n"
        "def told(grains):\n    return {'seen': grains['id'], 'sum': grains['room'] + 1}\n",
    )
    site.offer("_grains/broken.py", "def x(:\n")
    site.offer("_grains/failing.py", "def x():\n    raise RuntimeError('no')\n")
    site.offer("_grains/odd.py", "def x():\n    return ['no dict']\n")
    site.offer("_grains/absent.py", "def __virtual__():\n    return False\nx = lambda: {'no': 1}\n")
    site.sync("grains")
    grains = core_grains(site.caller.context.opts)
    assert (grains["room"], grains["kernel"], grains["sum"]) == (7, "Mine", 8)
    assert grains["seen"] == site.caller.context.id
    assert not {"private", "no"} & grains.keys()
    site.offer("_grains/site.py", "def place():\n    return {'room': 8, 'list': []}\n")
    site.sync("grains")
    assert core_grains(site.caller.context.opts)["room"] == 8


def test_directories_of_grains_modules_may_be_named(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/site.py").write_text("def x():\n    return {'room': 'own', 'own': 1}\n")
    site = Site(tmp_path, grains_dirs=(str(tmp_path / "mine"),), grains={"own": "option"})
    site.offer("_grains/site.py", "def x():\n    return {'room': 'theirs'}\n")
    site.sync("grains")
    grains = core_grains(site.caller.context.opts)
    assert (grains["room"], grains["own"]) == ("own", "option")


def test_grains_modules_that_hang_are_left_behind(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("def x():\n    return {'quick': 1}\n")
    (tmp_path / "b.py").write_text("import time\ndef x():\n    time.sleep(100)\n")
    assert module_grains([tmp_path], {}, limit_s=0.5) == {"quick": 1}
