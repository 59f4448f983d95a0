"""The one form in which values arrive, whatever codec carried them: that of the msgpack dialect.

Spec 1.2. Bytes that are valid UTF-8 become text, tuples and sets lists, integers beyond 64 bits
decimal text, dates naive datetimes. Formats other than msgpack need help to keep to that: senders
rewrite values with `rewritten`, readers finish what they decoded with `settled`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import Any, Final

from greensalt.wire.dialect import MAX_DEPTH, Constant

LEAST_INT: Final = -(2**63)
MOST_INT: Final = 2**64 - 1

SCALARS: Final = frozenset({type(None), bool, int, float, str, bytes, datetime, Constant})
CONTAINERS: Final = frozenset({dict, list})
_VALUES: Final = SCALARS | CONTAINERS
_SENT_CONTAINERS: Final = (dict, list, tuple, set, frozenset)
_FLAT: Final = frozenset({type(None), bool, int, float, str})
_UNCHANGED: Final = frozenset({bool, float, Constant})
_TEXT_ONLY: Final = {str}

Change = Callable[[Any], Any]


def text(data: bytes) -> str | bytes:
    """Text where the bytes are valid UTF-8, else the bytes."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


def canonical(value: Any) -> Any:
    """A value that is no container as it will arrive; TypeError if it has no form on the wire."""
    kind = type(value)
    if kind is str and value.isascii():
        return value
    if kind is int and LEAST_INT <= value <= MOST_INT:
        return value
    if value is None or kind in _UNCHANGED:
        return value
    return _canonical(value)


def _canonical(value: Any) -> Any:
    if isinstance(value, str):
        try:
            value.encode()
            return str.__str__(value)
        except UnicodeEncodeError:  # a file name that is not UTF-8
            return text(value.encode(errors="surrogateescape"))
    if isinstance(value, (bytes, bytearray, memoryview)):
        return text(bytes(value))
    if isinstance(value, int):
        number = int(value)
        return number if LEAST_INT <= number <= MOST_INT else str(number)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, datetime):
        return value.replace(tzinfo=None, fold=0)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)  # noqa: DTZ001  # the wire has no zone
    raise TypeError(f"a value of type {type(value).__name__} has no form on the wire")


def rewritten(
    value: Any, leaf: Change, key: Change, depth: int = MAX_DEPTH, path: tuple[int, ...] = ()
) -> Any:
    """A copy of dicts and lists with `leaf` applied to all else, and `key` to keys.

    A container inside itself becomes a note. Raises ValueError for what is nested too deep.
    """
    if not isinstance(value, _SENT_CONTAINERS):
        return leaf(value)
    if id(value) in path:
        return f"<Recursion on {type(value).__name__} with id={id(value)}>"
    if not depth:
        raise ValueError(f"nested more than {MAX_DEPTH} deep")
    path = (*path, id(value))
    if isinstance(value, dict):
        return {
            key(name): rewritten(item, leaf, key, depth - 1, path)
            if isinstance(item, _SENT_CONTAINERS)
            else leaf(item)
            for name, item in value.items()
        }
    return [
        rewritten(item, leaf, key, depth - 1, path)
        if isinstance(item, _SENT_CONTAINERS)
        else leaf(item)
        for item in value
    ]


def kinds_in(value: Any) -> set[type]:
    """The types of a value and of everything in it, keys too; ValueError when nested too deep."""
    kinds = {type(value)}
    level = [value] if isinstance(value, _SENT_CONTAINERS) else []
    for _ in range(MAX_DEPTH):
        below: list[Any] = []
        for node in level:
            if isinstance(node, dict):
                kinds.update(map(type, node))
            items = node.values() if isinstance(node, dict) else node
            found = set(map(type, items))
            kinds |= found
            if not found <= _FLAT:
                below += [item for item in items if isinstance(item, _SENT_CONTAINERS)]
        if not below:
            return kinds
        level = below
    raise ValueError(f"nested more than {MAX_DEPTH} deep")


def all_finite(value: Any) -> bool:
    """Whether there is no NaN and no infinity in a value without cycles.

    Of floats proper: encoders ask about objects of derived types anyway.
    """
    level: list[Any] = [[value]]
    while level:
        below: list[Any] = []
        for node in level:
            items = node.values() if isinstance(node, dict) else node
            found = set(map(type, items))
            if float in found and any(item - item for item in items if type(item) is float):
                return False
            if not found <= _FLAT:
                below += [item for item in items if isinstance(item, _SENT_CONTAINERS)]
        level = below
    return True


def settled(value: Any, kind: type | None, change: Change, most: int = -1) -> Any:
    """A freshly decoded value, with `change` applied in place to all of type `kind` in it.

    `most` ends the changing after so many. Raises ValueError when it is nested too deep, TypeError
    when there is something in it that no message may hold. Looks at whole containers at once,
    because every message passes here.
    """
    if type(value) not in _VALUES:
        raise TypeError(f"a message can't hold a {type(value).__name__}")
    if type(value) is kind:
        return change(value)
    level = [value] if type(value) in CONTAINERS else []
    plain = _FLAT - {kind}
    for _ in range(MAX_DEPTH + 1):
        if not level:
            return value
        below: list[Any] = []
        for node in level:
            if not most and kind is not None:
                kind, plain = None, _FLAT
            items: Any = node
            if type(node) is dict:
                items = node.values()
                if kind is str or set(map(type, node)) != _TEXT_ONLY:
                    most -= _settle_keys(node, kind, change)
            kinds = set(map(type, items))
            if not kinds <= plain:
                most -= _settle_items(node, kinds, kind, change)
                below += [item for item in items if type(item) in CONTAINERS]
        level = below
    raise ValueError(f"nested more than {MAX_DEPTH} deep")


def _settle_items(node: Any, kinds: set[type], kind: type | None, change: Change) -> int:
    """Change what is directly in one container; how much that was."""
    if not kinds <= _VALUES:
        strange = ", ".join(sorted(each.__name__ for each in kinds - _VALUES))
        raise TypeError(f"a message can't hold a {strange}")
    count = 0
    if kind in kinds:
        for place, item in node.items() if type(node) is dict else enumerate(node):
            if type(item) is kind and (new := change(item)) is not item:
                node[place] = new
                count += 1
    return count


def _settle_keys(node: dict[Any, Any], kind: type | None, change: Change) -> int:
    kinds = set(map(type, node))
    if not kinds <= SCALARS:
        raise TypeError("a message can't have a container as a key")
    if kind not in kinds:
        return 0
    names = [change(name) if type(name) is kind else name for name in node]
    count = sum(new is not old for new, old in zip(names, node, strict=True))
    if count:
        items = list(node.values())
        node.clear()
        node.update(zip(names, items, strict=True))
    return count
