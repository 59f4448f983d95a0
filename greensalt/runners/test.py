"""Functions to try runners with."""

from __future__ import annotations

from typing import Any

import gevent

from greensalt.errors import CommandExecutionError
from greensalt.master.context import MasterContext

GREEN = True


def arg(*args: Any, **kwargs: Any) -> dict[str, Any]:
    """Return the arguments.

    CLI Example:

        greensalt run test.arg 1 two a=3
    """
    return {"args": args, "kwargs": kwargs}


def raw_arg(*args: Any, **kwargs: Any) -> dict[str, Any]:
    """Return the arguments; there are no others behind those that were given.

    CLI Example:

        greensalt run test.raw_arg 1 two a=3
    """
    return {"args": args, "kwargs": kwargs}


def sleep(s_time: float = 10) -> bool:
    """Wait some seconds.

    CLI Example:

        greensalt run test.sleep 2
    """
    gevent.sleep(float(s_time))
    return True


def stream(*, context: MasterContext, count: int = 100, interval: float = 0.1) -> bool:
    """Show `count` messages of progress, `interval` seconds apart.

    CLI Example:

        greensalt run test.stream count=5
    """
    for number in range(1, int(count) + 1):
        gevent.sleep(float(interval))
        share = 100 * number // int(count)
        context.progress({"message": f"Runner is {share}% done"})
    return True


def exception(text: str = "This is a test exception.") -> None:
    """Fail.

    CLI Example:

        greensalt run test.exception 'as it should'
    """
    raise CommandExecutionError(text)


def retcode(code: int = 42, *, context: MasterContext) -> bool:
    """Succeed, but with an exit code.

    CLI Example:

        greensalt run test.retcode 3
    """
    context.retcode = int(code)
    return True
