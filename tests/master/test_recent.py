"""The jobs of late that the master keeps in memory, and who waits for returns inside of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import gevent
import pytest

from greensalt.master import recent
from greensalt.master.recent import RecentJobs, job_of
from greensalt.store.jobs import Job
from greensalt.store.sqlite import SqliteStore
from tests._bench import Bench

Make = Callable[..., Bench]
JIDS = [f"2026010112000000000{number}" for number in range(5)]


@pytest.fixture
def store(tmp_path: Path) -> SqliteStore:
    return SqliteStore(tmp_path / "jobs.db", "normal")


def _job(jid: str, minions: list[str]) -> Job:
    return job_of("root", jid, {"fun": "test.ping", "tgt": "*"}, minions, [])


def test_a_job_published_twice_expects_the_minions_of_both(store: SqliteStore) -> None:
    jobs = RecentJobs(store)
    jobs.remember(_job(JIDS[0], ["a"]))
    jobs.remember(_job(JIDS[0], ["b"]))
    assert [jobs.expects(JIDS[0], each) for each in ("a", "b", "c")] == [True, True, False]
    store.close()


def test_a_forgotten_job_is_found_in_the_store(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recent, "JOBS", 2)
    jobs = RecentJobs(store)
    for jid in JIDS[:3]:
        store.add_job(_job(jid, ["a"]))
        jobs.remember(_job(jid, ["a"]))
    assert not jobs.expects(JIDS[0], "a")
    found = jobs.find(JIDS[0])
    assert found is not None
    assert found.jid == JIDS[0]
    assert jobs.expects(JIDS[0], "a")
    store.close()


def test_many_expected_minions_make_the_memory_shorter(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recent, "EXPECTED", 5)
    jobs = RecentJobs(store)
    for jid in JIDS:
        jobs.remember(_job(jid, ["a", "b"]))
    assert [jobs.expects(jid, "a") for jid in JIDS] == [False, False, False, True, True]
    store.close()


def test_returns_are_awaited_inside_of_the_master(bench: Make) -> None:
    made = bench(auto_accept=True)
    first, second = made.peer("a"), made.peer("b")
    jid = made.job("*")
    first.returns(jid, 1)
    seen: list[str] = []

    def wait() -> None:
        seen.extend(each.id for each in made.master.jobs.await_returns(jid, ["a", "b"], 60))

    waiting = gevent.spawn(wait)
    second.returns(jid, 2)
    waiting.join(60)
    assert waiting.successful()
    assert seen == ["a", "b"]


def test_who_awaits_a_minion_that_is_silent_gets_the_others(bench: Make) -> None:
    made = bench(auto_accept=True)
    made.peer("silent")
    made.peer("a").returns(jid := made.job("*"), 1)
    assert [each.ret for each in made.master.jobs.await_returns(jid, ["a", "silent"], 0.01)] == [1]
