"""`event_return`: events of the master's bus go on to returners, and nobody waits for these."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from greensalt.errors import ConfigError, StoreError, Unstorable
from greensalt.master.returners import events
from greensalt.master.returners.returner import make
from greensalt.master.returners.syslog import Syslog
from greensalt.store.eventbox import EventBox
from tests._bench import Bench
from tests.master._hook import Hook
from tests.master.test_returners import QUICK, until
from tests.master.test_runs import ran

Make = Callable[..., Bench]


@pytest.fixture(name="hook")
def _hook() -> Iterator[Hook]:
    hook = Hook()
    yield hook
    hook.stop()


def served(bench: Make, hook: Hook, *, jobs: Any = (), **options: Any) -> Bench:
    """A master whose events below `my/` go to the returner `hook`."""
    returner = {"type": "webhook", "url": hook.url, "timeout": 5, "jobs": list(jobs), **QUICK}
    given = {"event_return_whitelist": ["my/*"], "event_return": "hook", **options}
    return bench(auto_accept=True, master_returners={"hook": returner}, **given)


def fire(master: Bench, *tags: str) -> None:
    for tag in tags:
        master.master.bus.fire(tag, {"number": tag.rpartition("/")[2]})


def numbered(count: int, begin: int = 0) -> list[str]:
    return [f"my/{number:04}" for number in range(begin, begin + count)]


def status(master: Bench) -> dict[str, Any]:
    return master.master.returners.status()["hook/events"]


def sent(hook: Hook) -> list[str]:
    return [event["tag"] for event in hook.taken]


def test_an_event_is_sent_as_salt_gives_it_with_a_key(bench: Make, hook: Hook) -> None:
    master = served(bench, hook.start())
    master.master.bus.fire("my/event", {"bytes": b"\xff", "list": [1, None]})
    until(lambda: hook.taken)
    (got,) = hook.taken
    assert got.keys() == {"tag", "data", "key"}
    assert got["tag"] == "my/event"
    assert got["data"]["list"] == [1, None]
    assert got["data"]["bytes"] == "\ufffd"
    assert got["data"]["_stamp"].startswith("20")
    assert hook.headers[0]["Idempotency-Key"] == got["key"]


def test_events_of_anybody_are_sent_in_their_order(bench: Make, hook: Hook) -> None:
    master = served(bench, hook, event_return_whitelist=[])
    master.listen().fire("my/client", {})
    peer = master.peer("m1")
    until(lambda: status(master)["backlog"] >= 3)
    jid = master.job("m1")
    peer.returns(jid, True)
    hook.start()
    until(lambda: f"salt/job/{jid}/ret/m1" in sent(hook))
    tags = sent(hook)
    wanted = ["my/client", "salt/auth", f"salt/job/{jid}/new", f"salt/job/{jid}/ret/m1"]
    assert [tag for tag in tags if tag in wanted] == wanted
    assert not [tag for tag in tags if tag.startswith("greensalt/sync/")]
    assert len(set(hook.keys())) == len(tags)


@pytest.mark.parametrize(
    ("whitelist", "blacklist", "wanted"),
    [
        ([], [], ["a/b/c", "a/d", "b"]),
        (["a/*"], [], ["a/b/c", "a/d"]),
        (["a/*", "b"], ["a/b*"], ["a/d", "b"]),
        ([], ["a*"], ["b"]),
        (["[bc]", "A/*"], ["nothing"], ["b"]),
    ],
)
def test_the_lists_are_patterns_and_the_black_one_wins(
    bench: Make, hook: Hook, whitelist: list[str], blacklist: list[str], wanted: list[str]
) -> None:
    lists = {"event_return_whitelist": whitelist, "event_return_blacklist": blacklist}
    master = served(bench, hook.start(), **lists)
    fire(master, "a/b/c", "a/d", "b")
    master.listen().fire(wanted[-1], {"last": True})
    until(lambda: hook.taken and "last" in hook.taken[-1]["data"])
    assert [tag for tag in sent(hook) if tag in ("a/b/c", "a/d", "b")] == [*wanted, wanted[-1]]


def test_a_returner_that_is_down_holds_nothing_up_and_gets_all_in_the_end(
    bench: Make, hook: Hook
) -> None:
    master = served(bench, hook)
    listener = master.listen("my/")
    peer = master.peer("m1")
    fire(master, *numbered(30))
    until(lambda: status(master)["trouble"], "the trouble is told")
    until(lambda: status(master)["backlog"] == 30)
    peer.returns(master.job("m1"), True)
    heard = [listener.next(5) for _ in range(30)]
    assert [event[0] for event in heard if event] == numbered(30)
    hook.start()
    until(lambda: status(master)["delivered"] == 30)
    assert sent(hook) == numbered(30)
    assert status(master) == {
        "delivered": 30,
        "backlog": 0,
        "oldest": None,
        "dead": 0,
        "lost": 0,
        "trouble": "",
    }


def test_a_restart_loses_no_event_not_even_the_last_ones(bench: Make, hook: Hook) -> None:
    master = served(bench, hook)
    fire(master, *numbered(3))
    until(lambda: status(master)["backlog"] == 3)
    fire(master, *numbered(3, 3))
    master.restart()
    fire(master, *numbered(3, 6))
    hook.start()
    until(lambda: status(master)["delivered"] == 9)
    assert sent(hook) == numbered(9)


def test_one_returner_can_have_returns_and_events(bench: Make, hook: Hook) -> None:
    master = served(bench, hook.start(), jobs=["test.*"])
    peer = master.peer("m1")
    fire(master, "my/event")
    jid = master.job("m1")
    peer.returns(jid, True, fun="test.ping")
    until(lambda: len(hook.taken) == 2)
    assert {each.get("tag") or each["jid"] for each in hook.taken} == {"my/event", jid}
    shown = ran(master, "returners.status")["return"]
    assert shown.keys() == {"hook", "hook/events"}


def test_one_for_events_alone_gets_no_returns(bench: Make, hook: Hook) -> None:
    master = served(bench, hook.start())
    peer = master.peer("m1")
    peer.returns(master.job("m1"), True)
    fire(master, "my/event")
    until(lambda: hook.taken)
    assert sent(hook) == ["my/event"]
    assert master.master.returners.status().keys() == {"hook/events"}


def test_so_many_are_gathered_before_any_is_sent(bench: Make, hook: Hook) -> None:
    master = served(bench, hook.start(), event_return_queue=5)
    for number in range(4):
        fire(master, f"my/{number:04}")
        until(lambda: status(master)["backlog"] == number + 1)  # noqa: B023  # called at once
    fire(master, "my/0004")
    until(lambda: status(master)["delivered"] == 5)
    assert sent(hook) == numbered(5)
    assert hook.sizes == [5]


def test_what_is_gathered_is_sent_when_the_first_is_old_enough(bench: Make, hook: Hook) -> None:
    given = {"event_return_queue": 1000, "event_return_queue_max_seconds": 1}
    master = served(bench, hook.start(), **given)
    fire(master, *numbered(2))
    until(lambda: len(hook.taken) == 2)
    fire(master, *numbered(1, 2))
    until(lambda: len(hook.taken) == 3)
    assert sent(hook) == numbered(3)
    assert hook.sizes == [2, 1]


def test_what_waits_is_bounded_and_what_goes_is_counted(bench: Make, hook: Hook) -> None:
    master = served(bench, hook, keep_events_bytes=20_000)
    for number in range(100):
        master.master.bus.fire(f"my/{number:04}", {"text": "x" * 1000})
    until(lambda: status(master)["backlog"] + status(master)["lost"] == 100)
    kept = status(master)["backlog"]
    assert 10 < kept < 20
    hook.start()
    until(lambda: status(master)["delivered"] == kept)
    assert sent(hook) == numbered(kept, 100 - kept)
    assert status(master)["lost"] == 100 - kept


def test_what_comes_faster_than_it_can_be_kept_is_dropped_counted_and_named(
    bench: Make, hook: Hook, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(events, "MOST", 3)
    master = served(bench, hook.start())
    fire(master, *numbered(10))
    until(lambda: status(master)["delivered"] == 3)
    assert sent(hook) == numbered(3)
    assert status(master)["lost"] == 7
    assert "events for returners are dropped, my/0003 among them" in caplog.text
    fire(master, "my/last")
    until(lambda: sent(hook)[-1] == "my/last")


def test_events_wait_for_a_store_that_refuses_and_a_wrong_one_holds_up_none(
    bench: Make, hook: Hook, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(events, "TELL_S", 0.01)
    errors = [StoreError("the disk is full"), StoreError("the disk is full"), Unstorable("odd")]
    add = EventBox.add

    def refuse(box: EventBox, given: Any, dropped: int = 0) -> None:
        if errors:
            raise errors.pop(0)
        add(box, given, dropped)

    master = served(bench, hook.start())
    monkeypatch.setattr(EventBox, "add", refuse)
    fire(master, "my/odd")
    until(lambda: not errors)
    fire(master, *numbered(2))
    until(lambda: len(hook.taken) == 2)
    assert sent(hook) == numbered(2)
    assert status(master)["lost"] == 1
    assert caplog.text.count("the disk is full") == 1
    assert "my/odd among them" in caplog.text


def test_what_is_refused_is_a_dead_letter_and_can_be_sent_again(bench: Make, hook: Hook) -> None:
    hook.answer = lambda entries: 400 if any(each["tag"] == "my/0001" for each in entries) else 200
    master = served(bench, hook)
    fire(master, *numbered(3))
    until(lambda: status(master)["backlog"] == 3)
    hook.start()
    until(lambda: status(master)["delivered"] == 2)
    assert sent(hook) == ["my/0000", "my/0002"]
    (letter,) = ran(master, "returners.dead", "hook/events")["return"]
    assert (letter["tag"], letter["data"]["number"]) == ("my/0001", "0001")
    assert "answers 400" in letter["reason"]
    hook.answer = lambda _: 200
    assert ran(master, "returners.retry", "hook/events")["return"] == 1
    until(lambda: sent(hook)[-1] == "my/0001")


def test_events_that_all_have_taken_are_not_kept(bench: Make, hook: Hook) -> None:
    master = served(bench, hook.start())
    fire(master, *numbered(50))
    until(lambda: status(master)["delivered"] == 50)
    fire(master, "my/last")
    until(lambda: status(master)["delivered"] == 51)
    assert master.master.recorder is not None
    box = master.master.recorder.box
    question = "SELECT count(*) FROM events"
    assert box.database.read(lambda connection: connection.execute(question).fetchone()) == (1,)


def test_without_event_return_nothing_is_recorded(bench: Make, hook: Hook) -> None:
    master = served(bench, hook, jobs=["test.*"], event_return=[])
    assert master.master.recorder is None
    assert not (master.config.cachedir / "events.db").exists()
    assert master.master.returners.status().keys() == {"hook"}


def test_a_returner_without_events_is_told(bench: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(Syslog, "event_return")
    with pytest.raises(ConfigError, match="master_returners: log: it is named by event_return"):
        bench(master_returners={"log": {"type": "syslog"}}, event_return=["log"])


def test_the_log_gets_a_line_for_each_event() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear:
        ear.bind(("127.0.0.1", 0))
        ear.settimeout(10)
        returner = make("syslog", {"address": f"udp://127.0.0.1:{ear.getsockname()[1]}"})
        event = {"tag": "my/event", "data": {"a": 1}, "key": "1-1"}
        returner.event_return([event, {**event, "data": {"a": "x" * 10_000}}])
        head, _, rest = ear.recv(9999).decode().partition(" event - ")
        assert head.startswith(f"<{3 * 8 + 6}>1 ")
        assert json.loads(rest) == event
        trimmed = json.loads(ear.recv(9999).decode().partition(" event - ")[2])
        assert trimmed == {**event, "data": "VALUE_TRIMMED"}
        returner.close()
