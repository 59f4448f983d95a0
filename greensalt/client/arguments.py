"""Words of a command line as typed arguments of a job; what they mean is part of the wire."""

from __future__ import annotations

from greensalt.wire.words import add_kwargs, parse_args

__all__ = ["add_kwargs", "parse_args"]
