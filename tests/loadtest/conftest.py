"""The load test, run for a few seconds with a few users: its content is what is tested."""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).parent
PURE = {"test_figures.py"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE) and item.path.name not in PURE:
            item.add_marker(pytest.mark.e2e)
