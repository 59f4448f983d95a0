"""Following a job: deadlines, silent minions, lost events, a master that goes away.

The tests run with a master that says who works on a job, and with an older one, at which the client
asks with `saltutil.find_job`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import gevent
import pytest
from gevent.queue import Empty, Queue

from greensalt.client import watch as watching
from greensalt.client.link import Ask, Liveness, Page, Published, Result
from greensalt.client.watch import JobWatch
from greensalt.errors import RequestTimeout, StoreError, TransportError

JID = "20261122192410230816"
FIND_JID = "20261122192410230900"


class ScriptedMaster:
    """The seam: what a master's store answers, and whom it asks, or find_job at an older one.

    `running` work on the job, `deaf` don't answer, `gone` are not connected; the others are idle.
    """

    def __init__(self, *, is_older: bool = False) -> None:
        self.is_older = is_older
        self.gone: set[str] = set()
        self.asks: list[Ask] = []
        self.minions: list[str] = ["a", "b"]
        self.rows: dict[str, list[Result]] = {JID: []}
        self.page_rows = 100
        self.away = False
        self.looks = 0
        self.finds: list[list[str]] = []
        self.running: set[str] = set()
        self.deaf: set[str] = set()

    def add(self, minion_id: str, ret: Any = True, jid: str = JID) -> None:
        row = Result(minion_id, ret, 0, True, None, "test.ping", jid)
        self.rows.setdefault(jid, []).append(row)

    def follow(self, jid: str, after: int, ask: Ask | None = None) -> Page:
        if self.away:
            raise RequestTimeout("no reply")
        self.looks += jid == JID
        rows = self.rows.get(jid, [])
        page = rows[after : after + self.page_rows]
        end = after + len(page)
        minions = self.minions if jid == JID else []
        alive = None if ask is None or self.is_older else self._alive(ask)
        return Page(minions, [], page, end, end < len(rows), liveness=alive)

    def _alive(self, ask: Ask) -> Liveness:
        self.asks.append(ask)
        outstanding = set(self.minions) - {row.id for row in self.rows[JID]}
        if ask.after == 0:
            self.finds.append(sorted(outstanding))
        states = dict.fromkeys(outstanding - self.deaf, "idle")
        states.update(dict.fromkeys(outstanding & self.running, "running"))
        states.update(dict.fromkeys(outstanding & self.gone, "gone"))
        return Liveness(ask.after + 1, states)

    def find_job(self, jid: str, minions: list[str]) -> Published:
        if self.away:
            raise RequestTimeout("no reply")
        assert jid == JID
        assert self.is_older
        self.finds.append(sorted(minions))
        find_jid = f"{int(FIND_JID) + len(self.finds)}"
        for minion_id in minions:
            if minion_id not in self.deaf:
                ret = {"jid": JID} if minion_id in self.running else {}
                self.add(minion_id, ret, find_jid)
        return Published(find_jid, sorted(minions), [])


class QueueBus:
    """A bus that says only what the test puts into it."""

    def __init__(self) -> None:
        self.events: Queue[tuple[str, dict[str, Any]]] = Queue()
        self.closed = False

    def next(self, timeout_s: float | None) -> tuple[str, dict[str, Any]] | None:
        try:
            return self.events.get(timeout=timeout_s)
        except Empty:
            return None

    def close(self) -> None:
        self.closed = True

    def tell(self, minion_id: str, jid: str = JID) -> None:
        self.events.put((f"salt/job/{jid}/ret/{minion_id}", {}))


@pytest.fixture(params=[False, True], ids=["", "older"])
def master(request: pytest.FixtureRequest) -> ScriptedMaster:
    return ScriptedMaster(is_older=request.param)


@pytest.fixture
def older() -> ScriptedMaster:
    return ScriptedMaster(is_older=True)


@pytest.fixture
def newer() -> ScriptedMaster:
    return ScriptedMaster()


@pytest.fixture
def bus() -> QueueBus:
    return QueueBus()


@pytest.fixture(autouse=True)
def _no_endless_wait() -> Iterator[None]:
    with gevent.Timeout(60):
        yield


def watch_of(
    master: ScriptedMaster, bus: QueueBus | None, timeout_s: float = 30, gather_s: float = 0.2
) -> JobWatch:
    return JobWatch(
        Published(JID, list(master.minions), []),
        master.follow,
        master.find_job,
        bus,
        timeout_s=timeout_s,
        gather_s=gather_s,
    )


def ids(results: list[Result]) -> list[str]:
    return [result.id for result in results]


def test_a_result_is_yielded_the_moment_it_is_in_the_store(
    master: ScriptedMaster, bus: QueueBus
) -> None:
    watch = watch_of(master, bus)
    results = iter(watch)
    master.add("a")
    bus.tell("a")
    assert next(results).id == "a"
    assert watch.silent == {"b"}
    master.add("b")
    bus.tell("b")
    assert [result.id for result in results] == ["b"]
    assert (watch.done, watch.silent, bus.closed) == (True, set(), True)


def test_the_store_is_not_asked_before_an_event_tells_of_a_return(
    master: ScriptedMaster, bus: QueueBus
) -> None:
    watch = watch_of(master, bus)
    bus.events.put((f"salt/job/{JID}/new", {}))
    assert watch.step(0.05) == []
    assert master.looks == 0


def test_many_events_are_answered_by_one_look(master: ScriptedMaster, bus: QueueBus) -> None:
    master.minions = [f"m{number}" for number in range(50)]
    watch = watch_of(master, bus)
    for minion_id in master.minions:
        master.add(minion_id)
        bus.tell(minion_id)
    assert len(list(watch)) == 50
    assert master.looks == 1


def test_a_long_list_of_returns_is_read_page_by_page(master: ScriptedMaster, bus: QueueBus) -> None:
    master.minions = [f"m{number}" for number in range(25)]
    master.page_rows = 10
    for minion_id in master.minions:
        master.add(minion_id)
    bus.tell("m0")
    watch = watch_of(master, bus)
    assert [len(watch.step()) for _ in range(3)] == [10, 10, 5]
    assert watch.done


def test_a_lost_event_loses_no_result(
    master: ScriptedMaster, bus: QueueBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Issue of Salt's users: the return is in the job cache, the CLI never saw it."""
    monkeypatch.setattr(watching, "POLL_S", 0.05)
    watch = watch_of(master, bus)
    master.add("a")
    master.add("b")
    assert ids(list(watch)) == ["a", "b"]
    assert bus.events.empty()


