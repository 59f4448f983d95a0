"""Stock minions live on a greensalt master: files, modules, pillar, mine, events and states."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from greensalt.transport.addresses import master_event_pub
from greensalt.transport.bus import BusClient
from tests._daemons import (
    NEWEST,
    READY_S,
    STOCK_VERSIONS,
    GreensaltMaster,
    GreensaltMinion,
    Master,
    StockMaster,
    StockMinion,
    run,
    short_dir,
    stock_bin,
)
from tests.interop._states import (
    HUGE_BYTES,
    LARGE_BYTES,
    SHARED,
    made,
    outcome,
    sha256,
    write_huge,
    write_pillar,
    write_states,
)

STATES_S = 90
FAILURES = {"broken": False, "never": False, "missing": False}


@dataclass
class Site:
    """A master with its minions and the directory of each where states write."""

    master: Master
    srv: Path
    minions: dict[str, StockMinion] = field(default_factory=dict)

    def where(self, version: str) -> Path:
        return self.minions[version].dir / "made"

    def ask(self, version: str, *job: str) -> Any:
        minion_id = self.minions[version].id
        done = self.master.run_cli("--out=json", "--static", minion_id, *job, timeout_s=STATES_S)
        answer = json.loads(done.stdout)[minion_id]
        # Stock's command line wraps what a state run returns; greensalt's gives it as it is.
        return answer["ret"] if isinstance(answer, dict) and "ret" in answer else answer

    def call(self, version: str, *job: str) -> Any:
        """What `salt-call` on the minion's machine says."""
        command = stock_bin(version) / "salt-call"
        where = self.minions[version].dir
        done = run(command, "-c", where, "--out=json", *job, timeout_s=STATES_S)
        return json.loads(done.stdout)["local"]


@pytest.fixture(scope="module", name="sites")
def _sites() -> Iterator[dict[str, Site]]:
    """A greensalt master and a stock one, each with a minion of each release and one that gives."""
    with short_dir() as root, ExitStack() as stack:
        srv = write_states(root)
        options = {
            "auto_accept": True,
            "file_roots": {"base": [str(srv)]},
            "pillar_roots": {"base": [str(write_pillar(root))]},
            "file_recv": True,
            "timeout": 60,
        }
        mine = {"shared": [{"mine_function": "test.echo"}, SHARED]}
        green = Site(stack.enter_context(GreensaltMaster(root, "g", **options)), srv)
        stock = Site(stack.enter_context(StockMaster(root, "s", **options)), srv)
        minions: list[StockMinion] = []
        for site in (green, stock):
            for version in STOCK_VERSIONS:
                name = f"{site.master.name}-{version}"
                where = str(root / name / "made")
                minion = StockMinion(
                    root, name, site.master.ret_port, version, grains={"where": where}
                )
                site.minions[version] = minion
                minions.append(minion)
            (root / f"{site.master.name}-other").mkdir()
            minions.append(
                StockMinion(
                    root / f"{site.master.name}-other",
                    "giver",
                    site.master.ret_port,
                    mine_functions=mine,
                )
            )
        try:
            for minion in minions:
                minion.start(wait=False)
            for minion in minions:
                minion.wait_ready()
            for site in (green, stock):
                assert site.master.ask("giver", "mine.update") == {"giver": True}
            yield {"green": green, "stock": stock}
        finally:
            for minion in minions:
                minion.child.terminate()
            for minion in minions:
                minion.stop()


@pytest.fixture(name="green")
def _green(sites: dict[str, Site]) -> Site:
    return sites["green"]


