"""The arguments of a job, sorted into positional and keyword ones for a function.

Source: docs/protocol.md 5.3, "Argument handling".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from greensalt.errors import SaltInvocationError
from greensalt.functions.function import CONTEXT, LoadedFunction
from greensalt.wire.arguments import KWARG_MARK, split_keyword, yaml_value


def condition(
    function: LoadedFunction, args: Sequence[Any], load: Mapping[str, Any] | None = None
) -> tuple[list[Any], dict[str, Any]]:
    """Sort the `arg` of a job into positional and keyword arguments for `function`.

    Keywords come in dicts marked with `__kwarg__`, and as strings `name=value` whose value is read
    as YAML; other strings are taken as they are. A function with `**kwargs` also gets every field
    of the job's `load` as `__pub_<field>`. Raises SaltInvocationError for keywords that the
    function does not take.
    """
    positional: list[Any] = []
    keywords: dict[str, Any] = {}
    refused: list[str] = []

    def take(name: Any, value: Any) -> None:
        if (function.takes_any and name != CONTEXT) or name in function.keywords:
            keywords[name] = value
        else:
            refused.append(f"{name}={value}")

    for arg in args:
        if isinstance(arg, dict) and arg.get(KWARG_MARK) is True:
            for name, value in arg.items():
                if name != KWARG_MARK:
                    take(name, value)
        elif isinstance(arg, str) and (pair := split_keyword(arg)) is not None:
            take(pair[0], yaml_value(pair[1]))
        else:
            positional.append(arg)
    if refused:
        raise SaltInvocationError(
            f"The following keyword arguments are not valid: {', '.join(refused)}"
        )
    if function.takes_any and load is not None:
        keywords.update({f"__pub_{field}": value for field, value in load.items()})
    return positional, keywords


def without_pub(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The keyword arguments that the caller gave, without what the job added."""
    return {name: value for name, value in kwargs.items() if not name.startswith("__")}
