"""Passwords and tokens: docs/access.md, docs/protocol.md 6.1, 9."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import gevent
import pytest

from greensalt.master.access.backends import Backend
from greensalt.master.access.eauth import AT_ONCE, AT_ONCE_OF_ONE
from tests._bench import Bench

Make = Callable[..., Bench]
SECRET = "correct horse"
FRED: dict[str, Any] = {"eauth": "sharedsecret", "username": "fred", "password": SECRET}
REFUSED = {
    "error": {
        "name": "AuthenticationError",
        "message": 'Authentication failure of type "eauth" occurred.',
    }
}


def shared(bench: Make, rules: Any, **options: Any) -> Bench:
    """A master where SECRET is everybody's password, and a wrong one is answered soon."""
    config = {"auto_accept": True, "external_auth": {"sharedsecret": rules}, "sharedsecret": SECRET}
    made = bench(**{**config, **options})
    made.master.access.eauth._slowest_s = 0.05
    return made


def ask(
    made: Bench, proof: dict[str, Any], tgt: Any = "*", fun: Any = "test.ping", **more: Any
) -> Any:
    """The reply to a publish of somebody without a key, in the form of stock clients."""
    return made.publish(tgt, fun, **{"user": "x", "key": "", "kwargs": dict(proof), **more})


def token_of(made: Bench, **fields: Any) -> Any:
    return made.anybody().clear({"cmd": "mk_token", **FRED, **fields})


def test_a_password_lets_its_user_do_what_the_rules_say(bench: Make) -> None:
    made = shared(bench, {"fred": ["test.*"]})
    made.peer("m1")
    listener = made.listen("salt/job/")
    load = ask(made, FRED)["load"]
    assert load["minions"] == ["m1"]
    event = listener.next(60)
    assert event is not None
    assert event[1]["user"] == "fred"
    assert ask(made, FRED, fun="cmd.run")["error"]["name"] == "AuthorizationError"


def test_at_the_top_of_a_request_a_password_counts_as_well(bench: Make) -> None:
    made = shared(bench, {"fred": ["test.*"]})
    made.peer("m1")
    assert made.publish("*", **FRED)["load"]["minions"] == ["m1"]


def test_a_key_without_a_name_is_its_owner_s(bench: Make) -> None:
    made = bench(auto_accept=True, publisher_acl={"nobody": ["test.*"]})
    made.peer("m1")
    keys = {user: made.user_key(user) for user in ("root", "nobody")}
    for user, key in keys.items():
        load = made.anybody().clear({"cmd": "publish", "tgt": "*", "fun": "test.ping", "key": key})
        job = made.master.store.job(load["load"]["jid"])
        assert job is not None
        assert job.user == user
    runner = {"cmd": "runner", "fun": "test.arg"}
    assert "jid" in made.anybody().clear({**runner, "key": keys["root"]})
    for refused in (keys["nobody"], "x" * 42, ""):
        assert "error" in made.anybody().clear({**runner, "key": refused})


def test_no_password_and_no_token_is_kept_anywhere(bench: Make) -> None:
    """CVE-2021-25284."""
    made = shared(bench, {"fred": ["test.*"]})
    made.peer("m1")
    token = token_of(made)["token"]
    listener = made.listen("")
    jids = [ask(made, proof)["load"]["jid"] for proof in (FRED, {"token": token})]
    jids.append(made.publish("*", **FRED)["load"]["jid"])
    for jid in jids:
        job = made.master.store.job(jid)
        assert job is not None
        assert (job.user, job.load["eauth"]) == ("fred", "sharedsecret")
        assert SECRET not in repr(job)
        assert token not in repr(job)
    events = [listener.next(60) for _ in range(6)]
    assert listener.next(0.1) is None
    assert SECRET not in repr(events)
    assert token not in repr(events)


@pytest.mark.parametrize(
    "wrong",
    [
        {"password": "wrong"},
        {"password": ""},
        {"password": None},
        {"password": 7},
        {"username": "nobody-of-them", "password": "wrong"},
        {"username": ""},
        {"username": "x" * 2000},
        {"username": ["fred"]},
        {"eauth": "pam"},
        {"eauth": "none"},
        {"eauth": {"x": 1}},
    ],
)
def test_whatever_is_wrong_the_answer_is_the_same(bench: Make, wrong: dict[str, Any]) -> None:
    made = shared(bench, {"fred": ["test.*"]})
    made.peer("m1")
    assert ask(made, {**FRED, **wrong}) == REFUSED
    assert token_of(made, **wrong) == ""
    assert made.master.access.eauth.failures == 2


