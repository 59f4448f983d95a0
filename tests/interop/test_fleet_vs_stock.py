"""Runners that look at jobs and minions, beside salt-run: a stock minion at either master.

`gone` is a minion whose key is accepted and that never comes.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests._daemons import (
    BIN,
    NEWEST,
    READY_S,
    GreensaltMaster,
    Master,
    StockMaster,
    StockMinion,
    run,
    short_dir,
    stock_bin,
)

STOCK_RUNS = Path(__file__).with_name("_stock_runs.py")
PINGED_NOBODY = "No minions matched the target. No command was sent, no jid was assigned.\n"
OF_THE_MOMENT = {"__jid__", "duration", "start_time", "StartTime", "jid"}
STATES = {
    "good": "it:\n  test.succeed_with_changes\n",
    "same": "that:\n  test.nop\n",
    "bad": "this:\n  test.fail_with_changes\n",
}


class Done(NamedTuple):
    """How a command ended."""

    code: int
    stdout: str


class Pair(NamedTuple):
    """A greensalt and a stock master, each with a stock minion `web1`."""

    ours: GreensaltMaster
    theirs: StockMaster
    files: Path

    def both(self, act: Callable[[Master], str]) -> tuple[str, str]:
        """What something makes of ours, and what of theirs, at the same time."""
        with ThreadPoolExecutor(2) as pool:
            ours, theirs = pool.map(act, (self.ours, self.theirs))
            return ours, theirs

    def job(self, *words: str) -> tuple[str, str]:
        """Publish a job and wait for it; its jid on ours, and on theirs."""
        return self.both(
            lambda master: _jid(master.run_cli("--show-jid", "-t", "2", *words).stdout)
        )

    def run(
        self, *commands: tuple[str, ...], jid: tuple[str, str] = ("", "")
    ) -> list[tuple[Done, Done]]:
        """Each command through `greensalt run` and through salt-run; JID in it is `jid`."""
        with ThreadPoolExecutor(1) as pool:
            theirs = pool.submit(self._run_stock, _with_jid(commands, jid[1]))
            ours = [self._run_ours(words) for words in _with_jid(commands, jid[0])]
            return list(zip(ours, theirs.result(), strict=True))

    def _run_ours(self, words: tuple[str, ...]) -> Done:
        done = run(BIN / "greensalt", "run", "-c", self.ours.dir, "--no-color", *words)
        return Done(done.returncode, done.stdout)

    def _run_stock(self, commands: list[tuple[str, ...]]) -> list[Done]:
        options = ("-c", str(self.theirs.dir), "--no-color")
        done = subprocess.run(
            [stock_bin(NEWEST) / "python", STOCK_RUNS],
            input=json.dumps([(*options, *words) for words in commands]),
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return [
            Done(code, text.replace(PINGED_NOBODY, "")) for code, text in json.loads(done.stdout)
        ]


def _with_jid(commands: Iterable[tuple[str, ...]], jid: str) -> list[tuple[str, ...]]:
    return [tuple(jid if word == "JID" else word for word in words) for words in commands]


def _jid(text: str) -> str:
    found = re.search(r"\b\d{20}\b", text)
    assert found is not None, text
    return found[0]


@pytest.fixture(scope="module", name="pair")
def _pair() -> Iterator[Pair]:
    with short_dir() as where:
        files = where / "files"
        files.mkdir()
        for name, text in STATES.items():
            (files / f"{name}.sls").write_text(text)
        options: dict[str, Any] = {
            "id": "boss",
            "keysize": 2048,
            "auto_accept": True,
            "file_roots": {"base": [str(files)]},
            "timeout": 2,
            "gather_job_timeout": 2,
        }
        masters = (GreensaltMaster(where, "g", **options), StockMaster(where, "s", **options))
        minions = [StockMinion(where / f"{each.name}m", "web1", each.ret_port) for each in masters]
        daemons = [*masters, *minions]
        try:
            for daemon in daemons:
                daemon.start(wait=False)
            for daemon in daemons:
                daemon.wait_ready()
            for master in masters:
                keys = master.pki_dir / "minions"
                master.child.wait_until((keys / "web1").exists, "the key of web1", READY_S)
                shutil.copy(keys / "web1", keys / "gone")
            yield Pair(*masters, files)
        finally:
            for daemon in reversed(daemons):
                daemon.stop()


def plain(text: str) -> str:
    """A text without what is different each time."""
    text = re.sub(r"\b\d{20}\b", "JID", text)
    text = re.sub(r"\d{4}, \w{3} \d\d [\d:.]+|\d\d:\d\d:\d\d\.\d{6}", "TIME", text)
    text = re.sub(r"(duration:\s+)[\d.]+", r"\1N", text)
    return re.sub(r"\s+[\d.]+ m?s\b", " N s", text).rstrip()


def timeless(value: Any) -> Any:
    """Data without what is different each time; who failed is named in any order."""
    if isinstance(value, dict):
        return {
            plain(key): "" if key in OF_THE_MOMENT else timeless(each)
            for key, each in value.items()
        }
    if isinstance(value, list):
        return [timeless(each) for each in value]
    return plain(value) if isinstance(value, str) else value


def check_same(ours: Done, theirs: Done) -> None:
    """The same words and exit code, or with --out=json the same data."""
    assert ours.code == theirs.code, ours.stdout + theirs.stdout
    if ours.stdout.startswith(("{", "[")):
        shown, expected = (timeless(json.loads(done.stdout)) for done in (ours, theirs))
        assert shown == expected
    else:
        assert plain(ours.stdout) == plain(theirs.stdout)


@pytest.mark.parametrize(
    ("job", "successes"),
    [
        (("web1", "state.apply", "bad"), [{"web1": False}, {"web1": True}]),
        (
            ("--metadata={ticket: 7}", "-L", "web1,gone", "test.arg", "1", "a=b"),
            [{"web1": True, "gone": False}] * 2,
        ),
    ],
    ids=["states", "silent"],
)
def test_jobs_are_shown_the_same(pair: Pair, job: tuple[str, ...], successes: list[Any]) -> None:
    *same, success = pair.run(
        ("jobs.list_job", "JID"),
        ("jobs.print_job", "JID", "--out=json"),
        ("jobs.lookup_jid", "JID", "missing=True"),
        ("jobs.lookup_jid", "JID", "--out=json"),
        ("jobs.exit_success", "JID", "--out=json"),
        jid=pair.job(*job),
    )
    for ours, theirs in same:
        check_same(ours, theirs)
    assert [json.loads(done.stdout) for done in success] == successes  # docs/runners.md says why


def test_jobs_are_found_the_same(pair: Pair) -> None:
    pair.job("web1", "test.echo", "x", "metadata={a: 1}")
    *same, (newest, stocks) = pair.run(
        ("jobs.list_jobs", "search_function=test.echo"),
        ("jobs.list_jobs", "search_metadata={a: 1, b: 2}", "--out=json"),
        ("jobs.list_jobs", "search_metadata={a: 1}", "outputter=yaml"),
        ("jobs.last_run", "function=test.echo", "--out=json"),
        ("jobs.last_run", "function=test.nosuch"),
        ("jobs.list_jobs_filter", "1", "--out=json"),
    )
    for ours, theirs in same:
        check_same(ours, theirs)
    [ours_newest], [stocks_newest] = json.loads(newest.stdout), json.loads(stocks.stdout)
    assert ours_newest.keys() == stocks_newest.keys()


def test_jobs_at_work_are_shown_the_same(pair: Pair) -> None:
    pair.both(lambda master: master.run_cli("--async", "web1", "test.sleep", "20").stdout)
    [both] = pair.run(("jobs.active", "--out=json"))
    shown = []
    for done in both:
        [(jid, job)] = json.loads(done.stdout).items()
        job["Running"] = [[*each] for each in job["Running"]]  # without the pids
        shown.append(timeless({jid: {**job, "Returned": []}}))
    assert shown[0] == shown[1]
    assert shown[0]["JID"]["Running"] == [["web1"]]


def test_who_is_up_is_told_the_same(pair: Pair) -> None:
    for ours, theirs in pair.run(
        ("manage.status",),
        ("manage.up", "--out=json"),
        ("manage.down",),
        ("manage.up", "tgt=nosuch*"),
        ("manage.present",),
        ("manage.joined", "--out=json"),
        ("manage.not_allowed",),
        ("manage.versions", "--out=json"),
    ):
        check_same(ours, theirs)


# -- orchestration -------------------------------------------------------------------------------

EVERY_KIND = """
one: {salt.state: [tgt: web1, sls: good]}
two: {salt.function: [name: test.echo, tgt: web1, arg: [{{ pillar.word }}], require: [salt: four]]}
three: {salt.runner: [name: test.arg, arg: [1], kwarg: {a: b}]}
four: {salt.wheel: [name: key.list, match: acc, require: [salt: three]]}
five: {salt.state: [tgt: web1, sls: [same], onchanges: [salt: one]]}
"""
FAILURES = """
bad: {salt.state: [tgt: web1, sls: bad]}
after: {salt.function: [name: test.ping, tgt: web1, require: [salt: bad]]}
rescue: {salt.function: [name: test.ping, tgt: web1, onfail: [salt: bad]]}
same: {salt.state: [tgt: web1, sls: same]}
idle: {salt.function: [name: test.ping, tgt: web1, onfail: [salt: same]]}
unchanged: {salt.function: [name: test.ping, tgt: web1, onchanges: [salt: same]]}
nowhere: {salt.state: [tgt: web1, sls: nosuch]}
untrue: {salt.function: [name: test.false, tgt: web1]}
code: {salt.function: [name: test.retcode, tgt: web1, arg: [3]]}
forgiven: {salt.state: [tgt: web1, sls: bad, fail_minions: web1]}
nobody: {salt.function: [name: test.ping, tgt: nosuch]}
no_one: {salt.state: [tgt: nosuch, sls: good]}
silent: {salt.state: [tgt: '*', sls: same, timeout: 1]}
enough: {salt.function: [name: test.ping, tgt: '*', timeout: 1]}
hard: {salt.function: [name: cmd.run, tgt: web1, arg: ['exit 1'], failhard: true]}
never: {salt.runner: [name: test.arg]}
"""
LOST = "one: {salt.runner: [name: test.arg, require: [salt: lost]]}"


def test_orchestrations_end_the_same(pair: Pair) -> None:
    for name, text in (("every", EVERY_KIND), ("failures", FAILURES), ("lost", LOST)):
        (pair.files / f"{name}.sls").write_text(text)
    ended = pair.run(
        ("state.orchestrate", "every", "pillar={word: hello}"),
        ("state.orchestrate", "every", "pillar={word: hello}", "test=True", "--out=json"),
        ("state.orchestrate", "failures", "--out=json"),
        ("state.orchestrate", "lost"),
    )
    for ours, theirs in ended:
        check_same(ours, theirs)
    assert [ours.code for ours, _ in ended] == [0, 0, 1, 1]
