"""What a minion asks about the master's own options before it renders states.

Source: docs/protocol.md 6.2.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from greensalt.config import MasterConfig
from greensalt.master.sessions import Peer

ALWAYS = ("top_file_merging_strategy", "env_order", "default_top")
UNLESS_ENV_ONLY = (
    "renderer",
    "failhard",
    "state_top",
    "state_top_saltenv",
    "nodegroups",
    "state_auto_order",
    "state_events",
    "state_aggregate",
    "jinja_env",
    "jinja_sls_env",
    "jinja_lstrip_blocks",
    "jinja_trim_blocks",
)


class MasterOptions:
    """Answers `_master_opts`."""

    def __init__(self, config: MasterConfig, envs: Callable[[], Sequence[str]]) -> None:
        self._config = config
        self._envs = envs

    def options(self, _peer: Peer, load: dict[str, Any]) -> dict[str, Any]:
        """`_master_opts`: the environments and what rendering depends on; paths stay secret."""
        names = ALWAYS if load.get("env_only") else ALWAYS + UNLESS_ENV_ONLY
        roots: dict[str, list[str]] = {env: [] for env in self._envs()}
        return {"file_roots": roots, **{name: getattr(self._config, name) for name in names}}
