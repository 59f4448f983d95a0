"""One function that jobs may call: what it takes, how it is called, what its documentation says."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import GeneratorType, ModuleType
from typing import Any, Final, Protocol

from greensalt.functions.names import inside
from greensalt.functions.threads import Home

CONTEXT: Final = "context"
# Python counts the context in its complaint about too many arguments; the caller never gave it.
_COUNTED_CONTEXT: Final = re.compile(
    r"but (\d+) positional arguments? \(and 1 keyword-only argument\) were given"
)
HOOKS: Final = frozenset({"available"})


class Surroundings(Protocol):
    """What a function can get as its `context`: at least, where it is run."""

    home: Home


@dataclass(frozen=True, slots=True)
class LoadedFunction:
    """A function that jobs may call.

    `keywords` are the names that may be given as keyword arguments, `takes_any` whether all others
    may, too (`**kwargs`); `green` says that it never blocks, so it runs in the job's greenlet;
    `outputter` names the form in which a command line should show the result.
    """

    name: str
    fn: Callable[..., Any]
    green: bool
    keywords: tuple[str, ...] = ()
    defaults: tuple[Any, ...] = ()
    takes_any: bool = False
    varargs: bool = False
    wants_context: bool = False
    doc: str | None = field(default=None, repr=False)
    outputter: str | None = None

    def argspec(self) -> dict[str, Any]:
        """The arguments in the form of sys.argspec: args, defaults, varargs, kwargs."""
        return {
            "args": list(self.keywords) or None,
            "defaults": self.defaults or None,
            "varargs": True if self.varargs else None,
            "kwargs": True if self.takes_any else None,
        }

    def call(self, context: Surroundings, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Call the function where it belongs: in this greenlet or in a native thread."""
        where = context.home.run if self.green else context.home.aside
        return where(inside, context, self._call, context, args, kwargs)

    def _call(self, context: Surroundings, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        extra = {CONTEXT: context} if self.wants_context else {}
        try:
            result = self.fn(*args, **kwargs, **extra)
        except TypeError as error:
            if extra and (text := _without_context(str(error))) != str(error):
                raise TypeError(text).with_traceback(error.__traceback__) from None
            raise
        return _collected(result) if isinstance(result, GeneratorType) else result


def public_functions(module: ModuleType, name: str) -> dict[str, LoadedFunction]:
    """The functions that a module offers, by full name.

    That is what `__all__` lists, or else the functions defined in the module itself without a
    leading underscore. `__func_alias__` renames; otherwise a trailing underscore is dropped, so
    that `list_` can be called as `list`. `__outputter__` names outputters by function.
    """
    listed = getattr(module, "__all__", None)
    aliases = getattr(module, "__func_alias__", {})
    green = getattr(module, "GREEN", False) is True
    outputters = getattr(module, "__outputter__", {})
    found: dict[str, LoadedFunction] = {}
    for attribute, value in sorted(vars(module).items()):
        if attribute.startswith("_") or attribute in HOOKS or not inspect.isroutine(value):
            continue
        if attribute not in listed if listed is not None else value.__module__ != module.__name__:
            continue
        full = f"{name}.{aliases.get(attribute) or attribute.rstrip('_')}"
        outputter = outputters.get(attribute.rstrip("_"))
        found[full] = describe(full, value, green=green, outputter=outputter)
    return found


def describe(
    name: str, fn: Callable[..., Any], *, green: bool, outputter: str | None = None
) -> LoadedFunction:
    """Learn from a function's signature what may be given to it."""
    keywords: list[str] = []
    defaults: list[Any] = []
    takes_any = varargs = wants_context = False
    for parameter in inspect.signature(fn).parameters.values():
        if parameter.name == CONTEXT and parameter.kind is parameter.KEYWORD_ONLY:
            wants_context = True
        elif parameter.kind is parameter.VAR_POSITIONAL:
            varargs = True
        elif parameter.kind is parameter.VAR_KEYWORD:
            takes_any = True
        elif parameter.kind is not parameter.POSITIONAL_ONLY:
            keywords.append(parameter.name)
            if parameter.default is not parameter.empty:
                defaults.append(parameter.default)
    return LoadedFunction(
        name=name,
        fn=fn,
        green=green,
        keywords=tuple(keywords),
        defaults=tuple(defaults),
        takes_any=takes_any,
        varargs=varargs,
        wants_context=wants_context,
        doc=fn.__doc__,
        outputter=outputter,
    )


def _without_context(complaint: str) -> str:
    def recount(found: re.Match[str]) -> str:
        return f"but {found[1]} {'was' if found[1] == '1' else 'were'} given"

    return _COUNTED_CONTEXT.sub(recount, complaint)


def _collected(results: GeneratorType[Any, None, None]) -> Any:
    """What a generator gives: one dict if it yields dicts, otherwise a list."""
    items = list(results)
    if items and all(isinstance(item, dict) for item in items):
        return {key: value for item in items for key, value in item.items()}
    return items
