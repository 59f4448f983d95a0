"""Returners: what minions return goes on to others, and nobody waits for these."""

from __future__ import annotations

import json
import logging
import re
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest

from greensalt.errors import CommandExecutionError, ConfigError
from greensalt.master.returners import syslog
from greensalt.master.returners.returner import Item, make
from tests._bench import Bench
from tests._peer import Peer
from tests.master._hook import Hook
from tests.master.test_runs import ran

Make = Callable[..., Bench]
QUICK = {"retry_first": 0.02, "retry_most": 0.05}
WAIT_S = 30
DOCUMENT = Path(__file__).parents[2] / "docs/returners.md"


@pytest.fixture(name="hook")
def _hook() -> Iterator[Hook]:
    hook = Hook()
    yield hook
    hook.stop()


def until(condition: Callable[[], Any], what: str = "the condition") -> None:
    with gevent.Timeout(WAIT_S, AssertionError(f"{what} did not become true")):
        while not condition():
            gevent.sleep(0.01)


def served(bench: Make, hook: Hook, **options: Any) -> tuple[Bench, Peer]:
    """A master with the returner `hook`, and a minion."""
    returner = {"type": "webhook", "url": hook.url, "timeout": 5, **QUICK, **options}
    made = bench(auto_accept=True, master_returners={"hook": returner})
    return made, made.peer("m1")


def run_jobs(master: Bench, peer: Peer, count: int, **fields: Any) -> list[str]:
    """The keys of the returns of as many jobs."""
    keys = []
    for number in range(count):
        jid = master.job("m1")
        peer.returns(jid, number, **fields)
        keys.append(f"{jid}/m1")
    return keys


def status(master: Bench) -> dict[str, Any]:
    return master.master.returners.status()["hook"]


def settled(master: Bench, delivered: int) -> None:
    until(lambda: status(master)["delivered"] == delivered, f"{delivered} deliveries")


def test_each_return_is_sent_on_with_its_key(bench: Make, hook: Hook) -> None:
    master, peer = served(bench, hook.start(), headers={"Authorization": "Bearer word"})
    jid = master.job("m1", "test.echo", arg=["a"])
    value = {"text": "grün", "bytes": b"\xff", "list": [1, None, 2.5, float("inf")], 7: "seven"}
    peer.returns(jid, value, fun="test.echo", fun_args=["a"], retcode=3, success=False)
    until(lambda: hook.taken)
    (got,) = hook.taken
    assert got["return"] == {
        "text": "grün",
        "bytes": "\ufffd",
        "list": [1, None, 2.5, "inf"],
        "7": "seven",
    }
    assert (got["key"], got["jid"], got["id"]) == (f"{jid}/m1", jid, "m1")
    assert (got["fun"], got["fun_args"], got["retcode"]) == ("test.echo", ["a"], 3)
    assert got["success"] is False
    assert got["received"].endswith("+00:00")
    assert hook.headers[0]["Authorization"] == "Bearer word"
    assert hook.headers[0]["Idempotency-Key"] == f"{jid}/m1"


def test_a_returner_that_is_down_holds_nothing_up_and_gets_all_in_the_end(
    bench: Make, hook: Hook
) -> None:
    master, peer = served(bench, hook, batch=7)
    keys = run_jobs(master, peer, 30)
    until(lambda: status(master)["trouble"], "the trouble is told")
    told = status(master)
    assert (told["backlog"], told["delivered"], told["dead"]) == (30, 0, 0)
    assert told["oldest"] > 1e9
    hook.start()
    settled(master, 30)
    assert hook.keys() == keys
    assert status(master)["backlog"] == 0
    assert status(master)["trouble"] == ""


def test_a_returner_that_answers_with_errors_gets_all_in_the_end(bench: Make, hook: Hook) -> None:
    answers = iter([500, 503, 429, 502])
    hook.answer = lambda _: next(answers, 200)
    master, peer = served(bench, hook.start())
    keys = run_jobs(master, peer, 5)
    settled(master, 5)
    assert hook.keys() == keys
    assert status(master)["dead"] == 0


