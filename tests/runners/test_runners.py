"""What the built-in runners say, each on a master with what it needs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from greensalt.master.whoisup import BY_PING
from tests.runners.conftest import House

Make = Callable[..., House]


def test_every_runner_and_wheel_function_is_documented_with_an_example(house: Make) -> None:
    made = house()
    for kind, word in (("runner", "run "), ("wheel", "run salt.wheel ")):
        docs = made.run(f"doc.{kind}")
        assert docs
        for name, doc in docs.items():
            assert f"greensalt {word}{name}" in doc, name


def test_who_is_up_and_who_is_down(house: Make) -> None:
    made = house(timeout=0.3, gather_job_timeout=0.3)
    made.minion("m1")
    made.bench.peer("m2", 1)
    assert made.run("manage.status") == {"up": ["m1"], "down": ["m2"]}
    assert made.run("manage.up") == ["m1"]
    assert made.run("manage.down") == ["m2"]
    assert made.run("manage.present") == ["m1"]
    assert made.run("manage.not_present") == ["m2"]
    assert made.run("manage.joined") == made.run("manage.allowed") == ["m1"]
    assert made.run("manage.not_joined") == made.run("manage.not_reaped") == ["m2"]
    assert made.run("manage.status", tgt="m2") == {"up": [], "down": ["m2"]}
    assert made.wheel("minions.connected") == ["m1"]


def test_the_master_knows_connections_and_asks_nobody(house: Make) -> None:
    made = house()
    made.bench.peer("m1").request("_mine_flush")
    gone = made.bench.peer("m2", 1)
    gone.request("_mine_flush")
    gone.close()
    made.bench.until(lambda: not made.bench.master.presence.is_connected("m2"))
    bus = made.bench.listen("salt/job/")
    assert made.run("manage.status") == {"up": ["m1"], "down": ["m2"]}
    assert made.run("manage.up", how=True) == {"m1": "connected"}
    assert bus.next(0.05) is None


def test_who_has_not_spoken_since_the_start_is_asked(house: Make) -> None:
    made = house(timeout=10)
    made.minion("m1")
    made.bench.master.presence._connections.clear()
    made.bench.master.sessions.last_seen.clear()
    assert made.run("manage.up", how=True) == {"m1": BY_PING}


def test_minions_that_are_down_can_be_removed(house: Make) -> None:
    made = house(timeout=0.2, gather_job_timeout=0.2)
    made.bench.peer("gone")
    assert made.run("manage.down", removekeys=True) == ["gone"]
    assert made.wheel("key.list_all")["minions"] == []


def test_versions_are_those_of_the_grains(house: Make) -> None:
    made = house(timeout=10)
    made.minion("m1", saltversion="1.2")
    made.minion("m2", 1, saltversion="9999.1")
    found = made.run("manage.versions")
    assert found["Minion requires update"] == {"m1": "1.2"}
    assert found["Minion newer than master"] == {"m2": "9999.1"}


def test_what_the_master_keeps_of_minions_is_shown_and_cleared(house: Make) -> None:
    made = house()
    peer = made.minion("m1", colour="green")
    peer.request("_mine", data={"f": 1, "g": 2}, clear=False)
    assert made.run("cache.grains", tgt="m1")["m1"]["colour"] == "green"
    assert made.run("cache.mine", tgt="*") == {"m1": {"f": 1, "g": 2}}
    assert made.run("mine.get", "*", "f") == {"m1": 1}
    assert made.run("mine.get", "*", "f,g") == {"f": {"m1": 1}, "g": {"m1": 2}}
    assert made.run("cache.clear_mine_func", tgt="m1", clear_mine_func="g") is True
    assert made.run("cache.mine") == {"m1": {"f": 1}}
    assert made.run("cache.clear_mine", tgt="m1") is True
    assert made.run("cache.mine") == {"m1": {}}
    assert made.run("cache.clear_pillar", tgt="m1") is True
    assert made.run("cache.pillar") == {"m1": {}}
    assert made.run("cache.grains")["m1"]["colour"] == "green"
    assert made.run("cache.clear_grains", tgt="m1") is True
    assert made.run("cache.grains") == {"m1": {}}
    assert made.run("cache.clear_all", tgt="m1") is True


@pytest.mark.parametrize("fun", ["clear_grains", "clear_pillar", "clear_mine", "clear_all"])
def test_nothing_is_cleared_without_a_target(house: Make, fun: str) -> None:
    assert "tgt" in house().fails(f"cache.{fun}")


def test_files_and_pillar_of_the_master(house: Make, short_dir: Path) -> None:
    roots, pillars = short_dir / "files", short_dir / "pillars"
    (roots / "web/empty").mkdir(parents=True)
    (roots / "web/a").write_text("a")
    (roots / "link").symlink_to("web/a")
    pillars.mkdir()
    (pillars / "top.sls").write_text("base:\n  '*': [common]\n  'm1': [own]\n")
    (pillars / "common.sls").write_text("all: 1\n")
    (pillars / "own.sls").write_text("colour: {{ grains.colour }}\n")
    made = house(file_roots={"base": [str(roots)]}, pillar_roots={"base": [str(pillars)]})
    made.minion("m1", colour="green")
    assert made.run("fileserver.envs") == ["base"]
    assert made.run("fileserver.file_list") == ["link", "web/a"]
    assert made.run("fileserver.file_list", prefix="web/") == ["web/a"]
    assert made.run("fileserver.empty_dir_list") == ["web/empty"]
    assert "web" in made.run("fileserver.dir_list")
    assert made.run("fileserver.symlink_list") == {"link": "web/a"}
    assert made.run("fileserver.update") is True
    assert made.run("fileserver.clear_file_list_cache") == {"roots": ["base"]}
    assert made.run("pillar.show_pillar", "m1") == {"all": 1, "colour": "green"}
    assert made.run("pillar.show_pillar") == {"all": 1}
    assert made.run("pillar.show_pillar", "m1", pillar={"all": 2})["all"] == 2
    assert made.run("pillar.show_top", "m1") == {"base": ["common", "own"]}


def test_an_event_is_sent(house: Make) -> None:
    made = house()
    bus = made.bench.listen("my/")
    assert made.run("event.send", "my/tag", {"colour": "green"}) is True
    event = bus.next(60)
    assert event is not None
    assert (event[0], event[1]["colour"]) == ("my/tag", "green")
    assert "dict" in made.fails("event.send", "my/tag", "text")


def test_a_survey_groups_minions_by_their_answers(house: Make) -> None:
    made = house(timeout=5)
    for number, minion_id in enumerate(("m1", "m2", "m3")):
        made.minion(minion_id, number)
    made.answers["odd.one"] = lambda minion_id, _: "x\ny" if minion_id == "m2" else "x\nz"
    assert made.run("survey.hash", "*", "odd.one") == [
        {"pool": ["m1", "m3"], "result": "x\nz"},
        {"pool": ["m2"], "result": "x\ny"},
    ]
    bus = made.bench.listen("salt/run/")
    made.run("survey.diff", "*", "odd.one")
    shown: list[str] = []
    while len(shown) < 2:
        event = bus.next(60)
        assert event is not None
        if event[0].endswith("/progress"):
            shown.append(event[1]["data"])
    assert "2 minions: m1, m3" in shown[0]
    assert "+y" in shown[1]


def test_functions_run_on_minions_and_here(house: Make) -> None:
    made = house(timeout=5)
    made.minion("m1")
    made.answers["test.echo"] = lambda _, arg: arg
    assert made.run("salt.execute", "*", "test.echo", arg=["a"]) == {"m1": ["a"]}
    assert "Master could not resolve minions" in made.fails("salt.execute", "nobody", "test.ping")
    assert made.run("salt.cmd", "test.echo", "here") == "here"
    assert "not available" in made.fails("salt.cmd", "test.nothing")


def test_a_failure_on_a_minion_is_one_of_the_run(house: Make) -> None:
    made = house(timeout=0.2, gather_job_timeout=0.2)
    made.bench.peer("silent")
    outcome = made.bench.master.runs.call("runner", "salt.execute", ["*", "test.ping"])
    assert (outcome.ret, outcome.retcode) == ({}, 1)


def test_a_minion_that_still_works_is_waited_for(house: Make) -> None:
    made = house(timeout=0.1, gather_job_timeout=5)
    peer = made.minion("m1")

    def found(_: str, arg: list[Any]) -> dict[str, Any]:
        peer.returns(arg[0], "late", fun="slow.one")
        return {"jid": arg[0]}

    made.answers["slow.one"] = lambda *_: None
    made.answers["saltutil.find_job"] = found
    assert made.run("salt.execute", "m1", "slow.one") == {"m1": "late"}


def test_nodegroups_and_options_are_shown(house: Make) -> None:
    made = house(nodegroups={"web": "L@m1,m2", "all": "N@web or m3"}, key_pass=None)
    made.bench.peer("m1")
    assert made.run("nodegroups.list") == {"web": "L@m1,m2", "all": "N@web or m3"}
    assert made.run("nodegroups.expand", "web") == {"expression": "L@m1,m2", "minions": ["m1"]}
    assert "no nodegroup" in made.fails("nodegroups.expand", "none")
    assert made.run("config.get", "ret_port") == made.bench.config.ret_port
    assert made.run("config.get", "nodegroups:web") == "L@m1,m2"
    assert made.run("config.get", "no:such", "default") == "default"
    assert made.wheel("config.values")["publish_port"] == made.bench.config.publish_port


def test_keys_are_managed_by_wheel_functions(house: Make) -> None:
    made = house()
    made.bench.peer("m1")
    made.bench.peer("m2", 1)
    every = made.wheel("key.list_all")
    assert (every["minions"], every["local"]) == (["m1", "m2"], ["master.pem", "master.pub"])
    assert made.wheel("key.list", "acc") == {"minions": ["m1", "m2"]}
    assert made.wheel("key.name_match", "m*") == {"minions": ["m1", "m2"]}
    assert made.wheel("key.reject", "m1") == {}
    assert made.wheel("key.reject", "m1", include_accepted=True) == {"minions_rejected": ["m1"]}
    assert made.wheel("key.accept", "m1") == {}
    assert made.wheel("key.accept", "m1", include_rejected=True) == {"minions": ["m1"]}
    assert made.wheel("key.finger", "m1")["minions"]["m1"].count(":") == 31
    assert "BEGIN" in made.wheel("key.key_str", "m1")["minions"]["m1"]
    assert made.wheel("key.print", "m1") == made.wheel("key.key_str", "m1")
    assert "master.pub" in made.wheel("key.finger_master")["local"]
    assert made.wheel("key.delete_dict", {"minions": ["m1", "nobody"]}) == {"minions": ["m1"]}
    assert made.wheel("key.delete", "m2") == {"minions": ["m2"]}
    assert "BEGIN" in made.wheel("key.gen_accept", "m3")["priv"]
    assert made.wheel("key.gen_accept", "m3") == {}
    assert made.wheel("key.reject_dict", {"minions": ["m3"]}) == {"minions_rejected": ["m3"]}
    assert made.wheel("key.accept_dict", {"minions_rejected": ["m3"]}) == {"minions": ["m3"]}
    assert made.run("salt.wheel", "key.list", "acc") == {"minions": ["m3"]}


def test_nobody_is_up_where_nobody_is(house: Make) -> None:
    made = house()
    assert made.run("manage.status") == {"up": [], "down": []}
    assert made.run("manage.up") == []


def test_jobs_that_minions_run_are_active(house: Make) -> None:
    made = house(timeout=5)
    made.minion("m1")
    jid = made.bench.job("m1", "slow.one", arg=["x"])
    made.answers["saltutil.running"] = lambda *_: [{"jid": jid, "fun": "slow.one", "pid": 7}]
    [(found, shown)] = made.run("jobs.active").items()
    assert found == jid
    assert (shown["Function"], shown["Arguments"]) == ("slow.one", ["x"])
    assert (shown["Running"], shown["Returned"]) == ([{"m1": 7}], [])


def test_jobs_are_listed_by_what_they_were(house: Make) -> None:
    made = house(timeout=5)
    made.minion("m1")
    ping = made.bench.job("m1", metadata={}, kwargs={"metadata": {"who": "me"}})
    other = made.bench.job("m1", "test.echo", arg=["x"])
    assert list(made.run("jobs.list_jobs", search_function="test.*")) == [ping, other]
    assert list(made.run("jobs.list_jobs", search_function=["test.e*"])) == [other]
    assert list(made.run("jobs.list_jobs", search_metadata={"who": "me"})) == [ping]
    assert list(made.run("jobs.list_jobs", search_target="m*")) == [ping, other]
    assert made.run("jobs.list_jobs", start_time="2999-01-01") == {}
    assert "is not a time" in made.fails("jobs.list_jobs", start_time="soon")
    assert list(made.run("jobs.last_run", function="test.ping")) == [ping]
    assert list(made.run("jobs.last_run")) == [other]
    shown = made.run("jobs.list_job", other)
    assert (shown["Function"], shown["Arguments"], shown["Minions"]) == ("test.echo", ["x"], ["m1"])
    assert made.run("jobs.print_job", other)[other]["Target"] == "m1"
    assert made.run("jobs.lookup_jid", other, missing=True) == {"m1": "Minion did not return"}
    assert made.run("jobs.exit_success", other) == {"m1": False}
    assert made.run("jobs.list_job", "20200101000000000000")["Error"]
    assert "is not a job id" in made.fails("jobs.lookup_jid", "7")
    assert len(made.run("jobs.list_jobs_filter", 2)) == 2
