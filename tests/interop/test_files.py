"""Stock minions live on greensalt's file server: cp.*, modules and states, as on a stock master."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests._daemons import (
    NEWEST,
    STOCK_VERSIONS,
    GreensaltMaster,
    GreensaltMinion,
    Master,
    StockMaster,
    StockMinion,
    short_dir,
)
from tests.interop._states import LARGE_BYTES, made, outcome, sha256, write_states

STATES_S = 90


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


@pytest.fixture(scope="module", name="sites")
def _sites() -> Iterator[dict[str, Site]]:
    """A greensalt master with a minion of each release, a stock master with one of the newest."""
    with short_dir() as root, ExitStack() as stack:
        srv = write_states(root)
        options = {
            "auto_accept": True,
            "file_roots": {"base": [str(srv)]},
            "file_recv": True,
            "timeout": 60,
        }
        green = Site(stack.enter_context(GreensaltMaster(root, "g", **options)), srv)
        stock = Site(stack.enter_context(StockMaster(root, "s", **options)), srv)
        minions: list[StockMinion] = []
        for site, versions in ((green, STOCK_VERSIONS), (stock, (NEWEST,))):
            for version in versions:
                name = f"{site.master.name}-{version}"
                where = str(root / name / "made")
                minion = StockMinion(
                    root, name, site.master.ret_port, version, grains={"where": where}
                )
                site.minions[version] = minion
                minions.append(minion)
        try:
            for minion in minions:
                minion.start(wait=False)
            for minion in minions:
                minion.wait_ready()
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


def test_a_custom_module_is_synced(green: Site, version: str) -> None:
    assert green.ask(version, "saltutil.sync_modules") == ["modules.answer"]
    assert green.ask(version, "answer.value", "6") == 42


def test_states_come_out_as_under_a_stock_master(sites: dict[str, Site]) -> None:
    green, stock = sites["green"], sites["stock"]
    stock.ask(NEWEST, "saltutil.sync_modules")
    results = {}
    for name, site in sites.items():
        states = site.ask(NEWEST, "state.apply")
        assert isinstance(states, dict), states
        results[name] = outcome(states, site.where(NEWEST))
    assert results["green"] == results["stock"]
    assert made(green.where(NEWEST)) == made(stock.where(NEWEST))
    assert [result["result"] for result in results["green"]].count(False) == 3
    conf = green.where(NEWEST) / "etc/site.conf"
    assert conf.read_text() == "42 a,b,grün 8080 base\n"


@pytest.mark.parametrize("older", [version for version in STOCK_VERSIONS if version != NEWEST])
def test_states_make_the_same_files_on_older_minions(sites: dict[str, Site], older: str) -> None:
    green = sites["green"]
    assert isinstance(green.ask(older, "state.apply"), dict)
    assert made(green.where(older)) == made(sites["stock"].where(NEWEST))


def test_a_second_run_changes_nothing(green: Site, version: str) -> None:
    before = made(green.where(version))
    states = green.ask(version, "state.apply", "web")
    assert not any(result["changes"] for result in states.values())
    assert made(green.where(version)) == before


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
