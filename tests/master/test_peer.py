"""Peer publish and peer run: docs/protocol.md 6.2, 6.4."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent
import pytest

from greensalt.master.peer import AT_ONCE, BURST
from tests._bench import Bench
from tests._peer import Peer

Make = Callable[..., Bench]
OPEN = {".*": [".*"]}


def pub(peer: Peer, tgt: Any = "*", fun: Any = "test.ping", arg: Any = (), **more: Any) -> Any:
    load = {
        "tgt": tgt,
        "fun": fun,
        "arg": None if arg is None else list(arg),
        "ret": "",
        "tgt_type": "glob",
        "tmo": 5,
    }
    return peer.request("minion_pub", **{**load, **more})


def fleet(bench: Make, peer: Any, *ids: str, **options: Any) -> tuple[Bench, list[Peer]]:
    made = bench(auto_accept=True, peer=peer, **options)
    return made, [made.peer(minion_id) for minion_id in ids or ("m1", "m2")]


def test_a_minion_publishes_and_gets_the_returns_of_its_job_only(bench: Make) -> None:
    made, (first, second) = fleet(bench, OPEN)
    listener = made.listen("salt/job/")
    answer = pub(first, "m*", "test.arg", ["1", "a=b", [2]])
    jid = answer["jid"]
    assert answer == {"jid": jid, "minions": ["m1", "m2"]}
    events = dict(event for event in (listener.next(60), listener.next(60)) if event)
    published = events[f"salt/job/{jid}/publish"]
    assert published["id"] == "m1"  # whose job it is
    assert published["arg"] == [1, [2], {"__kwarg__": True, "a": "b"}]
    assert published["user"] == made.config.user
    assert first.request("pub_ret", jid=jid) == {}
    second.returns(jid, 5, fun="test.arg", out="nested")
    assert first.request("pub_ret", jid=jid) == {"m2": {"ret": 5, "out": "nested"}}
    assert second.request("pub_ret", jid=jid) == {}


def test_a_restart_does_not_make_it_forget_whose_job_it_was(bench: Make) -> None:
    made, (first, second) = fleet(bench, OPEN)
    jid = pub(first)["jid"]
    second.returns(jid, 5)
    made.restart()
    assert first.request("pub_ret", jid=jid) == {"m2": {"ret": 5}}
    assert second.request("pub_ret", jid=jid) == {}


@pytest.mark.parametrize("jid", ["../../etc/passwd", "", None, 7, "2" * 20, "req", {}])
def test_cve_2025_22242_pub_ret_takes_nothing_but_job_ids(bench: Make, jid: Any) -> None:
    _, (first, _) = fleet(bench, OPEN)
    assert first.request("pub_ret", jid=jid) == {}


def test_the_returns_of_a_job_of_a_user_are_no_minions_business(bench: Make) -> None:
    made, (first, second) = fleet(bench, OPEN)
    jid = made.job("m2")
    second.returns(jid, "secret")
    assert first.request("pub_ret", jid=jid) == {}
    own = made.publish("m2", id="m1")["load"]["jid"]  # a client may not make it one either
    assert first.request("pub_ret", jid=own) == {}


@pytest.mark.parametrize(
    ("peer", "fun", "is_allowed"),
    [
        ({}, "test.ping", False),
        ({"m1": ["test.*"]}, "test.ping", True),
        ({"m": ["test"]}, "test.ping", True),  # both from the start
        ({"1": ["test.*"]}, "test.ping", False),
        ({"m1": ["ping"]}, "test.ping", False),
        ({"m2": ["test.*"]}, "test.ping", False),
        ({"m1": "test.*"}, "test.ping", False),  # a text is no list
        ({"m1": ["test.*"]}, "cmd.run", False),
        ({"m1": ["test.*"]}, "test.ping,cmd.run", False),
        ({"m1": ["test.*", "cmd.*"]}, "test.ping,cmd.run", True),
        (OPEN, "publish.publish", False),
        (OPEN, "test.ping,publish.publish", False),
        (OPEN, "test.ping, publish.publish", False),
        ({"m1": [{"m1": ["test.*"]}]}, "test.ping", False),  # not on m2
        ({"m1": [{"m*": ["test.*"]}]}, "test.ping", True),
    ],
)
def test_only_what_peer_allows_is_published(
    bench: Make, peer: Any, fun: str, is_allowed: bool
) -> None:
    """CVE-2013-4435 in its form for minions: every function of a list."""
    made, (first, _) = fleet(bench, peer)
    answer = pub(first, "*", fun, [""] * len(fun.split(",")) if "," in fun else [])
    assert bool(answer) is is_allowed
    assert bool(made.master.store.list_jobs()) is is_allowed
    assert made.master.peers.counts["published"] == is_allowed


def test_several_functions_have_an_argument_text_each(bench: Make) -> None:
    made, (first, _) = fleet(bench, OPEN)
    jid = pub(first, "*", "cmd.run,test.ping", ["uname -a", ""])["jid"]
    job = made.master.store.job(jid)
    assert job is not None
    assert (job.fun, job.arg) == (["cmd.run", "test.ping"], [["uname", "-a"], []])
    assert pub(first, "*", "cmd.run,test.ping", ["uname"]) == {}


@pytest.mark.parametrize("missing", ["fun", "arg", "tgt", "ret"])
def test_a_publish_without_a_needed_field_is_refused(bench: Make, missing: str) -> None:
    _, (first, _) = fleet(bench, OPEN)
    assert pub(first, **{missing: None}) == {}


def test_pillar_is_named_exactly_or_not_at_all(bench: Make) -> None:
    """Else a minion could find out another one's pillar, character by character."""
    made, (first, second) = fleet(bench, OPEN)
    second.request("_pillar", grains={"x": 1})
    made.master.cache.put_grains("m2", {"x": 1}, {"secret": "abc"})
    for tgt, kind in (
        ("secret:a*", "pillar"),
        ("secret:a.c", "pillar_pcre"),
        ("I@secret:a* or m1", "compound"),
    ):
        assert pub(first, tgt, tgt_type=kind) == {}, tgt
    assert made.master.peers.counts["refused/pillar pattern"] == 3
    assert pub(first, "secret:abc", tgt_type="pillar")["minions"] == ["m2"]
    assert pub(first, "I@secret:abc", tgt_type="compound")["minions"] == ["m2"]


