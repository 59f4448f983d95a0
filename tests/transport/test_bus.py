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
from greensalt.transport.bus import WEIGHT_BYTES, BusClient, EventPublisher, trim
from greensalt.transport.past import HEAD, Span
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
        self.past = f"ipc://{directory}/past.ipc"
        self.context = context
        self.publisher = EventPublisher(context, **options)
        self.publisher.bind(self.epub, self.epull, self.past)
        self.publisher.start()

    def client(self, *prefixes: str) -> BusClient:
        client = BusClient(self.epub, self.epull, self.context, past_address=self.past)
        for prefix in prefixes:
            client.subscribe(prefix)
        client.sync(60)
        return client


@pytest.fixture
def bus(context: Context, tmp_path: Path) -> Iterator[Bus]:
    made = Bus(context, tmp_path)
    yield made
    made.publisher.stop()


def take(client: BusClient, count: int) -> list[tuple[str, dict[str, Any]]]:
    events = []
    for _ in range(count):
        event = client.next(60)
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
    client.sync(60)
    second.publisher.fire("x/2", {})
    take(client, 1)
    assert client.restarts == 1
    assert client.missed == 0  # only who subscribes to everything can know
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
    assert mode(bus.past) == 0o660


def test_a_subscriber_that_does_not_read_stops_nobody_and_sees_what_it_lost(
    context: Context, tmp_path: Path
) -> None:
    made = Bus(context, tmp_path, hwm=500)
    lazy = BusClient(made.epub, context=context, hwm=500)
    lazy.subscribe("")
    lazy.sync(60)
    eager = made.client("")
    with gevent.Timeout(60):
        for number in range(5_000):
            made.publisher.fire("n", {"n": number, "padding": "x" * 2000})
            assert eager.next(60) is not None
    assert eager.missed == 0
    received = 0
    while lazy.next(1) is not None:
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
    client.sync(60)
    assert bus.publisher.malformed == 1
    client.close()


def lazy_client(made: Bus, *prefixes: str) -> BusClient:
    """A subscriber that has room for nothing but what the bus keeps for it."""
    client = BusClient(made.epub, context=made.context, past_address=made.past, hwm=100)
    for prefix in prefixes:
        client.subscribe(prefix)
    client.sync(60)
    return client


def read_all(client: BusClient) -> list[int]:
    numbers = []
    while (event := client.next(1)) is not None:
        numbers.append(event[1]["n"])
    return numbers


def test_what_a_slow_subscriber_missed_can_be_fetched_again(
    context: Context, tmp_path: Path
) -> None:
    made = Bus(context, tmp_path, hwm=2_000)
    lazy = lazy_client(made, "")
    for number in range(4_000):
        made.publisher.fire("n", {"n": number, "padding": "x" * 2000})
    gevent.sleep(0)
    received = read_all(lazy)
    made.publisher.fire("n", {"n": 4_000})
    received += read_all(lazy)
    (gap,) = lazy.gaps
    assert gap.last - gap.first + 1 == lazy.missed > 0
    fetched = lazy.fetch(gap)
    again = [data["n"] for _, _, data in fetched.events]
    lost = sum(span.last - span.first + 1 for span in fetched.lost)
    assert lost > 0  # the bus kept the last 2,000 only
    assert fetched.lost == [Span(gap.boot_id, gap.first, gap.first + lost - 1)]
    assert again == list(range(received[-2] + 1 + lost, 4_000))
    assert len(received) + len(again) + lost == 4_001
    made.publisher.stop()


def test_a_subscriber_of_a_prefix_asks_for_its_own_events_only(bus: Bus) -> None:
    client = bus.client("mine/")
    began = client.heard
    for number in range(5_000):
        bus.publisher.fire("mine/x" if number % 100 == 0 else "other", {"n": number})
    client.sync(60)
    span = Span(began.boot_id, began.first + 1, client.heard.first - 1)
    fetched = client.fetch(span, "mine/")
    assert [data["n"] for _, _, data in fetched.events] == list(range(0, 5_000, 100))
    assert {tag for _, tag, _ in fetched.events} == {"mine/x"}
    assert not fetched.lost


def test_what_another_bus_fired_or_nobody_is_lost(bus: Bus) -> None:
    client = bus.client("")
    bus.publisher.fire("x", {})
    for span in (Span(b"earlier.", 1, 7), Span(bus.publisher.boot_id, 100, 107)):
        assert client.fetch(span) == ([], [span])


