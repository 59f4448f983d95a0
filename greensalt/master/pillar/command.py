"""What the command `_pillar` asks for, checked, and the pillar that it gets.

The same in the master and in its worker processes.
"""

from __future__ import annotations

from typing import Any

from greensalt.errors import MalformedMessage
from greensalt.master.pillar.service import PillarService

ENVIRONMENT_MOST_CHARS = 255


def pillar_of(
    pillars: PillarService, minion_id: str, load: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """(grains, pillar) of the minion that asks. Raises MalformedMessage."""
    grains = load.get("grains")
    if not isinstance(grains, dict):
        raise MalformedMessage(f"{minion_id}: a pillar request without grains")
    # Whose pillar it is says the session, never the load: `ext` (CVE-2025-22237) is ignored.
    grains = {**grains, "id": minion_id}
    override = load.get("pillar_override")
    pillar = pillars.pillar(
        minion_id,
        grains,
        saltenv=_environment(minion_id, load.get("saltenv")),
        pillarenv=_environment(minion_id, load.get("pillarenv")),
        override=override if isinstance(override, dict) else None,
    )
    return grains, pillar


def _environment(minion_id: str, value: Any) -> str | None:
    """The name of an environment in a request; it may be missing."""
    if value is None or (isinstance(value, str) and len(value) <= ENVIRONMENT_MOST_CHARS):
        return value or None
    raise MalformedMessage(f"{minion_id}: the name of an environment is none: {value!r:.100}")