def test_nodegroups_are_those_of_the_master(bench: Make) -> None:
    made, (first, _) = fleet(bench, OPEN, nodegroups={"two": "L@m2"})
    jid = pub(first, "two", tgt_type="nodegroup")["jid"]
    job = made.master.store.job(jid)
    assert job is not None
    assert (job.minions, job.tgt_type) == (["m2"], "compound")
    assert pub(first, "N@two", tgt_type="compound")["minions"] == ["m2"]
    assert pub(first, "none", tgt_type="nodegroup") == {}


def test_a_storm_of_one_minion_is_cut_off_and_others_are_served(bench: Make) -> None:
    made, (first, second) = fleet(bench, OPEN)
    answers = [pub(first, "m1") for _ in range(int(BURST) * 2)]
    refused = answers.count({})
    assert refused > 0
    assert made.master.peers.counts["refused/too many"] == refused
    assert pub(second, "m2")["jid"]


def test_an_old_minion_waits_for_the_results(bench: Make) -> None:
    made, (first, second) = fleet(bench, OPEN)
    listener = made.listen("salt/job/")
    asker = made.peer("m1")
    load = {"tgt": "m2", "fun": "test.ping", "arg": [], "ret": "", "tgt_type": "glob"}
    waiting = gevent.spawn(asker.request, "minion_publish", **load, timeout=30)
    event = listener.next(60)
    assert event is not None
    second.returns(event[1]["jid"], 5)
    assert waiting.get(timeout=60) == {"m2": 5}
    assert first.request("minion_publish", **load, timeout=0) == {}
    assert first.request("minion_publish", **load, timeout="soon") == {}


def test_only_so_many_requests_of_a_minion_wait_at_once(bench: Make) -> None:
    made, _ = fleet(bench, OPEN)
    load = {"tgt": "m2", "fun": "test.ping", "arg": [], "ret": "", "tgt_type": "glob"}
    askers = [made.peer("m1") for _ in range(AT_ONCE + 1)]
    waiting = [gevent.spawn(each.request, "minion_publish", **load, timeout=50) for each in askers]
    done = gevent.wait(waiting, timeout=60, count=1)
    assert [each.value for each in done] == [{}]
    assert made.master.peers.counts["refused/too many at once"] == 1
    gevent.killall(waiting)


@pytest.mark.parametrize(
    ("peer_run", "fun", "is_allowed"),
    [
        ({}, "test.arg", False),
        ({"m1": ["test.*"]}, "test.arg", True),
        ({"m": ["test"]}, "test.arg", True),  # both from the start
        ({"m2": ["test.*"]}, "test.arg", False),
        ({"m1": ["test.argument"]}, "test.arg", False),
        ({"m1": [{"test.arg": []}]}, "test.arg", False),
        ({"m1": "test.*"}, "test.arg", False),  # a text is no list
    ],
)
def test_only_what_peer_run_allows_is_run(
    bench: Make, peer_run: Any, fun: str, is_allowed: bool
) -> None:
    made = bench(auto_accept=True, peer_run=peer_run)
    answer = made.peer("m1").request("minion_runner", fun=fun, arg=["1", "a=b"])
    assert answer == ({"args": [1], "kwargs": {"a": "b"}} if is_allowed else {})
    assert bool(made.master.store.list_jobs()) is is_allowed


def test_a_run_of_a_minion_is_a_job_that_no_user_of_that_name_owns(bench: Make) -> None:
    made = bench(auto_accept=True, peer_run={".*": [".*"]}, publisher_acl={"nobody": ["test.*"]})
    made.peer("nobody").request("minion_runner", fun="test.arg", arg=["x"])
    (job,) = made.master.store.list_jobs()
    assert (job.fun, job.user) == ("runner.test.arg", "nobody")
    nobody = {"user": "nobody", "key": made.user_key("nobody")}
    assert made.follow(job.jid, **nobody)["error"]["name"] == "AuthorizationError"
