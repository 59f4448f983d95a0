"""A regular expression as an automaton: time linear in the text, whatever the expression.

All states that the expression can be in after some characters are followed at once, so there is
nothing to go back to. Sets of states that were met before are remembered with where they lead,
which makes the automaton about as fast as `re` from the second text on.

What one character or one position must be like is still asked of `re`, by patterns of one token:
so classes, case and word boundaries can't mean anything else here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple, Self

# States of one automaton; beyond it, a step takes too long to be a remedy.
MAX_STATES: Final = 2000
# Remembered steps of one automaton.
MAX_MEMORY: Final = 20_000

# How a position or a class of characters is written in a pattern of its own.
_AT: Final = {
    "AT_BEGINNING": "^",
    "AT_BEGINNING_STRING": r"\A",
    "AT_BOUNDARY": r"\b",
    "AT_NON_BOUNDARY": r"\B",
    "AT_END": "$",
    "AT_END_STRING": r"\Z",
}
_CATEGORY: Final = {
    "CATEGORY_DIGIT": r"\d",
    "CATEGORY_NOT_DIGIT": r"\D",
    "CATEGORY_SPACE": r"\s",
    "CATEGORY_NOT_SPACE": r"\S",
    "CATEGORY_WORD": r"\w",
    "CATEGORY_NOT_WORD": r"\W",
}
# The only flags that change what a token means.
_TOKEN_FLAGS: Final = re.ASCII | re.IGNORECASE | re.DOTALL | re.MULTILINE

_LOOK_AHEAD: Final = ("ASSERT", "ASSERT_NOT")

_ACCEPT: Final = 0


class _NotRegular(Exception):
    """The expression needs more than an automaton of a bearable size."""


class _State(NamedTuple):
    """One state: where it leads, and what must hold for it (None: nothing)."""

    token: re.Pattern[str] | None
    consumes: bool
    leads_to: tuple[int, ...]


class Automaton:
    """Follows all readings of an expression at once; build it with `Automaton.of`."""

    __slots__ = ("_conditions", "_memory", "_start", "_states")

    def __init__(self, items: Sequence[tuple[Any, Any]], flags: int) -> None:
        self._states: list[_State] = [_State(None, False, ())]
        self._memory: dict[tuple[frozenset[int], str, str], tuple[bool, frozenset[int]]] = {}
        # What `(?=...)` and `(?!...)` at the very start ask of the whole text.
        self._conditions: list[tuple[Automaton, bool]] = []
        rest = list(items)
        while rest and str(rest[0][0]) in _LOOK_AHEAD and rest[0][1][0] > 0:
            op, (_, part) = rest.pop(0)
            self._conditions.append((Automaton(part, flags), str(op) == "ASSERT"))
        self._start = self._sequence(rest, flags, _ACCEPT)

    @classmethod
    def of(cls, tree: Any) -> Self | None:
        """The automaton of a parse tree of `re`, or None if it can't be had.

        There is none for look-around but at the start, back references, atomic groups and
        possessive repeats, and none for expressions that would need more than MAX_STATES states.
        """
        items = list(tree)
        if items and str(items[0][1]) in ("AT_BEGINNING", "AT_BEGINNING_STRING"):
            # Always true there; without it, what looks ahead comes first.
            del items[0]
        try:
            return cls(items, int(tree.state.flags))
        except _NotRegular:
            return None

    def matches(self, text: str) -> bool:
        """Whether the expression matches at the start of the text."""
        if any(condition.matches(text) is not wanted for condition, wanted in self._conditions):
            return False
        states = frozenset((self._start,))
        position = 0
        # At the end of the text nothing can follow, so that the states are used up.
        while states:
            # All that a token can see: one character before, and two after, as `$` may stand
            # before a final line break.
            key = (states, text[position - 1 : position], text[position : position + 2])
            known = self._memory.get(key)
            if known is None:
                known = self._step(states, text, position)
                if len(self._memory) >= MAX_MEMORY:
                    self._memory.clear()
                self._memory[key] = known
            accepted, states = known
            if accepted:
                return True
            position += 1
        return False

    def _step(
        self, states: frozenset[int], text: str, position: int
    ) -> tuple[bool, frozenset[int]]:
        """Whether the expression has matched before this position, and the states after it."""
        seen = set(states)
        todo = list(states)
        following: set[int] = set()
        while todo:
            token, consumes, leads_to = self._states[todo.pop()]
            if token is not None and token.match(text, position) is None:
                continue
            if consumes:
                following.update(leads_to)
                continue
            todo.extend(state for state in leads_to if state not in seen)
            seen.update(leads_to)
        return _ACCEPT in seen, frozenset(following)

    def _add(self, token: re.Pattern[str] | None, consumes: bool, *leads_to: int) -> int:
        if len(self._states) >= MAX_STATES:
            raise _NotRegular
        self._states.append(_State(token, consumes, leads_to))
        return len(self._states) - 1

    # States are made from the end to the start: each needs to know what follows it.

    def _sequence(self, items: Any, flags: int, follow: int) -> int:
        for op, argument in reversed(list(items)):
            follow = self._item(str(op), argument, flags, follow)
        return follow

    def _item(self, op: str, argument: Any, flags: int, follow: int) -> int:
        match op:
            case "AT":
                return self._add(_token(_AT[str(argument)], flags), False, follow)
            case "BRANCH":
                return self._add(
                    None, False, *[self._sequence(part, flags, follow) for part in argument[1]]
                )
            case "SUBPATTERN":
                _, more, fewer, part = argument
                return self._sequence(part, _scoped(flags, more, fewer), follow)
            case "MAX_REPEAT" | "MIN_REPEAT":
                least, most, part = argument
                return self._repeat(least, most, part, flags, follow)
            case "LITERAL" | "NOT_LITERAL" | "ANY" | "IN":
                return self._add(_token(_character(op, argument), flags), True, follow)
            case _:
                raise _NotRegular

    def _repeat(self, least: int, most: Any, part: Any, flags: int, follow: int) -> int:
        unbounded = str(most) == "MAXREPEAT"
        if max(least, 0 if unbounded else most) > MAX_STATES:
            raise _NotRegular
        start = follow
        if unbounded:
            # The loop's own state must exist before the body that leads back to it.
            start = self._add(None, False, follow)
            body = self._sequence(part, flags, start)
            self._states[start] = _State(None, False, (body, follow))
        else:
            for _ in range(most - least):
                start = self._add(None, False, self._sequence(part, flags, start), follow)
        for _ in range(least):
            # One state per turn, so that even empty turns count against MAX_STATES.
            start = self._add(None, False, self._sequence(part, flags, start))
        return start


def _scoped(flags: int, more: int, fewer: int) -> int:
    """The flags inside a group such as `(?i-s:...)`."""
    if more & re.ASCII:
        flags &= ~int(re.UNICODE)
    if more & re.UNICODE:
        flags &= ~int(re.ASCII)
    return (flags | more) & ~fewer


def _character(op: str, argument: Any) -> str:
    """The pattern of a token that takes one character."""
    match op:
        case "ANY":
            return "."
        case "LITERAL":
            return _escaped(argument)
        case "NOT_LITERAL":
            return f"[^{_escaped(argument)}]"
        case _:
            return "[" + "".join(_member(str(kind), value) for kind, value in argument) + "]"


def _member(kind: str, value: Any) -> str:
    """One member of a `[...]`."""
    match kind:
        case "NEGATE":
            return "^"
        case "LITERAL":
            return _escaped(value)
        case "RANGE":
            return f"{_escaped(value[0])}-{_escaped(value[1])}"
        case _:
            return _CATEGORY[str(value)]


def _escaped(code: int) -> str:
    return f"\\U{code:08x}"


@lru_cache(maxsize=1024)
def _token(pattern: str, flags: int) -> re.Pattern[str]:
    return re.compile(pattern, flags & _TOKEN_FLAGS)
