"""Regular expressions from other hosts, matched within bounds.

A target's regular expression comes from a user or even from a minion, and is tried on thousands of
texts in the master's only thread. `(a+)+b` keeps Python's backtracking engine busy for hours, so
each expression is priced first: an upper bound of the engine's steps on a text of a given length.
Cheap ones run on `re`. Dear ones run on an automaton (automaton.py), whose time is linear in the
text. Dear ones that no automaton can do (look-around, back references) match nothing, with a
warning, or are refused at once if they are dear even on short texts.

The language is that of `re`, match at the start of the text as in Salt (spec 5.4).
"""

from __future__ import annotations

import logging
import math
import re
import warnings
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Any, Final, NamedTuple

from greensalt.errors import TargetError
from greensalt.target.automaton import Automaton

log = logging.getLogger(__name__)

# The parser of `re`: its tree is the only description of a pattern that can't disagree with `re`.
_parser: Final[Any] = import_module("re._parser")

# Characters; a nodegroup of some thousand ids written as an alternation still fits.
MAX_PATTERN: Final = 65_536
# Steps on one text that need no automaton, and steps that are never exceeded.
CHEAP_STEPS: Final = 20_000
MOST_STEPS: Final = 300_000
# Each character of a pattern may cost this many steps more: long alternations are no danger.
STEPS_PER_CHARACTER: Final = 10
# A pattern must be bearable on a text of this many characters, or it is refused.
SHORT_TEXT: Final = 64
# Longest text that is priced; what is cheap on it is taken as cheap on every text.
LONG_TEXT: Final = 1 << 20
# Widths of all character ranges together: `re` walks through them when it ignores case.
MAX_RANGES: Final = 1_000_000


class Cost(NamedTuple):
    """What a part of a pattern costs on a text of some length.

    ways: in how many ways the part can match, each of which the engine may come back to.
    steps: the work of trying all of them once.
    """

    ways: float
    steps: float


class Regex:
    """A compiled regular expression: `matches(text)` is `re.match` with an upper bound of time.

    Raises TargetError if the pattern is not one, or is too costly even for short texts.
    """

    __slots__ = ("_automaton", "_cheap_up_to", "_match", "_most_up_to", "pattern")

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        if len(pattern) > MAX_PATTERN:
            raise TargetError(f"regular expression of {len(pattern)} characters is too long")
        try:
            tree, self._match = _compile(pattern)
            allowance = STEPS_PER_CHARACTER * len(pattern)
            self._cheap_up_to = _longest_text(tree, CHEAP_STEPS + allowance)
            self._most_up_to = _longest_text(tree, MOST_STEPS + 2 * allowance)
            self._automaton: Automaton | None = None
            if self._cheap_up_to < LONG_TEXT:
                self._automaton = Automaton.of(tree)
        except RecursionError as error:
            raise TargetError(f"regular expression {_short(pattern)} is nested too deep") from error
        if self._automaton is None and self._most_up_to < SHORT_TEXT:
            raise TargetError(f"regular expression {_short(pattern)} could take for ever")

    def matches(self, text: str) -> bool:
        """Whether the expression matches at the start of the text."""
        if len(text) <= self._cheap_up_to:
            return self._match(text) is not None
        if self._automaton is not None:
            return self._automaton.matches(text)
        if len(text) <= self._most_up_to:
            return self._match(text) is not None
        log.warning(
            "regular expression %s is too costly for a text of %d characters: no match",
            _short(self.pattern),
            len(text),
        )
        return False


def _compile(pattern: str) -> tuple[Any, Callable[[str], object]]:
    """The parse tree and the match function of a pattern."""
    try:
        with warnings.catch_warnings():
            # `re` warns of patterns that may mean something else some day.
            warnings.simplefilter("ignore")
            tree = _parser.parse(pattern)
            if _range_widths(tree) > MAX_RANGES:
                raise TargetError(f"regular expression {_short(pattern)} has too many ranges")
            return tree, re.compile(pattern).match
    except (re.error, OverflowError) as error:
        raise TargetError(f"bad regular expression {_short(pattern)}: {error}") from error


def _short(pattern: str) -> str:
    return repr(pattern if len(pattern) <= 60 else pattern[:57] + "...")


def _range_widths(tree: Any) -> int:
    """The characters that all ranges of a pattern span together."""
    total = 0
    todo: list[Any] = [tree]
    while todo:
        for op, argument in todo.pop():
            if str(op) == "IN":
                total += sum(av[1] - av[0] for kind, av in argument if str(kind) == "RANGE")
            todo.extend(_inner(op, argument))
    return total


def _inner(op: Any, argument: Any) -> list[Any]:
    """The patterns inside an operation of the parse tree."""
    match str(op):
        case "BRANCH":
            return list(argument[1])
        case "GROUPREF_EXISTS":
            return [branch for branch in argument[1:] if branch is not None]
        case "ATOMIC_GROUP":
            return [argument]
        case "SUBPATTERN" | "ASSERT" | "ASSERT_NOT" | "MAX_REPEAT" | "MIN_REPEAT":
            return [argument[-1]]
        case "POSSESSIVE_REPEAT":
            return [argument[-1]]
        case _:
            return []


def _longest_text(tree: Any, most_steps: float) -> int:
    """The longest text, as a power of two, on which the pattern needs at most so many steps.

    -1 if even the empty text needs more, LONG_TEXT if its time hardly depends on the text.
    """
    length = LONG_TEXT
    while _sequence_cost(tree, length).steps > most_steps:
        if length == 0:
            return -1
        length //= 2
    return length


def _sequence_cost(items: Iterable[tuple[Any, Any]], length: int) -> Cost:
    ways, steps = 1.0, 0.0
    for op, argument in items:
        item = _item_cost(op, argument, length)
        # Whatever comes next is tried once for each way through what came before.
        steps += ways * item.steps
        ways *= item.ways
    return Cost(ways, steps + 1)


def _item_cost(op: Any, argument: Any, length: int) -> Cost:
    inner = [_sequence_cost(part, length) for part in _inner(op, argument)]
    match str(op):
        case "BRANCH" | "GROUPREF_EXISTS":
            # Without an else, a condition may also be skipped.
            return Cost(sum(cost.ways for cost in inner) + 1, sum(cost.steps for cost in inner) + 1)
        case "SUBPATTERN":
            return inner[0]
        case "ASSERT" | "ASSERT_NOT" | "ATOMIC_GROUP":
            # Once it has matched, the engine never comes back to its other ways.
            return Cost(1.0, inner[0].steps)
        case "MAX_REPEAT" | "MIN_REPEAT":
            return _repeat_cost(argument, inner[0], length)
        case "POSSESSIVE_REPEAT":
            return Cost(1.0, _repeat_cost(argument, inner[0], length).steps)
        case "GROUPREF":
            return Cost(1.0, float(length))
        case _:
            return Cost(1.0, 1.0)


def _repeat_cost(argument: Any, body: Cost, length: int) -> Cost:
    least, most, part = argument
    # A turn takes at least one character but for the last: `re` ends a loop whose turn took none.
    shortest = max(1, int(part.getwidth()[0]))
    turns = max(least, min(most, length // shortest + 1))
    if body.ways <= 1:
        return Cost(turns - least + 1.0, turns * body.steps + 1)
    if turns * math.log(body.ways) > 100:
        return Cost(math.inf, math.inf)
    ways = turns * body.ways**turns
    return Cost(ways + 1, ways * body.steps + 1)
