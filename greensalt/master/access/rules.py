"""The language of access lists: who may run which function, with which arguments, where.

An access list is a list of entries, each of which permits something:

    test.*                          these functions, on every minion
    {target: [functions]}           these functions, on the minions of a compound target
    @runner  @wheel  @jobs          all runners, all wheels, the runner or wheel module `jobs`
    {@runner: [functions]}          these runners (`jobs.list_job`)
    {@jobs: [functions]}            these functions of the module (`list_job`)

A function of a list in braces may be {function: conditions}: one or several of
{args: [pattern, ...], kwargs: {name: pattern}}, where a pattern of null allows every value.
Source: docs/access.md, docs/protocol.md 9.3 item 1.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any, Final

from greensalt.errors import AuthorizationError, SaltInvocationError, TargetError
from greensalt.target.regex import Regex
from greensalt.wire.arguments import KWARG_MARK, split_keyword

log = logging.getLogger(__name__)

ALWAYS_ALLOWED: Final = "saltutil.find_job"

Names = Callable[[str, str], bool]  # (pattern, name of a function) -> whether it matches
Resolve = Callable[[str], Collection[str]]  # a compound target -> the minions that it means


def functions_of(load: Mapping[str, Any]) -> list[tuple[str, list[Any]]]:
    """The (function, arguments) pairs of a job, one or several."""
    fun, arg = load.get("fun"), load.get("arg", [])
    if isinstance(fun, str):
        return [(fun, list(arg))]
    if not isinstance(fun, list) or not all(isinstance(each, str) for each in fun) or not fun:
        raise AuthorizationError("the function of the job is missing or not a name")
    if not isinstance(arg, list) or len(arg) != len(fun):
        raise AuthorizationError("a job of several functions needs a list of arguments for each")
    return [(name, list(args or [])) for name, args in zip(fun, arg, strict=True)]


# -- names of functions ----------------------------------------------------------------------------


def at_start(pattern: str, name: str) -> bool:
    """The rule of external_auth and peer: a regular expression that the name begins with."""
    return _at_start(pattern).matches(name)


def glob_or_whole(pattern: str, name: str) -> bool:
    """The rule of publisher_acl and its black-list: a glob, or an expression for the whole name."""
    if fnmatchcase(name, pattern):
        return True
    whole = _whole(pattern)
    return whole is not None and whole.fullmatch(name) is not None


@lru_cache(maxsize=4096)
def _at_start(pattern: str) -> Regex:
    """What is no regular expression permits nothing, and the log says so."""
    try:
        return Regex(pattern)
    except TargetError as error:
        log.error("in an access list: %s", error)
        return Regex(r"(?!)")


@lru_cache(maxsize=4096)
def _whole(pattern: str) -> re.Pattern[str] | None:
    try:
        return re.compile(pattern)
    except re.error:
        log.error("%r in an access list is not a regular expression", pattern)
        return None


# -- what is allowed -------------------------------------------------------------------------------


def may_publish(
    rules: Sequence[Any],
    fun: str,
    arg: Sequence[Any],
    minions: Collection[str],
    resolve: Resolve,
    names: Names,
) -> bool:
    """Whether the rules permit one function of a job on all of `minions`.

    Several entries may permit it on some each. Nobody to run it on is no permission to do so
    (CVE-2022-22941), unless an entry permits the function everywhere.
    """
    covered: set[str] = set()
    for entry in rules:
        if isinstance(entry, str):
            if not entry.startswith("@") and names(entry, fun):
                return True
            continue
        for target, conditions in _single(entry):
            if target.startswith("@"):
                continue
            if _permits(conditions, fun, *split_arguments(arg), names):
                covered.update(resolve(target))
    return bool(minions) and covered.issuperset(minions)


def may_run(
    rules: Sequence[Any], kind: str, fun: str, arg: Sequence[Any], kwarg: Mapping[str, Any]
) -> bool:
    """Whether the rules permit a runner or wheel; `kind` is "runner" or "wheel".

    Raises SaltInvocationError for a function that is not `module.function`.
    """
    module, dot, function = fun.partition(".")
    if not (module and dot and function) or "." in function:
        raise SaltInvocationError(f"{fun!r:.100} is no {kind} function: it must be module.function")
    positional, named = split_arguments([*arg, {KWARG_MARK: True, **kwarg}])
    for entry in rules:
        if isinstance(entry, str):
            if entry in (f"@{module}", f"@{kind}", f"@{kind}s"):
                return True
            continue
        for group, conditions in _single(entry):
            if group == f"@{module}" and _permits(conditions, function, positional, named):
                return True
            if group in (f"@{kind}", f"@{kind}s") and _permits(conditions, fun, positional, named):
                return True
    return False


def allowed_to(rules: Mapping[str, Any], minion_id: str) -> list[Any]:
    """The functions that a map of the form of `peer` allows a minion; only lists count."""
    found: list[Any] = []
    for pattern, functions in rules.items():
        if isinstance(functions, list | tuple) and at_start(pattern, minion_id):
            found.extend(functions)
    return found


def split_arguments(arg: Sequence[Any]) -> tuple[list[Any], dict[str, list[Any]]]:
    """The positional arguments, and all values that each keyword is given.

    A minion takes `name=value` texts and marked maps for keywords wherever they stand, so that
    nothing may be permitted as one thing and run as another (CVE-2013-4435).
    """
    positional: list[Any] = []
    named: dict[str, list[Any]] = {}
    for each in arg:
        pair = split_keyword(each) if isinstance(each, str) else None
        if pair is not None:
            named.setdefault(pair[0], []).append(pair[1])
        elif isinstance(each, Mapping) and each.get(KWARG_MARK):
            for name, value in each.items():
                if name != KWARG_MARK:
                    named.setdefault(str(name), []).append(value)
        else:
            positional.append(each)
    return positional, named


def _single(entry: Any) -> Iterator[tuple[str, Any]]:
    """The pairs of an entry in braces; anything else permits nothing."""
    if isinstance(entry, Mapping):
        yield from ((str(key), value) for key, value in entry.items())


def _permits(
    conditions: Any,
    fun: str,
    positional: Sequence[Any],
    named: Mapping[str, Sequence[Any]],
    names: Names = at_start,
) -> bool:
    """Whether one of the conditions of an entry in braces permits a function with its arguments."""
    for condition in conditions if isinstance(conditions, list | tuple) else [conditions]:
        if isinstance(condition, str):
            if names(condition, fun):
                return True
        elif isinstance(condition, Mapping) and len(condition) == 1:
            ((pattern, wanted),) = condition.items()
            alternatives = wanted if isinstance(wanted, list | tuple) else [wanted]
            if names(str(pattern), fun) and any(
                _arguments_fit(each, positional, named) for each in alternatives
            ):
                return True
    return False


def _arguments_fit(
    wanted: Any, positional: Sequence[Any], named: Mapping[str, Sequence[Any]]
) -> bool:
    """Whether the arguments that are spoken of are there and match; others are free."""
    if not isinstance(wanted, Mapping):
        return False
    patterns = wanted.get("args") or []
    if len(patterns) > len(positional):
        return False
    if not all(map(_value_fits, patterns, positional)):
        return False
    return all(
        name in named and all(_value_fits(pattern, value) for value in named[name])
        for name, pattern in (wanted.get("kwargs") or {}).items()
    )


def _value_fits(pattern: Any, value: Any) -> bool:
    return pattern is None or at_start(str(pattern), str(value))
