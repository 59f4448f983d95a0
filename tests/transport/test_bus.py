"""The event bus: order, proof of subscription, and losses that are seen."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
import zmq

from greensalt.errors import TransportError
from greensalt.transport.bus import BusClient, EventPublisher, trim
from greensalt.transport.sockets import Context, new_context
from greensalt.wire import tags
from greensalt.wire.dialect import pack_bin


@pytest.fixture
def context() -> Iterator[Context]:
    context = new_context()
    yield context
    context.destroy(linger=0)


class Bus:
    def __init__(self, context: Context, directory: Path, **options: Any) -> None:
        self.epub, self.epull = f"ipc://{directory}/pub.ipc", f"ipc://{directory}/pull.ipc"
        self.context = context
        self.publisher = EventPublisher(context, **options)
        self.publisher.bind(self.epub, self.epull)
        self.publisher.start()

    def client(self, *prefixes: str) -> BusClient:
        client = BusClient(self.epub, self.epull, self.context)
        for prefix in prefixes:
            client.subscribe(prefix)
        client.sync(5)
        return client


@pytest.fixture
def bus(context: Context, tmp_path: Path) -> Iterator[Bus]:
    made = Bus(context, tmp_path)
    yield made
    made.publisher.stop()


def take(client: BusClient, count: int) -> list[tuple[str, dict[str, Any]]]:
    events = []
    for _ in range(count):
        event = client.next(5)
        assert event is not None
        events.append(event)
    return events


def test_after_sync_no_event_of_the_subscription_is_missed(bus: Bus) -> None:
    for number in range(20):
        client = bus.client(f"salt/job/{number}/")
        bus.publisher.fire(f"salt/job/{number}/ret/m1", {"n": number})
        ((tag, data),) = take(client, 1)
        assert (tag, data["n"]) == (f"salt/job/{number}/ret/m1", number)
        client.close()


def test_events_from_clients_reach_subscribers_in_order_with_a_stamp(bus: Bus) -> None:
    client = bus.client("a/")
    for number in range(500):
        client.fire("a/b", {"n": number})
    events = take(client, 500)
    assert [data["n"] for _, data in events] == list(range(500))
    assert all("_stamp" in data for _, data in events)


def test_a_subscriber_gets_only_what_it_asked_for(bus: Bus) -> None:
    client = bus.client("yes/")
    bus.publisher.fire("no/1", {})
    bus.publisher.fire("yes/1", {})
    assert [tag for tag, _ in take(client, 1)] == ["yes/1"]
    assert client.next(0.05) is None


def test_a_subscriber_to_everything_counts_what_it_lost(bus: Bus) -> None:
    client = bus.client("")
    bus.publisher.fire("x/1", {})
    take(client, 1)
    bus.publisher.sequence += 7  # as if seven events had been dropped in its pipe
    bus.publisher.fire("x/2", {})
    take(client, 1)
    assert client.missed == 7


def test_a_subscriber_sees_that_the_bus_was_restarted(context: Context, tmp_path: Path) -> None:
    first = Bus(context, tmp_path)
    client = first.client("x/")
    first.publisher.fire("x/1", {})
    take(client, 1)
    first.publisher.stop()
    second = Bus(context, tmp_path)
    client.sync(5)
    second.publisher.fire("x/2", {})
    take(client, 1)
    assert client.restarts == 1
    second.publisher.stop()


def test_sync_says_when_there_is_no_bus(context: Context, tmp_path: Path) -> None:
    client = BusClient(f"ipc://{tmp_path}/nobody.ipc", context=context)
    with pytest.raises(TransportError, match="no event bus at ipc://"):
        client.sync(0.05)
    client.close()


def everything(tag: str) -> bool:
    return True


def test_a_listener_gets_the_events_it_wants_and_no_other(bus: Bus) -> None:
    asked: list[str] = []
    seen: list[tuple[str, int]] = []

    def wanted(tag: str) -> bool:
        asked.append(tag)
        return tag.startswith("yes/")

    bus.publisher.listen(wanted, lambda tag, data: seen.append((tag, data["n"])))
    client = bus.client("yes/2")
    bus.publisher.fire("no/1", {"n": 0})
    bus.publisher.fire("yes/1", {"n": 1})
    client.fire("yes/2", {"n": 2})
    take(client, 1)
    assert seen == [("yes/1", 1), ("yes/2", 2)]
    assert asked[-3:] == ["no/1", "yes/1", "yes/2"]


def test_a_listener_that_stops_while_an_event_goes_round_hurts_no_other(bus: Bus) -> None:
    seen: list[str] = []
    stops = [bus.publisher.listen(everything, lambda tag, data: stops[0]())]
    bus.publisher.listen(everything, lambda tag, data: seen.append(tag))
    bus.publisher.fire("a/1", {})
    bus.publisher.fire("a/2", {})
    assert seen == ["a/1", "a/2"]


@pytest.mark.parametrize("part", ["wanted", "take"])
def test_a_listener_that_raises_harms_nobody(bus: Bus, part: str) -> None:
    seen: list[str] = []

    def broken(tag: str, data: object = None) -> bool:
        raise ValueError(tag)

    if part == "wanted":
        stop = bus.publisher.listen(broken, lambda tag, data: seen.append("never"))
    else:
        stop = bus.publisher.listen(everything, broken)
    bus.publisher.listen(everything, lambda tag, data: seen.append(tag))
    client = bus.client("a/")
    bus.publisher.fire("a/1", {})
    stop()
    stop()
    take(client, 1)
    assert "never" not in seen
    assert seen[-1] == "a/1"


def test_garbage_on_the_pull_socket_is_counted_and_dropped(bus: Bus) -> None:
    client = bus.client("")
    push = bus.context.socket(zmq.PUSH)
    push.connect(bus.epull)
    for raw in (b"", b"no end of tag", b"tag\n\n\xc1", b"tag\n\n" + pack_bin([1])):
        push.send(raw)
    push.send_multipart([tags.pack_event("a", {}), b"more"])
    push.send(tags.pack_event("good", {}))
    assert [tag for tag, _ in take(client, 1)] == ["good"]
    assert bus.publisher.malformed == 5
    push.close()


def test_an_intercepted_event_goes_out_when_it_is_published(
    context: Context, tmp_path: Path
) -> None:
    held: list[tuple[str, dict[str, Any]]] = []

    def intercept(tag: str, data: dict[str, Any]) -> bool:
        if tag != "order":
            return False
        held.append((tag, data))
        return True

    made = Bus(context, tmp_path, intercept=intercept)
    client = made.client("")
    made.publisher.fire("order", {"n": 1})
    client.fire("order", {"n": 2})
    client.fire("other", {})
    assert [tag for tag, _ in take(client, 1)] == ["other"]
    for event in held:
        made.publisher.publish(*event)
    assert [data["n"] for _, data in take(client, 2)] == [1, 2]
    made.publisher.stop()


def test_an_event_beyond_max_event_size_is_trimmed(context: Context, tmp_path: Path) -> None:
    made = Bus(context, tmp_path, max_event_bytes=1000)
    client = made.client("")
    made.publisher.fire("big", {"large": "x" * 5000, "small": 1})
    ((_, data),) = take(client, 1)
    assert data["large"] == "VALUE_TRIMMED"
    assert data["small"] == 1
    made.publisher.stop()


def test_trim_takes_the_largest_values_first() -> None:
    assert trim({"a": "x" * 50, "b": "y" * 20}, 60) == {"a": "VALUE_TRIMMED", "b": "y" * 20}


def test_the_socket_files_have_salts_modes(bus: Bus) -> None:
    def mode(address: str) -> int:
        return stat.S_IMODE(Path(address.removeprefix("ipc://")).stat().st_mode)

    assert mode(bus.epub) == 0o660
    assert mode(bus.epull) == 0o600


def test_a_subscriber_that_does_not_read_stops_nobody_and_sees_what_it_lost(
    context: Context, tmp_path: Path
) -> None:
    made = Bus(context, tmp_path, hwm=500)
    lazy = BusClient(made.epub, context=context, hwm=500)
    lazy.subscribe("")
    lazy.sync(5)
    eager = made.client("")
    with gevent.Timeout(30):
        for number in range(5_000):
            made.publisher.fire("n", {"n": number, "padding": "x" * 2000})
            assert eager.next(5) is not None
    assert eager.missed == 0
    received = 0
    while lazy.next(0.2) is not None:
        received += 1
    made.publisher.fire("n", {"n": -1})
    take(lazy, 1)
    assert received < 5_000
    # One event more than those of the loop: the sync of the second client.
    assert received + lazy.missed == 5_001
    made.publisher.stop()


def test_a_sync_topic_that_cant_be_a_tag_harms_nobody(bus: Bus) -> None:
    client = BusClient(bus.epub, context=bus.context)
    client.subscribe("greensalt/sync/a\nb")
    client.sync(5)
    assert bus.publisher.malformed == 1
    client.close()
