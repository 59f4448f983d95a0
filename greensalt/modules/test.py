"""Functions to see whether a minion answers, and what becomes of arguments and failures."""

from __future__ import annotations

import builtins
import logging
import random
import secrets
import string
import traceback
from typing import Any

import gevent

import greensalt
from greensalt import errors
from greensalt.errors import CommandExecutionError
from greensalt.functions.arguments import without_pub
from greensalt.green import offload
from greensalt.minion.context import Context
from greensalt.modules import _numbers, _versions
from greensalt.modules.config import option

GREEN = True

log = logging.getLogger(__name__)


def ping() -> bool:
    """Say that the minion is up and answers. Not an ICMP ping.

    Returns ``True``.

    CLI Example:

        greensalt-cli '*' test.ping
    """
    return True


def echo(text: Any) -> Any:
    """Give back the text.

    CLI Example:

        greensalt-cli '*' test.echo 'foo bar baz quo qux'
    """
    return text


def sleep(length: float) -> bool:
    """Wait for some seconds, then return ``True``.

    CLI Example:

        greensalt-cli '*' test.sleep 20
    """
    gevent.sleep(float(length))
    return True


def rand_sleep(max: int = 60) -> bool:
    """Wait for a random number of seconds between 0 and ``max``.

    CLI Example:

        greensalt-cli '*' test.rand_sleep 60
    """
    gevent.sleep(random.uniform(0, float(max)))
    return True


def version() -> str:
    """Return the version of greensalt on the minion.

    CLI Example:

        greensalt-cli '*' test.version
    """
    return greensalt.__version__


def versions_information() -> dict[str, dict[str, str]]:
    """Report the versions of greensalt, its dependencies and the system.

    CLI Example:

        greensalt-cli '*' test.versions_information
    """
    return _versions.information()


def versions_report() -> str:
    """Return the versions of `test.versions_information` as a text.

    CLI Example:

        greensalt-cli '*' test.versions_report
    """
    return _versions.report()


def versions() -> str:
    """Return the versions of `test.versions_information` as a text, as `test.versions_report`.

    CLI Example:

        greensalt-cli '*' test.versions
    """
    return _versions.report()


def conf_test(*, context: Context) -> Any:
    """Return the setting ``test.foo`` of the minion's configuration.

    CLI Example:

        greensalt-cli '*' test.conf_test
    """
    return option("test.foo", context=context)


def get_opts(*, context: Context) -> dict[str, Any]:
    """Return the configuration of the minion.

    CLI Example:

        greensalt-cli '*' test.get_opts
    """
    return context.opts.options()


def opts_pkg(*, context: Context) -> dict[str, Any]:
    """Return the configuration of the minion together with its grains.

    CLI Example:

        greensalt-cli '*' test.opts_pkg
    """
    return {**context.opts.options(), "grains": dict(context.grains)}


def cross_test(func: str, args: list[Any] | None = None, *, context: Context) -> Any:
    """Call another function from this one.

    CLI Example:

        greensalt-cli '*' test.cross_test file.gid_to_group 0
    """
    return context.call(func, *(args or []))


def attr_call(*, context: Context) -> Any:
    """Call ``grains.items`` from this function.

    CLI Example:

        greensalt-cli '*' test.attr_call
    """
    return context.call("grains.items")


def kwarg(**kwargs: Any) -> dict[str, Any]:
    """Return the keyword arguments.

    CLI Example:

        greensalt-cli '*' test.kwarg num=1 txt="two" env='{a: 1, b: "2"}'
    """
    return kwargs


def arg(*args: Any, **kwargs: Any) -> dict[str, Any]:
    """Return the positional and keyword arguments.

    CLI Example:

        greensalt-cli '*' test.arg 1 "two" 3.1 txt="hello" wow='{a: 1, b: "hello"}'
    """
    return {"args": args, "kwargs": kwargs}


def arg_type(*args: Any, **kwargs: Any) -> dict[str, Any]:
    """Return the types of the arguments.

    CLI Example:

        greensalt-cli '*' test.arg_type 1 'int'
    """
    return {
        "args": [str(type(value)) for value in args],
        "kwargs": {name: str(type(value)) for name, value in kwargs.items()},
    }


def arg_repr(*args: Any, **kwargs: Any) -> dict[str, str]:
    """Return the arguments as Python writes them.

    CLI Example:

        greensalt-cli '*' test.arg_repr 1 "two" 3.1 txt="hello" wow='{a: 1, b: "hello"}'
    """
    return {"args": repr(args), "kwargs": repr(kwargs)}


def arg_clean(*args: Any, **kwargs: Any) -> dict[str, Any]:
    """Return the arguments without those that the job adds (``__pub_...``).

    CLI Example:

        greensalt-cli '*' test.arg_clean 1 "two" 3.1 txt="hello" wow='{a: 1, b: "hello"}'
    """
    return {"args": args, "kwargs": without_pub(kwargs)}


def fib(num: int) -> tuple[int, float]:
    """Return a Fibonacci number and how many seconds it took to reckon it.

    CLI Example:

        greensalt-cli '*' test.fib 3
    """
    num = int(num)
    if num < 0:
        raise ValueError("Negative number is not allowed!")
    return offload(_numbers.fibonacci, num)


