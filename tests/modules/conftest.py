from __future__ import annotations

from pathlib import Path

import pytest

from tests._calls import Caller


@pytest.fixture
def minion(tmp_path: Path) -> Caller:
    return Caller(tmp_path)
