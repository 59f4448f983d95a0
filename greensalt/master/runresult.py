"""Calls one runner or wheel function and turns whatever happens into a result."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from inspect import cleandoc
from typing import Any, Final, NamedTuple

import gevent

from greensalt.errors import GreensaltError, SaltInvocationError
from greensalt.functions.arguments import condition
from greensalt.functions.docs import strip_markup
from greensalt.functions.function import CONTEXT, LoadedFunction
from greensalt.functions.loader import Loader
from greensalt.functions.results import sendable
from greensalt.functions.tracebacks import traceback_from
from greensalt.master.context import MasterContext
from greensalt.wire.arguments import KWARG_MARK

log = logging.getLogger(__name__)

EX_GENERIC: Final = 1
# Everything that a function may raise, short of the killing of its greenlet.
ANYTHING: Final = (Exception, SystemExit, gevent.Timeout)
# Frames between the run and the function, which a traceback need not show.
OWN_FILES: Final = (
    "/greensalt/master/",
    "/greensalt/functions/",
    "/gevent/",
    "/concurrent/futures/",
)


class RunOutcome(NamedTuple):
    """What a function gave. `out` names the outputter that it asks for."""

    ret: Any
    retcode: int
    success: bool
    out: str | None = None


def failure(text: str, retcode: int = EX_GENERIC) -> RunOutcome:
    """The outcome of something that did not work, in words."""
    return RunOutcome(text, retcode, False)


def execute(
    loader: Loader,
    context: MasterContext,
    kind: str,
    fun: str,
    arg: Sequence[Any],
    kwarg: Mapping[str, Any],
) -> RunOutcome:
    """Run a function; it never raises, short of being killed.

    `arg` may have keyword arguments in it, as the arguments of a job do; `kwarg` has more.
    """
    function = loader.known(fun) or context.home.aside(loader.function, fun)
    if function is None:
        return failure(context.home.aside(loader.missing_text, fun))
    try:
        given = [*arg, {**kwarg, KWARG_MARK: True}] if kwarg else list(arg)
        args, kwargs = condition(function, given)
        if CONTEXT in kwargs:
            raise SaltInvocationError("The following keyword arguments are not valid: context")
        ret = sendable(function.call(context, args, kwargs))
    except ANYTHING as error:
        return failure(_explain(kind, function, error))
    retcode = _retcode(context.retcode)
    return RunOutcome(ret, retcode, retcode == 0, function.outputter)


def _retcode(given: Any) -> int:
    if not given:
        return 0
    return given if isinstance(given, int) else EX_GENERIC


def _explain(kind: str, function: LoadedFunction, error: BaseException) -> str:
    """The text that a run returns for what its function raised."""
    name = function.name
    if isinstance(error, SaltInvocationError):
        return _misused(function, error)
    if isinstance(error, GreensaltError):
        log.warning("Exception occurred in %s %s: %s", kind, name, error)
        return f"Exception occurred in {kind} {name}: {type(error).__name__}: {error}"
    if isinstance(error, TypeError) and _is_of_call(error):
        return _misused(function, error)
    text = traceback_from(error, OWN_FILES)
    log.warning("Exception occurred in %s %s: %s", kind, name, text)
    return f"Exception occurred in {kind} {name}: {text}"


def _misused(function: LoadedFunction, error: BaseException) -> str:
    usage = strip_markup(cleandoc(function.doc or ""))
    return f"Passed invalid arguments to {function.name}: {error}\n\nUsage:\n\n{usage}"


def _is_of_call(error: TypeError) -> bool:
    """Whether a function was called with arguments that it doesn't take: no frame of its own."""
    frames = error.__traceback__
    last = None
    while frames is not None:
        last = frames
        frames = frames.tb_next
    return last is not None and any(part in last.tb_frame.f_code.co_filename for part in OWN_FILES)
