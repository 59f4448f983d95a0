"""A back end that believes everybody, to try things on."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from greensalt.config import MasterConfig
from greensalt.master.access.backends.backend import Backend

log = logging.getLogger(__name__)


class Auto(Backend):
    """Every name with every password. For development; the log says so at the start."""

    def __init__(self, options: Mapping[str, Any], config: MasterConfig) -> None:
        super().__init__(options, config)
        log.warning("external_auth: `auto` believes everybody who reaches port %d", config.ret_port)

    def verify(self, username: str, password: str) -> bool:  # noqa: ARG002
        return True