def test_whatever_is_wrong_the_answer_takes_as_long_as_the_slowest(bench: Make) -> None:
    """A user whom the back end does not know would be refused at once, another one later."""

    class Slow(Backend):
        def verify(self, username: str, password: str) -> bool:
            if username == "fred":
                time.sleep(0.4)
            return False

    made = shared(bench, {"fred": ["test.*"]})
    eauth = made.master.access.eauth
    eauth._backends["sharedsecret"] = Slow({}, made.config)

    def seconds(username: str) -> float:
        begun = time.monotonic()
        assert token_of(made, username=username) == ""
        return time.monotonic() - begun

    seconds("fred")
    assert eauth._slowest_s >= 0.4
    slowest_s = eauth._slowest_s
    assert seconds("nobody") > 0.6 * slowest_s


def test_wrong_passwords_hold_neither_others_nor_their_own_lane(bench: Make) -> None:
    """As many as are tried at once would fill the lane of publishing."""
    made = shared(bench, {"fred": ["test.*"]}, worker_threads=1)
    made.peer("m1")
    made.master.access.eauth._slowest_s = 8.0
    strangers = [made.peer(f"s{number}", sign_in=False) for number in range(AT_ONCE)]
    load = {"cmd": "publish", "tgt": "*", "fun": "test.ping", "arg": [], "user": "x"}
    waiting = [
        gevent.spawn(each.clear, {**load, **FRED, "username": each.id, "password": "no"})
        for each in strangers
    ]
    while made.master.access.eauth._trying.total() < AT_ONCE:
        gevent.sleep(0.01)
    assert made.publish("*")["load"]["minions"] == ["m1"]
    assert not any(each.ready() for each in waiting)
    gevent.killall(waiting)


def test_a_storm_of_passwords_for_one_name_is_not_even_tried(bench: Make) -> None:
    made = shared(bench, {"fred": ["test.*"]})
    eauth = made.master.access.eauth
    eauth._slowest_s = 8.0
    count = AT_ONCE_OF_ONE + 3
    strangers = [made.peer(f"s{number}", sign_in=False) for number in range(count)]
    wrong = {"cmd": "mk_token", **FRED, "password": "no"}
    waiting = [gevent.spawn(each.clear, wrong) for each in strangers]
    done = gevent.wait(waiting, timeout=60, count=3)
    assert [each.value for each in done] == [""] * 3
    assert eauth.refused == 3
    assert token_of(made, username="ann")["name"] == "ann"  # other names have places of their own
    gevent.killall(waiting)


def test_a_back_end_that_fails_lets_nobody_in(bench: Make) -> None:
    class Broken(Backend):
        def verify(self, username: str, password: str) -> bool:
            raise RuntimeError("no connection")

    made = shared(bench, {"fred": ["test.*"]})
    made.master.access.eauth._backends["sharedsecret"] = Broken({}, made.config)
    assert ask(made, FRED) == REFUSED


def test_sharedsecret_without_a_secret_lets_nobody_in(bench: Make) -> None:
    made = shared(bench, {"fred": ["test.*"]}, sharedsecret=None)
    assert ask(made, {**FRED, "password": ""}) == REFUSED


def test_groups_and_everybody_else_have_their_own_entries(bench: Make) -> None:
    class Groups(Backend):
        def verify(self, username: str, password: str) -> bool:
            return True

        def groups(self, username: str) -> Collection[str]:
            return ["ops"] if username == "olga" else []

    made = shared(
        bench, {"fred": ["test.*"], "ops%": ["cmd.*"], "*": ["sys.doc"], "^option": [".*"]}
    )
    made.peer("m1")
    made.master.access.eauth._backends["sharedsecret"] = Groups({}, made.config)

    def may(name: str, fun: str) -> bool:
        return "load" in ask(made, {**FRED, "username": name}, fun=fun)

    assert [may("fred", each) for each in ("test.ping", "cmd.run", "sys.doc")] == [
        True,
        False,
        False,
    ]
    assert [may("olga", each) for each in ("test.ping", "cmd.run", "sys.doc")] == [
        False,
        True,
        True,
    ]
    assert [may("ann", each) for each in ("test.ping", "cmd.run", "sys.doc")] == [
        False,
        False,
        True,
    ]
    assert not may("^option", "test.ping")
    assert not may("ops%", "cmd.run")
    token = token_of(made, username="olga")
    assert token["groups"] == ["ops"]
    assert "load" in ask(made, {"token": token["token"]}, fun="cmd.run")


