"""Compound targets: `G@os:Debian and ( web* or L@db1,db2 ) and not E@.*old` (spec 5.6).

    expression = conjunction { "or" conjunction }
    conjunction = factor { ( "and" factor | "not" operand ) }
    factor = [ "not" ] operand
    operand = "(" expression ")" | term

Words are separated by white space, parentheses are words of their own. A term is a shell pattern
for the id, or `<engine><delimiter?>@<pattern>`. `a not b` means `a and not b`.

Stock Salt puts the answers of all terms into a line of Python and evaluates it; here is a parser,
which says what is wrong with an expression instead of matching nothing without a word.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from greensalt.errors import TargetError
from greensalt.target.matchers import MAX_TARGET

ENGINES: Final[Mapping[str, str]] = {
    "G": "grain",
    "P": "grain_pcre",
    "I": "pillar",
    "J": "pillar_pcre",
    "L": "list",
    "S": "ipcidr",
    "E": "pcre",
    "N": "nodegroup",
}
OPERATORS: Final = frozenset(("and", "or", "not", "(", ")"))
# Words of one expression, its nodegroups expanded.
MAX_WORDS: Final = 2000
# Parentheses within parentheses.
MAX_DEPTH: Final = 100

_LETTERS: Final = {name: letter for letter, name in ENGINES.items()}
# Engines that look something up, and take the delimiter of their expression before the @.
_WITH_DELIMITER: Final = frozenset("GPIJ")


@dataclass(frozen=True, slots=True)
class Term:
    """One question: `kind` is a target type, or nodegroup."""

    kind: str
    pattern: str
    delimiter: str | None = None


# Not NamedTuples: these would be equal to each other.
@dataclass(frozen=True, slots=True)
class Not:
    """True where the operand is not."""

    operand: Node


@dataclass(frozen=True, slots=True)
class And:
    """True where all operands are; two or more."""

    operands: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """True where one of the operands is; two or more."""

    operands: tuple[Node, ...]


Node = Term | Not | And | Or


def parse(expression: str | Sequence[str]) -> Node:
    """The tree of a compound expression, or of its words.

    Words that are given one by one may contain white space. Raises TargetError, which says what
    is wrong and where.
    """
    return _Parser(split(expression)).parse()


def split(expression: str | Sequence[str]) -> list[str]:
    """The words of a compound expression."""
    words = expression.split() if isinstance(expression, str) else list(expression)
    if len(words) > MAX_WORDS:
        raise TargetError(f"a compound target of {len(words)} words is too long")
    for word in words:
        if not isinstance(word, str):
            raise TargetError(f"a compound target is made of words, not of {type(word).__name__}")
    if not words:
        raise TargetError("the compound target is empty")
    if sum(map(len, words)) > MAX_TARGET:
        raise TargetError("the compound target is too long")
    return words


def parse_term(word: str) -> Term:
    """The term that a word is, if it is not an operator.

    A word that looks like a term of an engine that does not exist is an error, not a shell
    pattern as in stock Salt: there `not g@os:Debian`, a slip, is every minion.
    """
    letter, rest = word[:1], word[1:]
    if letter in _WITH_DELIMITER and rest[1:2] == "@" and len(rest) > 2:
        return Term(ENGINES[letter], rest[2:], rest[0])
    if rest[:1] == "@" and letter.isascii() and letter.isalpha():
        if letter not in ENGINES:
            raise TargetError(f"{word!r}: there is no engine {letter}@, only {_engine_list()}")
        if len(rest) == 1:
            raise TargetError(f"{word!r} lacks a pattern")
        return Term(ENGINES[letter], rest[1:])
    if letter in ENGINES and rest[1:2] == "@" and not rest[0].isalnum():
        raise TargetError(f"{word!r}: {letter}@ takes no delimiter, or lacks a pattern")
    return Term("glob", word)


def _engine_list() -> str:
    return " ".join(f"{letter}@" for letter in ENGINES)


class _Parser:
    """Takes the words one after the other."""

    def __init__(self, words: Sequence[str]) -> None:
        self._words = words
        self._next = 0
        self._depth = 0

    def parse(self) -> Node:
        tree = self._expression()
        if self._peek() is not None:
            raise self._error("lacks an operator before it" if self._peek() != ")" else "is alone")
        return tree

    def _expression(self) -> Node:
        operands = [self._conjunction()]
        while self._peek() == "or":
            self._next += 1
            operands.append(self._conjunction())
        return operands[0] if len(operands) == 1 else Or(tuple(operands))

    def _conjunction(self) -> Node:
        operands = [self._factor()]
        while self._peek() in ("and", "not"):
            if self._peek() == "and":
                self._next += 1
            operands.append(self._factor())
        return operands[0] if len(operands) == 1 else And(tuple(operands))

    def _factor(self) -> Node:
        if self._peek() == "not":
            self._next += 1
            return Not(self._operand())
        return self._operand()

    def _operand(self) -> Node:
        word = self._peek()
        if word is None:
            raise TargetError(f"the compound target ends after {self._words[-1]!r}")
        if word != "(":
            if word in OPERATORS:
                raise self._error("is not where a term must be")
            self._next += 1
            return parse_term(word)
        opened = self._next
        self._next += 1
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise TargetError(f"more than {MAX_DEPTH} parentheses within each other")
        tree = self._expression()
        if self._peek() is None:
            raise TargetError(f"the parenthesis at word {opened + 1} is never closed")
        if self._peek() != ")":
            raise self._error("lacks an operator before it")
        self._next += 1
        self._depth -= 1
        return tree

    def _peek(self) -> str | None:
        return self._words[self._next] if self._next < len(self._words) else None

    def _error(self, what: str) -> TargetError:
        return TargetError(f"{self._words[self._next]!r} at word {self._next + 1} {what}")


def to_words(tree: Node) -> list[str]:
    """The words of an expression that parses to this tree, with no needless parentheses."""
    return list(_words(tree))


def _words(tree: Node) -> Iterator[str]:
    match tree:
        case Term(kind, pattern, delimiter):
            yield pattern if kind == "glob" else f"{_LETTERS[kind]}{delimiter or ''}@{pattern}"
        case Not(operand):
            yield "not"
            yield from _enclosed(operand, isinstance(operand, Term))
        case And(operands):
            for place, operand in enumerate(operands):
                if place:
                    yield "and"
                yield from _enclosed(operand, isinstance(operand, Term | Not))
        case _:
            for place, operand in enumerate(tree.operands):
                if place:
                    yield "or"
                yield from _enclosed(operand, not isinstance(operand, Or))


def _enclosed(tree: Node, bare: bool) -> Iterator[str]:
    if not bare:
        yield "("
    yield from _words(tree)
    if not bare:
        yield ")"
