"""The documentation of functions, chosen by name."""

from __future__ import annotations

import fnmatch
import re
from typing import Final

from greensalt.functions.loader import Loader

_MARKUP: Final = (
    (re.compile(r" *\.\. code-block:: \S+\n{1,2}"), ""),
    (re.compile(r"\.\. versionadded::"), "New in version"),
    (re.compile(r"\.\. versionchanged::"), "Changed in version"),
    (re.compile(r"\.\. note::"), "Note:"),
    (re.compile(r"\.\. warning::"), "Warning:"),
)


def docs_of(loader: Loader, *wanted: str) -> dict[str, str | None]:
    """The docstrings of the functions that `wanted` means, by full name; without any, of all.

    A name means the function itself or all of a module, a pattern with `*` whatever it matches.
    Markup that only serves rendered pages is taken out; a function without a docstring has None.
    """
    found: dict[str, str | None] = {}
    for name in loader.names():
        if not wanted or any(_is_meant(name, pattern) for pattern in wanted):
            function = loader.function(name)
            doc = None if function is None else function.doc
            found[name] = doc and strip_markup(doc)
    return found


def _is_meant(name: str, pattern: str) -> bool:
    if "*" in pattern:
        return fnmatch.fnmatchcase(name, pattern)
    if not pattern:
        return True
    return name == pattern or name.startswith(pattern if pattern.endswith(".") else f"{pattern}.")


def strip_markup(doc: str) -> str:
    """Take the directives that only serve rendered pages out of a docstring."""
    for pattern, text in _MARKUP:
        doc = pattern.sub(text, doc)
    return doc
