"""How results look on a screen or in a file: one module an outputter, imported when it is used.

An outputter is a function `output(data, style) -> str`: `data` is usually {minion id: result}, the
text has no newline at its end. `render` finds it by name. The texts are those that Salt prints,
so that scripts reading them go on working; where they differ, the module says why.
"""

from __future__ import annotations

import importlib
import logging
from typing import Any, Final, NamedTuple, Protocol, cast

log = logging.getLogger(__name__)

MODULES: Final = {
    "highstate": "highstate",
    "json": "json_out",
    "key": "key",
    "nested": "nested",
    "newline_values_only": "newline_values_only",
    "no_return": "no_return",
    "pprint": "pprint_out",
    "quiet": "quiet",
    "raw": "raw",
    "table": "table",
    "txt": "txt",
    "yaml": "yaml_out",
}
NAMES: Final = tuple(name for name in MODULES if name != "no_return")
STATE_OUTPUTS: Final = ("full", "terse", "mixed", "changes")
DEFAULT: Final = "nested"


class Style(NamedTuple):
    """What outputters have to know besides the data.

    `indent` None is the outputter's own indentation, a negative one none at all: json on one line,
    yaml in flow style; the others have only their own. `state_output` is one of STATE_OUTPUTS;
    with `_id` at its end the id of a state is shown in place of its name. Source: Salt's options
    of the same names.
    """

    color: bool = False
    indent: int | None = None
    state_output: str = "full"
    state_verbose: bool = True
    state_output_profile: bool = True
    state_output_diff: bool = False


PLAIN: Final = Style()


class Outputter(Protocol):
    """What every module named in MODULES defines."""

    def output(self, data: Any, style: Style, /) -> str: ...


def load(name: str) -> Outputter | None:
    """The outputter of that name, or None when there is none."""
    module = MODULES.get(name)
    if module is None:
        return None
    return cast(Outputter, importlib.import_module(f"{__name__}.{module}"))


def render(data: Any, name: str, style: Style = PLAIN) -> str:
    """`data` as text, without whitespace at its end.

    An unknown name, and data that the outputter can't show, are shown as nested: a minion names the
    outputter of its result, and a result must never be lost over that.
    """
    outputter = load(name)
    if outputter is None:
        log.debug("there is no outputter %r, nested takes its place", name)
        outputter = cast(Outputter, load(DEFAULT))
    try:
        text = outputter.output(data, style)
    except Exception as error:
        if name == DEFAULT:
            raise
        log.debug("outputter %s can't show this result: %s: %s", name, type(error).__name__, error)
        text = cast(Outputter, load(DEFAULT)).output(data, style)
    return text.rstrip()