@pytest.fixture(params=STOCK_VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_large_file_arrives_as_it_is(green: Site, version: str) -> None:
    copy = green.minions[version].dir / "large"
    assert green.ask(version, "cp.get_file", "salt://large.bin", str(copy)) == str(copy)
    assert copy.stat().st_size == LARGE_BYTES
    assert sha256(copy) == sha256(green.srv / "large.bin")


def test_a_file_comes_compressed_on_request(green: Site, version: str) -> None:
    copy = green.minions[version].dir / "packed"
    job = ("cp.get_file", "salt://web/init.sls", str(copy), "gzip=5")
    assert green.ask(version, *job) == str(copy)
    assert sha256(copy) == sha256(green.srv / "web/init.sls")


def test_files_are_listed_and_hashed(green: Site, version: str) -> None:
    files = green.ask(version, "cp.list_master")
    assert files == sorted(
        str(path.relative_to(green.srv)) for path in green.srv.rglob("*") if path.is_file()
    )
    assert "web/files/tree/hollow" in green.ask(version, "cp.list_master_dirs")
    wanted = {"hsum": sha256(green.srv / "large.bin"), "hash_type": "sha256"}
    assert green.ask(version, "cp.hash_file", "salt://large.bin") == wanted


def test_a_file_that_is_not_there_is_not_there(green: Site, version: str) -> None:
    assert not green.ask(version, "cp.cache_file", "salt://nowhere")
    assert not green.ask(version, "cp.hash_file", "salt://nowhere")
    assert not green.ask(version, "cp.get_file_str", "salt://../../etc/passwd")


def test_a_directory_is_copied(green: Site, version: str) -> None:
    copy = green.minions[version].dir / "dir"
    copy.mkdir()
    green.ask(version, "cp.get_dir", "salt://web/files/tree", str(copy))
    source = green.srv / "web/files"
    wanted = {str(path.relative_to(source)) for path in source.rglob("*") if path.is_file()}
    got = {str(path.relative_to(copy)) for path in copy.rglob("*") if path.is_file()}
    assert got == {name for name in wanted if name.startswith("tree/")}


def test_a_minion_pushes_a_file(green: Site, version: str) -> None:
    minion = green.minions[version]
    source = minion.dir.resolve() / "pushed"
    source.write_bytes(bytes(range(256)) * 5000)
    assert green.ask(version, "cp.push", str(source)) is True
    kept = green.master.cache_dir / "minions" / minion.id / "files" / str(source)[1:]
    assert sha256(kept) == sha256(source)


def both(sites: dict[str, Site], ask: Callable[[Site, str], Any]) -> dict[tuple[str, str], Any]:
    """What minions of all releases say, asked at once: by kind of master and release."""
    keys = [(name, version) for name in sites for version in STOCK_VERSIONS]
    with ThreadPoolExecutor(len(keys)) as pool:
        answers = pool.map(lambda key: ask(sites[key[0]], key[1]), keys)
        return dict(zip(keys, answers, strict=True))


def test_a_trial_run_says_the_same_as_under_a_stock_master(sites: dict[str, Site]) -> None:
    """The run itself syncs the module that the states need."""
    trials = both(sites, lambda site, version: site.call(version, "state.apply", "test=True"))
    for version in STOCK_VERSIONS:
        ours = outcome(trials["green", version], sites["green"].where(version))
        assert ours == outcome(trials["stock", version], sites["stock"].where(version))
        results = [result["result"] for result in ours]
        assert results.count(None) > 5
        assert False not in results
        assert not made(sites["green"].where(version))


def test_states_come_out_as_under_a_stock_master(sites: dict[str, Site]) -> None:
    green, stock = sites["green"], sites["stock"]
    runs = both(sites, lambda site, version: site.ask(version, "state.apply"))
    files = made(stock.where(NEWEST))
    for version in STOCK_VERSIONS:
        ours = outcome(runs["green", version], green.where(version))
        assert ours == outcome(runs["stock", version], stock.where(version))
        assert len(ours) == 11
        assert all(result["result"] is True for result in ours)
        assert made(green.where(version)) == made(stock.where(version)) == files
    conf = green.where(NEWEST) / "etc/site.conf"
    assert conf.read_text() == "42 a,b,grün 8080 base\n"
    assert (conf.parents[1] / "message").read_text() == "Größe: 42\nkernel: Linux\n"
    assert json.loads((conf.parents[1] / "shared").read_text()) == {"giver": SHARED}


def test_states_that_fail_do_so_as_under_a_stock_master(sites: dict[str, Site]) -> None:
    def apply(site: Site, version: str) -> Any:
        shutil.rmtree(site.where(version))
        return site.ask(version, "state.apply", "broken")

    runs = both(sites, apply)
    for version in STOCK_VERSIONS:
        green, stock = (site.where(version) for site in (sites["green"], sites["stock"]))
        ours = outcome(runs["green", version], green)
        assert ours == outcome(runs["stock", version], stock)
        failed = {result["__id__"]: result["result"] for result in ours if not result["result"]}
        assert failed == FAILURES
        assert made(green) == made(stock)
        assert (green / "rescued").read_text() == "rescued\n"


def test_a_second_run_changes_nothing(green: Site, version: str) -> None:
    before = made(green.where(version))
    states = green.ask(version, "state.apply", "web")
    assert not any(result["changes"] for result in states.values())
    assert made(green.where(version)) == before


def test_a_new_module_is_synced(green: Site, version: str) -> None:
    module = green.srv / "_modules/late.py"
    try:
        module.write_text("def value(factor):\n    return 3 * factor\n")
        assert "modules.late" in green.ask(version, "saltutil.sync_modules")
        assert green.ask(version, "late.value", "14") == 42
    finally:
        module.unlink()
    assert green.ask(version, "saltutil.sync_all")["modules"] == []
    assert "not available" in green.ask(version, "late.value", "14")
    assert green.ask(version, "answer.value", "6") == 42


def test_a_huge_file_arrives_as_it_is(green: Site) -> None:
    source = green.srv / "huge.bin"
    try:
        wanted = write_huge(source)
        for version, minion in green.minions.items():
            copy = minion.dir / "huge"
            assert green.ask(version, "cp.get_file", "salt://huge.bin", str(copy)) == str(copy)
            assert copy.stat().st_size == HUGE_BYTES
            assert sha256(copy) == wanted
            copy.unlink()
    finally:
        source.unlink()


def test_a_minion_s_own_command_sees_its_pillar(sites: dict[str, Site], version: str) -> None:
    seen = sites["green"].call(version, "pillar.items")
    # Since 3008 stars take the place of the values; `pillar.get` shows them.
    assert seen.keys() == sites["stock"].call(NEWEST, "pillar.items").keys() == {"site"}
    unmasked = ("unmask=True",) if version == NEWEST else ()
    shown = sites["green"].call(version, "pillar.get", "site", *unmasked)
    assert shown == sites["stock"].call(NEWEST, "pillar.get", "site", "unmask=True")
    assert shown["owners"] == {"anna": 8080, "bert": 9090}


def test_a_minion_s_event_reaches_the_master_s_bus(green: Site, version: str) -> None:
    bus = BusClient(master_event_pub(green.master.root / "var/run/salt/master"))
    try:
        bus.subscribe(f"garden/{version}")
        bus.sync(READY_S)
        assert green.call(version, "event.send", f"garden/{version}", '{"beds": [1, 2]}') is True
        event = bus.next(READY_S)
        assert event is not None
        tag, load = event
        assert tag == f"garden/{version}"
        assert load["id"] == green.minions[version].id
        assert load["data"]["beds"] == [1, 2]
    finally:
        bus.close()


def test_minions_share_values_through_the_mine(green: Site, version: str) -> None:
    minion_id = green.minions[version].id
    other = next(name for name in green.minions if name != version)
    job = ("mine.send", "bed", "mine_function=test.echo", "roses")
    assert green.ask(version, *job) is True
    assert green.ask(other, "mine.get", minion_id, "bed") == {minion_id: "roses"}
    assert green.ask(other, "mine.get", "giver", "shared") == {"giver": SHARED}
    assert green.ask(version, "mine.delete", "bed") is True
    assert green.ask(other, "mine.get", minion_id, "bed") == {}
    assert green.ask(version, *job) is True
    assert green.ask(version, "mine.flush") is True
    assert green.ask(other, "mine.get", minion_id, "bed") == {}
    assert green.ask(other, "mine.get", "giver", "shared") == {"giver": SHARED}


def test_a_greensalt_minion_uses_a_stock_master_s_files(sites: dict[str, Site]) -> None:
    stock = sites["stock"]
    with GreensaltMinion(stock.srv.parent, "own", stock.master.ret_port) as minion:
        copy, kept = minion.dir.resolve() / "copy", stock.master.cache_dir / "minions/own/files"
        jobs = {
            ("cp.get_file", "salt://large.bin", str(copy)): str(copy),
            ("cp.get_file_str", "salt://web/files/data.yaml"): "port: 8080\n",
            ("cp.push", str(copy)): True,
        }
        for job, answer in jobs.items():
            assert stock.master.ask("own", *job) == {"own": answer}
        wanted = sha256(stock.srv / "large.bin")
        assert sha256(copy) == sha256(kept / str(copy)[1:]) == wanted
