"""The eight rules of greensalt.transport.sockets, each with a test of its name."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

import gevent
import pytest
import zmq

from greensalt.green import Crew
from greensalt.transport import sockets
from greensalt.transport.sockets import (
    Context,
    Doorbell,
    Drain,
    Parking,
    RareDrain,
    new_context,
    plain_socket,
    readable,
    receive,
    send,
)
from tests._load import loop_turns

KINDS = [Drain, RareDrain]


@pytest.fixture
def context() -> Iterator[Context]:
    context = new_context()
    yield context
    context.destroy(linger=0)


def pair(context: Context, left: int, right: int) -> tuple[sockets.Socket, sockets.Socket]:
    one, other = plain_socket(context, left), plain_socket(context, right)
    port = one.bind_to_random_port("tcp://127.0.0.1")
    other.connect(f"tcp://127.0.0.1:{port}")
    return one, other


def wait_until(condition: object, timeout_s: float = 60) -> None:
    assert callable(condition)
    with gevent.Timeout(timeout_s):
        while not condition():
            gevent.sleep(0.001)


@pytest.mark.parametrize("kind", KINDS)
def test_r1_a_message_that_came_while_others_were_taken_is_not_slept_over(
    context: Context, kind: type[Drain]
) -> None:
    pull, push = pair(context, zmq.PULL, zmq.PUSH)
    taken: list[bytes] = []

    def take(frames: list[bytes]) -> None:
        taken.append(frames[0])
        pull.get(zmq.EVENTS)  # another operation, which may consume the edge

    drain = kind(pull, take)
    owner = Crew("test")
    drain.start(owner)
    for number in range(2000):
        push.send(b"%d" % number)
        if number % 7 == 0:
            gevent.sleep(0)
    wait_until(lambda: len(taken) == 2000)
    assert drain.doorbell.missed == 0
    owner.stop()
    drain.close(0)
    push.close(0)


@pytest.mark.parametrize("kind", KINDS)
def test_r2_a_send_that_swallows_an_edge_is_healed_by_a_recheck(
    context: Context, kind: type[Drain]
) -> None:
    one, other = pair(context, zmq.DEALER, zmq.DEALER)
    taken: list[bytes] = []
    drain = kind(one, lambda frames: taken.append(frames[0]))
    owner = Crew("test")
    drain.start(owner)
    gevent.sleep(0.01)
    for number in range(50):
        other.send(b"in %d" % number)
        time.sleep(0.002)  # the hub stands still: the edge is pending
        send(one, [b"out"])  # swallows it
        drain.recheck()
        wait_until(lambda number=number: len(taken) == number + 1)
    assert drain.doorbell.missed == 0  # the safety timer had nothing to find
    owner.stop()
    drain.close(0)
    other.close(0)


def test_r3_an_unclaimed_doorbell_does_not_spin(context: Context) -> None:
    pull, push = pair(context, zmq.PULL, zmq.PUSH)
    doorbell = Doorbell(pull, lambda: False)
    push.send(b"nobody takes this")
    gevent.sleep(0.05)
    before = loop_turns()
    gevent.sleep(0.5)
    assert loop_turns() - before < 50  # thousands when it spins
    doorbell.close()
    pull.close(0)
    push.close(0)


@pytest.mark.parametrize("kind", KINDS)
def test_r4_a_flood_lets_the_other_greenlets_run(context: Context, kind: type[Drain]) -> None:
    pull, push = pair(context, zmq.PULL, zmq.PUSH)
    pull.set(zmq.RCVHWM, 0)
    push.set(zmq.SNDHWM, 0)
    for number in range(50_000):
        push.send(b"%d" % number)
    drain = kind(pull, lambda frames: None)
    owner = Crew("test")
    drain.start(owner)
    turns = 0
    while drain.received < 40_000:
        gevent.sleep(0)
        turns += 1
    assert turns > 100
    owner.stop()
    drain.close(0)
    push.close(0)


def test_r5_a_full_pipe_is_reported_by_again(context: Context) -> None:
    push = plain_socket(context, zmq.PUSH)
    with pytest.raises(zmq.Again):
        send(push, [b"nobody is connected"])
    push.close(0)


def test_r6_a_closed_drain_leaves_no_watcher_on_a_reused_descriptor(context: Context) -> None:
    for _ in range(50):
        pull, push = pair(context, zmq.PULL, zmq.PUSH)
        drain = Drain(pull, lambda frames: None)
        owner = Crew("test")
        drain.start(owner)
        gevent.sleep(0)
        owner.stop()
        drain.close(0)
        push.close(0)
        reader, writer = os.pipe()
        os.write(writer, b"x")
        gevent.sleep(0)
        os.close(reader)
        os.close(writer)


def test_r7_flags_are_plain_ints() -> None:
    for flag in (sockets.NOBLOCK, sockets.SNDMORE_NOBLOCK, sockets.EVENTS, sockets.POLLIN):
        assert type(flag) is int


def test_r8_every_frame_of_a_message_is_read(context: Context) -> None:
    pull, push = pair(context, zmq.PULL, zmq.PUSH)
    for frames in ([b"1"], [b"1", b"2"], [b""] * 30):
        push.send_multipart(frames)
        wait_until(lambda: readable(pull))
        assert receive(pull) == frames
    with pytest.raises(zmq.Again):
        receive(pull)
    pull.close(0)
    push.close(0)


def test_a_message_that_comes_while_the_doorbell_looks_is_not_called_missed(
    context: Context,
) -> None:
    """Many messages come, and one between the two questions: its ring is heard by nobody."""
    pull, push = pair(context, zmq.PULL, zmq.PUSH)
    parking, taken = Parking(), 0
    bell = Doorbell(pull, parking.ring)

    class Poll:
        """Says what was true a moment ago."""

        def poll(self, _timeout_ms: int) -> list[Any]:
            return []

    def own() -> None:
        nonlocal taken
        while True:
            parking.park()
            while readable(pull):
                receive(pull)
                taken += 1

    owner = gevent.spawn(own)
    push.send(b"first")
    wait_until(lambda: taken == 1)  # it rang
    bell._poll = Poll()  # type: ignore[assignment]
    push.send(b"second")
    time.sleep(0.05)  # the hub stands still, and hears no ring
    bell._look()
    assert bell.missed == 0
    wait_until(lambda: taken == 2)
    bell.close()
    owner.kill()
    pull.close(0)
    push.close(0)


def test_a_missed_doorbell_is_healed_within_two_seconds_and_counted(context: Context) -> None:
    one, other = pair(context, zmq.DEALER, zmq.DEALER)
    taken: list[bytes] = []
    drain = Drain(one, lambda frames: taken.append(frames[0]))
    owner = Crew("test")
    drain.start(owner)
    gevent.sleep(0.05)
    for number in range(20):  # no recheck: rule 2 is broken on purpose
        other.send(b"in %d" % number)
        time.sleep(0.002)
        send(one, [b"out"])
    wait_until(lambda: len(taken) == 20)
    assert drain.doorbell.missed >= 1
    owner.stop()
    drain.close(0)
    other.close(0)


def test_a_rare_drain_that_is_not_started_yet_does_not_spin_and_has_no_greenlet_in_between(
    context: Context,
) -> None:
    pull, push = pair(context, zmq.PULL, zmq.PUSH)
    taken: list[bytes] = []
    drain = RareDrain(pull, lambda frames: taken.append(frames[0]))
    push.send(b"early")
    before = loop_turns()
    gevent.sleep(0.2)
    assert loop_turns() - before < 50
    owner = Crew("test")
    drain.start(owner)
    wait_until(lambda: taken == [b"early"] and not len(owner))
    push.send(b"late")
    wait_until(lambda: taken == [b"early", b"late"] and not len(owner))
    assert drain.doorbell.missed == 0
    owner.stop()
    drain.close(0)
    push.close(0)


def test_parking_can_be_left_and_taken_again() -> None:
    parking = Parking()
    greenlet = gevent.spawn(parking.park)
    gevent.sleep(0)
    before = parking.occupied
    parking.wake()
    parking.wake()
    greenlet.join(60)
    assert (before, parking.occupied) == (True, False)
    assert not parking.ring()
