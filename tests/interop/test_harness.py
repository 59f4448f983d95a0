"""The harness itself: a stock master and a stock minion find each other."""

from __future__ import annotations

from pathlib import Path

from tests._daemons import StockMaster, StockMinion


def test_a_stock_master_and_a_stock_minion_run_a_job(short_dir: Path) -> None:
    with (
        StockMaster(short_dir, auto_accept=True) as master,
        StockMinion(short_dir, "stock", master.ret_port) as minion,
    ):
        assert master.ask("*", "test.ping") == {"stock": True}
        assert minion.sign_ins() == 1
        minion.stop()
        assert not minion.child.alive
