"""Jobs for other minions and runs on the master, as far as the master's `peer` allows them."""

from __future__ import annotations

import time
from typing import Any, Final

import gevent

from greensalt.minion.context import Context
from greensalt.wire.arguments import yaml_value

GREEN = True

POLL_S: Final = 0.3


def publish(
    tgt: str,
    fun: str,
    arg: Any = None,
    tgt_type: str = "glob",
    returner: str = "",
    timeout: float = 5,
    *,
    context: Context,
) -> Any:
    """Run a function on other minions: {minion: result} of those that returned in time.

    Several arguments are a list, or one text with commas. Nothing that the master does not allow
    this minion is run; the result is empty then. Pillar in a target is taken literally.

    CLI Example:

        greensalt-cli web1 publish.publish 'db*' test.ping
        greensalt-cli web1 publish.publish 'os:Debian' cmd.run 'uname -a' tgt_type=grain
    """
    full = _publish(context, tgt, fun, arg, tgt_type, returner, timeout, "clean")
    return {minion: _result(each) for minion, each in full.items()}


def full_data(
    tgt: str,
    fun: str,
    arg: Any = None,
    tgt_type: str = "glob",
    returner: str = "",
    timeout: float = 5,
    *,
    context: Context,
) -> Any:
    """As publish.publish, with {"ret": result, "out": outputter} of each minion.

    CLI Example:

        greensalt-cli web1 publish.full_data 'db*' test.ping
    """
    return _publish(context, tgt, fun, arg, tgt_type, returner, timeout, "full")


def runner(fun: str, arg: Any = None, timeout: float = 5, *, context: Context) -> Any:
    """Run a runner on the master, if its `peer_run` allows that to this minion.

    CLI Example:

        greensalt-cli web1 publish.runner manage.up
    """
    return context.request(
        {
            "cmd": "minion_runner",
            "fun": fun,
            "arg": _arguments(arg),
            "tmo": timeout,
            "no_parse": [],
        }
    )


def _publish(
    context: Context,
    tgt: str,
    fun: str,
    arg: Any,
    tgt_type: str,
    returner: str,
    timeout: float,
    form: str,
) -> dict[str, Any]:
    if fun.startswith("publish."):
        return {}
    published = context.request(
        {
            "cmd": "minion_pub",
            "fun": fun,
            "arg": _arguments(arg),
            "tgt": tgt,
            "tgt_type": tgt_type,
            "ret": returner,
            "tmo": timeout,
            "form": form,
            "no_parse": [],
        }
    )
    if not isinstance(published, dict) or not published.get("jid"):
        return {}
    wanted = set(published.get("minions") or [])
    until = time.monotonic() + float(timeout)
    while True:
        answer = context.request({"cmd": "pub_ret", "jid": published["jid"]})
        returned = answer if isinstance(answer, dict) else {}
        left_s = until - time.monotonic()
        if wanted.issubset(returned) or left_s <= 0:
            return returned
        gevent.sleep(min(POLL_S, left_s))


def _arguments(arg: Any) -> list[Any]:
    """Arguments as a list; a text may be a list in YAML, or stand for one argument."""
    value = yaml_value(arg) if isinstance(arg, str) else arg
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _result(each: Any) -> Any:
    return each.get("ret") if isinstance(each, dict) else each
