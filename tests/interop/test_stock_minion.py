"""Stock minions of three releases on a greensalt master: sign-in, jobs, restart, rotation.

One master and one fleet serve the whole file; the tests go from gentle to rough.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests._daemons import READY_S, STOCK_VERSIONS, GreensaltMaster, StockMinion, short_dir

# Stock 3008 raises SystemExit(77) as well, but in a task whose result its event loop drops.
EXIT_REJECTED = {"3008.3": 0, "3007.17": 77, "3006.30": 77}


@dataclass
class Fleet:
    """A greensalt master, an accepted minion of each release, and one more of each to refuse."""

    master: GreensaltMaster
    accepted: dict[str, StockMinion]
    refused: dict[str, StockMinion]
    keys_at_first: dict[str, list[str]]

    @property
    def ids(self) -> set[str]:
        return {minion.id for minion in self.accepted.values()}

    def sign_ins(self) -> dict[str, int]:
        return {minion.id: minion.sign_ins() for minion in self.accepted.values()}

    def ping(self) -> bool:
        """Whether each of them has answered a test.ping."""
        return self.master.ask("ok-*", "test.ping") == dict.fromkeys(self.ids, True)

    def wait_for_ping(self) -> None:
        """Until they have found the master again: a job from before that can't reach them."""
        self.master.child.wait_until(self.ping, "answers of all to test.ping", READY_S)


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    with short_dir() as where, GreensaltMaster(where, loop_interval=1) as master:
        accepted, refused = (
            {
                # Without zmq_monitor a minion signs in when its keys ask for it, and not, as 3007
                # does of its own accord, when a connection breaks.
                version: StockMinion(
                    where, f"{name}-{version}", master.ret_port, version, zmq_monitor=False
                )
                for version in STOCK_VERSIONS
            }
            for name in ("ok", "no")
        )
        everyone = [*accepted.values(), *refused.values()]
        try:
            for minion in everyone:
                minion.start(wait=False)
            master.wait_pending(*(minion.id for minion in everyone))
            keys_at_first = master.keys()
            master.key("-y", "-a", "ok-*")
            master.key("-y", "-r", "no-*")
            for minion in accepted.values():
                minion.wait_ready()
            yield Fleet(master, accepted, refused, keys_at_first)
        finally:
            for minion in everyone:
                minion.child.terminate()
            for minion in everyone:
                minion.stop()


@pytest.fixture(params=STOCK_VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_new_minion_is_pending_until_somebody_accepts_it(fleet: Fleet, version: str) -> None:
    assert {f"ok-{version}", f"no-{version}"} <= set(fleet.keys_at_first["pending"])
    assert fleet.keys_at_first["accepted"] == []
    assert "waiting" in fleet.accepted[version].child.text().lower()


def test_an_accepted_minion_answers_test_ping(fleet: Fleet, version: str) -> None:
    assert fleet.master.ask(f"ok-{version}", "test.ping") == {f"ok-{version}": True}


def test_one_job_is_answered_by_every_accepted_minion(fleet: Fleet) -> None:
    assert fleet.ping()


def test_an_accepted_minion_says_which_salt_it_is(fleet: Fleet, version: str) -> None:
    assert fleet.master.ask(f"ok-{version}", "test.version") == {f"ok-{version}": version}


def test_an_accepted_minion_runs_a_command(fleet: Fleet, version: str) -> None:
    answer = fleet.master.ask(f"ok-{version}", "cmd.run", "echo one && echo two")
    assert answer == {f"ok-{version}": "one\ntwo"}


def test_an_accepted_minion_sends_its_grains(fleet: Fleet, version: str) -> None:
    grains = fleet.master.ask(f"ok-{version}", "grains.items")[f"ok-{version}"]
    assert grains["id"] == f"ok-{version}"
    assert grains["saltversion"] == version
    assert grains["kernel"] == "Linux"


def test_minions_are_targeted_by_the_grains_they_sent(fleet: Fleet, version: str) -> None:
    answer = fleet.master.ask(f"saltversion:{version}", "test.ping", options=("-G",))
    assert answer == {f"ok-{version}": True}


def test_a_failing_command_gives_its_exit_code(fleet: Fleet, version: str) -> None:
    done = fleet.master.run_cli("--out=json", "--static", f"ok-{version}", "cmd.retcode", "exit 3")
    assert f'"ok-{version}": 3' in done.stdout


def test_a_running_job_is_found(fleet: Fleet, version: str) -> None:
    """`saltutil.find_job` is how a client tells a slow minion from a dead one."""
    started = fleet.master.run_cli("--async", f"ok-{version}", "test.sleep", "8")
    jid = started.stdout.split()[-1]
    found = fleet.master.ask(f"ok-{version}", "saltutil.find_job", jid)[f"ok-{version}"]
    assert (found["jid"], found["fun"]) == (jid, "test.sleep")


def test_a_rejected_minion_gives_up(fleet: Fleet, version: str) -> None:
    """It says why, and ends with exit code 77 after the 10 to 20 s that stock Salt waits."""
    refused = fleet.refused[version]
    assert refused.child.wait(READY_S) == EXIT_REJECTED[version]
    assert "The Salt Master has rejected this minion's public key" in refused.child.text()
    assert refused.id in fleet.master.keys()["rejected"]


def test_a_restart_of_the_master_makes_nobody_sign_in_again(fleet: Fleet) -> None:
    before = fleet.sign_ins()
    fleet.master.restart()
    fleet.wait_for_ping()
    assert fleet.sign_ins() == before


def test_a_killed_master_is_found_again_by_all(fleet: Fleet) -> None:
    before = fleet.sign_ins()
    fleet.master.kill()
    fleet.master.start()
    fleet.wait_for_ping()
    assert fleet.sign_ins() == before


def test_deleting_a_key_rotates_the_publish_key_and_the_others_follow(fleet: Fleet) -> None:
    before = fleet.sign_ins()
    rotations = fleet.master.child.text().count(ROTATED)
    fleet.master.key("-y", "-d", "no-*")
    fleet.master.child.wait_for(ROTATED, READY_S, count=rotations + 1)
    fleet.wait_for_ping()
    assert fleet.sign_ins() == {minion: count + 1 for minion, count in before.items()}


# What the master logs when it has a new publish key.
ROTATED = "the publish key was rotated"
