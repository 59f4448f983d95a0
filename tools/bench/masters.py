"""The masters that are measured: as users start them, without the tests' debug log."""

from __future__ import annotations

import os

from tests._daemons import GreensaltMaster, Master, StockMaster

KINDS: dict[str, type[Master]] = {}


class QuietGreensaltMaster(GreensaltMaster):
    """Logs at level info, as the stock master does here."""

    def argv(self) -> list[str]:
        return [*super().argv()[:-1], "info"]


KINDS["greensalt"] = QuietGreensaltMaster
KINDS["stock"] = StockMaster


def settle() -> None:
    """Undo what would falsify figures: with this set, each command is compiled at each start."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
