"""The index by minion: whatever is settled, late, pruned or old, a listing finds what is there."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from greensalt.store import byminion
from greensalt.store.sqlite import SqliteStore
from tests.store._samples import a_job, a_return

LONG_AGO = 1_000_000.0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(tmp_path / "jobs.db", sync="normal")
    yield store
    store.close()


def listed(store: SqliteStore, **filters: Any) -> list[str]:
    return [job.jid for job in store.list_jobs(**filters)]


def count(store: SqliteStore, table: str) -> int:
    def ask(connection: sqlite3.Connection) -> int:
        found: int = connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        return found

    return store.database.read(ask)


def fill(store: SqliteStore, jobs: range, minions: list[str]) -> None:
    for number in jobs:
        store.add_job(a_job(str(number), started=LONG_AGO + number))
        for minion in minions:
            store.add_return(a_return(str(number), minion))


def test_settled_and_new_jobs_are_listed_together_the_newest_first(store: SqliteStore) -> None:
    fill(store, range(5), ["alpha"])
    store._index(LONG_AGO + 3)
    assert count(store, "by_minion") == 3
    assert listed(store, minion="alpha") == ["4", "3", "2", "1", "0"]
    assert listed(store, minion="alpha", limit=3) == ["4", "3", "2"]
    assert listed(store, minion="alpha", until=LONG_AGO + 1) == ["1", "0"]
    assert listed(store, minion="beta") == []


def test_a_prune_brings_the_index_up_to_date(store: SqliteStore) -> None:
    fill(store, range(3), ["alpha", "beta"])
    store.prune(0, 0)
    assert count(store, "by_minion") == 6


def test_a_return_that_is_late_for_a_settled_job_is_found(store: SqliteStore) -> None:
    fill(store, range(3), ["alpha"])
    store._index(LONG_AGO + 9)
    assert store.add_return(a_return("1", "beta"))
    assert not store.add_return(a_return("1", "alpha"))
    assert listed(store, minion="beta") == ["1"]
    assert listed(store, minion="alpha") == ["2", "1", "0"]


def test_a_slice_takes_few_jobs_and_all_are_taken(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(byminion, "RETURNS_IN_A_SLICE", 3)
    fill(store, range(7), ["alpha", "beta"])
    assert store.database.write(byminion.settle_slice, LONG_AGO + 9) is False
    assert count(store, "by_minion") == 2
    store._index(LONG_AGO + 9)
    assert count(store, "by_minion") == 14


def test_what_pruned_jobs_left_is_swept_once_it_is_much(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(byminion, "MINIONS_IN_A_SLICE", 2)
    store.add_job(a_job("first", started=LONG_AGO - 1))
    store.add_return(a_return("first", "gone"))
    fill(store, range(70), ["a", "b", "c"])
    store._index(LONG_AGO + 100)
    assert count(store, "by_minion") == 211

    def drop(connection: sqlite3.Connection) -> None:
        connection.execute("DELETE FROM jobs WHERE started < ?", (LONG_AGO + 68,))

    store.database.alone(drop)
    assert listed(store, minion="gone") == []
    assert listed(store, minion="a") == ["69", "68"]
    store._index(0)
    assert count(store, "by_minion") == 6
    assert count(store, "names") == 3
    assert listed(store, minion="a") == ["69", "68"]


def test_a_file_without_the_index_is_taken_over(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "old.db", sync="normal")
    fill(store, range(4), ["alpha"])
    store.close()
    old = sqlite3.connect(tmp_path / "old.db")
    for table in ("names", "by_minion", "settled"):
        old.execute(f"DROP TABLE {table}")
    old.execute("PRAGMA user_version = 1")
    old.close()
    store = SqliteStore(tmp_path / "old.db", sync="normal")
    assert listed(store, minion="alpha") == ["3", "2", "1", "0"]
    store._index(LONG_AGO + 9)
    assert count(store, "by_minion") == 4
    assert listed(store, minion="alpha") == ["3", "2", "1", "0"]
    store.close()


@settings(deadline=None, max_examples=30)
@given(
    returns=st.lists(
        st.tuples(st.integers(0, 5), st.sampled_from(["alpha", "beta"])), unique=True, max_size=12
    ),
    indexed=st.lists(st.tuples(st.integers(0, 12), st.integers(0, 6)), max_size=3),
)
def test_it_makes_no_difference_when_the_index_is_brought_up_to_date(
    tmp_path_factory: pytest.TempPathFactory,
    returns: list[tuple[int, str]],
    indexed: list[tuple[int, int]],
) -> None:
    store = SqliteStore(tmp_path_factory.mktemp("index") / "jobs.db", sync="normal")
    fill(store, range(6), [])
    for place, (job, minion) in enumerate(returns):
        for when, before in indexed:
            if when == place:
                store._index(LONG_AGO + before)
        store.add_return(a_return(str(job), minion))
    for minion in ("alpha", "beta"):
        theirs = sorted((job for job, who in returns if who == minion), reverse=True)
        assert listed(store, minion=minion) == [str(job) for job in theirs]
    store.close()
