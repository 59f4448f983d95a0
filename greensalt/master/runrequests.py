"""The clear commands `runner` and `wheel`: who asks, whether they may, and what they get.

Source: docs/protocol.md 6.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from greensalt.errors import (
    AuthenticationError,
    AuthorizationError,
    CommandExecutionError,
    SaltInvocationError,
    StoreError,
)
from greensalt.master.access import Access
from greensalt.master.jobs import error_reply
from greensalt.master.runs import Kind, Runs

REFUSED: Final = (
    AuthenticationError,
    AuthorizationError,
    SaltInvocationError,
    CommandExecutionError,
    StoreError,
)
ABOUT_THE_REQUEST: Final = frozenset(
    {
        *("cmd", "fun", "arg", "kwarg", "user", "key", "token", "eauth", "username", "password"),
        *("client", "full_return", "print_event", "jid", "tag"),
    }
)
"""Fields of a wheel request that are no arguments of the function."""


class _Asked(NamedTuple):
    who: tuple[str, str]
    fun: str
    arg: list[Any]
    kwarg: dict[str, Any]


class RunRequests:
    """The handlers of both commands."""

    def __init__(self, runs: Runs, access: Access) -> None:
        self._runs = runs
        self._access = access

    def runner(self, load: dict[str, Any]) -> dict[str, Any]:
        """Begin a runner: {tag, jid} at once, or {error: {name, message}}."""
        try:
            _flatten(load)
            asked = self._asked("runner", load, _dict(load, "kwarg"))
            jid = str(load.get("jid") or "")
            run = self._runs.start("runner", asked.fun, asked.arg, asked.kwarg, *asked.who, jid)
        except REFUSED as error:
            return error_reply(error)
        return {"tag": run.tag, "jid": run.jid}

    def wheel(self, load: dict[str, Any]) -> dict[str, Any]:
        """Run a wheel function to its end: {tag, data}, or {error: {name, message}}.

        Its keyword arguments are fields of the request, or in `kwarg`.
        """
        try:
            given = {key: load[key] for key in load if key not in ABOUT_THE_REQUEST}
            asked = self._asked("wheel", load, {**given, **_dict(load, "kwarg")})
            result = self._runs.call("wheel", asked.fun, asked.arg, asked.kwarg, *asked.who)
        except REFUSED as error:
            return error_reply(error)
        tag = f"salt/wheel/{result.jid}"
        return {
            "tag": tag,
            "data": {
                "fun": f"wheel.{asked.fun}",
                "jid": result.jid,
                "tag": tag,
                "user": asked.who[0],
                "return": result.ret,
                "success": result.success,
            },
        }

    def _asked(self, kind: Kind, load: dict[str, Any], kwarg: dict[str, Any]) -> _Asked:
        """What somebody wants to have run, once they have proven that they may."""
        caller = self._access.authenticate(load)
        fun, arg = load.get("fun"), load.get("arg")
        if not isinstance(fun, str) or "." not in fun:
            raise SaltInvocationError(f"{fun!r:.80} is not the name of a {kind} function")
        arg = list(arg) if isinstance(arg, list | tuple) else [] if arg is None else [arg]
        self._access.authorize_run(caller, kind, fun, arg, kwarg)
        return _Asked((caller.name, caller.eauth), fun, arg, kwarg)


def _flatten(load: dict[str, Any]) -> None:
    """Stock clients put both kinds of arguments into `kwarg`, as {arg: [...], kwarg: {...}}."""
    given = load.get("kwarg")
    if isinstance(given, dict) and set(given) == {"arg", "kwarg"} and not load.get("arg"):
        load.update(given)


def _dict(load: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = load.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise SaltInvocationError(f"`{key}` is {type(value).__name__}, not a dict")
    return {str(name): item for name, item in value.items() if name != "__kwarg__"}
