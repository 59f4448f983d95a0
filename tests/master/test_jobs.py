"""Publish, returns and following: docs/protocol.md 5, 8, 9.3, 12."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent
import pytest
from gevent.queue import Queue

from greensalt.crypto.crypticle import Crypticle
from greensalt.crypto.signing import check_publish
from greensalt.transport.publish import Subscriber
from greensalt.transport.sockets import new_context
from greensalt.wire.envelope import parse_publish
from tests._bench import Bench

Make = Callable[..., Bench]
OLD_JID = "20200101000000000000"


def events_of(made: Bench, count: int, *prefixes: str) -> Callable[[], list[tuple[str, Any]]]:
    listener = made.listen(*prefixes)

    def take() -> list[tuple[str, Any]]:
        events = []
        for _ in range(count):
            event = listener.next(60)
            assert event is not None
            events.append(event)
        return events

    return take


class Listener:
    """A SUB socket on the publish port."""

    def __init__(self, made: Bench) -> None:
        self.frames: Queue[list[bytes]] = Queue()
        linked: Queue[bool] = Queue()
        self.context = new_context()
        self.subscriber = Subscriber(
            self.context,
            identity="test",
            topics=[b""],
            reconnect_ms=50,
            reconnect_max_ms=100,
            take=self.frames.put,
            moved=linked.put,
        )
        self.subscriber.start(f"tcp://127.0.0.1:{made.config.publish_port}")
        assert linked.get(timeout=60)
        gevent.sleep(0.1)  # the subscription follows the handshake; nothing tells when

    def close(self) -> None:
        self.subscriber.stop()
        self.context.destroy(linger=0)


def test_a_publish_names_whom_it_expects_and_tells_the_bus(bench: Make) -> None:
    made = bench(auto_accept=True)
    for minion_id in ("web1", "web2", "db1"):
        made.peer(minion_id)
    take = events_of(made, 2, "salt/job/")
    reply = made.publish("web*", "test.echo", ["hi"])
    jid = reply["load"]["jid"]
    assert reply == {
        "enc": "clear",
        "load": {"jid": jid, "minions": ["web1", "web2"], "missing": []},
    }
    (new_tag, new), (publish_tag, _) = take()
    assert (new_tag, publish_tag) == (f"salt/job/{jid}/new", f"salt/job/{jid}/publish")
    assert {key: new[key] for key in ("fun", "arg", "tgt", "tgt_type", "user", "minions")} == {
        "fun": "test.echo",
        "arg": ["hi"],
        "tgt": "web*",
        "tgt_type": "glob",
        "user": "root",
        "minions": ["web1", "web2"],
    }


def test_a_list_tells_who_is_missing(bench: Make) -> None:
    made = bench(auto_accept=True)
    made.peer("m1")
    load = made.publish(["m1", "gone"], tgt_type="list")["load"]
    assert (load["minions"], load["missing"]) == (["m1"], ["gone"])


def test_a_target_that_matches_nobody_gets_no_jid(bench: Make) -> None:
    load = bench(auto_accept=True).publish("nobody")["load"]
    assert load == {
        "jid": None,
        "minions": [],
        "error": "Master could not resolve minions for target nobody",
    }


def test_a_publish_is_encrypted_signed_and_numbered(bench: Make) -> None:
    """CVE-2017-7893, CVE-2022-22936."""
    made = bench(auto_accept=True)
    peer = made.peer("m1")
    listener = Listener(made)
    aes = Crypticle(peer.answer.aes)
    serials = []
    for number in range(3):
        jid = made.job("m1", "test.echo", arg=[number])
        (body,) = listener.frames.get(timeout=60)
        frame = parse_publish(body)
        check_publish(frame, peer.answer.master_key)
        load = aes.loads(frame.packet)
        serials.append(load.pop("serial"))
        assert load == {
            "fun": "test.echo",
            "arg": [number],
            "tgt": "m1",
            "tgt_type": "glob",
            "jid": jid,
            "ret": "",
            "user": "root",
        }
    assert serials == [serials[0], serials[0] + 1, serials[0] + 2]
    listener.close()


def test_a_return_is_stored_once_and_fired_once(bench: Make) -> None:
    made = bench(auto_accept=True)
    peer = made.peer("m1")
    jid = made.job("m1")
    take = events_of(made, 1, f"salt/job/{jid}/ret/")
    assert peer.returns(jid, {"answer": 42}) is None
    assert peer.returns(jid, "a second one") is None
    ((tag, event),) = take()
    assert (tag, event["return"]) == (f"salt/job/{jid}/ret/m1", {"answer": 42})
    (row,) = made.follow(jid)["load"]["returns"]
    assert (row["id"], row["return"], row["retcode"], row["success"]) == (
        "m1",
        {"answer": 42},
        0,
        True,
    )
    assert made.master.returns.repeated == 1


def test_a_return_is_acknowledged_only_once_it_is_stored(bench: Make) -> None:
    made = bench(auto_accept=True)
    peer = made.peer("m1")
    jid = made.job("m1")
    assert peer.returns(jid) is None
    made.restart()
    assert [row["id"] for row in made.follow(jid)["load"]["returns"]] == ["m1"]


def test_a_return_that_cant_be_stored_is_not_acknowledged(
    bench: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    from greensalt.errors import StoreError

    made = bench(auto_accept=True)
    peer = made.peer("m1")
    jid = made.job("m1")

    def full(rows: object) -> bool:
        raise StoreError("the disk is full")

    monkeypatch.setattr(made.master.store, "add_returns", full)
    assert peer.returns(jid) == {"error": "the disk is full"}
    monkeypatch.undo()
    assert peer.returns(jid) is None
    assert len(made.follow(jid)["load"]["returns"]) == 1


def test_a_return_for_a_job_of_others_or_of_nobody_is_counted_and_refused(bench: Make) -> None:
    """Spec 9.3 item 3."""
    made = bench(auto_accept=True)
    _, stranger = made.peer("m1"), made.peer("m2")
    listener = made.listen("salt/job/")
    jid = made.job("m1")
    for refused in (jid, OLD_JID, "../../etc", "x" * 20, ""):
        assert stranger.returns(refused) is None
    assert stranger.returns(7) == ""
    assert made.follow(jid)["load"]["returns"] == []
    assert made.master.returns.refused == 5
    for kind in ("new", "publish"):
        tag, _ = listener.next(60) or ("", {})
        assert tag == f"salt/job/{jid}/{kind}"
    assert listener.next(0.1) is None


def test_a_return_counts_for_who_authenticated_whatever_it_says(bench: Make) -> None:
    made = bench(auto_accept=True)
    peer, _ = made.peer("m1"), made.peer("m2")
    jid = made.job("*")
    load = peer.load("_return", jid=jid, fun="test.ping", fun_args=[], success=True)
    load.update({"return": True, "retcode": 0, "id": "m2"})
    assert peer.send_load(load) == "bad load"
    assert made.follow(jid)["load"]["returns"] == []


def test_a_minion_that_the_cache_did_not_expect_may_answer_a_grain_target(bench: Make) -> None:
    """It knows its own grains best: its answer extends the job."""
    made = bench(auto_accept=True)
    first, second = made.peer("m1"), made.peer("m2")
    first.request("_pillar", grains={"os": "Debian"})
    jid = made.job("os:Debian", tgt_type="grain")
    second.returns(jid)
    load = made.follow(jid)["load"]
    assert (load["minions"], [row["id"] for row in load["returns"]]) == (["m1", "m2"], ["m2"])


def test_a_job_that_a_minion_began_itself_gets_a_jid(bench: Make) -> None:
    made = bench(auto_accept=True)
    peer = made.peer("m1")
    take = events_of(made, 1, "salt/job/")
    assert peer.returns("req", "by salt-call") is None
    ((tag, event),) = take()
    jid = event["jid"]
    assert tag == f"salt/job/{jid}/ret/m1"
    assert (event["tgt"], event["arg"]) == ("m1", [])
    assert [row["return"] for row in made.follow(jid)["load"]["returns"]] == ["by salt-call"]


def test_a_nocache_return_is_fired_and_not_stored(bench: Make) -> None:
    made = bench(auto_accept=True)
    peer = made.peer("m1")
    take = events_of(made, 1, "salt/job/nocache")
    peer.returns("nocache", 1)
    assert take()[0][1]["return"] == 1
    assert made.master.store.list_jobs() == []


def test_the_returns_of_a_job_published_with_nocache_are_fired_and_not_stored(
    bench: Make,
) -> None:
    made = bench(auto_accept=True)
    peer = made.peer("m1")
    jid = made.job("m1", kwargs={"nocache": True})
    take = events_of(made, 1, f"salt/job/{jid}/ret/")
    assert peer.returns(jid, "fired") is None
    assert take()[0][1]["return"] == "fired"
    assert made.master.store.list_jobs() == []


def test_a_return_for_a_job_that_was_pruned_is_refused_for_good(bench: Make) -> None:
    made = bench(auto_accept=True)
    peer = made.peer("m1")
    jid = made.job("m1")
    assert made.master.store.prune(0.000001, 0) == 1
    assert peer.returns(jid) is None
    assert made.master.returns.refused == 1


def test_one_jid_may_be_published_to_several_lists(bench: Make) -> None:
    made = bench(auto_accept=True)
    peers = [made.peer(f"m{number}") for number in range(4)]
    jid = made.job(["m0", "m1"], tgt_type="list")
    assert made.job(["m2", "m3"], tgt_type="list", jid=jid) == jid
    for peer in peers:
        peer.returns(jid)
    load = made.follow(jid)["load"]
    assert load["minions"] == ["m0", "m1", "m2", "m3"]
    assert len(load["returns"]) == 4


def test_a_jid_that_is_taken_by_another_job_is_refused(bench: Make) -> None:
    """Two clients in the same microsecond would mix their results."""
    made = bench(auto_accept=True)
    made.peer("m1")
    jid = made.job("m1", "test.echo", arg=["a"])
    assert made.publish("m1", "test.echo", ["b"], jid=jid)["error"]["name"] == "AuthorizationError"
    assert made.publish("m1", "test.ping", jid=jid)["error"]["name"] == "AuthorizationError"
    assert made.job("m1", "test.echo", arg=["a"], jid=jid) == jid


def test_following_goes_on_at_the_cursor(bench: Make) -> None:
    made = bench(auto_accept=True)
    peers = [made.peer(f"m{number}") for number in range(3)]
    jid = made.job("*")
    cursor = 0
    for peer in peers:
        peer.returns(jid)
        load = made.follow(jid, cursor)["load"]
        assert [row["id"] for row in load["returns"]] == [peer.id]
        cursor = load["cursor"]
    assert made.follow(jid, cursor)["load"]["returns"] == []


@pytest.mark.parametrize(
    "fields",
    [
        {"key": ""},
        {"key": None},
        {"key": "wrong"},
        {"key": 7},
        {"user": "nobody"},
        {"user": ""},
        {"user": None},
        {"user": "sudo_x", "key": "wrong"},
    ],
)
@pytest.mark.parametrize("command", ["publish", "follow_job"])
def test_only_the_key_of_a_local_user_opens_the_clear_commands(
    bench: Make, command: str, fields: dict[str, Any]
) -> None:
    made = bench(auto_accept=True)
    made.peer("m1")
    jid = made.job("m1")
    reply = made.publish("m1", **fields) if command == "publish" else made.follow(jid, **fields)
    assert reply["error"]["name"] == "AuthenticationError"


@pytest.mark.parametrize("jid", ["../../etc/passwd", "abc", "2020", {}, "x" * 20])
def test_cve_2025_22242_a_jid_must_be_one(bench: Make, jid: Any) -> None:
    made = bench(auto_accept=True)
    made.peer("m1")
    assert made.publish("m1", jid=jid)["error"]["name"] == "AuthorizationError"
    assert made.follow(jid)["error"]["name"] == "AuthorizationError"


class TestPublisherAcl:
    """`nobody` is a user of every machine; its key is made because the list names it."""

    def ask(self, made: Bench, tgt: Any, fun: Any, arg: Any = (), **fields: Any) -> Any:
        if "user" not in fields:
            fields.update(user="nobody", key=made.user_key("nobody"))
        reply = made.publish(tgt, fun, arg, **fields)
        return reply["error"]["name"] if "error" in reply else reply["load"]["minions"]

    def test_functions_are_allowed_by_name(self, bench: Make) -> None:
        made = bench(auto_accept=True, publisher_acl={"nobody": ["test.*"]})
        made.peer("m1")
        assert self.ask(made, "m1", "test.ping") == ["m1"]
        assert self.ask(made, "m1", "cmd.run", ["id"]) == "AuthorizationError"
        assert self.ask(made, "m1", "cmd.run_test.ping") == "AuthorizationError"
        assert self.ask(made, "m1", "saltutil.find_job", [OLD_JID]) == ["m1"]

    def test_functions_are_allowed_by_target(self, bench: Make) -> None:
        made = bench(auto_accept=True, publisher_acl={"nobody": [{"web*": ["test.ping"]}]})
        for minion_id in ("web1", "web2", "db1"):
            made.peer(minion_id)
        assert self.ask(made, "web*", "test.ping") == ["web1", "web2"]
        assert self.ask(made, "*", "test.ping") == "AuthorizationError"
        assert self.ask(made, "web1", "test.echo", ["x"]) == "AuthorizationError"

    def test_cve_2013_4435_every_function_of_a_job_must_be_allowed(self, bench: Make) -> None:
        made = bench(auto_accept=True, publisher_acl={"nobody": ["test.ping"]})
        made.peer("m1")
        both = ["test.ping", "cmd.run"]
        assert self.ask(made, "m1", both, [[], ["id"]]) == "AuthorizationError"
        assert self.ask(made, "m1", ["test.ping"], [[]]) == ["m1"]
        hidden = ["saltutil.find_job", "cmd.run"]
        assert self.ask(made, "m1", hidden, [[OLD_JID], ["id"]]) == "AuthorizationError"

    @pytest.mark.parametrize("fun", [[], [7], {}, None, 7, ["test.ping", ["x"]]])
    def test_a_function_that_is_no_name_is_refused(self, bench: Make, fun: Any) -> None:
        made = bench(auto_accept=True, publisher_acl={"nobody": ["test.ping"]})
        made.peer("m1")
        assert self.ask(made, "m1", fun) == "AuthorizationError"

    def test_cve_2022_22941_an_empty_resolution_is_no_permission(self, bench: Make) -> None:
        made = bench(auto_accept=True, publisher_acl={"nobody": [{"gone": ["test.ping"]}]})
        made.peer("m1")
        assert self.ask(made, "gone", "test.ping") == "AuthorizationError"

    def test_the_black_list_wins(self, bench: Make) -> None:
        made = bench(
            auto_accept=True,
            publisher_acl={"nobody": [".*"]},
            publisher_acl_blacklist={"users": ["sudo_.*"], "modules": ["cmd.*"]},
        )
        made.peer("m1")
        assert self.ask(made, "m1", "test.ping") == ["m1"]
        assert self.ask(made, "m1", "cmd.run", ["id"]) == "AuthorizationError"
        root = {"user": "sudo_bob", "key": made.user_key()}
        assert self.ask(made, "m1", "test.ping", **root) == "AuthorizationError"

    def test_with_sudo_acl_the_list_binds_those_who_came_by_sudo(self, bench: Make) -> None:
        made = bench(auto_accept=True, sudo_acl=True, publisher_acl={"bob": ["test.ping"]})
        made.peer("m1")
        sudo = {"user": "sudo_bob", "key": made.user_key()}
        assert self.ask(made, "m1", "test.ping", **sudo) == ["m1"]
        assert self.ask(made, "m1", "cmd.run", ["id"], **sudo) == "AuthorizationError"

    def test_a_user_sees_and_touches_own_jobs_only(self, bench: Make) -> None:
        made = bench(auto_accept=True, publisher_acl={"nobody": ["test.*"]})
        made.peer("m1")
        of_root = made.job("m1")
        nobody = {"user": "nobody", "key": made.user_key("nobody")}
        assert made.follow(of_root, **nobody)["error"]["name"] == "AuthorizationError"
        assert self.ask(made, "m1", "test.ping", jid=of_root) == "AuthorizationError"
        own = made.publish("m1", **nobody)["load"]["jid"]
        assert made.follow(own, **nobody)["load"]["minions"] == ["m1"]
        assert made.follow(own)["load"]["minions"] == ["m1"]


@pytest.mark.parametrize(
    "tag",
    [
        "salt/job/20200101000000000000/new",
        "salt/job/20200101000000000000/publish",
        "salt/job/20200101000000000000/ret/m2",
        "salt/key",
        "salt/auth",
        "salt/run/1/new",
        "salt/wheel/1/new",
        "salt/presence/change",
        "key",
        "",
        "20200101000000000000",
    ],
)
@pytest.mark.parametrize("form", ["tag", "events", "pretag"])
def test_cve_2025_22239_a_minion_cant_forge_the_masters_events(
    bench: Make, tag: str, form: str
) -> None:
    """Spec 9.3 item 2: in any form of `_minion_event`."""
    made = bench(auto_accept=True)
    peer = made.peer("m1")
    listener = made.listen("")
    head, _, tail = tag.rpartition("/")
    forms: dict[str, dict[str, Any]] = {
        "tag": {"tag": tag, "data": {}, "pretag": None},
        "events": {"events": [{"tag": tag, "data": {}}], "pretag": None},
        "pretag": {"events": [{"tag": tail, "data": {}}], "pretag": head},
    }
    peer.request("_minion_event", **forms[form])
    peer.request("_minion_event", tag="last", data={})
    tags: list[str] = []
    while tags[-1:] != ["last"]:
        event = listener.next(60)
        assert event is not None
        tags.append(event[0])
    assert tag not in tags


def test_events_of_a_minion_reach_the_bus_in_both_forms(bench: Make) -> None:
    made = bench(auto_accept=True)
    peer = made.peer("m1")
    take = events_of(made, 4, "my/", "salt/minion/", "salt/beacon/m1")
    peer.request("_minion_event", tag="my/tag", data={"n": 1}, pretag=None)
    peer.request("_minion_event", tag="salt/minion/m1/start", data="a string", pretag=None)
    peer.request("_minion_event", events=[{"tag": "b", "data": {"n": 2}}], pretag="my")
    peer.request("_minion_event", events=[{"tag": "salt/beacon/m1/x/", "data": {"n": 3}}])
    found = take()
    assert [tag for tag, _ in found] == [
        "my/tag",
        "salt/minion/m1/start",
        "my/b",
        "salt/beacon/m1/x/",
    ]
    assert found[0][1]["data"] == {"n": 1}
    assert found[0][1]["id"] == "m1"
    assert found[1][1]["data"] == "a string"
    assert found[2][1]["n"] == 2


def test_a_grain_target_needs_the_right_for_all_whose_grains_are_not_known(bench: Make) -> None:
    """A minion without cached grains is not expected, but it may well match."""
    made = bench(auto_accept=True, publisher_acl={"nobody": [{"web*": ["test.ping"]}]})
    web, _ = made.peer("web1"), made.peer("db1")
    web.request("_pillar", grains={"role": "x"})
    nobody = {"user": "nobody", "key": made.user_key("nobody")}
    reply = made.publish("role:x", tgt_type="grain", **nobody)
    assert reply["error"]["name"] == "AuthorizationError"
    assert made.publish("G@role:x and web*", tgt_type="compound", **nobody)["load"]["jid"]
