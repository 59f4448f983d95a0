"""Minions of stock Salt and of greensalt on a greensalt master: what they see as their pillar."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests._daemons import (
    STOCK_VERSIONS,
    Daemon,
    GreensaltMaster,
    GreensaltMinion,
    StockMinion,
    run,
    short_dir,
    stock_bin,
)
from tests.master.pillar._compiling import write_tree

OURS = "greensalt"
IDS = [*(f"stock-{version}" for version in STOCK_VERSIONS), OURS]
TREE = {
    "top.sls": "base: {'*': [all], 'stock-*': [stock], 'kernel:Linux': [{match: grain}, linux]}",
    "all.sls": "you: {{ grains.id }}\nlist: [1, {a: null}, true, 1.5, Größe]\nnumbers: {80: http}",
    "stock.sls": "stock: v{{ grains.saltversion }}",
    "linux.sls": "kernel: {{ salt['grains.get']('kernel') }}",
}


@pytest.fixture(scope="module")
def master() -> Iterator[GreensaltMaster]:
    with short_dir() as where:
        write_tree(where / "pillar", TREE)
        roots = {"base": [str(where / "pillar")]}
        minions: list[Daemon] = []
        with GreensaltMaster(where, auto_accept=True, pillar_roots=roots) as made:
            try:
                minions += [
                    StockMinion(where, f"stock-{version}", made.ret_port, version)
                    for version in STOCK_VERSIONS
                ]
                minions.append(GreensaltMinion(where, OURS, made.ret_port))
                for minion in minions:
                    minion.start(wait=False)
                for minion in minions:
                    minion.wait_ready()
                yield made
            finally:
                for minion in minions:
                    minion.child.terminate()
                for minion in minions:
                    minion.stop()


def expected(minion_id: str) -> dict[str, object]:
    stock = {"stock": minion_id.replace("stock-", "v")} if minion_id != OURS else {}
    common = {"you": minion_id, "list": [1, {"a": None}, True, 1.5, "Größe"]}
    return {**common, **stock, "numbers": {"80": "http"}, "kernel": "Linux"}


def test_every_minion_has_its_pillar(master: GreensaltMaster) -> None:
    seen = master.ask("*", "pillar.raw")
    assert seen == {minion_id: expected(minion_id) for minion_id in IDS}


def test_items_have_the_same_keys(master: GreensaltMaster) -> None:
    """Since 3008 stars take the place of the values in the results of a job."""
    seen = master.ask("*", "pillar.items")
    assert {minion_id: set(items) for minion_id, items in seen.items()} == {
        minion_id: set(expected(minion_id)) for minion_id in IDS
    }
    assert seen["stock-3006.30"] == expected("stock-3006.30")


def test_jobs_go_to_minions_by_their_pillar(master: GreensaltMaster) -> None:
    found = master.ask("stock:v3007*", "test.ping", options=("-I",))
    assert found == {"stock-3007.17": True}
    assert master.ask("kernel:Linux", "test.ping", options=("-I",)).keys() == set(IDS)


def test_a_change_reaches_the_minions_with_a_refresh(master: GreensaltMaster) -> None:
    write_tree(master.dir.parent / "pillar", {"linux.sls": "kernel: changed"})
    master.ask("*", "saltutil.refresh_pillar", "wait=True")

    def changed() -> bool:
        values = master.ask("*", "pillar.raw", "kernel")
        return values == dict.fromkeys(IDS, "changed")

    master.child.wait_until(changed, "the new pillar at every minion", 30)
    write_tree(master.dir.parent / "pillar", {"linux.sls": TREE["linux.sls"]})
    master.ask("*", "saltutil.refresh_pillar", "wait=True")


@pytest.mark.parametrize("version", STOCK_VERSIONS)
def test_salt_call_asks_for_it_itself(master: GreensaltMaster, version: str) -> None:
    where = master.dir.parent / f"stock-{version}"
    called = run(stock_bin(version) / "salt-call", "-c", where, "--out=json", "pillar.items", "you")
    assert called.returncode == 0, called.stderr
    assert '"you"' in called.stdout
