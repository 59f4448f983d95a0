"""A storm in one lane does not starve another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent
import pytest
from gevent.event import Event

from greensalt.green.histogram import Histogram
from greensalt.master.lanes import Lane, Place
from tests._bench import Bench
from tests._peer import Peer

STORM = 60


def held(target: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> Event:
    """Let a method wait for an event before it does its work."""
    gate, real = Event(), getattr(target, name)

    def wait(*args: Any, **kwargs: Any) -> Any:
        gate.wait()
        return real(*args, **kwargs)

    monkeypatch.setattr(target, name, wait)
    return gate


def flood(made: Bench, peer: Peer, cmd: str, **fields: Any) -> list[gevent.Greenlet[..., Any]]:
    """Many peers of one minion ask the same at once."""
    others = [made.peer(peer.id, sign_in=False) for _ in range(STORM)]
    for other in others:
        other.session = peer.session
    return [gevent.spawn(other.request, cmd, **fields) for other in others]


def wait_for(seen: Callable[[], bool]) -> None:
    while not seen():
        gevent.sleep(0.005)


def test_returns_are_answered_while_all_pillars_wait(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = bench(auto_accept=True)
    peer = made.peer()
    jid = made.job("*")
    gate = held(made.master.pillars, "pillar", monkeypatch)
    storm = flood(made, peer, "_pillar", grains={"os": "x"})
    lane = made.master.reqserver.lanes["pillar"]
    wait_for(lambda: lane.waiting == STORM - made.config.worker_threads)
    assert lane.busy == made.config.worker_threads
    assert peer.returns(jid) is None
    other = made.peer("m2", 1)  # signs in
    assert other.request("_file_envs") == ["base"]
    assert not any(asked.ready() for asked in storm)
    gate.set()
    gevent.joinall(storm, raise_error=True)
    assert lane.served == STORM
    assert lane.queued.count == STORM
    assert lane.queued.quantile_s(0.99) > 0


def test_returns_and_pillars_are_answered_while_sign_ins_wait(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = bench(auto_accept=True)
    peer = made.peer()
    jid = made.job("*")
    gate = held(made.master.signin, "_accept", monkeypatch)
    others = [made.peer(f"s{number}", sign_in=False) for number in range(STORM)]
    storm = [gevent.spawn(other.sign_in) for other in others]
    lane = made.master.reqserver.lanes["sign-in"]
    wait_for(lambda: lane.busy == STORM)
    assert peer.returns(jid) is None
    assert peer.request("_file_envs") == ["base"]
    assert not any(each.ready() for each in storm)
    gate.set()
    gevent.joinall(storm, raise_error=True)


def test_sign_ins_are_answered_while_files_and_publishes_wait(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = bench(auto_accept=True)
    peer = made.peer()
    gate = held(made.master.files, "_look_at", monkeypatch)
    storm = flood(made, peer, "_file_list", saltenv="base")
    lane = made.master.reqserver.lanes["files"]
    wait_for(lambda: lane.waiting == STORM - made.config.worker_threads)
    assert made.peer("m2", 1).request("_master_opts")["file_roots"] == {"base": []}
    assert made.publish("*")["load"]["minions"] == ["m1", "m2"]
    gate.set()
    gevent.joinall(storm, raise_error=True)


def test_what_does_not_fit_into_a_lane_is_dropped_counted_and_told(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = bench(auto_accept=True)
    peer = made.peer()
    lane = made.master.reqserver.lanes["pillar"]
    lane.width, lane.waiting_most = 1, 1
    gate = held(made.master.pillars, "pillar", monkeypatch)
    storm = flood(made, peer, "_pillar", grains={"os": "x"})
    wait_for(lambda: lane.dropped == STORM - 2)
    assert made.master.device.dropped == STORM - 2
    stats = made.master.reqserver.stats()
    assert stats["counts"]["dropped/pillar"] == STORM - 2
    assert stats["lanes"]["pillar"]["dropped"] == STORM - 2
    gate.set()
    wait_for(lambda: sum(asked.ready() for asked in storm) == 2)
    gevent.killall(storm)


def test_returns_that_wait_for_their_commit_hold_the_lane_and_no_worker(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = bench(auto_accept=True)
    peer = made.peer()
    jid = made.job("*")
    assert peer.returns(jid) is None
    lane, device = made.master.reqserver.lanes["return"], made.master.device
    lane.width, lane.waiting_most = 5, 3
    gate = held(made.master.store, "add_returns", monkeypatch)
    load = {"fun": "test.ping", "return": True}
    storm = flood(made, peer, "_return", jid=jid, **load)
    wait_for(lambda: lane.dropped == STORM - 8)
    assert (lane.busy, lane.waiting) == (5, 3)
    assert device._workers - len(device._idle) == 3  # those that wait for the lane
    assert not any(asked.ready() for asked in storm)  # nothing is acknowledged yet
    gate.set()
    wait_for(lambda: sum(asked.ready() for asked in storm) == 8)
    assert (lane.busy, lane.waiting, lane.served) == (0, 0, 9)
    assert made.master.returns.repeated == 8
    gevent.killall(storm)


def test_a_full_lane_of_publishes_answers_with_an_error(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = bench(auto_accept=True)
    lane = made.master.reqserver.lanes["publish"]
    lane.width = lane.waiting_most = 0
    assert made.publish("*")["error"]["name"] == "Busy"


def test_a_lane_takes_its_requests_in_their_order_and_bounds_their_bytes() -> None:
    lane = Lane("x", 1, 10, bytes_most=100)
    assert lane.enter(1) is Place.HERE
    order: list[int] = []

    def ask(number: int) -> None:
        assert lane.enter(30) is Place.HERE
        order.append(number)
        lane.leave()

    waiting = [gevent.spawn(ask, number) for number in range(3)]
    gevent.sleep(0)
    assert lane.enter(30) is Place.NOWHERE  # 120 bytes
    lane.leave()
    gevent.joinall(waiting, raise_error=True)
    assert order == [0, 1, 2]
    assert (lane.busy, lane.waiting, lane.served, lane.dropped) == (0, 0, 4, 1)


def test_a_lane_waits_for_the_first_place_wherever_it_is() -> None:
    lane = Lane("x", 5, 10)
    room = [True]
    lane.reserve_elsewhere = lambda: bool(room) and room.pop()
    lane.narrow = lambda: True
    assert lane.enter(1, may_leave=True) is Place.ELSEWHERE
    assert lane.enter(1, may_leave=True) is Place.HERE
    waiting = [gevent.spawn(lane.enter, 1, may_leave=True) for _ in range(2)]
    gevent.sleep(0)
    assert lane.waiting == 2  # narrow: the other four places stay free
    room.append(True)
    lane.advance()
    lane.leave()
    gevent.joinall(waiting, raise_error=True)
    assert [each.value for each in waiting] == [Place.ELSEWHERE, Place.HERE]


def test_a_histogram_tells_quantiles_within_a_bucket() -> None:
    histogram = Histogram()
    assert histogram.figures() == {"count": 0, "mean": 0.0, "p50": 0.0, "p99": 0.0, "max": 0.0}
    for number in range(1, 1001):
        histogram.add(number / 1000)
    assert 0.5 <= histogram.quantile_s(0.5) < 0.5 * 1.2
    assert 0.99 <= histogram.quantile_s(0.99) <= 1.0
    assert histogram.longest_s == 1.0
    histogram.add(1e9)
    assert histogram.figures()["max"] == 1e9


def test_all_lanes_together_fit_into_the_workers_of_the_device(bench: Callable[..., Bench]) -> None:
    made = bench()
    most = sum(lane.width + lane.waiting_most for lane in made.master.reqserver.lanes.values())
    assert most < made.master.device.workers_most
