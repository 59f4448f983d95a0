from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests._calls import Caller


def test_values_are_hidden_unless_they_are_asked_for(minion: Caller) -> None:
    assert minion.call("pillar.get", "apache:port") == "**********"
    assert minion.call("pillar.get", "apache:port", unmask=True) == 80
    assert minion.call("pillar.item", "users") == {"users": ["**********", "**********"]}
    assert minion.call("pillar.item", "users", unmask=True) == {"users": ["ann", "bob"]}
    assert minion.call("pillar.raw", "users") == ["ann", "bob"]
    assert minion.call("pillar.raw", "users", unmask=False) == ["**********", "**********"]


def test_all_values_are_fetched_anew(minion: Caller) -> None:
    assert minion.call("pillar.items")["apache"] == {"port": "**********", "name": "**********"}
    assert minion.ear.refreshed == ["pillar"]
    assert minion.call("pillar.items", "users", unmask=True) == {"users": ["ann", "bob"]}
    assert minion.call("pillar.items", unmask=True, pillar={"apache": {"port": 81}})["apache"] == {
        "port": 81,
        "name": "httpd",
    }
    assert minion.call("pillar.ls") == ["apache", "users"]
    assert minion.call("pillar.obfuscate")["apache"] == {"port": "<int>", "name": "<str>"}
    assert minion.call("pillar.data", "users", unmask=True) == {"users": ["ann", "bob"]}


def test_an_option_shows_all_values(tmp_path: Path) -> None:
    minion = Caller(tmp_path, others={"pillar_mask_output": False})
    assert minion.call("pillar.items")["users"] == ["ann", "bob"]


def test_a_missing_value_is_a_default_or_an_error(minion: Caller, tmp_path: Path) -> None:
    assert minion.call("pillar.get", "no:such") == ""
    assert minion.call("pillar.get", "no:such", {"a": 1}, unmask=True) == {"a": 1}
    strict = Caller(tmp_path, others={"pillar_raise_on_missing": True})
    assert "Pillar key not found: no:such" in strict.job("pillar.get", "no:such").ret


def test_defaults_are_merged_with_values(minion: Caller) -> None:
    assert minion.call("pillar.get", "apache", {"port": 1, "x": 2}, merge=True, unmask=True) == {
        "port": 80,
        "name": "httpd",
        "x": 2,
    }
    assert minion.call("pillar.get", "users", ["cid", "ann"], merge=True, unmask=True) == [
        "cid",
        "ann",
        "bob",
    ]
    nested = minion.call(
        "pillar.get",
        "apache",
        {"list": [1]},
        merge=True,
        merge_nested_lists=True,
        unmask=True,
    )
    assert nested["list"] == [1]


def test_what_this_minion_cannot_fetch_is_said(minion: Caller) -> None:
    assert "can't be fetched" in minion.job("pillar.get", "users", pillarenv="dev").ret
    assert "can't be read" in minion.job("pillar.items", pillar={"a": 1}, pillar_enc="gpg").ret


def test_keys_and_choices(minion: Caller) -> None:
    assert minion.call("pillar.keys", "apache") == ["port", "name"]
    assert minion.call("pillar.filter_by", {"http*": 1, "default": 2}, "apache:name") == 1
    assert minion.call("pillar.fetch", "users:0", unmask=True) == "ann"


@pytest.fixture
def miner(tmp_path: Path) -> Caller:
    functions = {
        "test.ping": [],
        "os": {"mine_function": "grains.get", "key": "os"},
        "shared": [{"mine_function": "test.echo"}, "hello", {"allow_tgt": "web*"}],
        "broken": {"mine_function": "test.exception"},
        "missing": {"mine_function": "no.such"},
    }
    caller = Caller(tmp_path, mine_functions=functions)
    caller.ear.replies.update(_mine=True, _mine_delete=True, _mine_flush=False)
    return caller


def test_the_mine_gets_what_its_functions_return(miner: Caller) -> None:
    assert miner.call("mine.update") is True
    (load,) = miner.ear.requests
    assert load == {
        "cmd": "_mine",
        "id": "mouse",
        "clear": False,
        "data": {
            "test.ping": True,
            "os": "Debian",
            "shared": {"__data__": "hello", "__saltmine_acl__": 1, "allow_tgt": "web*"},
        },
    }


def test_the_pillar_adds_functions_and_a_call_replaces_them(miner: Caller) -> None:
    miner.context.pillar = {"mine_functions": {"test.true": []}}
    miner.call("mine.update", clear=True)
    assert miner.ear.requests[-1]["clear"] is True
    assert miner.ear.requests[-1]["data"]["test.true"] is True
    miner.call("mine.update", mine_functions=["test.false"])
    assert miner.ear.requests[-1]["data"] == {"test.false": False}


def test_without_functions_nothing_is_sent(minion: Caller) -> None:
    assert minion.call("mine.update") is None
    assert minion.call("mine.valid") is None
    assert minion.ear.requests == []


def test_one_value_is_sent_under_a_name(miner: Caller) -> None:
    assert miner.call("mine.send", "greeting", "hi", mine_function="test.echo") is True
    assert miner.ear.requests[-1]["data"] == {"greeting": "hi"}
    assert miner.call("mine.send", "test.echo", text="hi", allow_tgt="a", allow_tgt_type="list")
    assert miner.ear.requests[-1]["data"]["test.echo"]["allow_tgt_type"] == "list"
    assert miner.call("mine.send", "test.exception") is False


def test_a_failing_command_in_the_mine_is_no_failure_of_the_update(miner: Caller) -> None:
    miner.context.pillar = {"mine_functions": {"c": [{"mine_function": "cmd.retcode"}, "false"]}}
    assert miner.job("mine.update").retcode == 0
    assert miner.ear.requests[-1]["data"]["c"] == 1


def test_values_of_others_are_asked_of_the_master(miner: Caller) -> None:
    reply: dict[str, Any] = {"mouse": 1, "cat": 2}
    miner.ear.replies["_mine_get"] = reply
    assert miner.call("mine.get", "*", "test.ping", "glob", exclude_minion=True) == {"cat": 2}
    assert miner.ear.requests[-1] == {
        "cmd": "_mine_get",
        "id": "mouse",
        "tgt": "*",
        "fun": "test.ping",
        "tgt_type": "glob",
    }


def test_the_mine_is_emptied(miner: Caller) -> None:
    assert miner.call("mine.delete", "test.ping") is True
    assert miner.call("mine.flush") is False
    assert [load["cmd"] for load in miner.ear.requests] == ["_mine_delete", "_mine_flush"]


def test_functions_of_the_mine_that_exist_are_listed(miner: Caller) -> None:
    valid = miner.call("mine.valid")
    assert valid["os"] == {"grains.get": [{"key": "os"}]}
    assert valid["test.ping"] == []
    assert "missing" not in valid


def test_a_mine_without_a_master_says_so(minion: Caller) -> None:
    assert "no reply to _mine_flush" in minion.job("mine.flush").ret
