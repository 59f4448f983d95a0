"""publish.publish and its relatives on stock minions, and on greensalt's, of a greensalt master."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests._daemons import (
    STOCK_VERSIONS,
    GreensaltMaster,
    GreensaltMinion,
    Minion,
    StockMinion,
    run,
    short_dir,
    stock_bin,
)

KINDS = (*STOCK_VERSIONS, "greensalt")


@dataclass
class Fleet:
    master: GreensaltMaster
    minions: dict[str, Minion]

    @property
    def everybody(self) -> set[str]:
        return {minion.id for minion in self.minions.values()}

    def call(self, kind: str, *job: str) -> Any:
        """What a function of a minion returns, run by a job of the master."""
        minion_id = self.minions[kind].id
        return self.master.ask(minion_id, *job)[minion_id]


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    config: dict[str, Any] = {
        "auto_accept": True,
        "peer": {".*": ["test.*", "grains.get"]},
        "peer_run": {".*": ["manage.*"]},
    }
    with short_dir() as where, GreensaltMaster(where, **config) as master:
        minions: dict[str, Minion] = {
            version: StockMinion(where, f"m-{version}", master.ret_port, version)
            for version in STOCK_VERSIONS
        }
        minions["greensalt"] = GreensaltMinion(where, "m-greensalt", master.ret_port)
        try:
            for minion in minions.values():
                minion.start(wait=False)
            for minion in minions.values():
                minion.wait_ready()
            yield Fleet(master, minions)
        finally:
            for minion in minions.values():
                minion.child.terminate()
            for minion in minions.values():
                minion.stop()


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_minion_asks_all_others(fleet: Fleet, kind: str) -> None:
    answer = fleet.call(kind, "publish.publish", "m-*", "test.ping", "timeout=20")
    assert answer == dict.fromkeys(fleet.everybody, True)


def test_arguments_and_target_types_arrive(fleet: Fleet, kind: str) -> None:
    job = ("publish.publish", "kernel:Linux", "grains.get", "id", "tgt_type=grain", "timeout=20")
    assert fleet.call(kind, *job) == {each: each for each in fleet.everybody}


def test_full_data_has_the_results_in_their_wrapping(fleet: Fleet, kind: str) -> None:
    answer = fleet.call(kind, "publish.full_data", "m-3008*", "test.ping", "timeout=20")
    assert {minion: each["ret"] for minion, each in answer.items()} == {"m-3008.3": True}


def test_what_peer_does_not_allow_is_not_run(fleet: Fleet, kind: str) -> None:
    assert fleet.call(kind, "publish.publish", "m-*", "cmd.run", "id") == {}


@pytest.mark.parametrize("version", STOCK_VERSIONS)
def test_salt_call_on_a_minion_asks_all_others(fleet: Fleet, version: str) -> None:
    minion = fleet.minions[version]
    done = run(
        stock_bin(version) / "salt-call",
        *("-c", minion.dir, "--out=json", "publish.publish", "m-*", "test.ping", "timeout=20"),
    )
    assert json.loads(done.stdout)["local"] == dict.fromkeys(fleet.everybody, True), done.stderr


def test_a_minion_runs_a_runner_of_the_master(fleet: Fleet, kind: str) -> None:
    answer = fleet.call(kind, "publish.runner", "manage.joined", "timeout=20")
    assert set(answer) == fleet.everybody


def test_what_peer_run_does_not_allow_is_not_run(fleet: Fleet, kind: str) -> None:
    assert fleet.call(kind, "publish.runner", "jobs.list_jobs") == {}
