"""The reactor: events have the master publish jobs and run runners and wheel functions."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent
import pytest
import yaml

from greensalt.errors import ConfigError
from greensalt.master.reactor import service
from greensalt.transport.bus import BusClient
from tests._bench import Bench
from tests.master.test_runs import ask, ran

Make = Callable[..., Bench]
DOCUMENT = Path(__file__).parents[2] / "docs/reactor.md"
WAIT_S = 30
ECHO = """
echo {{ data['data']['number'] }}:
  local.test.echo:
    - tgt: {{ data['id'] }}
    - args:
      - text: {{ tag }}
"""


def sls(root: Path, **texts: str) -> dict[str, str]:
    """Files by name; their paths."""
    for name, text in texts.items():
        (root / f"{name}.sls").write_text(text)
    return {name: str(root / f"{name}.sls") for name in texts}


def await_event(bus: BusClient, wanted: str) -> tuple[str, dict[str, Any]]:
    """The next event whose tag begins and ends so: "a*b"."""
    head, _, end = wanted.partition("*")
    with gevent.Timeout(WAIT_S, AssertionError(f"no {wanted}")):
        while True:
            event = bus.next(WAIT_S)
            if event and event[0].startswith(head) and event[0].endswith(end):
                return event


def next_job(bus: BusClient) -> dict[str, Any]:
    return await_event(bus, "salt/job/*/new")[1]


def next_error(bus: BusClient) -> dict[str, Any]:
    return await_event(bus, "salt/reactor/error")[1]


def fire(master: Bench, tag: str, **data: Any) -> None:
    master.master.bus.fire(tag, data)


def figures(master: Bench) -> Any:
    return master.master.stats()["reactor"]


def test_an_event_of_a_minion_becomes_a_job_with_arguments_from_its_data(
    bench: Make, tmp_path: Path
) -> None:
    paths = sls(tmp_path, echo=ECHO)
    master = bench(auto_accept=True, reactor=[{"my/*": [paths["echo"]]}])
    bus = master.listen("salt/job/")
    peer = master.peer("m1")
    peer.request("_minion_event", tag="my/deep/tag", data={"number": 7})
    job = next_job(bus)
    assert (job["fun"], job["tgt"], job["tgt_type"]) == ("test.echo", "m1", "glob")
    assert job["arg"] == [{"__kwarg__": True, "text": "my/deep/tag"}]
    assert (job["minions"], job["user"]) == (["m1"], master.config.user)
    peer.request("_minion_event", tag="mine", data={"number": 8})
    peer.request("_minion_event", tag="my/last", data={"number": 9})
    assert next_job(bus)["arg"][0]["text"] == "my/last"


def test_what_a_minion_says_is_data_and_never_a_template(bench: Make, tmp_path: Path) -> None:
    paths = sls(
        tmp_path,
        echo="r:\n  local.test.echo:\n    - tgt: m1\n    - args:\n"
        "      - text: {{ data['data']['text']|json }}\n",
    )
    master = bench(auto_accept=True, reactor=[{"my/*": paths["echo"]}])
    bus = master.listen("salt/job/")
    peer = master.peer("m1")
    text = "{{ 7 * 7 }} !!python/name:os.system\n  - tgt: '*'"
    peer.request("_minion_event", tag="my/x", data={"text": text})
    assert next_job(bus)["arg"] == [{"__kwarg__": True, "text": text}]


def test_templates_are_in_a_sandbox(bench: Make, tmp_path: Path) -> None:
    paths = sls(tmp_path, bad="{{ data.__class__.__mro__[1].__subclasses__() }}")
    master = bench(reactor=[{"x": [paths["bad"]]}])
    bus = master.listen("salt/reactor/")
    fire(master, "x")
    assert "unsafe" in next_error(bus)["error"]


@pytest.mark.parametrize(
    "body",
    [
        "runner.test.arg:\n    - args:\n      - colour: {{ data.colour }}",
        "runner.test.arg:\n    - kwarg: {colour: green}",
        "runner:\n    - test.arg\n    - kwarg: {colour: {{ data.colour }}}",
    ],
)
def test_a_reaction_can_be_a_runner(bench: Make, tmp_path: Path, body: str) -> None:
    paths = sls(tmp_path, run=f"r:\n  {body}\n")
    master = bench(reactor=[{"*": [paths["run"]]}])  # it does not react to its own runs
    bus = master.listen("salt/run/")
    fire(master, "paint", colour="green")
    ret = await_event(bus, "salt/run/*/ret")[1]
    assert (ret["fun"], ret["user"], ret["success"]) == ("runner.test.arg", "Reactor", True)
    assert ret["return"] == {"args": [], "kwargs": {"colour": "green"}}
    assert figures(master)["events"] == 1


def test_an_older_form_has_the_arguments_of_a_runner_beside_its_name(
    bench: Make, tmp_path: Path
) -> None:
    paths = sls(tmp_path, run="r:\n  runner.event.send:\n    - tag: my/own\n    - data: {a: 1}\n")
    master = bench(reactor=[{"go": [paths["run"]]}])
    bus = master.listen("my/")
    fire(master, "go")
    assert await_event(bus, "my/own")[1]["a"] == 1


def test_the_classic_use_a_key_is_accepted_when_a_minion_asks(bench: Make, tmp_path: Path) -> None:
    text = """
{% if data['act'] == 'pend' and data['id'].startswith('web') %}
accept:
  wheel.key.accept:
    - args:
      - match: {{ data['id'] }}
{% endif %}
"""
    master = bench(reactor=[{"salt/auth": [sls(tmp_path, auth=text)["auth"]]}])
    bus = master.listen("salt/key")
    master.peer("db1")
    master.peer("web1", 1)
    event = await_event(bus, "salt/key")[1]
    assert (event["id"], event["act"]) == ("web1", "accepted")
    listed = ask(master, "wheel", "key.list_all")["data"]["return"]
    assert (listed["minions"], listed["minions_pre"]) == (["web1"], ["db1"])


def test_salt_paths_globs_and_imports_find_files(bench: Make, tmp_path: Path) -> None:
    files, own = tmp_path / "files", tmp_path / "own"
    files.mkdir()
    own.mkdir()
    (files / "names.jinja").write_text("{% set who = 'm1' %}")
    sls(
        files, served="{% from 'names.jinja' import who %}s:\n  local.test.a:\n    - tgt: {{ who }}"
    )
    sls(own, a="a:\n  local.test.b:\n    - tgt: m1", b="b:\n  cmd.test.c:\n    - tgt: m1\n")
    master = bench(
        auto_accept=True,
        file_roots={"base": [str(files)]},
        reactor=[{"x": ["salt://served.sls", f"{own}/*.sls"]}],
    )
    master.peer("m1")
    bus = master.listen("salt/job/")
    fire(master, "x")
    assert [next_job(bus)["fun"] for _ in range(3)] == ["test.a", "test.b", "test.c"]


def test_a_file_that_changes_is_read_anew(bench: Make, tmp_path: Path) -> None:
    path = sls(tmp_path, one="r:\n  local.test.one:\n    - tgt: m1\n")["one"]
    master = bench(auto_accept=True, reactor=[{"x": path}])
    master.peer("m1")
    bus = master.listen("salt/job/")
    fire(master, "x")
    assert next_job(bus)["fun"] == "test.one"
    sls(tmp_path, one="r:\n  local.test.another:\n    - tgt: m1\n")
    fire(master, "x")
    assert next_job(bus)["fun"] == "test.another"


def test_a_file_that_fails_is_an_event_and_the_others_go_on(bench: Make, tmp_path: Path) -> None:
    paths = sls(
        tmp_path,
        jinja="r:\n  local.test.a:\n    - tgt: {{ data.nothing }}\n",
        text="r: [",
        shape="r:\n  local.test.a:\n",
        kind="r:\n  locla.test.a: []\n",
        good="good:\n  local.test.good:\n    - tgt: m1\n",
    )
    missing = str(tmp_path / "missing.sls")
    master = bench(auto_accept=True, reactor=[{"x": [missing, *paths.values()]}])
    master.peer("m1")
    bus = master.listen("salt/")
    fire(master, "x")
    errors = {}
    for _ in range(5):
        error = next_error(bus)
        assert error["tag"] == "x"
        errors[Path(error["sls"]).stem] = error["error"]
    assert next_job(bus)["fun"] == "test.good"
    assert "no such file" in errors["missing"]
    assert "'nothing'; line 3" in errors["jinja"]
    assert "line" in errors["text"]
    assert "must be a list" in errors["shape"]
    assert "one of local, runner, wheel, caller" in errors["kind"]
    assert figures(master)["failed"] == 5


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("local.test.ping: []", "needs a tgt"),
        ("local.test.ping: [{tgt: nobody}]", "could not resolve"),
        ("local.test.ping: [{tgt: 'G@(', tgt_type: compound}]", "not of the form"),
        ("local.test.ping: [{tgt: m1, expr_form: list}]", "tgt_type"),
        ("local.test.ping: [{tgt: m1}, {args: [[1]]}]", "args must be"),
        ("local: [{tgt: m1}]", "one function"),
        ("runner.no.such: [{args: [{a: 1}]}]", "is not available"),
        ("runner.no.such: [{a: 1}]", "is not available"),
        ("runner.event.send: [{colour: green}]", "does not take colour"),
        ("runner.event.send: []", "needs tag"),
        ("runner.test.exception: [{args: [{message: as it should}]}]", "as it should"),
        ("wheel.key.nothing: [{args: [{a: 1}]}]", "is not available"),
        ("caller.test.ping: []", "on a minion"),
    ],
)
def test_a_reaction_that_fails_is_an_event(
    bench: Make, tmp_path: Path, body: str, reason: str
) -> None:
    path = sls(tmp_path, it=f"it:\n  {body}\n")["it"]
    master = bench(auto_accept=True, reactor=[{"x": path}, {"salt/reactor/*": path}])
    master.peer("m1")
    bus = master.listen("salt/reactor/")
    fire(master, "x")
    error = next_error(bus)
    assert reason in error["error"]
    assert (error["tag"], error["sls"]) == ("x", path)
    # The reaction to this failure fails, too, and this is not told by an event.
    master.until(lambda: figures(master)["failed"] == 2)
    assert bus.next(0.05) is None


def test_too_many_events_are_dropped_counted_and_told(
    bench: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = sls(tmp_path, run="r:\n  local.test.a:\n    - tgt: m1\n")["run"]
    master = bench(auto_accept=True, reactor=[{"x/*": path}], reactor_worker_hwm=5)
    master.peer("m1")
    for number in range(12):
        fire(master, f"x/{number}")
    assert (figures(master)["events_waiting"], figures(master)["dropped"]) == (5, 7)
    assert "x/5" in caplog.text
    master.until(lambda: figures(master)["reactions"] == 5)
    assert figures(master)["events_waiting"] == figures(master)["events_bytes"] == 0


def test_the_data_of_waiting_events_have_a_bound(
    bench: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "MOST_BYTES", 10_000)
    master = bench(reactor=[{"x": sls(tmp_path, run="{}")["run"]}])
    for _ in range(4):
        fire(master, "x", text="y" * 4000)
    assert (figures(master)["events"], figures(master)["dropped"]) == (2, 2)


def test_long_runs_hold_up_no_jobs_and_those_without_room_are_dropped(
    bench: Make, tmp_path: Path
) -> None:
    path = sls(
        tmp_path,
        long="r:\n  runner.test.sleep:\n    - args: [{s_time: 30}]\n",
        job="j:\n  local.test.a:\n    - tgt: m1\n",
    )
    reactor = [{"long": path["long"]}, {"job": path["job"]}]
    master = bench(
        auto_accept=True, reactor=reactor, reactor_worker_threads=2, reactor_worker_hwm=3
    )
    master.peer("m1")
    bus = master.listen("salt/job/")
    for _ in range(8):
        fire(master, "long")
        master.until(lambda: figures(master)["events_waiting"] == 0)
    master.until(lambda: figures(master)["runs_at_work"] == 2)
    fire(master, "job")
    assert next_job(bus)["fun"] == "test.a"
    told = figures(master)
    assert told["runs_waiting"] == 3
    assert told["dropped"] == 3


def test_reactors_are_listed_added_and_deleted(bench: Make, tmp_path: Path) -> None:
    path = sls(tmp_path, one="r:\n  local.test.one:\n    - tgt: m1\n")["one"]
    master = bench(auto_accept=True, reactor=[{"a": "/nowhere"}])
    master.peer("m1")
    bus = master.listen("salt/job/*")
    assert ran(master, "reactor.list")["return"] == [{"a": ["/nowhere"]}]
    added = ran(master, "reactor.add", "b/*", reactors=path)["return"]
    assert added == {"status": True, "comment": "Reactor added."}
    again = ran(master, "reactor.add", "b/*", reactors=[path])["return"]
    assert again == {"status": False, "comment": "Reactor already exists."}
    assert ran(master, "reactor.list")["return"] == [{"a": ["/nowhere"]}, {"b/*": [path]}]
    bus = master.listen("salt/job/")
    fire(master, "b/1")
    assert next_job(bus)["fun"] == "test.one"
    gone = ran(master, "reactor.delete", "b/*")["return"]
    assert gone == {"status": True, "comment": "Reactor deleted."}
    gone = ran(master, "reactor.delete", "b/*")["return"]
    assert gone == {"status": False, "comment": "Reactor does not exists."}
    before = figures(master)["events"]
    fire(master, "b/1")
    assert figures(master)["events"] == before
    assert "list of SLS files" in ran(master, "reactor.add", "c", reactors=[7])["return"]


def test_only_a_leader_reacts(bench: Make) -> None:
    master = bench(reactor=[{"x": "/nowhere"}])
    assert ran(master, "reactor.is_leader")["return"] is True
    assert ran(master, "reactor.set_leader", False)["return"] is False
    assert ran(master, "reactor.is_leader")["return"] is False
    fire(master, "x")
    assert figures(master)["events"] == 0
    assert ran(master, "reactor.set_leader")["return"] is True
    fire(master, "x")
    assert figures(master)["events"] == 1


def test_without_reactors_there_is_no_reactor(bench: Make) -> None:
    master = bench()
    assert "Reactor system is not running." in ran(master, "reactor.list")["return"]
    assert figures(master) == {}


@pytest.mark.parametrize("given", [{"x": 7}, {"x": [7]}, {"x": {"a": "b"}}, {"": "/a"}])
def test_an_entry_that_is_none_is_named_at_the_start(bench: Make, given: Any) -> None:
    with pytest.raises(ConfigError, match="reactor: "):
        bench(reactor=[given])


def test_the_example_of_the_document(bench: Make, tmp_path: Path) -> None:
    text = DOCUMENT.read_text()
    options = yaml.safe_load(_block(text, "reactor:"))
    highstate = _block(text, "highstate on {{")
    path = sls(tmp_path, start=highstate)["start"]
    assert options["reactor"][0] == {"salt/minion/*/start": ["/srv/reactor/start.sls"]}
    master = bench(auto_accept=True, reactor=[{"salt/minion/*/start": [path]}])
    bus = master.listen("salt/job/")
    peer = master.peer("web1")
    peer.request("_minion_event", tag="salt/minion/web1/start", data={})
    job = next_job(bus)
    assert (job["fun"], job["tgt"]) == ("state.apply", "web1")
    assert job["arg"] == [{"__kwarg__": True, "mods": "base", "queue": True}]


def _block(text: str, start: str) -> str:
    """The code block of the document that begins so."""
    found = re.search(rf"```\w+\n({re.escape(start)}.*?)```", text, re.DOTALL)
    assert found is not None
    return found[1]
