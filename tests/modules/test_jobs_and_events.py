from __future__ import annotations

import os
from typing import Any

import pytest

from tests._calls import JID, Caller

OTHER = "20260102030405060709"


class Jobs:
    """Two running jobs: the one that asks, and another."""

    def __init__(self) -> None:
        self.signals: list[tuple[str, int]] = []

    def running(self) -> list[dict[str, Any]]:
        return [
            {"jid": JID, "fun": "saltutil.running", "pid": os.getpid()},
            {"jid": OTHER, "fun": "test.sleep", "arg": [60], "pid": os.getpid()},
        ]

    def find(self, jid: str) -> dict[str, Any]:
        return next((job for job in self.running() if job["jid"] == jid), {})

    def signal(self, jid: str, signum: int) -> str:
        if not self.find(jid):
            return ""
        self.signals.append((jid, signum))
        return f"Signal {signum} sent to job {jid} at pid {os.getpid()}"


@pytest.fixture
def jobs(minion: Caller) -> Jobs:
    jobs = Jobs()
    minion.context.jobs = jobs
    return jobs


def test_a_job_is_found_while_it_runs(minion: Caller, jobs: Jobs) -> None:
    assert minion.call("saltutil.find_job", OTHER)["fun"] == "test.sleep"
    assert minion.call("saltutil.find_job", int(OTHER))["jid"] == OTHER
    assert minion.call("saltutil.find_job", "20200101000000000000") == {}


def test_a_job_does_not_see_itself_running(minion: Caller, jobs: Jobs) -> None:
    assert [job["jid"] for job in minion.call("saltutil.running")] == [OTHER]
    assert [job["jid"] for job in minion.call("saltutil.is_running", "test.*")] == [OTHER]
    assert minion.call("saltutil.is_running", "saltutil.*") == []


def test_jobs_are_ended_one_by_one_or_all_but_the_asking_one(minion: Caller, jobs: Jobs) -> None:
    assert minion.call("saltutil.term_job", OTHER).startswith("Signal 15 sent to job")
    minion.call("saltutil.kill_job", OTHER)
    minion.call("saltutil.signal_job", OTHER, 1)
    assert len(minion.call("saltutil.kill_all_jobs")) == 1
    assert len(minion.call("saltutil.term_all_jobs")) == 1
    assert jobs.signals == [(OTHER, signum) for signum in (15, 9, 1, 9, 15)]
    assert minion.call("saltutil.kill_job", "20200101000000000000") == ""


def test_what_can_be_loaded_anew_is_asked_of_the_minion(minion: Caller) -> None:
    for what in ("grains", "pillar", "modules"):
        assert minion.call(f"saltutil.refresh_{what}") is True
    assert minion.ear.refreshed == ["grains", "pillar", "modules"]
    outcome = minion.job("saltutil.refresh_modules", nonsense=1)
    assert outcome.ret.endswith("The following keyword arguments are not valid: nonsense=1")
    assert minion.job("saltutil.refresh_grains", refresh_pillar=False).success


def test_a_minion_can_give_its_key_up(minion: Caller) -> None:
    assert minion.call("saltutil.revoke_auth") is False
    minion.ear.replies["revoke_auth"] = True
    assert minion.call("saltutil.revoke_auth", preserve_minion_cache=True) is True
    assert minion.ear.requests[-1] == {
        "cmd": "revoke_auth",
        "id": "mouse",
        "preserve_minion_cache": True,
    }


def test_events_go_to_the_minions_bus_and_to_the_masters(minion: Caller) -> None:
    assert minion.call("event.fire", {"a": 1}, "my/tag") is True
    assert minion.call("event.fire_master", {"a": 2}, "my/tag") is True
    assert minion.call("event.fire", "text", "my/tag") is True
    assert minion.ear.fired == [
        ("minion", "my/tag", {"a": 1}),
        ("master", "my/tag", {"a": 2}),
        ("minion", "my/tag", {"data": "text"}),
    ]


def test_an_event_carries_what_its_sender_wants_in_it(
    minion: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLOUR", "green")
    minion.call(
        "event.send",
        "my/tag",
        {"own": 1},
        with_env=["COLOUR"],
        with_grains=["os"],
        with_pillar=True,
        with_env_opts=True,
        more=2,
    )
    ((bus, tag, data),) = minion.ear.fired
    assert (bus, tag) == ("master", "my/tag")
    assert {key: value for key, value in data.items() if not key.startswith("__")} == {
        "own": 1,
        "more": 2,
        "environ": {"COLOUR": "green"},
        "grains": {"os": "Debian"},
        "pillar": {"apache": {"port": 80, "name": "httpd"}, "users": ["ann", "bob"]},
        "saltenv": "base",
        "pillarenv": None,
    }
    assert data["__pub_jid"] == JID


def test_without_a_master_a_request_says_so() -> None:
    from greensalt.errors import CommandExecutionError
    from greensalt.minion.context import NoUplink

    uplink = NoUplink()
    with pytest.raises(CommandExecutionError, match="not connected to a master"):
        uplink.request({"cmd": "_mine_get"})
    assert uplink.fire_master("tag", {}) is False
