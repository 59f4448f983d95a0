"""Expressions such as `os:Debian` or `roles:web:*`, looked up in grains or pillar (spec 5.5).

An expression is a path and a pattern, joined by a delimiter that both of them may contain. So
every way to cut it in two is tried, the longest path first:

    `a:b:c`    matches  {"a": {"b": "c"}}  and  {"a": "b:c"}

A list matches if one of its members does, a dictionary if one of its keys does (`key:*` asks
whether the key is there), or if the pattern is an expression that is found inside of it. A leading
`*:` looks in every dictionary below. Texts are compared in lower case.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, Literal

from greensalt.errors import TargetError
from greensalt.target.regex import MAX_PATTERN, Regex

Mode = Literal["glob", "regex", "exact"]
TextTest = Callable[[str], bool]

DEFAULT_DELIMITER: Final = ":"
# Parts of one expression: each cut is tried, and a value never has that many colons.
MAX_PARTS: Final = 64
# Characters of one expression.
MAX_EXPRESSION: Final = 65_536
# A key that YAML would read as a number is never longer.
_MAX_YAML_KEY: Final = 64

_MISSING: Final[Mapping[str, Any]] = {}

# A path, and the pattern for the value there.
_Cut = tuple[list[str], str]


class Lookup:
    """One expression, ready to be looked up in many dictionaries.

    Raises TargetError if the expression lacks the delimiter, has too many parts, or none of the
    patterns that it may end in is a regular expression (mode `regex`).
    """

    __slots__ = ("_cuts", "_expression", "_inner_cuts", "_mode", "_tests")

    def __init__(self, expression: str, delimiter: str, mode: Mode) -> None:
        self._expression = expression
        self._mode = mode
        self._tests: dict[str, TextTest] = {}
        self._inner_cuts: dict[str, list[_Cut]] = {}
        _check_size(expression, delimiter)
        self._cuts = _all_cuts(expression, delimiter)
        if not self._cuts:
            raise TargetError(f"{expression!r} is not of the form key{delimiter}value")
        if mode == "regex":
            self._check_patterns()

    def _check_patterns(self) -> None:
        """A pattern may be broken by a cut, but one of them must be whole, or ask for presence."""
        if self._cuts[0][1] == "*":
            return
        errors = []
        for _, pattern in self._cuts:
            try:
                self._tests[pattern] = text_test(pattern, self._mode)
            except TargetError as error:
                errors.append(error)
            else:
                return
        raise errors[-1]

    def found(self, data: Mapping[str, Any]) -> bool:
        """Whether the expression matches something in the data."""
        return self._found(data, self._cuts, self._expression, set())

    def _found(
        self,
        data: Mapping[Any, Any],
        cuts: Sequence[_Cut],
        expression: str,
        seen: set[tuple[int, str]],
    ) -> bool:
        for path, pattern in cuts:
            if path == ["*"]:
                value, pattern = data, expression
            else:
                value = _value_at(data, path)
            if self._value_matches(value, pattern, seen):
                return True
        return False

    def _value_matches(self, value: Any, pattern: str, seen: set[tuple[int, str]]) -> bool:
        if isinstance(value, Mapping):
            return bool(value) and self._dict_matches(value, pattern, seen)
        if isinstance(value, list | tuple):
            return any(
                (isinstance(member, Mapping) and self._dict_matches(member, pattern, seen))
                or self._text_matches(member, pattern)
                for member in value
            )
        return self._text_matches(value, pattern)

    def _dict_matches(
        self, data: Mapping[Any, Any], pattern: str, seen: set[tuple[int, str]]
    ) -> bool:
        # What did not match once won't match again: without this, `*:*:*:...` takes for ever.
        if (id(data), pattern) in seen:
            return False
        seen.add((id(data), pattern))
        everywhere = pattern.startswith("*:")
        if everywhere:
            pattern = pattern[2:]
        if pattern == "*" or pattern in data:
            return True
        if any(self._text_matches(key, pattern) for key in data):
            return True
        # Below the top the delimiter is always the colon, as in Salt.
        cuts = self._inner_cuts.get(pattern)
        if cuts is None:
            cuts = self._inner_cuts[pattern] = _all_cuts(pattern, DEFAULT_DELIMITER)
        if self._found(data, cuts, pattern, seen):
            return True
        return everywhere and any(
            self._below_matches(value, pattern, seen) for value in data.values()
        )

    def _below_matches(self, value: Any, pattern: str, seen: set[tuple[int, str]]) -> bool:
        """One value of a dictionary that `*:` walks through."""
        if isinstance(value, Mapping):
            return self._dict_matches(value, pattern, seen)
        if isinstance(value, list):
            return any(self._text_matches(member, pattern) for member in value)
        return self._text_matches(value, pattern)

    def _text_matches(self, value: Any, pattern: str) -> bool:
        test = self._tests.get(pattern)
        if test is None:
            try:
                test = text_test(pattern, self._mode)
            except TargetError:
                # Only a part of the expression; the cut went through a group, say.
                test = _never
            self._tests[pattern] = test
        return test(str(value).lower())


def text_test(pattern: str, mode: Mode) -> TextTest:
    """The test of one pattern on texts in lower case. Raises TargetError for a bad pattern."""
    pattern = pattern.lower()
    match mode:
        case "glob":
            return glob_test(pattern)
        case "regex":
            return Regex(pattern).matches
        case _:
            return pattern.__eq__


def glob_test(pattern: str) -> TextTest:
    """The test of a shell pattern; the case of letters counts, on every system."""
    if not any(character in pattern for character in "*?["):
        return pattern.__eq__
    if len(pattern) > MAX_PATTERN:
        raise TargetError(f"a shell pattern of {len(pattern)} characters is too long")
    # The expression that comes of a shell pattern never goes back: each star is atomic.
    match = re.compile(fnmatch.translate(pattern)).match
    return lambda text: match(text) is not None


def _never(_text: str) -> bool:
    return False


def _check_size(expression: str, delimiter: str) -> None:
    if not delimiter:
        raise TargetError("the delimiter is empty")
    if len(expression) > MAX_EXPRESSION:
        raise TargetError(f"an expression of {len(expression)} characters is too long")
    # The colon counts as well: it is what cuts below the top.
    parts = 1 + max(expression.count(delimiter), expression.count(DEFAULT_DELIMITER))
    if parts > MAX_PARTS:
        raise TargetError(f"an expression of {parts} parts is too long")


def _all_cuts(expression: str, delimiter: str) -> list[_Cut]:
    """Every path and pattern that the expression may mean, the longest path first."""
    parts = expression.split(delimiter)
    return [(parts[:end], delimiter.join(parts[end:])) for end in range(len(parts) - 1, 0, -1)]


def _value_at(data: Any, path: Sequence[str]) -> Any:
    """The value at a path through dictionaries and lists; an empty dictionary if there is none.

    A number picks a member of a list; any other key is looked up in the dictionaries of the list,
    the first that has it wins. A text also finds the key that YAML makes of it (1, 1.5, true).
    """
    for key in path:
        if isinstance(data, Mapping):
            data = _member(data, key)
        elif isinstance(data, list):
            data = _list_member(data, key)
        else:
            return _MISSING
        if data is _MISSING:
            return _MISSING
    return data


def _member(data: Mapping[Any, Any], key: str) -> Any:
    if key in data:
        return data[key]
    if len(key) > _MAX_YAML_KEY:
        return _MISSING
    return data.get(_yaml_key(key), _MISSING)


def _list_member(members: list[Any], key: str) -> Any:
    try:
        wanted: int | str = int(key)
    except ValueError:
        wanted = key
    for member in members:
        if isinstance(member, Mapping) and wanted in member:
            return member[wanted]
    if isinstance(wanted, int) and -len(members) <= wanted < len(members):
        return members[wanted]
    return _MISSING


@lru_cache(maxsize=1024)
def _yaml_key(text: str) -> Hashable:
    """The number, truth value or nothing that YAML reads in a key's text; else the text itself."""
    if text in ("~", "null", "Null", "NULL", "None"):
        return None
    # 1_000 is a number to YAML, but hardly to who wrote the target. A tag (!) may raise anything.
    if "!" in text or not text.isprintable() or ("_" in text and text.replace("_", "").isdigit()):
        return text
    # Only here: most targets never come so far, and the parser takes its time to be imported.
    import yaml

    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):
        return text
    return value if isinstance(value, int | float) else text
