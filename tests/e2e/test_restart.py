"""What survives: restarts and kills of the master and of minions, with real processes.

One master and two minions serve the whole file; each test leaves them running.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from greensalt.client import LocalClient
from tests._daemons import READY_S, GreensaltMaster, GreensaltMinion, short_dir
from tests._load import end_s

IDS = ("one", "two")
ROTATED = "the publish key was rotated"


@dataclass
class Cluster:
    """A greensalt master and the greensalt minions `one` and `two`."""

    where: Path
    master: GreensaltMaster
    minions: dict[str, GreensaltMinion]

    def sign_ins(self) -> dict[str, int]:
        return {name: minion.sign_ins() for name, minion in self.minions.items()}

    def ping(self) -> bool:
        return self.master.ask("*", "test.ping") == dict.fromkeys(self.minions, True)

    def start_job(self, target: str, *job: str) -> str:
        """Publish a job and don't wait for it; its jid."""
        return self.master.run_cli("--async", target, *job).stdout.split()[-1]

    def results(self, jid: str) -> dict[str, Any]:
        """What the master has stored for a job."""
        with LocalClient(self.master.dir) as client:
            return {name: row["ret"] for name, row in client.get_cache_returns(jid).items()}

    def wait_for(self, what: str, look: Callable[[], bool]) -> None:
        self.master.child.wait_until(look, what, READY_S)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with short_dir() as where, GreensaltMaster(where, auto_accept=True, loop_interval=1) as master:
        minions = {name: GreensaltMinion(where, name, master.ret_port) for name in IDS}
        try:
            for minion in minions.values():
                minion.start(wait=False)
            for minion in minions.values():
                minion.wait_ready()
            yield Cluster(where, master, minions)
        finally:
            for minion in minions.values():
                minion.stop()


def wait_started(cluster: Cluster, jid: str, *names: str) -> None:
    """Until minions work on a job."""
    for name in names:
        cluster.minions[name].child.wait_for(f"job {jid}", READY_S)


def test_every_minion_answers(cluster: Cluster) -> None:
    assert cluster.ping()


def test_a_restart_of_the_master_makes_nobody_sign_in_again(cluster: Cluster) -> None:
    before = cluster.sign_ins()
    assert cluster.master.stop() == 0
    cluster.master.start()
    cluster.wait_for("answers of all to test.ping", cluster.ping)
    assert cluster.sign_ins() == before


def test_a_result_arrives_though_the_master_was_killed_while_the_job_ran(
    cluster: Cluster,
) -> None:
    jid = cluster.start_job("*", "cmd.run", "sleep 1; echo done")
    wait_started(cluster, jid, *IDS)
    cluster.master.kill()
    cluster.master.start()
    expected = dict.fromkeys(IDS, "done")
    cluster.wait_for("both results", lambda: cluster.results(jid) == expected)


def test_a_result_arrives_though_master_and_minion_were_killed_after_the_job(
    cluster: Cluster, tmp_path: Path
) -> None:
    """The result is in the minion's outbox, on disk, when both are gone."""
    gate = tmp_path / "gate"
    jid = cluster.start_job(
        "one", "cmd.run", f"until [ -e {gate} ]; do sleep 0.05; done; echo done"
    )
    wait_started(cluster, jid, "one")
    cluster.master.kill()
    minion = cluster.minions["one"]
    outbox = minion.root / "var/cache/salt/minion/outbox"
    gate.touch()
    minion.child.wait_until(lambda: any(outbox.iterdir()), "result in the outbox", READY_S)
    minion.kill()
    cluster.master.start()
    minion.start()
    cluster.wait_for("the result", lambda: cluster.results(jid) == {"one": "done"})
    minion.child.wait_until(lambda: not any(outbox.iterdir()), "emptied outbox", READY_S)
    # Once: a second return of a minion for the same job would be told.
    assert f"returned job {jid} once more" not in cluster.master.child.text()


def test_results_that_were_acknowledged_outlive_a_kill_of_the_master(cluster: Cluster) -> None:
    cluster.wait_for("answers of all to test.ping", cluster.ping)
    jid = cluster.start_job("*", "test.echo", "kept")
    expected = dict.fromkeys(IDS, "kept")
    cluster.wait_for("both results", lambda: cluster.results(jid) == expected)
    cluster.master.kill()
    cluster.master.start()
    assert cluster.results(jid) == expected


def test_deleting_a_key_rotates_the_publish_key_and_the_others_follow(cluster: Cluster) -> None:
    with GreensaltMinion(cluster.where, "leaver", cluster.master.ret_port) as leaver:
        leaver.stop()
    before = cluster.sign_ins()
    cluster.master.key("-y", "-d", "leaver")
    cluster.master.child.wait_for(ROTATED, READY_S)
    assert cluster.ping()
    assert cluster.sign_ins() == {name: count + 1 for name, count in before.items()}


def test_master_and_minions_end_within_two_seconds(cluster: Cluster) -> None:
    """SIGTERM ends each of them cleanly, and the one that is left has no say in it."""
    for daemon in (*cluster.minions.values(), cluster.master):
        assert end_s(daemon.child) < 2
        assert daemon.child.returncode == 0
