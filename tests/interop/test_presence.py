"""Stock minions are known by their connections as well."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests._daemons import (
    BIN,
    READY_S,
    STOCK_VERSIONS,
    GreensaltMaster,
    StockMinion,
    run,
    short_dir,
)


def _up(master: GreensaltMaster) -> Any:
    options = ("-c", master.dir, "--out=json")
    return json.loads(run(BIN / "greensalt", "run", *options, "manage.up", "how=True").stdout)


@pytest.mark.parametrize("version", STOCK_VERSIONS)
def test_a_stock_minion_is_connected_until_it_is_killed(version: str) -> None:
    with (
        short_dir() as where,
        GreensaltMaster(where, auto_accept=True) as master,
        StockMinion(where, "stock", master.ret_port, version) as minion,
    ):
        master.child.wait_until(
            lambda: _up(master) == {"stock": "connected"} or None, "a stock minion", READY_S
        )
        minion.kill()
        master.child.wait_until(lambda: _up(master) == {} or None, "its end", READY_S)