def test_without_a_bus_the_store_is_polled(master: ScriptedMaster) -> None:
    watch = watch_of(master, None)
    gevent.spawn_later(0.1, master.add, "b")
    master.add("a")
    assert ids(list(watch)) == ["a", "b"]


def test_minions_that_the_master_expects_later_are_waited_for(
    master: ScriptedMaster, bus: QueueBus
) -> None:
    """A grain target: the master's copy of the grains may be older than the minion's own."""
    watch = watch_of(master, bus)
    master.minions = ["a", "b", "c"]
    master.add("a")
    bus.tell("a")
    assert ids(watch.step()) == ["a"]
    assert watch.silent == {"b", "c"}


def test_a_result_of_an_unexpected_minion_counts(master: ScriptedMaster, bus: QueueBus) -> None:
    watch = watch_of(master, bus)
    master.add("stranger")
    bus.tell("stranger")
    assert ids(watch.step()) == ["stranger"]
    assert "stranger" in watch.returned


def test_silent_minions_are_asked_once_and_those_that_do_not_answer_are_given_up(
    master: ScriptedMaster, bus: QueueBus
) -> None:
    master.deaf = {"b"}
    master.add("a")
    bus.tell("a")
    watch = watch_of(master, bus, timeout_s=0.1)
    assert ids(list(watch)) == ["a"]
    assert master.finds == [["b"]]
    assert watch.silent == {"b"}


def test_a_minion_that_still_works_is_waited_for(
    master: ScriptedMaster, bus: QueueBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "POLL_S", 0.02)
    master.minions = ["a"]
    master.running = {"a"}
    heard: list[str] = []
    watch = watch_of(master, bus, timeout_s=0.05)

    def on_running(minion_id: str) -> None:
        heard.append(minion_id)
        if len(heard) == 3:
            master.add("a", "at last")

    watch.on_running = on_running
    assert [result.ret for result in watch] == ["at last"]
    assert heard == ["a"] * 3


