"""One master, minions of several codecs and a stock one: real processes, one job for all."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests._daemons import (
    NEWEST,
    READY_S,
    GreensaltMaster,
    GreensaltMinion,
    Minion,
    StockMinion,
    free_port,
    short_dir,
    stock_bin,
)

CODECS = ("orjson", "ormsgpack", "cbor2")
NESTED = {"list": [1, 2.5, None, True], "deep": {"a": {"b": [{"c": "é"}]}}, "empty": {}}

BLOB = """
def blob():
    return {"raw": bytes(range(256)), "text": b"text", 7: ("a", {"b"})}
"""


class Fleet:
    """A master and its minions by id."""

    def __init__(self, where: Path) -> None:
        self.ports = {name: free_port() for name in CODECS}
        self.master = GreensaltMaster(
            where, auto_accept=True, serializers=self.ports, serializer="orjson"
        )
        port = self.master.ret_port
        self.minions: dict[str, Minion] = {
            name: GreensaltMinion(
                where, name, port, serializer=name, module_dirs=[str(where / "modules")]
            )
            for name in CODECS
        }
        if (stock_bin(NEWEST) / "salt-minion").exists():
            self.minions["stock"] = StockMinion(
                where, "stock", port, module_dirs=[str(where / "modules")]
            )
        (where / "modules" / "modules").mkdir(parents=True)
        for folder in ("modules", "modules/modules"):
            (where / folder / "made.py").write_text(BLOB)

    def all(self, value: Any) -> dict[str, Any]:
        return dict.fromkeys(self.minions, value)


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    with short_dir() as where:
        made = Fleet(where)
        try:
            made.master.start()
            for minion in made.minions.values():
                minion.start(wait=False)
            for minion in made.minions.values():
                minion.wait_ready()
            yield made
        finally:
            for minion in made.minions.values():
                minion.stop()
            made.master.stop()


def test_the_stock_minion_takes_part_where_it_is_installed(fleet: Fleet) -> None:
    if "GREENSALT_STOCK_VENVS" in os.environ:
        assert "stock" in fleet.minions
    assert set(CODECS) <= set(fleet.minions)


def test_each_minion_listens_on_the_port_of_its_codec(fleet: Fleet) -> None:
    for name, port in fleet.ports.items():
        text = fleet.minions[name].child.text()
        assert f"jobs from tcp://127.0.0.1:{port}" in text
        assert "msgpack it is" not in text


def test_all_answer_a_ping(fleet: Fleet) -> None:
    assert fleet.master.ask("*", "test.ping") == fleet.all(True)


def test_nested_data_comes_back_the_same(fleet: Fleet) -> None:
    assert fleet.master.ask("*", "test.echo", json.dumps(NESTED)) == fleet.all(NESTED)


def test_the_output_of_a_command_is_the_same(fleet: Fleet) -> None:
    job = ("cmd.run", "printf 'déjà vu\\n%.0s' $(seq 1000)")
    assert fleet.master.ask("*", *job) == fleet.all("\n".join(["déjà vu"] * 1000))


def test_a_binary_return_with_integer_keys_arrives_as_from_stock(fleet: Fleet) -> None:
    from greensalt.client import LocalClient

    with LocalClient(fleet.master.dir) as client:
        returns = client.cmd("*", "made.blob")
    expected = {"raw": bytes(range(256)), "text": "text", 7: ["a", ["b"]]}
    assert returns == fleet.all(expected)


def test_after_a_restart_of_the_master_all_answer_without_a_sign_in(fleet: Fleet) -> None:
    before = {name: fleet.minions[name].child.text().count("signed in at ") for name in CODECS}
    fleet.master.restart()
    fleet.master.child.wait_until(
        lambda: fleet.master.ask("*", "test.ping") == fleet.all(True), "answers of all", READY_S
    )
    after = {name: fleet.minions[name].child.text().count("signed in at ") for name in CODECS}
    assert after == before


def test_the_command_line_spoke_its_codec(fleet: Fleet) -> None:
    done = fleet.master.run_cli("-l", "info", "orjson", "test.ping")
    assert done.returncode == 0
    assert "msgpack it is" not in done.stderr