def test_a_returner_that_hangs_holds_up_neither_returns_nor_the_others(
    bench: Make, hook: Hook, tmp_path: Path
) -> None:
    go_on = threading.Event()

    def hang(_: Any) -> int:
        go_on.wait(WAIT_S)
        return 200

    hook.answer = hang
    hook.start()
    path = str(tmp_path / "log")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(path)
        threading.Thread(target=lambda: [ear.recv(9999) for _ in range(20)], daemon=True).start()
        slow = {"type": "webhook", "url": hook.url, "timeout": WAIT_S}
        returners = {"hook": slow, "log": {"type": "syslog", "address": path}}
        master = bench(auto_accept=True, master_returners=returners)
        keys = run_jobs(master, master.peer("m1"), 20)
        until(lambda: master.master.returners.status()["log"]["delivered"] == 20)
        assert status(master)["backlog"] == 20
        go_on.set()
        settled(master, 20)
        assert sorted(hook.keys()) == keys


def test_what_is_refused_is_a_dead_letter_and_the_others_arrive(bench: Make, hook: Hook) -> None:
    hook.answer = lambda returns: 400 if any(each["return"] == 3 for each in returns) else 200
    master, peer = served(bench, hook)
    keys = run_jobs(master, peer, 8)
    hook.start()
    settled(master, 7)
    assert hook.keys() == [*keys[:3], *keys[4:]]
    (letter,) = master.master.returners.dead("hook")
    assert letter.item["key"] == keys[3]
    assert "answers 400" in letter.reason
    assert status(master)["dead"] == 1


def test_a_dead_letter_can_be_sent_again(bench: Make, hook: Hook) -> None:
    hook.answer = lambda _: 422
    master, peer = served(bench, hook.start())
    keys = run_jobs(master, peer, 2)
    until(lambda: status(master)["dead"] == 2)
    assert master.master.returners.retry("hook") == 2
    until(lambda: len(hook.refused) >= 4, "the second tries")
    until(lambda: status(master)["dead"] == 2)
    hook.answer = lambda _: 200
    assert master.master.returners.retry("hook") == 2
    settled(master, 2)
    assert sorted(hook.keys()) == keys
    assert master.master.returners.dead("hook") == []
    with pytest.raises(CommandExecutionError, match="no returner 'other'; there are: hook"):
        master.master.returners.retry("other")


def test_a_return_that_always_gives_an_error_does_not_block_the_others_for_ever(
    bench: Make, hook: Hook
) -> None:
    hook.answer = lambda returns: 500 if any(each["return"] == 1 for each in returns) else 200
    master, peer = served(bench, hook)
    keys = run_jobs(master, peer, 4)
    hook.start()
    settled(master, 3)
    assert hook.keys() == [keys[0], *keys[2:]]
    assert [letter.item["key"] for letter in master.master.returners.dead("hook")] == [keys[1]]


def test_a_restart_goes_on_where_it_was(bench: Make, hook: Hook) -> None:
    master, peer = served(bench, hook.start())
    keys = run_jobs(master, peer, 3)
    settled(master, 3)
    hook.stop()
    keys += run_jobs(master, peer, 3)
    master.restart()
    hook.start()
    settled(master, 6)
    assert hook.keys() == keys


def test_a_new_returner_begins_with_the_next_return(bench: Make, hook: Hook) -> None:
    master = bench(auto_accept=True)
    peer = master.peer("m1")
    run_jobs(master, peer, 2)
    master.options["master_returners"] = {"hook": {"type": "webhook", "url": hook.url}}
    master.restart()
    hook.start()
    keys = run_jobs(master, peer, 2)
    settled(master, 2)
    assert hook.keys() == keys


