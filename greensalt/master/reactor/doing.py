"""Carries reactions out.

Jobs of reactions belong to the user of the master, as they do in stock Salt; runs of runners and
wheel functions to `Reactor`.
"""

from __future__ import annotations

from typing import Any, Final

from greensalt.errors import GreensaltError, ReactorError
from greensalt.functions.function import LoadedFunction
from greensalt.master.context import MasterContext
from greensalt.master.jobs import PASSED_ON
from greensalt.master.reactor.reaction import OWN, Reaction
from greensalt.master.runs import Kind
from greensalt.wire.arguments import KWARG_MARK

USER: Final = "Reactor"
_OPTIONS: Final = (*PASSED_ON, "delimiter")


def publish(context: MasterContext, reaction: Reaction) -> str:
    """Send the job of a `local` reaction; its jid. Raises ReactorError and others of ours."""
    low = reaction.low
    if "expr_form" in low:
        raise ReactorError("expr_form is not known any more: the word is tgt_type")
    if "tgt" not in low:
        raise ReactorError("a local reaction needs a tgt")
    args, kwargs = reaction.arguments()
    if kwargs:
        args.append({KWARG_MARK: True, **kwargs})
    load = {
        "fun": reaction.fun,
        "tgt": low["tgt"],
        "tgt_type": str(low.get("tgt_type", "glob")),
        "arg": args,
        "ret": str(low.get("ret") or ""),
        "kwargs": {name: low[name] for name in _OPTIONS if low.get(name)},
    }
    published = context.jobs.publish_for(context.config.user, load)
    if not published.jid:
        raise ReactorError(published.error)
    return published.jid


def run(context: MasterContext, reaction: Reaction) -> None:
    """Have a runner or a wheel function run to its end; raises ReactorError if it fails."""
    kind: Kind = "wheel" if reaction.kind == "wheel" else "runner"
    args, kwargs = reaction.arguments()
    if reaction.is_legacy:
        kwargs = _legacy(context, kind, reaction)
    result = context.runs.call(kind, reaction.fun, args, kwargs, USER)
    if not result.success:
        raise ReactorError(f"it failed: {result.ret!s:.500}")


def _legacy(context: MasterContext, kind: Kind, reaction: Reaction) -> dict[str, Any]:
    """The arguments that a function takes from the words of the reaction."""
    loader = context.runs.loaders[kind]
    function = loader.known(reaction.fun) or context.home.aside(loader.function, reaction.fun)
    if function is None:
        raise ReactorError(f"the {kind} function {reaction.fun} is not available")
    kwargs = {key: value for key, value in reaction.low.items() if key in function.keywords}
    others = reaction.low.keys() - kwargs.keys() - OWN
    if function.takes_any:
        kwargs.update({key: reaction.low[key] for key in others})
    elif others:
        raise ReactorError(f"{reaction.fun} does not take {', '.join(sorted(others))}")
    _check_complete(function, kwargs)
    return kwargs


def _check_complete(function: LoadedFunction, kwargs: dict[str, Any]) -> None:
    needed = function.keywords[: len(function.keywords) - len(function.defaults)]
    missing = [name for name in needed if name not in kwargs]
    if missing:
        raise ReactorError(f"{function.name} needs {', '.join(missing)}")


def explained(error: Exception) -> str:
    """What the log and the event say of a failure."""
    return str(error) if isinstance(error, GreensaltError) else f"{type(error).__name__}: {error}"