def test_fetching_ends_when_nobody_answers(bus: Bus, context: Context, tmp_path: Path) -> None:
    silent = BusClient(bus.epub, context=context, past_address=f"ipc://{tmp_path}/nobody.ipc")
    with pytest.raises(TransportError, match="no past events from ipc://"):
        silent.fetch(Span(b"12345678", 1, 2), timeout_s=0.05)
    with pytest.raises(TransportError, match="no address to ask"):
        BusClient(bus.epub, context=context).fetch(Span(b"12345678", 1, 2))


def test_malformed_questions_about_the_past_are_dropped(bus: Bus) -> None:
    client = bus.client("")
    bus.publisher.fire("x", {})
    dealer = bus.context.socket(zmq.DEALER)
    dealer.connect(bus.past)
    question = HEAD.pack(bus.publisher.boot_id, 1, 2)
    for frames in ([b"", b"short"], [question], [b"no", question], [b"", question, *[b"x"] * 70]):
        dealer.send_multipart(frames)
    dealer.send_multipart([b"", question])
    with gevent.Timeout(60):
        assert len(dealer.recv_multipart()) == 4
    assert client.fetch(Span(bus.publisher.boot_id, 2, 2)).events[0][1] == "x"
    dealer.close(0)


def test_what_a_restarted_bus_fired_before_the_subscription_was_live_is_a_gap(
    context: Context, tmp_path: Path
) -> None:
    first = Bus(context, tmp_path)
    client = first.client("")
    first.publisher.stop()
    second = Bus(context, tmp_path)
    second.publisher.sequence = 5
    client.sync(60)
    assert client.restarts == 1
    assert client.gaps[0] == Span(second.publisher.boot_id, 1, 5)
    second.publisher.stop()


def test_past_events_are_bounded_by_their_bytes(context: Context, tmp_path: Path) -> None:
    made = Bus(context, tmp_path, keep_bytes=100_000)
    client = made.client("")
    for number in range(50):
        made.publisher.fire("x", {"n": number, "padding": "x" * 9_000})
    take(client, 50)
    fetched = client.fetch(Span(made.publisher.boot_id, 1, client.heard.last))
    assert [data["n"] for _, _, data in fetched.events] == list(range(39, 50))
    made.publisher.stop()


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def test_a_subscriber_that_never_reads_costs_a_bounded_number_of_bytes(
    context: Context, tmp_path: Path
) -> None:
    made = Bus(context, tmp_path, hwm=2_000, keep_bytes=0)
    stuck = zmq.Context()  # its own I/O thread, and room for nothing
    sub = stuck.socket(zmq.SUB)
    sub.set(zmq.RCVHWM, 1)
    sub.connect(made.epub)
    sub.subscribe(b"x/")
    sub.subscribe(b"greensalt/sync/stuck")
    with gevent.Timeout(60):
        while not sub.poll(0):
            gevent.sleep(0.001)
    client = made.client("done/")
    before = resident_bytes()
    for number in range(2_000):
        made.publisher.fire("x/large", {"n": number, "padding": b"x" * 65_000})
        gevent.sleep(0)
    made.publisher.fire("done/x", {})
    take(client, 1)
    assert resident_bytes() - before < 3 * 2_000 * WEIGHT_BYTES  # of 131 MB that were fired
    sub.close(0)
    stuck.term()
    made.publisher.stop()


def test_an_event_from_outside_is_built_only_for_a_listener(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[bytes] = []
    unpack = tags.unpack_event

    def counted(raw: bytes) -> tuple[str, dict[str, Any]]:
        built.append(raw)
        return unpack(raw)

    client = bus.client("last")
    monkeypatch.setattr(tags, "unpack_event", counted)
    bus.publisher.listen(lambda tag: tag == "wanted", lambda tag, data: None)
    for tag in ("other", "wanted", "other"):
        client.fire(tag, {})
    push = bus.context.socket(zmq.PUSH)
    push.connect(bus.epull)
    push.send(tags.pack_event("last", {"inner": {"_stamp": "not its own"}}))
    ((_, data),) = take(client, 1)
    assert set(data) == {"inner", "_stamp"}
    assert sum(raw.startswith(b"wanted") for raw in built) == 1
    assert not any(raw.startswith(b"other") for raw in built)
    push.close()