def test_the_black_list_holds_for_users_with_a_password(bench: Make) -> None:
    made = shared(bench, {"fred": [".*"]}, publisher_acl_blacklist={"modules": ["cmd.*"]})
    made.peer("m1")
    assert "load" in ask(made, FRED)
    assert ask(made, FRED, fun="cmd.run")["error"]["name"] == "AuthorizationError"


# -- tokens ----------------------------------------------------------------------------------------


def test_a_token_stands_for_its_user(bench: Make) -> None:
    made = shared(bench, {"fred": ["test.*"]}, token_expire=100)
    made.peer("m1")
    token = token_of(made)
    assert set(token) == {"token", "name", "eauth", "start", "expire"}
    assert (token["name"], token["eauth"]) == ("fred", "sharedsecret")
    assert token["expire"] == token["start"] + 100
    assert made.anybody().clear({"cmd": "get_token", "token": token["token"]}) == token
    assert ask(made, {"token": token["token"]})["load"]["minions"] == ["m1"]
    refused = ask(made, {"token": token["token"]}, fun="cmd.run")
    assert refused["error"]["name"] == "AuthorizationError"
    made.restart()
    assert ask(made, {"token": token["token"]})["load"]["minions"] == ["m1"]


@pytest.mark.parametrize(
    "token",
    ["", "0" * 64, "../" * 21 + "a", "A" * 64, None, 7, ["0" * 64], "0" * 65, "0" * 64 + "\n"],
)
def test_cve_2020_11652_a_token_is_hexadecimal_or_none(bench: Make, token: Any) -> None:
    """Spec 9.3 item 5."""
    made = shared(bench, {"fred": ["test.*"]})
    assert made.anybody().clear({"cmd": "get_token", "token": token}) == {}
    assert ask(made, {"token": token})["error"]["name"] == "AuthenticationError"


def test_no_file_gives_a_token_away(bench: Make) -> None:
    made = shared(bench, {"fred": ["test.*"]})
    token = token_of(made)["token"]
    (path,) = made.config.token_dir.iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    assert made.config.token_dir.stat().st_mode & 0o777 == 0o700
    assert path.name != token
    assert token not in path.read_text()
    assert SECRET not in path.read_text()


def age(made: Bench) -> Path:
    """Let the only token have expired a second ago."""
    (path,) = made.config.token_dir.iterdir()
    data = json.loads(path.read_text())
    path.write_text(json.dumps({**data, "expire": time.time() - 1}))
    return path


def test_cve_2021_3144_an_expired_token_is_none(bench: Make) -> None:
    made = shared(bench, {"fred": ["test.*"]})
    made.peer("m1")
    token = token_of(made)["token"]
    path = age(made)
    assert ask(made, {"token": token})["error"]["name"] == "AuthenticationError"
    assert not path.exists()
    assert made.anybody().clear({"cmd": "get_token", "token": token}) == {}


def test_expired_and_broken_token_files_are_removed_in_time(bench: Make) -> None:
    made = shared(bench, {"fred": ["test.*"]}, loop_interval=0)
    token_of(made)
    path = age(made)
    broken = path.with_name("f" * 64)
    broken.write_text("{")
    good = token_of(made)["token"]
    while path.exists() or broken.exists():
        gevent.sleep(0.05)
    assert made.anybody().clear({"cmd": "get_token", "token": good})["name"] == "fred"


def test_a_token_of_a_back_end_that_was_taken_away_is_none(bench: Make) -> None:
    made = shared(bench, {"fred": ["test.*"]})
    token = token_of(made)["token"]
    made.options["external_auth"] = {}
    made.restart()
    assert ask(made, {"token": token})["error"]["name"] == "AuthenticationError"


def test_rules_are_those_of_today_unless_they_are_kept_in_the_token(bench: Make) -> None:
    made = shared(bench, {"fred": ["test.*"]})
    made.peer("m1")
    before = token_of(made)["token"]
    made.options.update(external_auth={"sharedsecret": {"fred": ["cmd.*"]}}, keep_acl_in_token=True)
    made.restart()
    assert "error" in ask(made, {"token": before})
    kept = token_of(made)
    assert kept["auth_list"] == ["cmd.*"]
    made.options.update(external_auth={"sharedsecret": {"fred": ["sys.*"]}})
    made.restart()
    assert "load" in ask(made, {"token": kept["token"]}, fun="cmd.run")
    assert "error" in ask(made, {"token": kept["token"]}, fun="sys.doc")