def test_what_is_pruned_before_its_turn_is_counted(bench: Make, hook: Hook) -> None:
    master, peer = served(bench, hook)
    run_jobs(master, peer, 5)
    assert status(master)["backlog"] == 5
    master.master.store.prune(0, 1)
    assert (status(master)["backlog"], status(master)["lost"]) == (0, 5)


def test_only_wanted_functions_are_sent(bench: Make, hook: Hook) -> None:
    master, peer = served(bench, hook.start(), jobs=["state.*", "test.echo"])
    run_jobs(master, peer, 2)
    for fun in ("state.apply", "test.echo", "stated.it"):
        peer.returns(master.job("m1", fun), True, fun=fun)
    until(lambda: status(master)["backlog"] == 0)
    assert [each["fun"] for each in hook.taken] == ["state.apply", "test.echo"]
    assert status(master)["delivered"] == 2


def test_no_secret_is_ever_logged(
    bench: Make, hook: Hook, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    master, peer = served(bench, hook, headers={"X-Token": "s3cret"})
    run_jobs(master, peer, 1)
    until(lambda: status(master)["trouble"])
    hook.answer = lambda _: 401
    hook.start()
    until(lambda: status(master)["dead"] == 1)
    told = f"{caplog.text}{status(master)}{master.config!r}{master.master.returners.dead('hook')}"
    assert "127.0.0.1 answers 401" in told
    assert "s3cret" not in told
    assert "secret=word" not in told


def test_runners_show_the_backlog_and_revive_the_dead(bench: Make, hook: Hook) -> None:
    hook.answer = lambda _: 410
    master, peer = served(bench, hook.start(), jobs=["test.ping"])
    keys = run_jobs(master, peer, 1)
    until(lambda: status(master)["dead"] == 1)
    until(lambda: status(master)["backlog"] == 0)
    shown = ran(master, "returners.status")["return"]["hook"]
    assert (shown["delivered"], shown["backlog"], shown["dead"], shown["lost"]) == (0, 0, 1, 0)
    (letter,) = ran(master, "returners.dead", "hook")["return"]
    assert f"{letter['jid']}/{letter['id']}" == keys[0]
    assert "410" in letter["reason"]
    hook.answer = lambda _: 200
    assert ran(master, "returners.retry", "hook")["return"] == 1
    until(lambda: hook.keys() == keys)
    assert "no returner 'x'" in ran(master, "returners.retry", "x")["return"]


def test_without_returners_the_runners_say_so(bench: Make) -> None:
    master = bench()
    assert ran(master, "returners.status")["return"] == {}
    assert "master_returners" in ran(master, "returners.dead", "x")["return"]


# -- syslog --------------------------------------------------------------------------------------

ITEM = Item("1/m1", "1", "m1", "test.ping", [], True, 0, True, 1_700_000_000.25)


def test_the_local_log_gets_a_line_for_each_return(tmp_path: Path) -> None:
    path = str(tmp_path / "log")
    returner = make("syslog", {"address": path, "facility": "local3", "tag": "jobs"})
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(path)
        returner.send([ITEM, ITEM._replace(retcode=1, success=False)])
        good, bad = ear.recv(9999).decode(), ear.recv(9999).decode()
        assert good.startswith(f"<{19 * 8 + 6}>Nov ")
        assert "jobs[" in good
        assert bad.startswith(f"<{19 * 8 + 3}>")
        assert json.loads(good.partition("]: ")[2]) == ITEM.plain()
        returner.send([ITEM._replace(ret="x" * 10_000)])
        trimmed = ear.recv(99_999)
        assert len(trimmed) < 8192
        assert json.loads(trimmed.partition(b"]: ")[2])["return"] == "VALUE_TRIMMED"
    returner.close()


def test_a_log_across_the_network_gets_lines_of_the_newer_form() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear:
        ear.bind(("127.0.0.1", 0))
        returner = make("syslog", {"address": f"udp://127.0.0.1:{ear.getsockname()[1]}"})
        returner.send([ITEM])
        head, _, rest = ear.recv(9999).decode().partition(" return - ")
        assert head.startswith(f"<{3 * 8 + 6}>1 2023-11-14T22:13:20.250000Z ")
        assert json.loads(rest)["key"] == "1/m1"
        returner.close()


def test_a_log_daemon_that_reads_too_slowly_gets_each_line_once(
    bench: Make, short_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel keeps about ten datagrams for it."""
    monkeypatch.setattr(syslog, "SEND_S", 0.05)
    path = short_dir / "log"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(str(path))
        returner = {"type": "syslog", "address": str(path), **QUICK}
        master = bench(auto_accept=True, master_returners={"hook": returner})
        keys = run_jobs(master, master.peer("m1"), 40)
        until(lambda: status(master)["trouble"])
        lines: list[bytes] = []
        reader = threading.Thread(target=lambda: lines.extend(ear.recv(9999) for _ in keys))
        reader.start()
        settled(master, 40)
        reader.join(WAIT_S)
    assert [json.loads(line.partition(b"]: ")[2])["key"] for line in lines] == keys


def test_a_log_daemon_that_comes_back_is_found_again(bench: Make, short_dir: Path) -> None:
    path = short_dir / "log"
    returner = {"type": "syslog", "address": str(path), **QUICK}
    master = bench(auto_accept=True, master_returners={"hook": returner})
    keys = run_jobs(master, master.peer("m1"), 3)
    until(lambda: status(master)["trouble"])
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(str(path))
        settled(master, 3)
        lines = [ear.recv(9999).decode().partition("]: ")[2] for _ in keys]
    assert [json.loads(line)["key"] for line in lines] == keys


# -- configuration -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "options", "reason"),
    [
        ("webhook", {}, "url must be"),
        ("webhook", {"url": "ftp://x"}, "url must be"),
        ("webhook", {"url": "https://"}, "needs a host"),
        ("webhook", {"url": "https://h:port/"}, "port is a number"),
        ("webhook", {"url": "https://h/a b"}, "spaces are %20"),
        ("webhook", {"url": "https://me:pw@h/"}, "into `headers`"),
        ("webhook", {"url": "https://h/", "header": {}}, "unknown option 'header'"),
        ("webhook", {"url": "https://h/", "headers": {"a": "b\nc"}}, "no header may have"),
        ("webhook", {"url": "https://h/", "timeout": "long"}, "timeout must be a number"),
        ("webhook", {"url": "https://h/", "batch": 0}, "batch must be a number of at least 1"),
        ("webhook", {"url": "https://h/", "ca": "/nowhere"}, "/nowhere, can't be read"),
        ("syslog", {"address": "tcp://h:1"}, "udp://host:port"),
        ("syslog", {"address": "udp://h"}, "udp://host:port"),
        ("syslog", {"facility": "mine"}, "facility must be one of"),
        ("syslog", {"tag": "a b"}, "tag must be a word"),
        ("mongo", {}, "there is no returner 'mongo'; there are: syslog, webhook"),
    ],
)
def test_wrong_options_are_named(kind: str, options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        make(kind, options)


def test_a_master_with_wrong_returners_says_which(bench: Make) -> None:
    with pytest.raises(ConfigError, match="master_returners: mine: jobs must be"):
        bench(master_returners={"mine": {"type": "syslog", "jobs": 7}})


def test_another_package_can_bring_a_returner(
    bench: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one of docs/returners.md."""
    found = re.search(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert found is not None
    (tmp_path / "bottle.py").write_text(found[1])
    facts = tmp_path / "bottle-1.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: bottle\nVersion: 1\n")
    (facts / "entry_points.txt").write_text("[greensalt.returners]\nbottle = bottle:Bottle\n")
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / "sea"
    returners = {"hook": {"type": "bottle", "path": str(path)}}
    try:
        master = bench(auto_accept=True, master_returners=returners)
        keys = run_jobs(master, master.peer("m1"), 3)
        settled(master, 3)
        assert path.read_text().split() == keys
    finally:
        sys.modules.pop("bottle", None)
