"""What minions told of themselves is kept, bounded in memory, and gone when it should be."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from greensalt.errors import StoreError, Unstorable
from greensalt.store.minions import MinionCache
from greensalt.store.sqlite import SqliteStore


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(tmp_path / "store.db")
    yield store
    store.close()


@pytest.fixture
def minions(store: SqliteStore) -> MinionCache:
    return MinionCache(store)


def _fill(minions: MinionCache, count: int, size: int = 100) -> None:
    tasks = [
        gevent.spawn(minions.put_grains, f"m{n:04d}", {"n": n, "fill": bytes(size)}, {"p": n})
        for n in range(count)
    ]
    gevent.joinall(tasks, raise_error=True)


# -- grains and pillar ---------------------------------------------------------------------------


def test_grains_and_pillar_come_back_also_after_a_restart(
    store: SqliteStore, minions: MinionCache, tmp_path: Path
) -> None:
    grains: dict[Any, Any] = {
        "id": "a",
        "os": "Debian",
        "mem": 1 << 40,
        3: ["x", None],
        "raw": b"\xff",
    }
    minions.put_grains("a", grains, {"role": {"web": True}})
    minions.put_grains("b", {})
    store.close()
    again = SqliteStore(tmp_path / "store.db")
    for cache in (minions, MinionCache(again)):
        assert cache.ids() == ["a", "b"]
        assert cache.grains("a") == grains
        assert cache.pillar("a") == {"role": {"web": True}}
        assert cache.grains("b") == {}
        assert cache.grains("c") is None
        if cache is not minions:
            assert cache.pillar("b") is None
    again.close()


def test_new_grains_take_the_place_of_old_ones_and_pillar_stays(minions: MinionCache) -> None:
    minions.put_grains("a", {"v": 1}, {"p": 1})
    assert minions.grains("a") == {"v": 1}
    minions.put_grains("a", {"v": 2})
    assert minions.grains("a") == {"v": 2}
    assert minions.pillar("a") == {"p": 1}
    minions.put_grains("a", {"v": 2}, {})
    assert minions.pillar("a") == {}


def test_what_is_known_already_is_not_written_again(
    store: SqliteStore, minions: MinionCache
) -> None:
    minions.put_grains("a", {"v": 1}, {"p": 1})
    commits = store.database.commits
    for _ in range(10):
        minions.put_grains("a", {"v": 1}, {"p": 1})
    assert store.database.commits == commits
    minions.put_grains("a", {"v": 1}, {"p": 2})
    assert minions.pillar("a") == {"p": 2}
    assert store.database.commits == commits + 1


def test_of_two_at_once_the_later_one_stays(minions: MinionCache) -> None:
    minions.put_grains("a", {"v": 0})
    tasks = [gevent.spawn(minions.put_grains, "a", {"v": v}) for v in (1, 2, 1, 0)]
    gevent.joinall(tasks, raise_error=True)
    assert minions.grains("a") == {"v": 0}


def test_a_forgotten_minion_has_left_nothing(store: SqliteStore, minions: MinionCache) -> None:
    for minion_id in ("a", "b", "c"):
        minions.put_grains(minion_id, {"x": 1}, {"secret": 1})
        minions.mine_update(minion_id, {"net.ip": minion_id})
    minions.forget("a", "c", "never-seen")
    for cache in (minions, MinionCache(store)):
        assert cache.ids() == ["b"]
        assert cache.grains("a") is None
        assert cache.pillar("a") is None
        assert cache.mine_get("a") == {}
        assert cache.mine_of(["net.ip"]) == {"net.ip": {"b": "b"}}
    minions.put_grains("a", {"new": 1})
    assert minions.pillar("a") is None


def test_grains_that_can_not_be_kept_are_refused_and_the_old_ones_stay(
    minions: MinionCache,
) -> None:
    minions.put_grains("a", {"v": 1})
    with pytest.raises(Unstorable, match="can't be kept"):
        minions.put_grains("a", {"v": object()})
    assert minions.grains("a") == {"v": 1}


@pytest.mark.parametrize("memory_bytes", [0, 2_000, 50_000, 10_000_000])
def test_all_minions_can_be_asked_for_whatever_memory_there_is(
    store: SqliteStore, memory_bytes: int
) -> None:
    _fill(MinionCache(store), 600)
    cache = MinionCache(store, memory_bytes=memory_bytes, unpacked=10)
    for _ in range(2):
        assert [(cache.grains(m) or {})["n"] for m in cache.ids()] == list(range(600))
        assert [cache.pillar(m) for m in cache.ids()] == [{"p": n} for n in range(600)]


def test_going_through_all_minions_takes_few_questions_to_the_disk(store: SqliteStore) -> None:
    _fill(MinionCache(store), 1000)
    cache = MinionCache(store)
    asked = 0
    read = store.database.read

    def counted(question: Any) -> Any:
        nonlocal asked
        asked += 1
        return read(question)

    store.database.read = counted  # type: ignore[method-assign]
    for minion_id in cache.ids():
        assert cache.grains(minion_id) is not None
    assert asked == 4


def test_a_killed_write_leaves_memory_and_disk_alike(
    store: SqliteStore, minions: MinionCache
) -> None:
    minions.put_grains("a", {"v": 1})
    writing = gevent.spawn(minions.put_grains, "a", {"v": 2})
    gevent.sleep(0)
    writing.kill()
    minions.mine_update("b", {})  # a later commit: by now the write is done or never will be
    assert minions.grains("a") == MinionCache(store).grains("a")


def test_writes_to_a_closed_store_are_refused(store: SqliteStore, minions: MinionCache) -> None:
    minions.put_grains("a", {"v": 1})
    store.close()
    with pytest.raises(StoreError, match="closed"):
        minions.put_grains("a", {"v": 2})


# -- the mine ------------------------------------------------------------------------------------


def test_the_mine_is_merged_and_with_clear_replaced(minions: MinionCache) -> None:
    assert minions.mine_get("a") == {}
    minions.mine_update("a", {"f": 1, "g": [1]})
    minions.mine_update("a", {"g": {"x": b"\xff"}, "h": None})
    assert minions.mine_get("a") == {"f": 1, "g": {"x": b"\xff"}, "h": None}
    minions.mine_update("a", {"i": 1}, clear=True)
    assert minions.mine_get("a") == {"i": 1}
    minions.mine_update("a", {}, clear=True)
    assert minions.mine_get("a") == {}


def test_functions_and_whole_mines_can_be_dropped(minions: MinionCache) -> None:
    minions.mine_update("a", {"f": 1, "g": 2, "h": 3})
    minions.mine_update("b", {"f": 4})
    assert minions.mine_delete("a", "f") is True
    assert minions.mine_delete("a", "f") is False
    assert minions.mine_get("a") == {"g": 2, "h": 3}
    assert minions.mine_flush("a") is True
    assert minions.mine_flush("a") is False
    assert minions.mine_get("b") == {"f": 4}


def test_one_function_can_be_asked_of_many_minions(minions: MinionCache) -> None:
    for n in range(5):
        minions.mine_update(f"m{n}", {"f": n, "g": -n} if n else {"g": 0})
    assert minions.mine_of(["f", "h"]) == {"f": {f"m{n}": n for n in range(1, 5)}, "h": {}}
    assert minions.mine_of(["f", "g"], ["m0", "m3", "m9"]) == {
        "f": {"m3": 3},
        "g": {"m0": 0, "m3": -3},
    }


def test_a_mine_with_names_that_are_no_text_is_refused(minions: MinionCache) -> None:
    with pytest.raises(Unstorable, match="named by text"):
        minions.mine_update("a", {1: 1})  # type: ignore[dict-item]


# -- against a model -----------------------------------------------------------------------------

ids = st.sampled_from([f"m{n}" for n in range(6)])
dicts = st.dictionaries(st.sampled_from("xyz"), st.integers(0, 5) | st.just("v" * 40), max_size=3)


class CacheLikeADict(RuleBasedStateMachine):
    """With room for hardly anything in memory, the cache behaves like two dicts."""

    def __init__(self) -> None:
        super().__init__()
        self.grains: dict[str, Any] = {}
        self.pillar: dict[str, Any] = {}
        self.store: SqliteStore | None = None

    @initialize(memory_bytes=st.sampled_from([0, 60, 200, 10_000]), unpacked=st.integers(1, 3))
    def open(self, memory_bytes: int, unpacked: int) -> None:
        self.path = TEMPORARY[-1] / f"{len(list(TEMPORARY[-1].iterdir()))}.db"
        self.options = {"memory_bytes": memory_bytes, "unpacked": unpacked}
        self.store = SqliteStore(self.path, sync="normal")
        self.cache = MinionCache(self.store, **self.options)

    @rule(minion_id=ids, grains=dicts, pillar=st.none() | dicts)
    def put(self, minion_id: str, grains: dict[str, Any], pillar: dict[str, Any] | None) -> None:
        self.cache.put_grains(minion_id, grains, pillar)
        self.grains[minion_id] = grains
        if pillar is not None:
            self.pillar[minion_id] = pillar

    @rule(minion_id=ids, grains=dicts)
    def put_while_all_are_asked_for(self, minion_id: str, grains: dict[str, Any]) -> None:
        asking = [gevent.spawn(self.cache.grains, other) for other in self.cache.ids()]
        self.put(minion_id, grains, None)
        gevent.joinall(asking, raise_error=True)

    @rule(some=st.lists(ids, max_size=2))
    def forget(self, some: list[str]) -> None:
        self.cache.forget(*some)
        for minion_id in some:
            self.grains.pop(minion_id, None)
            self.pillar.pop(minion_id, None)

    @rule()
    def reopen(self) -> None:
        assert self.store is not None
        self.store.close()
        self.store = SqliteStore(self.path, sync="normal")
        self.cache = MinionCache(self.store, **self.options)

    @invariant()
    def same(self) -> None:
        if self.store is not None:
            assert self.cache.ids() == sorted(self.grains)
            for minion_id in [f"m{n}" for n in range(6)]:
                assert self.cache.grains(minion_id) == self.grains.get(minion_id)
                assert self.cache.pillar(minion_id) == self.pillar.get(minion_id)

    def teardown(self) -> None:
        if self.store is not None:
            self.store.close()


TEMPORARY: list[Path] = []
"""Where the state machine, which gets no fixtures, puts its files."""


def test_the_cache_is_like_a_dict_whatever_memory_there_is(tmp_path: Path) -> None:
    from hypothesis.stateful import run_state_machine_as_test

    TEMPORARY.append(tmp_path)
    run_state_machine_as_test(
        CacheLikeADict,
        settings=settings(max_examples=30, stateful_step_count=20, deadline=None),
    )