def test_each_time_a_working_minion_is_asked_after_twice_the_time(
    older: ScriptedMaster, bus: QueueBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "POLL_S", 0.01)
    older.minions = ["a"]
    older.running = {"a"}
    moments: list[float] = []  # when it will be asked again
    watch = watch_of(older, bus, timeout_s=0.05)

    def on_running(minion_id: str) -> None:
        assert watch._finds is not None
        moments.append(watch._finds._due[minion_id])
        if len(moments) == 4:
            older.add("a")

    watch.on_running = on_running
    list(watch)
    first, second, third = (after - before for before, after in pairwise(moments))
    assert (first > 0.19, second > 0.39, third > 0.79) == (True, True, True)


def test_a_minion_that_says_it_is_idle_has_a_moment_for_its_return(
    master: ScriptedMaster, bus: QueueBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "POLL_S", 0.02)
    monkeypatch.setattr(watching, "GRACE_S", 10)
    master.minions = ["a"]
    watch = watch_of(master, bus, timeout_s=0.05)
    gevent.spawn_later(0.2, master.add, "a", "overtaken")
    assert [result.ret for result in watch] == ["overtaken"]
    assert master.finds == [["a"]]


def test_a_minion_that_stays_idle_without_a_return_is_given_up(
    master: ScriptedMaster, bus: QueueBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "GRACE_S", 0.05)
    monkeypatch.setattr(watching, "POLL_S", 0.02)
    watch = watch_of(master, bus, timeout_s=0.05)
    assert list(watch) == []
    assert (watch.silent, master.finds) == ({"a", "b"}, [["a", "b"]])


def test_minions_that_find_job_does_not_reach_are_given_up_at_once(
    older: ScriptedMaster, bus: QueueBus
) -> None:
    """Their keys may have been deleted in the meantime."""
    watch = JobWatch(
        Published(JID, ["a"], []),
        older.follow,
        lambda _jid, _ids: Published("", [], [], "nobody there"),
        bus,
        timeout_s=0.05,
        gather_s=60,
    )
    assert list(watch) == []


def test_who_is_overdue_later_is_asked_while_another_one_has_not_answered(
    older: ScriptedMaster, bus: QueueBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "POLL_S", 0.02)
    older.minions, older.deaf, older.running = ["a"], {"a"}, {"b"}
    watch = watch_of(older, bus, timeout_s=0.05, gather_s=5)
    while not older.finds:
        watch.step()
    older.minions = ["a", "b"]
    watch.expect(["b"])
    watch.on_running = older.add
    while "b" not in watch.returned:
        watch.step()
    assert older.finds == [["a"], ["b"]]


def test_the_master_is_asked_only_when_somebody_is_overdue(
    newer: ScriptedMaster, bus: QueueBus
) -> None:
    newer.running = {"b"}
    watch = watch_of(newer, bus, timeout_s=0.5, gather_s=7)
    newer.add("a")
    bus.tell("a")
    watch.step()
    assert (newer.looks, newer.asks) == (1, [])
    while len(newer.asks) < 3:
        watch.step()
    assert newer.asks == [Ask(0, 7), Ask(1, 7), Ask(2, 7)]


@pytest.mark.parametrize("before", ["running", "nothing"])
def test_a_minion_that_is_gone_is_given_up_after_a_moment(
    newer: ScriptedMaster, bus: QueueBus, monkeypatch: pytest.MonkeyPatch, before: str
) -> None:
    monkeypatch.setattr(watching, "POLL_S", 0.02)
    monkeypatch.setattr(watching, "GRACE_S", 0.05)
    newer.minions = ["a"]
    watch = watch_of(newer, bus, timeout_s=0.01, gather_s=60)
    if before == "running":
        newer.running = {"a"}
        watch.on_running = lambda _: newer.gone.add("a")
    else:
        newer.gone = {"a"}
    assert list(watch) == []
    assert watch.silent == {"a"}