def collatz(start: int) -> tuple[list[int], float]:
    """Return the way of the Collatz conjecture from a number to 1, and the seconds it took.

    CLI Example:

        greensalt-cli '*' test.collatz 3
    """
    start = int(start)
    if start < 1:
        raise ValueError("The Collatz conjecture is about numbers above 0")
    return offload(_numbers.collatz, start)


def outputter(data: Any) -> Any:
    """Return the data, to see how an outputter shows it.

    CLI Example:

        greensalt-cli '*' test.outputter foobar
    """
    return data


def retcode(code: int = 42, *, context: Context) -> bool:
    """Return ``True`` with an exit code of your choice.

    CLI Example:

        greensalt-cli '*' test.retcode 42
    """
    context.retcode = code
    return True


def provider(module: str, *, context: Context) -> str:
    """Return the name of the file behind a module, such as ``pkg_apt`` for ``pkg``.

    CLI Example:

        greensalt-cli '*' test.provider service
    """
    return offload(context.loader.provider, module)


def providers(*, context: Context) -> dict[str, str]:
    """Return the files of all modules and the names that they provide.

    CLI Example:

        greensalt-cli '*' test.providers
    """
    loader = context.loader
    return {loader.provider(module): module for module in offload(loader.modules)}


def not_loaded(*, context: Context) -> list[str]:
    """Return the modules that can't be used on this minion.

    CLI Example:

        greensalt-cli '*' test.not_loaded
    """
    return offload(context.loader.not_loaded)


def module_report(*, context: Context) -> dict[str, list[str]]:
    """Return the names of all modules and functions.

    CLI Example:

        greensalt-cli '*' test.module_report
    """
    functions = offload(context.loader.names)
    modules = context.loader.modules()
    return {
        "functions": functions,
        "function_attrs": functions,
        "function_subs": functions,
        "modules": modules,
        "module_attrs": modules,
        "missing_attrs": [],
        "missing_subs": [],
    }


def rand_str(size: int = 64, hash_type: str | None = None) -> str:
    """Return a random text.

    CLI Example:

        greensalt-cli '*' test.rand_str
    """
    return random_hash(size, hash_type)


def random_hash(size: int = 64, hash_type: str | None = None) -> str:
    """Return ``size`` random letters and digits, or the hash of something random.

    CLI Example:

        greensalt-cli '*' test.random_hash hash_type=sha256
    """
    if hash_type:
        import hashlib

        return hashlib.new(hash_type, secrets.token_bytes(64)).hexdigest()
    letters = string.ascii_letters + string.digits
    return "".join(secrets.choice(letters) for _ in range(int(size)))


def exception(message: str = "Test Exception") -> None:
    """Raise an exception.

    CLI Example:

        greensalt-cli '*' test.exception 'Oh noes!'
    """
    raise Exception(message)  # noqa: TRY002  # an exception of no special kind is the purpose


def raise_exception(name: str, *args: Any, **kwargs: Any) -> bool:
    """Raise a built-in exception, or one of greensalt's, by its name.

    CLI Example:

        greensalt-cli '*' test.raise_exception TypeError "An integer is required"
        greensalt-cli '*' test.raise_exception greensalt.errors.CommandExecutionError "Oh no"
    """
    prefix, _, last = name.rpartition(".")
    source = errors if prefix in ("greensalt.errors", "salt.exceptions") else builtins
    kind = getattr(source, last if prefix else name, None)
    if not isinstance(kind, type) or not issubclass(kind, Exception):
        log.error("No such exception: %s", name)
        return False
    raise kind(*args, **without_pub(kwargs))


def stack() -> str:
    """Return the stack of calls that led here.

    CLI Example:

        greensalt-cli '*' test.stack
    """
    return "".join(traceback.format_stack())


def tty(*args: Any, **kwargs: Any) -> str:
    """Say where this function went.

    CLI Example:

        greensalt-cli '*' test.tty tty0 'This is a test'
    """
    return "ERROR: This function has been moved to cmd.tty"


def try_(
    module: str, return_try_exception: bool = False, *, context: Context, **kwargs: Any
) -> Any:
    """Call a function; if it fails return ``None``, or what it raised.

    CLI Example:

        greensalt-cli '*' test.try module=test.exception return_try_exception=True
    """
    try:
        return context.call(module, **without_pub(kwargs))
    except Exception as error:  # noqa: BLE001  # to catch all is the purpose
        return str(error) if return_try_exception else None


def assertion(assertion: Any) -> None:
    """Raise an AssertionError unless the argument is true.

    CLI Example:

        greensalt-cli '*' test.assertion False
    """
    if not assertion:
        raise AssertionError


def true_() -> bool:
    """Return ``True``.

    CLI Example:

        greensalt-cli '*' test.true
    """
    return True


def false_() -> bool:
    """Return ``False``.

    CLI Example:

        greensalt-cli '*' test.false
    """
    return False


def missing_func() -> None:
    """Stand for a function whose dependency is missing: it always says so.

    CLI Example:

        greensalt-cli '*' test.missing_func
    """
    raise CommandExecutionError("this function needs something that no machine has")