@pytest.mark.parametrize(
    ("override", "wanted", "lasts"),
    [
        (False, 10, 100),
        (True, 10, 10),
        (True, "for ever", 100),
        (True, -1, 100),
        (True, float("inf"), 100),
        ({"sharedsecret": ["fred"]}, 10, 10),
        ({"sharedsecret": ["ann"]}, 10, 100),
        ({"pam": ["fred"]}, 10, 100),
    ],
)
def test_who_may_says_how_long_a_token_lasts(
    bench: Make, override: Any, wanted: Any, lasts: float
) -> None:
    made = shared(
        bench, {"fred": ["test.*"]}, token_expire=100, token_expire_user_override=override
    )
    token = token_of(made, token_expire=wanted)
    assert token["expire"] - token["start"] == pytest.approx(lasts)


def test_a_large_job_needs_a_key_or_a_token(bench: Make) -> None:
    """Spec 9.3 item 12: nobody else makes the master read much."""
    made = shared(bench, {"fred": ["test.*"]})
    made.peer("m1")
    token = token_of(made)["token"]
    arg = ["x" * 40_000]
    assert made.publish("*", "test.echo", arg, key="", token=token)["load"]["minions"] == ["m1"]
    assert "load" not in made.publish("*", "test.echo", arg, key="", token="0" * 64)


# -- following -------------------------------------------------------------------------------------


def test_jobs_are_followed_with_a_token_and_with_a_password(bench: Make) -> None:
    made = shared(bench, {"fred": ["test.*"], "ann": ["test.*"], "vera": ["@jobs"]})
    peer = made.peer("m1")
    jid = ask(made, FRED)["load"]["jid"]
    peer.returns(jid, 5)
    token = token_of(made)["token"]
    for proof in (FRED, {"token": token}):
        (row,) = made.follow(jid, key="", **proof)["load"]["returns"]
        assert row["return"] == 5
    others = {"key": "", **FRED, "username": "ann"}
    assert made.follow(jid, **others)["error"]["name"] == "AuthorizationError"
    assert made.follow(jid, **{**others, "username": "vera"})["load"]["returns"]
    assert (
        made.follow(jid, **{**others, "password": "no"})["error"]["name"] == "AuthenticationError"
    )


def test_the_same_name_elsewhere_is_somebody_else(bench: Make) -> None:
    """A back end that knows a `root` knows none of the master's."""
    made = shared(
        bench, {"root": ["test.*"], "nobody": ["test.*"]}, publisher_acl={"nobody": [".*"]}
    )
    made.peer("m1")
    root = {"key": "", **FRED, "username": "root"}
    assert made.follow(made.job("m1"), **root)["error"]["name"] == "AuthorizationError"
    local = made.job("m1", user="nobody", key=made.user_key("nobody"))
    outside = {**root, "username": "nobody"}
    assert made.follow(local, **outside)["error"]["name"] == "AuthorizationError"
    forged = made.job("m1", eauth="sharedsecret", username="nobody", password=SECRET)
    nobody = {"user": "nobody", "key": made.user_key("nobody")}
    assert made.follow(forged, **nobody)["error"]["name"] == "AuthorizationError"


def test_conditions_hold_for_the_arguments_of_runners_however_they_come(bench: Make) -> None:
    """Stock clients nest them."""
    rules = {"fred": [{"@runner": [{"test.arg": {"args": ["1"], "kwargs": {"a": "2"}}}]}]}
    made = shared(bench, rules)

    def may(**given: Any) -> bool:
        reply = made.anybody().clear({"cmd": "runner", "fun": "test.arg", **FRED, **given})
        return "jid" in reply

    assert may(arg=[1], kwarg={"a": 2})
    assert may(kwarg={"arg": [1], "kwarg": {"a": 2}})
    assert not may(kwarg={"arg": [3], "kwarg": {"a": 2}})
    assert not may(kwarg={"arg": [1], "kwarg": {"a": 3}})
    assert not may(arg=[3], kwarg={"arg": [1], "kwarg": {"a": 2}})
    assert not may()
