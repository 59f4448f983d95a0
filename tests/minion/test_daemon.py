"""A whole minion and a whole master, both in the test's process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest

from greensalt.config import MinionConfig
from greensalt.minion.daemon import EX_NOPERM, Minion
from greensalt.transport import addresses
from greensalt.transport.bus import BusClient
from greensalt.transport.sockets import new_context
from greensalt.wire.ids import minion_bus_hash
from tests._bench import Bench
from tests._peer import key

Make = Callable[..., Bench]
Join = Callable[..., Minion]
ONE_SHELL = {"python_shell": True, "__kwarg__": True}


@pytest.fixture
def join(short_dir: Path) -> Iterator[Join]:
    """Makes minions of a bench's master; started, and so ready for jobs, unless `start=False`."""
    context = new_context()
    made: list[Minion] = []

    def make(master: Bench, minion_id: str = "m1", *, start: bool = True, **options: Any) -> Minion:
        root = short_dir / minion_id
        (root / "conf").mkdir(parents=True, exist_ok=True)
        wanted = {
            "id": minion_id,
            "root_dir": str(root),
            "master": "127.0.0.1",
            "master_port": master.config.ret_port,
            "acceptance_wait_time": 0.05,
            "recon_default": 20,
            "recon_max": 50,
            "return_retry_timer": 1,
            "return_retry_timer_max": 1,
            "random_reauth_delay": 0,
            **options,
        }
        config = MinionConfig.load(root / "conf", wanted)
        pem = config.pki_dir / "minion.pem"
        if not pem.exists():
            pem.parent.mkdir(mode=0o700, parents=True)
            pem.write_text(key(1).to_pem())
            pem.chmod(0o400)
        minion = Minion(config, context)
        made.append(minion)
        if start:
            minion.start()
        return minion

    yield make
    for minion in made:
        minion.close()
    context.destroy(linger=0)


def returns_of(master: Bench, jid: str, count: int) -> list[dict[str, Any]]:
    with gevent.Timeout(60):
        while True:
            rows: list[dict[str, Any]] = master.follow(jid)["load"]["returns"]
            if len(rows) >= count:
                return rows
            gevent.sleep(0.01)


def ask(master: Bench, fun: str, *arg: Any, tgt: str = "*") -> Any:
    """What m1 returns."""
    jid = master.job(tgt, fun, arg=list(arg))
    (row,) = returns_of(master, jid, 1)
    return row["return"]


def bus_of(minion: Minion, *prefixes: str) -> BusClient:
    sock_dir, id_hash = minion.config.sock_dir, minion_bus_hash(minion.id)
    client = BusClient(
        addresses.minion_event_pub(sock_dir, id_hash),
        addresses.minion_event_pull(sock_dir, id_hash),
    )
    for prefix in prefixes:
        client.subscribe(prefix)
    client.sync(60)
    return client


def test_a_minion_announces_itself_and_answers(bench: Make, join: Join) -> None:
    master = bench(auto_accept=True)
    listener = master.listen("minion_start", "salt/minion/")
    join(master)
    events = [listener.next(60) for _ in range(2)]
    assert [event[0] for event in events if event] == ["minion_start", "salt/minion/m1/start"]
    assert all(event and event[1]["data"].startswith("Minion m1 started at ") for event in events)
    assert ask(master, "test.ping") is True
    assert ask(master, "grains.item", "id") == {"id": "m1"}


def test_the_master_knows_the_grains_of_a_minion_that_has_started(bench: Make, join: Join) -> None:
    master = bench(auto_accept=True)
    minion = join(master, grains={"role": "db"})
    assert ask(master, "test.ping", tgt="m1") is True
    jid = master.job("role:db", tgt_type="grain")
    assert master.follow(jid)["load"]["minions"] == ["m1"]
    assert minion.grains["role"] == "db"


def test_jobs_run_side_by_side(bench: Make, join: Join, tmp_path: Path) -> None:
    master = bench(auto_accept=True)
    join(master)
    gate = tmp_path / "gate"
    wait = f"touch {tmp_path}/$$.up; until [ -e {gate} ]; do sleep 0.05; done"
    jids = [master.job("m1", "cmd.run", arg=[wait, ONE_SHELL]) for _ in range(10)]
    master.until(lambda: len(list(tmp_path.glob("*.up"))) == 10)
    gate.touch()
    for jid in jids:
        returns_of(master, jid, 1)


