"""What a batch is, and how it is kept."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from greensalt.errors import SaltInvocationError
from greensalt.target.batchsize import batch_size

RUNNING: Final = "running"
STOPPED: Final = "stopped"
HALTED: Final = "halted"
COMPLETE: Final = "complete"
OVER: Final = frozenset({STOPPED, HALTED, COMPLETE})
"""States in which nobody else begins; all but the last can be resumed."""


@dataclass
class BatchState:
    """One batch. `up` are its minions in their order (None: not yet known); `down` those that get
    no job since they are not there; `silent` those that got it and are given up. Times in seconds.
    """

    jid: str
    user: str
    load: dict[str, Any]
    size: str
    wait_s: float = 0.0
    failhard: bool = False
    timeout_s: float = 5.0
    state: str = RUNNING
    up: list[str] | None = None
    down: list[str] = field(default_factory=list)
    silent: list[str] = field(default_factory=list)
    forgiven: int = 0
    """The `seq` of the last return that no longer halts the batch."""

    def kept(self) -> dict[str, Any]:
        """As a plain dict."""
        return asdict(self)


def asked_state(
    jid: str, user: str, load: dict[str, Any], minions: int, timeout_s: float
) -> BatchState:
    """The batch that a request asks for; raises SaltInvocationError naming what is wrong.

    `load["batch"]` is {size, wait, failhard, timeout, safe_limit, safe_size}, each optional.
    """
    asked = load.get("batch")
    if not isinstance(asked, Mapping):
        raise SaltInvocationError("`batch` is not a dict")
    size = asked.get("size")
    if size is None:
        limit = _number(asked, "safe_limit", 0)
        size = asked.get("safe_size", "8") if limit and minions >= limit else "100%"
    batch_size(size, 1)
    kwargs = {key: value for key, value in (load.get("kwargs") or {}).items() if key != "nocache"}
    kept = {key: load[key] for key in ("fun", "arg", "ret", "eauth") if load.get(key)}
    return BatchState(
        jid=jid,
        user=user,
        load={**kept, "kwargs": kwargs},
        size=str(size),
        wait_s=_number(asked, "wait", 0),
        failhard=bool(asked.get("failhard")),
        timeout_s=_number(asked, "timeout", timeout_s),
    )


def _number(asked: Mapping[str, Any], key: str, default: float) -> float:
    value = asked.get(key)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SaltInvocationError(f"`{key}` of a batch is {value!r:.40}, not a number")
    if not (math.isfinite(value) and value >= 0):
        raise SaltInvocationError(f"`{key}` of a batch is {value!r:.40}")
    return float(value)
