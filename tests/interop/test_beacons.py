"""Beacons of stock minions reach the bus of a greensalt master, each under its own tag."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from greensalt.transport.addresses import master_event_pub
from greensalt.transport.bus import BusClient
from tests._daemons import READY_S, STOCK_VERSIONS, GreensaltMaster, StockMinion, short_dir

BEACONS = {"status": [{"loadavg": ["1-min"]}, {"interval": 1}]}


@pytest.fixture(scope="module")
def master() -> Iterator[GreensaltMaster]:
    with short_dir() as where, GreensaltMaster(where, auto_accept=True) as master:
        yield master


@pytest.mark.parametrize("version", STOCK_VERSIONS)
def test_a_beacon_of_a_stock_minion_is_an_event_of_the_master(
    master: GreensaltMaster, version: str
) -> None:
    name = f"b-{version}"
    bus = BusClient(master_event_pub(master.root / "var/run/salt/master"))
    try:
        bus.subscribe("salt/beacon/")
        bus.sync(READY_S)
        with StockMinion(master.dir.parent, name, master.ret_port, version, beacons=BEACONS):
            tags_and_data = [_next(bus), _next(bus)]  # it goes on, and is no single event
    finally:
        bus.close()
    for tag, data in tags_and_data:
        assert tag.startswith(f"salt/beacon/{name}/status/")
        assert data["id"] == name
        assert isinstance(data["data"]["loadavg"]["1-min"], float)
        assert "_stamp" in data


def _next(bus: BusClient) -> tuple[str, dict[str, Any]]:
    event = bus.next(READY_S)
    assert event is not None, "no beacon came"
    return event
