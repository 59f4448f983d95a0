"""LocalClient against a master inside the process: Salt's methods and their results."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from greensalt.client import LocalClient
from greensalt.client.jobclient import JobClient
from greensalt.errors import (
    AuthorizationError,
    ConfigError,
    SaltInvocationError,
    TargetError,
)
from greensalt.wire.jid import is_jid
from tests._bench import Bench
from tests.client._fleet import SILENT, Fleet, client_config, client_of


def echo(_minion_id: str, fun: Any, arg: Any) -> Any:
    return {"fun": fun, "arg": arg}


def test_cmd_returns_the_results_by_minion(fleet: Fleet, client: LocalClient) -> None:
    assert client.cmd("*", "test.ping") == {"db1": True, "web1": True, "web2": True}


def test_a_full_return_has_the_exit_code_and_the_jid(fleet: Fleet, client: LocalClient) -> None:
    fleet.answer = lambda *_: ("no", 3)
    (result,) = client.cmd("db1", "test.x", full_return=True).values()
    assert is_jid(result.pop("jid"))
    assert result == {"ret": "no", "retcode": 3}


def test_no_minion_in_the_target_means_no_result(fleet: Fleet, client: LocalClient) -> None:
    assert client.cmd("nobody", "test.ping") == {}
    assert client.cmd_async("nobody", "test.ping") == ""
    assert client.run_job("nobody", "test.ping") == {}
    assert list(client.cmd_iter("nobody", "test.ping")) == []
    assert list(client.cmd_iter_no_block("nobody", "test.ping")) == []
    assert list(client.cmd_batch("nobody", "test.ping")) == []
    assert client.cmd_subset("nobody", "test.ping") == {}


def test_the_master_gives_the_reason_when_it_refuses_a_target(
    fleet: Fleet, client: LocalClient
) -> None:
    refused = client.start("web1 and (", "test.ping", tgt_type="compound")
    assert (refused.jid, list(refused)) == ("", [])
    assert "ends after '('" in refused.error


@pytest.mark.parametrize(
    ("tgt", "tgt_type", "minions"),
    [
        ("web*", "glob", ["web1", "web2"]),
        ("web[12]", "pcre", ["web1", "web2"]),
        ("web1, db1", "list", ["db1", "web1"]),
        (["web1", "db1"], "list", ["db1", "web1"]),
        ("webs", "nodegroup", ["web1", "web2"]),
        ("all", "nodegroup", ["db1", "web1", "web2"]),
        ("N@webs and not web2", "compound", ["web1"]),
        ("web* or db1", "compound", ["db1", "web1", "web2"]),
    ],
)
def test_targets(
    fleet: Fleet, client: LocalClient, tgt: Any, tgt_type: str, minions: list[str]
) -> None:
    assert sorted(client.cmd(tgt, "test.ping", tgt_type=tgt_type)) == minions


def test_minions_see_no_nodegroup_only_what_it_stands_for(
    made: Bench, fleet: Fleet, client: LocalClient
) -> None:
    listener = made.listen("salt/job/")
    client.cmd_async("webs", "test.ping", tgt_type="nodegroup")
    _, new = listener.next(60) or ("", {})
    assert (new["tgt_type"], "N@" in new["tgt"]) == ("compound", False)


def test_an_unknown_nodegroup_is_named(fleet: Fleet, client: LocalClient) -> None:
    with pytest.raises(TargetError, match=r"Node group dbs unavailable in .*/conf/master"):
        client.cmd("dbs", "test.ping", tgt_type="nodegroup")


def test_arguments_arrive_typed_and_keyword_arguments_last(
    fleet: Fleet, client: LocalClient
) -> None:
    fleet.answer = echo
    result = client.cmd("db1", "test.arg", [1, "two", 20261122192410230816], kwarg={"a": None})
    expected = [1, "two", "20261122192410230816", {"a": None, "__kwarg__": True}]
    assert result == {"db1": {"fun": "test.arg", "arg": expected}}


def test_one_string_is_one_argument(fleet: Fleet, client: LocalClient) -> None:
    fleet.answer = echo
    assert client.cmd("db1", "test.echo", "abc")["db1"]["arg"] == ["abc"]


def test_several_functions_in_one_job(fleet: Fleet, client: LocalClient) -> None:
    fleet.answer = echo
    result = client.cmd("db1", ["test.ping", "test.echo"], [[], ["x"]])
    assert result == {"db1": {"fun": ["test.ping", "test.echo"], "arg": [[], ["x"]]}}
    with pytest.raises(SaltInvocationError, match="2 functions need as many lists"):
        client.cmd("db1", ["test.ping", "test.echo"], [["x"]])


def test_cmd_async_returns_the_jid_and_its_results_are_there_later(
    fleet: Fleet, client: LocalClient
) -> None:
    jid = client.cmd_async("web*", "test.ping")
    assert is_jid(jid)
    wanted = {"web1": {"ret": True}, "web2": {"ret": True}}
    assert client.get_full_returns(jid, ["web1", "web2", "db1"]) == wanted
    assert client.get_cache_returns(jid) == wanted


def test_run_job_names_the_expected_minions(fleet: Fleet, client: LocalClient) -> None:
    published = client.run_job("web*", "test.ping", jid="20261122192410230816")
    assert published == {"jid": "20261122192410230816", "minions": ["web1", "web2"]}


def test_cmd_iter_ends_with_those_that_failed_to_return(fleet: Fleet, client: LocalClient) -> None:
    fleet.down.add("web2")
    *returned, failed, missing = client.cmd_iter("web1,web2,web3", "test.ping", tgt_type="list")
    assert [list(each) for each in returned] == [["web1"]]
    assert returned[0]["web1"]["ret"] is True
    assert (failed, missing) == ({"web2": {"failed": True}}, {"web3": {"failed": True}})


def test_cmd_iter_no_block_yields_none_while_nothing_is_new(
    fleet: Fleet, client: LocalClient
) -> None:
    fleet.answer = lambda *_: SILENT
    steps = client.cmd_iter_no_block("db1", "test.sleep", timeout=60)
    assert next(steps) is None
    (jid,) = fleet.busy
    fleet.finish(jid, "db1", "slept")
    results = [step for step in steps if step is not None]
    assert [each["db1"]["ret"] for each in results] == ["slept"]


def test_cmd_full_return_tells_success(fleet: Fleet, client: LocalClient) -> None:
    fleet.answer = lambda *_: ("bad", 1)
    assert client.cmd_full_return("db1", "x.y") == {"db1": {"ret": "bad", "success": False}}


def test_a_subset_is_drawn_from_those_that_have_the_function(
    fleet: Fleet, client: LocalClient
) -> None:
    def answer(minion_id: str, fun: Any, _arg: Any) -> Any:
        if fun != "sys.list_functions":
            return "done"
        return ["test.ping", "web.serve"] if minion_id != "db1" else ["test.ping"]

    fleet.answer = answer
    assert client.cmd_subset("*", "web.serve", subset=5) == {"web1": "done", "web2": "done"}
    assert len(client.cmd_subset("*", "test.ping", subset=2)) == 2
    assert client.cmd_subset("*", "no.such", subset=2) == {}


def test_cmd_batch_yields_every_minion_once(fleet: Fleet, client: LocalClient) -> None:
    results = list(client.cmd_batch("*", "test.ping", batch=1))
    assert sorted(key for each in results for key in each) == ["db1", "web1", "web2"]


def test_gather_job_info_asks_with_find_job(fleet: Fleet, client: LocalClient) -> None:
    assert client.gather_job_info("20261122192410230816", "db1", "glob")["minions"] == ["db1"]
    assert client.cmd("db1", "test.ping")
    assert fleet.asked == [("db1", "saltutil.find_job"), ("db1", "test.ping")]


def test_the_publisher_acl_is_enforced(bench: Callable[..., Bench]) -> None:
    made = bench(auto_accept=True, publisher_acl_blacklist={"modules": ["cmd.*"]})
    with (
        Fleet(made, ["db1"]),
        client_of(made) as client,
        pytest.raises(AuthorizationError, match=r"cmd\.run is black-listed"),
    ):
        client.cmd("db1", "cmd.run", ["id"])


def test_a_jid_that_is_none_is_refused(client: LocalClient) -> None:
    with pytest.raises(TargetError, match=r"'\.\./x' is not a job id"):
        client.cmd_async("*", "test.ping", jid="../x")
    with pytest.raises(TargetError, match="'x' is not a job id"):
        client.follow("x")


def test_a_stranger_to_the_bus_polls_and_loses_nothing(made: Bench, fleet: Fleet) -> None:
    """Users of publisher_acl may not be allowed to read the bus's socket."""
    config = client_config(made, sock_dir=str(made.root / "elsewhere"))
    with JobClient(config=config) as client:
        watch = client.start("*", "test.ping")
        assert sorted(result.id for result in watch) == ["db1", "web1", "web2"]


def test_the_configuration_is_found_by_directory_and_by_file(made: Bench) -> None:
    (made.root / "conf/master").write_text("timeout: 7\n")
    for path in (made.root / "conf", made.root / "conf/master", str(made.root / "conf/master")):
        with LocalClient(path) as client:
            assert client.config.timeout == 7
    with pytest.raises(ConfigError, match="nowhere"):
        LocalClient(made.root / "nowhere")


def test_a_missing_configuration_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        LocalClient(tmp_path / "nowhere/master")
