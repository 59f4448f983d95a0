"""Runs the functions of a job and turns whatever happens into a result that can be sent.

Source: docs/protocol.md 5.3 (result codes, error texts, blackout).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import gevent

from greensalt.errors import (
    CommandExecutionError,
    CommandNotFoundError,
    GreensaltError,
    SaltInvocationError,
)
from greensalt.functions.arguments import condition
from greensalt.functions.docs import docs_of
from greensalt.functions.function import LoadedFunction
from greensalt.functions.loader import Loader
from greensalt.functions.names import inside
from greensalt.functions.results import sendable
from greensalt.functions.tracebacks import traceback_from
from greensalt.minion.context import Context

log = logging.getLogger(__name__)

EX_OK: Final = 0
EX_GENERIC: Final = 1
ALWAYS_ALLOWED: Final = "saltutil.refresh_pillar"
# Everything that a function may raise, short of the killing of its greenlet. A timeout of gevent's
# is no Exception, and sys.exit() in somebody's module must not end the minion.
ANYTHING: Final = (Exception, SystemExit, gevent.Timeout)
# Frames between the executor and the function, which a traceback need not show.
OWN_FILES: Final = (
    "/greensalt/minion/",
    "/greensalt/functions/",
    "/gevent/",
    "/concurrent/futures/",
)


class Outcome(NamedTuple):
    """How a job ended; for a job of several functions all but `out` have one entry for each."""

    ret: Any
    retcode: Any
    success: Any
    out: str | None = None


def execute(
    loader: Loader,
    context: Context,
    load: Mapping[str, Any],
    told: Mapping[str, Any] | None = None,
) -> Outcome:
    """Run the function or functions of a job; it never raises, short of being killed.

    `told` is what functions that ask for it are told of the job, if that is not the whole load.
    """
    job = context.for_job(str(load.get("jid", "")), str(load.get("user", "")))
    job.loader = loader
    fun, arg = load.get("fun"), load.get("arg")
    if isinstance(fun, list):
        return _execute_many(
            loader, job, fun, arg if isinstance(arg, list) else [], load if told is None else told
        )
    return _execute_one(loader, job, str(fun), arg, load if told is None else told)


def _execute_many(
    loader: Loader, context: Context, funs: list[Any], args: list[Any], load: Mapping[str, Any]
) -> Outcome:
    """Run the functions one after the other, whatever becomes of each."""
    outcomes = [
        _execute_one(loader, context, str(fun), args[i] if i < len(args) else [], load)
        for i, fun in enumerate(funs)
    ]
    if context.opts.multifunc_ordered:
        return Outcome(
            [outcome.ret for outcome in outcomes],
            [outcome.retcode for outcome in outcomes],
            [outcome.success for outcome in outcomes],
        )
    named = dict(zip(map(str, funs), outcomes, strict=True))
    return Outcome(
        {fun: outcome.ret for fun, outcome in named.items()},
        {fun: outcome.retcode for fun, outcome in named.items()},
        {fun: outcome.success for fun, outcome in named.items()},
    )


def _execute_one(
    loader: Loader, context: Context, fun: str, arg: Any, load: Mapping[str, Any]
) -> Outcome:
    context.retcode = None
    try:
        function = context.find(fun)
        if function is None:
            return _failure(context.home.aside(_missing, loader, fun))
        _check_blackout(context, fun)
        args, kwargs = condition(function, _as_list(arg), load)
    except SaltInvocationError as error:
        return _failure(f"ERROR executing '{fun}': {error}")
    try:
        ret = function.call(context, args, kwargs)
        retcode = _retcode(context.retcode, ret)
        sent = inside(context, sendable, ret)  # it may hold `__grains__` and the like
        return Outcome(sent, retcode, retcode == EX_OK, function.outputter)
    except ANYTHING as error:
        return _failure(_explain(function, error))


def _as_list(arg: Any) -> Sequence[Any]:
    if arg is None:
        return []
    return arg if isinstance(arg, list | tuple) else [arg]


def _failure(ret: Any) -> Outcome:
    return Outcome(ret, EX_GENERIC, False, "nested")


def _retcode(given: Any, ret: Any) -> int:
    """The exit code that a function set, or else the one its result implies.

    A result that is a dict may tell of its own failure, as those of states do.
    """
    if given:
        return given if isinstance(given, int) else EX_GENERIC
    if isinstance(ret, dict) and not all(ret.get(key, True) for key in ("result", "success")):
        return EX_GENERIC
    return EX_OK


def _explain(function: LoadedFunction, error: BaseException) -> str:
    """The text that a job returns for what its function raised."""
    name = function.name
    match error:
        case CommandNotFoundError():
            return f"Command required for '{name}' not found: {error}"
        case CommandExecutionError():
            log.error("A command in '%s' had a problem: %s", name, error)
            return f"ERROR: {error}"
        case GreensaltError():
            log.error("Problem executing '%s': %s", name, error)
            return f"ERROR executing '{name}': {error}"
        case TypeError():
            log.warning("Passed invalid arguments to %s: %s", name, error)
            return f"Passed invalid arguments to {name}: {error}\n{function.doc or ''}"
    text = traceback_from(error, OWN_FILES)
    log.warning("The function %s caused an exception: %s", name, text)
    return f"The minion function caused an exception: {text}"


def _missing(loader: Loader, fun: str) -> Any:
    """What a job for an unknown function returns: a sentence, with docs of those similar."""
    text = loader.missing_text(fun)
    docs: dict[str, Any] = docs_of(loader, f"{fun}*")
    return {**docs, fun: text} if docs else text


def _check_blackout(context: Context, fun: str) -> None:
    """Refuse what a blackout in pillar or grains does not allow."""
    for source in (context.pillar, context.grains):
        if not source.get("minion_blackout"):
            continue
        allowed = source.get("minion_blackout_whitelist") or ()
        if fun != ALWAYS_ALLOWED and fun not in allowed:
            raise SaltInvocationError(
                "Minion in blackout mode. Set 'minion_blackout' to False in pillar or grains to"
                " resume operations. Only saltutil.refresh_pillar allowed in blackout mode."
            )