def test_modules_written_for_salt_find_their_names(bench: Make, join: Join, tmp_path: Path) -> None:
    (tmp_path / "old.py").write_text(
        "def tell(word):\n"
        "    __context__['word'] = word\n"
        "    said = __salt__['cmd.run'](f'echo {word} of $0', python_shell=True)\n"
        "    __salt__['event.send']('old/told', {'word': word})\n"
        "    return [said.split()[0], __context__['word'], __grains__['id'], __opts__['id']]\n"
    )
    master = bench(auto_accept=True)
    for minion_id in ("m1", "m2"):
        join(master, minion_id, module_dirs=[str(tmp_path)])
    listener = master.listen("old/told")
    words = [f"w{number}" for number in range(8)]
    jids = {word: master.job("*", "old.tell", arg=[word]) for word in words}
    for word, jid in jids.items():
        rows = returns_of(master, jid, 2)
        assert {row["id"]: row["return"] for row in rows} == {
            minion_id: [word, word, minion_id, minion_id] for minion_id in ("m1", "m2")
        }
    assert all(listener.next(60) for _ in range(16))


def test_find_job_sees_a_running_job_and_kill_job_ends_it(bench: Make, join: Join) -> None:
    master = bench(auto_accept=True)
    join(master)
    jid = master.job("m1", "test.sleep", arg=[60])
    found = ask(master, "saltutil.find_job", jid)
    assert (found["jid"], found["fun"], found["arg"]) == (jid, "test.sleep", [60])
    assert jid in [job["jid"] for job in ask(master, "saltutil.running")]
    assert jid in ask(master, "saltutil.kill_job", jid)
    assert ask(master, "saltutil.find_job", jid) == {}
    assert master.follow(jid)["load"]["returns"] == []


def test_a_killed_command_takes_its_processes_along(
    bench: Make, join: Join, tmp_path: Path
) -> None:
    master = bench(auto_accept=True)
    join(master)
    mark = tmp_path / "pid"
    jid = master.job("m1", "cmd.run", arg=[f"echo $$ > {mark}; sleep 60"])
    with gevent.Timeout(60):
        while not mark.exists() or not mark.read_text().strip():
            gevent.sleep(0.01)
    pid = int(mark.read_text())
    ask(master, "saltutil.term_job", jid)
    with gevent.Timeout(60):
        while Path(f"/proc/{pid}").exists():
            gevent.sleep(0.01)


def test_events_on_its_bus_are_orders(bench: Make, join: Join) -> None:
    master = bench(auto_accept=True)
    minion = join(master)
    at_master = master.listen("my/tag", "minion/refresh/")
    client = bus_of(minion, "/salt/minion/", "module_refresh", "broken", "grains_refresh")
    client.fire("module_refresh", {})
    assert [client.next(60)[0] for _ in range(2)] == [  # type: ignore[index]  # None fails the test
        "/salt/minion/minion_mod_refresh_complete",
        "module_refresh",
    ]
    client.fire("pillar_refresh", {})
    event = client.next(60)
    assert event is not None
    assert event[0] == "/salt/minion/minion_pillar_refresh_complete"
    refreshed = at_master.next(60)
    assert refreshed is not None
    assert refreshed[0] == "minion/refresh/m1"
    client.fire("fire_master", {"tag": "my/tag", "data": {"n": 1}, "events": None, "pretag": None})
    told = at_master.next(60)
    assert told is not None
    assert (told[0], told[1]["data"]["n"]) == ("my/tag", 1)
    client.close()


def test_an_order_that_fails_goes_out_all_the_same(bench: Make, join: Join) -> None:
    master = bench(auto_accept=True)
    minion = join(master)
    client = bus_of(minion, "fire_master", "module_refresh")
    client.fire("fire_master", {"tag": 7})
    client.fire("module_refresh", {})
    tags = [event[0] for event in (client.next(60), client.next(60)) if event]
    assert tags == ["fire_master", "module_refresh"]
    client.close()


