"""The functions themselves: their names, arguments and documentation."""

from __future__ import annotations

import fnmatch
from typing import Any

from greensalt.functions.docs import docs_of
from greensalt.minion.context import Context

# Listing functions imports all modules, so these run beside the hub: no GREEN.


def doc(*args: str, context: Context) -> dict[str, str | None]:
    """Return the documentation of functions: of one, of a module, of a pattern, or of all.

    CLI Example:

        greensalt-cli '*' sys.doc
        greensalt-cli '*' sys.doc sys
        greensalt-cli '*' sys.doc sys.doc network.traceroute
        greensalt-cli '*' sys.doc 'sys.*'
    """
    return docs_of(context.loader, *args)


def list_functions(*args: str, context: Context, **kwargs: Any) -> list[str]:
    """List the functions of all modules, or of the given ones; patterns are understood.

    CLI Example:

        greensalt-cli '*' sys.list_functions
        greensalt-cli '*' sys.list_functions sys user
        greensalt-cli '*' sys.list_functions 'sys.list_*'
    """
    names = context.loader.names()
    if not args:
        return names
    return sorted({name for wanted in args for name in _matching(names, wanted)})


def _matching(names: list[str], wanted: str) -> list[str]:
    if "*" in wanted or "." in wanted:
        return fnmatch.filter(names, wanted)
    return [name for name in names if name.startswith(f"{wanted}.")]


def list_modules(*args: str, context: Context) -> list[str]:
    """List the modules that can be used here; patterns are understood.

    CLI Example:

        greensalt-cli '*' sys.list_modules
        greensalt-cli '*' sys.list_modules 's*'
    """
    modules = context.loader.modules()
    if not args:
        return modules
    found: set[str] = set()
    for wanted in args:
        if "*" in wanted:
            matching = fnmatch.filter(context.loader.names(), wanted)
            found.update(name.partition(".")[0] for name in matching)
        elif wanted in modules:
            found.add(wanted)
    return sorted(found)


def argspec(module: str = "", *, context: Context) -> dict[str, dict[str, Any]]:
    """Return the arguments of the functions of a module, of one function or of a pattern.

    CLI Example:

        greensalt-cli '*' sys.argspec pkg.install
        greensalt-cli '*' sys.argspec sys
        greensalt-cli '*' sys.argspec 'pkg.*'
    """
    specs = {}
    for name in _matching(context.loader.names(), module):
        function = context.loader.function(name)
        if function is not None:
            specs[name] = function.argspec()
    return specs


def reload_modules(*, context: Context) -> bool:
    """Tell the minion to look for modules anew.

    CLI Example:

        greensalt-cli '*' sys.reload_modules
    """
    context.refresh("modules")
    return True
