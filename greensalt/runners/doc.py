"""The documentation of what can be run."""

from __future__ import annotations

from greensalt.functions.docs import docs_of
from greensalt.functions.loader import Loader
from greensalt.master.context import MasterContext

# Listing functions imports all modules, so these run beside the hub: no GREEN.


def runner(*args: str, context: MasterContext) -> dict[str, str | None]:
    """Return the documentation of runners: of one, of a module, of a pattern, or of all.

    CLI Example:

        greensalt run doc.runner
        greensalt run doc.runner jobs
    """
    return docs_of(context.runs.loaders["runner"], *args)


def wheel(*args: str, context: MasterContext) -> dict[str, str | None]:
    """Return the documentation of wheel functions, as `doc.runner`.

    CLI Example:

        greensalt run doc.wheel key.accept
    """
    return docs_of(context.runs.loaders["wheel"], *args)


def execution(*args: str, context: MasterContext) -> dict[str, str | None]:
    """Return the documentation of execution modules that work on the master's machine.

    CLI Example:

        greensalt run doc.execution test.ping
    """
    return docs_of(Loader((context.config.extension_modules / "modules",)), *args)
