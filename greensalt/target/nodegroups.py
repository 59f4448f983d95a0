"""Nodegroups: names for compound expressions, in the configuration of the master.

    nodegroups:
      web: 'G@role:web or web*'
      small: 'L@a.example.com,b.example.com'
      ours: [a.example.com, b.example.com]
      all: 'N@web or N@small'

What a nodegroup stands for always comes in parentheses. Stock Salt leaves them out around one that
mentions no other nodegroup, so that there `not N@web` is `not G@role:web or web*`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from greensalt.errors import TargetError
from greensalt.target.expression import MAX_DEPTH, MAX_WORDS, OPERATORS, split

Nodegroups = Mapping[str, str | Sequence[str]]

_PREFIX: Final = "N@"
_HAS_ENGINE: Final = re.compile("[A-Z]@")
_REGEX_SIGNS: Final = frozenset("([{\\?}])")


def expand_nodegroup(name: str, nodegroups: Nodegroups) -> str:
    """The compound expression that a nodegroup stands for, with no nodegroup left in it.

    Raises TargetError if it, or a nodegroup that it mentions, does not exist, contains itself, is
    neither text nor list, or becomes too long.
    """
    return " ".join(expand_words([_PREFIX + name], nodegroups))


def expand_compound(expression: str | Sequence[str], nodegroups: Nodegroups) -> str:
    """A compound expression with what its nodegroups stand for in place of their names."""
    return " ".join(expand_words(split(expression), nodegroups))


def expand_words(words: Sequence[str], nodegroups: Nodegroups) -> list[str]:
    """As `expand_compound`, from words to words."""
    expanded: list[str] = []
    for word in _expanded(words, nodegroups, ()):
        # Nodegroups that mention others twice each grow without limit.
        if len(expanded) >= MAX_WORDS:
            raise TargetError(f"with its nodegroups the target has more than {MAX_WORDS} words")
        expanded.append(word)
    return expanded


def _expanded(
    words: Sequence[str], nodegroups: Nodegroups, inside: tuple[str, ...]
) -> Iterator[str]:
    for word in words:
        if not word.startswith(_PREFIX) or word == _PREFIX:
            yield word
            continue
        name = word[len(_PREFIX) :]
        if name in inside:
            raise TargetError(f"nodegroup {name!r} contains itself: {' > '.join((*inside, name))}")
        if len(inside) >= MAX_DEPTH:
            raise TargetError(f"more than {MAX_DEPTH} nodegroups within each other")
        definition = _definition(name, nodegroups)
        if len(definition) == 1 and not definition[0].startswith(_PREFIX):
            yield definition[0]
            continue
        yield "("
        yield from _expanded(definition, nodegroups, (*inside, name))
        yield ")"


def _definition(name: str, nodegroups: Nodegroups) -> list[str]:
    """The words of a nodegroup as it is configured; never none."""
    value: object = nodegroups.get(name)
    match value:
        case None:
            raise TargetError(f"there is no nodegroup {name!r}")
        case str():
            words = value.split()
        case list() | tuple():
            words = [word for member in value for word in str(member).split()]
        case _:
            raise TargetError(f"nodegroup {name!r} is neither a text nor a list")
    if not words:
        raise TargetError(f"nodegroup {name!r} is empty")
    return _plain_names(words)


def _plain_names(words: list[str]) -> list[str]:
    """Words without engines, stars and operators: a list of ids, or a regular expression."""
    if any(word in OPERATORS or "*" in word or _HAS_ENGINE.match(word) for word in words):
        return words
    joined = ",".join(words)
    return [("E@" if _REGEX_SIGNS.intersection(joined) else "L@") + joined]
