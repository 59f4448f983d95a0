"""Many minions in one process: each is one of its own."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from greensalt.config import MinionConfig
from greensalt.errors import ConfigError
from greensalt.minion import fleet
from tests._daemons import READY_S, GreensaltMaster, GreensaltMinion, short_dir


class Fleet(GreensaltMinion):
    """`greensalt minion --count 3`."""

    options: tuple[str, ...] = ()

    def argv(self) -> list[str]:
        return [*super().argv(), "--count", "3", *self.options]

    def wait_ready(self) -> None:
        self.child.wait_for("are ready: 3 of them", READY_S)


class SharedKeyFleet(Fleet):
    """With one key pair for all, which is made much sooner than three."""

    def argv(self) -> list[str]:
        return [*super().argv(), "--shared-key", str(self.dir / "key")]


def test_three_minions_in_one_process_answer_each_for_itself() -> None:
    with (
        short_dir() as where,
        GreensaltMaster(where, auto_accept=True) as master,
        SharedKeyFleet(where, "web", master.ret_port) as minions,
    ):
        ids = [f"web-000{number}" for number in (1, 2, 3)]
        assert master.keys()["accepted"] == ids
        assert master.ask("*", "grains.item", "id") == {each: {"id": each} for each in ids}
        assert master.ask("web-0002", "test.ping") == {"web-0002": True}
        fleet_dir = minions.root / "var/cache/salt/minion/fleet"
        assert sorted(path.name for path in fleet_dir.iterdir()) == ids
        assert minions.stop() == 0


def config_of(tmp_path: Path) -> MinionConfig:
    return MinionConfig.load(tmp_path, {"id": "web", "root_dir": str(tmp_path)})


def test_each_has_directories_and_so_a_key_of_its_own(tmp_path: Path) -> None:
    configs = fleet.members(config_of(tmp_path), 12)
    assert [config.id for config in configs][::11] == ["web-0001", "web-0012"]
    assert len({config.pki_dir for config in configs}) == 12
    assert len({config.cachedir for config in configs}) == 12


@pytest.mark.parametrize("count", [0, -1, 10000])
def test_a_count_that_makes_no_sense_is_refused(tmp_path: Path, count: int) -> None:
    with pytest.raises(ConfigError, match="minions fit in one process"):
        fleet.members(config_of(tmp_path), count)


def test_too_few_open_files_are_told_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 1024))
    with pytest.raises(ConfigError, match=r"100 minions need 1800 open files.* is 1024"):
        fleet.allow_files(100)


def test_the_limit_of_open_files_is_raised_where_it_can_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    raised: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 4096))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: raised.append(limits))
    fleet.allow_files(100)
    assert raised == [(1800, 4096)]
