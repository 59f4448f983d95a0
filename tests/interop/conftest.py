"""Every test in this room talks to a real stock Salt."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests._daemons import STOCK_VERSIONS, stock_bin

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.interop)
            item.add_marker(pytest.mark.timeout(240))


@pytest.fixture(scope="session", autouse=True)
def _stock_salts() -> None:
    """Without the stock Salts there is nothing to test: skipped at home, an error in CI."""
    missing = [
        version for version in STOCK_VERSIONS if not (stock_bin(version) / "salt-minion").exists()
    ]
    if not missing:
        return
    reason = f"no stock Salt {', '.join(missing)}: run tools/stock-venvs"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