def test_changed_grains_bring_a_new_pillar(bench: Make, join: Join) -> None:
    master = bench(auto_accept=True)
    minion = join(master)
    (minion.config.config_dir / "grains").write_text("role: web\n")
    minion.bus.fire("grains_refresh", {})
    with gevent.Timeout(60):
        while (master.master.cache.grains("m1") or {}).get("role") != "web":
            gevent.sleep(0.01)
    assert minion.grains["role"] == "web"


def test_a_result_survives_the_restart_of_the_master(bench: Make, join: Join) -> None:
    master = bench(auto_accept=True)
    minion = join(master)
    jid = master.job("m1", "test.sleep", arg=[0.5])
    master.master.close()
    with gevent.Timeout(60):
        while not minion.outbox.failed:
            gevent.sleep(0.01)
    master.options.update(publish_port=master.config.publish_port, ret_port=master.config.ret_port)
    master.start()
    assert [row["id"] for row in returns_of(master, jid, 1)] == ["m1"]
    assert minion.session.sign_ins == 1
    assert ask(master, "test.ping") is True
    assert master.master.signin.counts == {}


def test_a_rotated_key_is_fetched_with_the_next_job(bench: Make, join: Join) -> None:
    master = bench(auto_accept=True)
    minion = join(master, job_redelivery_window=0)  # else it may come that way first
    master.master.publish_key.rotate()
    assert ask(master, "test.ping") is True
    assert minion.session.sign_ins == 2
    assert minion.inbox.counts["taken"] == 1


def test_a_minion_whose_key_is_rejected_ends_with_77(bench: Make, join: Join) -> None:
    master = bench()
    minion = join(master, start=False)
    starting = gevent.spawn(_ignoring_refusal, minion)
    with gevent.Timeout(60):
        while not master.master.signin.counts.get("pend"):
            gevent.sleep(0.01)
        master.master.keys.reject("m1")
        code, reason = minion.wait()
    assert code == EX_NOPERM
    assert "rejected" in reason
    starting.join(60)


def _ignoring_refusal(minion: Minion) -> None:
    from greensalt.errors import SignInRefused

    with pytest.raises(SignInRefused):
        minion.start()


def test_two_minions_in_one_process_do_not_disturb_each_other(bench: Make, join: Join) -> None:
    master = bench(auto_accept=True)
    join(master, "m1")
    join(master, "m2")
    jid = master.job("*", "grains.get", arg=["id"])
    assert {row["id"]: row["return"] for row in returns_of(master, jid, 2)} == {
        "m1": "m1",
        "m2": "m2",
    }


@pytest.mark.parametrize(("tgt", "tgt_type"), [("m1", "glob"), ("id:m*", "grain")])
def test_with_zmq_filtering_a_minion_gets_its_own_topic_and_the_common_one(
    bench: Make, join: Join, tgt: str, tgt_type: str
) -> None:
    master = bench(auto_accept=True, zmq_filtering=True)
    first, second = (join(master, name, zmq_filtering=True) for name in ("m1", "m2"))
    jid = master.job(tgt, tgt_type=tgt_type)
    expected = 1 if tgt_type == "glob" else 2
    assert len(returns_of(master, jid, expected)) == expected
    assert first.inbox.counts["taken"] == 1
    assert sum(second.inbox.counts.values()) == expected - 1


def test_the_mine_is_filled_from_mine_functions(bench: Make, join: Join) -> None:
    master = bench(auto_accept=True)
    join(master, mine_functions={"test.ping": []}, mine_interval=60)
    with gevent.Timeout(60):
        while master.master.cache.mine_get("m1") != {"test.ping": True}:
            gevent.sleep(0.02)


def test_a_metadata_and_the_user_come_back_with_the_return(bench: Make, join: Join) -> None:
    master = bench(auto_accept=True)
    join(master)
    listener = master.listen("salt/job/")
    jid = master.job("m1", kwargs={"metadata": {"ticket": 7}})
    with gevent.Timeout(60):
        while True:
            event = listener.next(60)
            if event and event[0] == f"salt/job/{jid}/ret/m1":
                break
    assert event[1]["metadata"] == {"ticket": 7}
    assert event[1]["user"] == "root"