def test_the_longest_of_all_waits_ends_when_the_master_has_no_more_to_say(
    newer: ScriptedMaster, bus: QueueBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "POLL_S", 0.02)
    monkeypatch.setattr(watching, "BELIEVED_S", 0.1)
    newer.minions, newer.running = ["a"], {"a"}
    watch = watch_of(newer, bus, timeout_s=0.01, gather_s=0.1)
    newer.deaf = {"a"}
    heard: list[str] = []

    def once(minion_id: str) -> None:
        heard.append(minion_id)
        newer.running.clear()

    watch.on_running = once
    assert list(watch) == []
    assert heard == ["a"]


def test_without_find_job_silent_minions_are_given_up_at_their_deadline(
    master: ScriptedMaster, bus: QueueBus
) -> None:
    watch = JobWatch(
        Published(JID, ["a"], []), master.follow, None, bus, timeout_s=0.05, gather_s=60
    )
    assert list(watch) == []
    assert watch.silent == {"a"}


def test_a_given_up_minion_that_returns_while_others_work_counts_after_all(
    master: ScriptedMaster, bus: QueueBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "POLL_S", 0.02)
    master.running = {"a"}
    master.deaf = {"b"}
    watch = watch_of(master, bus, timeout_s=0.05, gather_s=0.1)
    while watch.waiting != {"a"}:
        watch.step()
    assert watch.silent == {"a", "b"}
    master.add("b", "late")
    master.add("a")
    assert ids(list(watch)) == ["b", "a"]
    assert watch.silent == set()


def test_a_master_that_restarts_in_the_middle_costs_time_but_no_result(
    master: ScriptedMaster, bus: QueueBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "POLL_S", 0.02)
    watch = watch_of(master, bus, timeout_s=0.3)
    master.away = True
    until = time.monotonic() + 0.5
    while time.monotonic() < until:  # longer than the deadline: the clock stands still
        assert watch.step(0.02) == []
        gevent.sleep(0.02)
    master.away = False
    assert master.finds == []
    master.add("a")
    master.add("b")
    assert ids(list(watch)) == ["a", "b"]


def test_a_store_that_fails_for_a_moment_costs_time_but_no_result(
    master: ScriptedMaster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "POLL_S", 0.02)
    failures = [StoreError("database or disk is full")] * 3

    def follow(jid: str, after: int, ask: Ask | None = None) -> Page:
        if failures:
            raise failures.pop()
        return master.follow(jid, after, ask)

    master.add("a")
    master.add("b")
    watch = watch_of(master, None)
    watch._follow = follow
    assert ids(list(watch)) == ["a", "b"]


def test_a_master_that_goes_away_while_it_is_asked_for_silent_minions(
    master: ScriptedMaster, bus: QueueBus
) -> None:
    watch = watch_of(master, bus, timeout_s=0.05)
    master.away = True
    assert watch.step() == []
    assert watch.step() == []
    master.away = False
    master.deaf = {"a", "b"}
    assert list(watch) == []
    assert master.finds == [["a", "b"]]


def test_a_master_that_stays_away_ends_the_watch(
    master: ScriptedMaster, bus: QueueBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "POLL_S", 0.01)
    monkeypatch.setattr(watching, "LOST_S", 0.05)
    monkeypatch.setattr(master, "away", True)
    watch = watch_of(master, bus)

    def slow_follow(jid: str, after: int, ask: Ask | None = None) -> Page:
        gevent.sleep(0.02)
        return ScriptedMaster.follow(master, jid, after, ask)

    watch._follow = slow_follow
    with pytest.raises(TransportError, match=f"away for 0.05 s while job {JID} was running"):
        list(watch)
    assert bus.closed


def test_step_waits_no_longer_than_told(master: ScriptedMaster, bus: QueueBus) -> None:
    watch = watch_of(master, bus)
    waits: list[float | None] = []
    hear = bus.next

    def next_(timeout_s: float | None) -> tuple[str, dict[str, Any]] | None:
        waits.append(timeout_s)
        return hear(timeout_s)

    bus.next = next_  # type: ignore[method-assign]
    assert watch.step(0.05) == []
    assert waits[0] is not None
    assert waits[0] <= 0.05
    assert waits[1:] == []
