"""The names that Salt's modules find in their globals: `__salt__`, `__grains__`, `__opts__`, ...

A user's execution module gets them before it is imported. They are views: each use looks up the job
that the caller runs for, so jobs side by side never see each other's. They work inside a
function that a job calls, and in the module's `__virtual__()`; nowhere else, not in threads
that a module starts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextvars import ContextVar
from functools import partial
from typing import Any, Final, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

# A native thread and a greenlet have a context of their own each.
_job: ContextVar[Any] = ContextVar("job")
RETCODE: Final = "retcode"


def inside(job: Any, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Call fn; until it returns, the names stand for this job: a minion's Context."""
    token = _job.set(job)
    try:
        return fn(*args, **kwargs)
    finally:
        _job.reset(token)


def _current(name: str) -> Any:
    job = _job.get(None)
    if job is None:
        raise RuntimeError(f"{name} is there only while a job calls a function of the module")
    return job


class Functions(Mapping[str, Callable[..., Any]]):
    """`__salt__`: the functions of this minion, called as part of the job."""

    def __getitem__(self, name: str) -> Callable[..., Any]:
        job = _current("__salt__")
        if job.find(name) is None:
            raise KeyError(name)
        return partial(job.call, name)

    def __iter__(self) -> Iterator[str]:
        job = _current("__salt__")
        return iter(job.home.aside(inside, job, job.loader.names))

    def __len__(self) -> int:
        return len(list(iter(self)))


class View(MutableMapping[str, Any]):
    """A map of the job's: `look` finds it. Only a `writable` one can be changed."""

    def __init__(self, name: str, look: Callable[[Any], Any], *, writable: bool = False) -> None:
        self._name, self._look, self._writable = name, look, writable

    def _map(self) -> Any:
        return self._look(_current(self._name))

    def _own(self) -> Any:
        if not self._writable:
            raise TypeError(f"{self._name} can't be changed")
        return self._map()

    def __getitem__(self, key: str) -> Any:
        return self._map()[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._own()[key] = value

    def __delitem__(self, key: str) -> None:
        del self._own()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._map())

    def __len__(self) -> int:
        return len(self._map())

    def __repr__(self) -> str:
        return repr(self._map())


class Scratch(View):
    """`__context__`: lives as long as the job; its `retcode` is the exit code of the job."""

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, value)
        if key == RETCODE:
            _current(self._name).retcode = value


def _options(job: Any) -> dict[str, Any]:
    """The minion's options as Salt's modules know them: one dict for each job."""
    found: dict[str, Any] | None = job.scratch.get("__opts__")
    if found is None:
        found = job.opts.options()
        master = found.get("master")
        if isinstance(master, list | tuple) and len(master) == 1:
            found["master"] = master[0]
        found.update(id=job.id, grains=dict(job.grains), pillar=dict(job.pillar))
        found["__role"] = "minion"
        job.scratch["__opts__"] = found
    return found


def _scratch(job: Any) -> Any:
    return job.scratch.setdefault("__context__", {})


def names() -> dict[str, Any]:
    """What a user's execution module finds in its globals."""
    return {
        "__salt__": Functions(),
        "__grains__": View("__grains__", lambda job: job.grains),
        "__pillar__": View("__pillar__", lambda job: job.pillar),
        "__opts__": View("__opts__", _options, writable=True),
        "__context__": Scratch("__context__", _scratch, writable=True),
    }
