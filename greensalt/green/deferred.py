"""A result that comes later, for which no greenlet waits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Deferred(Generic[T]):
    """Who gets one calls `then`, before the hub runs; who gave it out calls `resolve`, once."""

    __slots__ = ("_take",)

    def __init__(self) -> None:
        self._take: Callable[[T], Any] = lambda _: None

    def then(self, take: Callable[[T], Any]) -> None:
        """Have `take` called with the result, in the greenlet that has it."""
        self._take = take

    def resolve(self, result: T) -> None:
        """The result is there."""
        self._take(result)
