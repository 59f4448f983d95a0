"""Clients with a password or a token in place of a key: docs/access.md."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from greensalt.client.local import LocalClient
from greensalt.client.runs import RunnerClient
from greensalt.errors import AuthenticationError, AuthorizationError
from tests._bench import Bench
from tests.client._fleet import Fleet, client_config, client_of

SECRET = "correct horse"
FRED: dict[str, Any] = {"eauth": "sharedsecret", "username": "fred", "password": SECRET}


@pytest.fixture
def made(bench: Callable[..., Bench]) -> Bench:
    rules = {"fred": ["test.*", "sys.*", {"@runner": ["test.*"]}]}
    made = bench(auto_accept=True, external_auth={"sharedsecret": rules}, sharedsecret=SECRET)
    made.master.access.eauth._slowest_s = 0.05
    for key in made.config.cachedir.glob(".*_key"):
        key.chmod(0)  # nobody here has a key
        key.unlink()
    return made


@pytest.fixture
def fleet(made: Bench) -> Iterator[Fleet]:
    with Fleet(made, ("db1", "web1", "web2")) as fleet:
        yield fleet


@pytest.fixture
def client(made: Bench) -> Iterator[LocalClient]:
    with client_of(made) as client:
        yield client


def test_a_password_is_as_good_as_a_key(fleet: Fleet, client: LocalClient) -> None:
    assert client.cmd("*", "test.ping", **FRED) == {"db1": True, "web1": True, "web2": True}
    with pytest.raises(AuthorizationError):
        client.cmd("*", "cmd.run", ["id"], **FRED)
    with pytest.raises(AuthenticationError, match='type "eauth"'):
        client.cmd("*", "test.ping", **{**FRED, "password": "no"})
    with pytest.raises(AuthenticationError, match="there is no key"):
        client.cmd("*", "test.ping")


def test_a_token_is_as_good_as_a_password(fleet: Fleet, client: LocalClient) -> None:
    token = client.link.make_token(FRED)
    assert client.cmd("db1", "test.ping", token=token) == {"db1": True}
    jid = client.cmd_async("db1", "test.ping", token=token)
    assert [each.id for each in client.as_caller({"token": token}).follow(jid)] == ["db1"]
    assert client.link.token(token)["name"] == "fred"
    assert client.link.token("0" * 64) == {}
    with pytest.raises(AuthenticationError, match='type "token"'):
        client.cmd("db1", "test.ping", token="0" * 64)
    with pytest.raises(AuthenticationError, match='type "eauth"'):
        client.link.make_token({**FRED, "password": "no"})


def test_silent_minions_are_asked_with_the_same_password(fleet: Fleet, client: LocalClient) -> None:
    fleet.down = {"db1"}
    watch = client.start("*", "test.ping", options=FRED)
    assert sorted(result.id for result in watch) == ["web1", "web2"]
    assert fleet.finds == [["db1"]]
    assert watch.silent == {"db1"}


@pytest.mark.parametrize("proof", ["password", "token"])
def test_every_step_of_a_batch_and_of_a_subset_has_it(
    fleet: Fleet, client: LocalClient, proof: str
) -> None:
    shown: dict[str, Any] = dict(FRED)
    if proof == "token":
        shown = {"token": client.link.make_token(FRED)}
    batch = client.cmd_batch("*", "test.ping", batch=1, **shown)
    assert {minion: ret for each in batch for minion, ret in each.items()} == {
        "db1": True,
        "web1": True,
        "web2": True,
    }
    fleet.answer = lambda _id, fun, _arg: ["test.ping"] if fun == "sys.list_functions" else True
    assert len(client.cmd_subset("*", "test.ping", subset=2, **shown)) == 2


def test_runners_are_run_with_a_password_where_a_rule_says_so(made: Bench) -> None:
    with RunnerClient(config=client_config(made)) as plain:
        client = plain.as_caller(FRED)
        assert client.cmd("test.arg", ["x"])["args"] == ["x"]
        with pytest.raises(AuthorizationError):
            client.cmd("jobs.list_jobs")
        wrong = plain.as_caller({**FRED, "password": "no"})
        with pytest.raises(AuthenticationError):
            wrong.cmd("test.arg")


def test_a_kept_token_is_its_owners_alone(tmp_path: Path) -> None:
    from greensalt.client.proof import read_token, write_token

    path = tmp_path / "token"
    assert read_token(path) is None
    write_token(path, "abc")
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_token(path) == "abc"
    link = tmp_path / "link"
    link.symlink_to(path)
    assert read_token(link) is None
    with pytest.raises(AuthenticationError, match="can't be kept"):
        write_token(tmp_path / "token" / "below", "abc")
