"""How many minions of a batch work at once."""

from __future__ import annotations

import math

from greensalt.errors import SaltInvocationError


def batch_size(text: str | int, minions: int) -> int:
    """How many of `minions` may work at once, from "10" or "25%"; at least one."""
    wanted = str(text).strip()
    try:
        if wanted.endswith("%"):
            share = float(wanted[:-1])
            if not (share >= 0 and math.isfinite(share)):
                raise ValueError
            return max(1, math.floor(minions * min(share, 100) / 100))
        return max(1, int(wanted))
    except ValueError:
        raise SaltInvocationError(
            f"the batch size {wanted!r} is neither a number like 10 nor a percentage like 25%"
        ) from None
