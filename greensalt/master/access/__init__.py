"""Who asks, and what they may do: authentication and authorization of clients.

Access      authenticate(load) -> Caller; authorize(caller, ...); authorize_run(caller, ...)
Caller      who was authenticated, how, and by which rules they are bound
functions_of
            the (function, arguments) pairs of a job
"""

from __future__ import annotations

from greensalt.master.access.access import Access
from greensalt.master.access.caller import Caller
from greensalt.master.access.rules import functions_of

__all__ = ["Access", "Caller", "functions_of"]
