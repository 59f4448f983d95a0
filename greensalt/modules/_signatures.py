"""The argument lists of the cmd functions: one table of options, from which each takes its own."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields
from functools import wraps
from typing import Any, Final

from greensalt.minion.context import Context
from greensalt.modules._commands import DEFAULT_SHELL, Command, check_permitted

# In the order in which they can be given by position, with their defaults. Some exist only so that
# a caller who sets them is not turned away: they matter on Windows or inside a process.
OPTIONS: Final[dict[str, Any]] = {
    "cwd": None,
    "stdin": None,
    "runas": None,
    "group": None,
    "shell": DEFAULT_SHELL,
    "python_shell": None,
    "env": None,
    "clean_env": False,
    "template": None,
    "rstrip": True,
    "umask": None,
    "output_encoding": None,
    "output_loglevel": "debug",
    "log_callback": None,
    "hide_output": False,
    "timeout": None,
    "reset_system_locale": True,
    "ignore_retcode": False,
    "saltenv": None,
    "use_vt": False,
    "redirect_stderr": False,
    "bg": False,
    "password": None,
    "encoded_cmd": False,
    "raise_err": False,
    "prepend_path": None,
    "success_retcodes": None,
    "success_stdout": None,
    "success_stderr": None,
}
COMMAND_FIELDS: Final = frozenset(item.name for item in fields(Command))

Body = Callable[[Command, dict[str, Any], Context], Any]


def takes(first: str, *second: str, without: str, **defaults: Any) -> Callable[[Body], Any]:
    """Make a function with the arguments `first`, `second` and OPTIONS without some.

    The body gets them as a Command, and all of them by name. Unknown keywords are let pass, as they
    always were: a job adds its own.
    """
    options = {**OPTIONS, **defaults}
    for name in without.split():
        del options[name]
    parameters = [inspect.Parameter(first, inspect.Parameter.POSITIONAL_OR_KEYWORD)]
    for name, default in {**dict.fromkeys(second), **options}.items():
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        parameters.append(inspect.Parameter(name, kind, default=default))
    names = [parameter.name for parameter in parameters]
    parameters.append(inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY))
    parameters.append(inspect.Parameter("kwargs", inspect.Parameter.VAR_KEYWORD))

    def decorate(body: Body) -> Any:
        @wraps(body)
        def function(*args: Any, context: Context, **kwargs: Any) -> Any:
            given = _bind(body.__name__, names, args, kwargs)
            given = {**dict.fromkeys(second), **options, **given}
            return body(_command(first, given, context), given, context)

        function.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # what inspect looks for
        return function

    return decorate


def _bind(
    function: str, names: list[str], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> dict[str, Any]:
    """Sort arguments to their names, with Python's own complaints."""
    if len(args) > len(names):
        raise TypeError(
            f"{function}() takes from 1 to {len(names)} positional arguments but {len(args)}"
            " were given"
        )
    given = dict(zip(names, args, strict=False))
    for name in given:
        if name in kwargs:
            raise TypeError(f"{function}() got multiple values for argument '{name}'")
    given.update(kwargs)
    if names[0] not in given:
        raise TypeError(f"{function}() missing 1 required positional argument: '{names[0]}'")
    return given


def _command(first: str, given: dict[str, Any], context: Context) -> Command:
    """In a job a command is a line for the shell unless it says otherwise; from a function not."""
    known = {name: value for name, value in given.items() if name in COMMAND_FIELDS}
    command = Command(**{**known, "cmd": given[first]})
    is_job = bool(given.get("__pub_jid"))
    if is_job:
        check_permitted(command.cmd, context)
    if command.python_shell is None:
        command.python_shell = is_job or context.opts.others.get("cmd_safe", True) is False
    return command
