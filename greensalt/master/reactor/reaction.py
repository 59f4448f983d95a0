"""What an SLS file of the reactor says: its reactions, checked before any of them is done.

    <id>:
      local.<function>:       # or runner. wheel. caller.
        - tgt: web1
        - args:
          - name: value

The older forms, `cmd` for `local`, `arg` and `kwarg` for `args` and all arguments beside the
function's name, mean what they do in stock Salt 3008.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from greensalt.errors import ReactorError
from greensalt.wire.jid import is_jid

KINDS: Final = ("local", "runner", "wheel", "caller")
ALIASES: Final = {"cmd": "local"}
LAST: Final = 1 << 30
OWN: Final = frozenset({"__id__", "__sls__", "name", "order", "fun", "state"})
"""What the words of a reaction are called that are no argument of its function."""


@dataclass(frozen=True, slots=True)
class Reaction:
    """One thing to do. `low` are its words: tgt, args and so on."""

    id: str
    sls: str
    kind: str
    fun: str
    low: Mapping[str, Any]

    @property
    def full_name(self) -> str:
        return f"{self.kind}.{self.fun}"

    @property
    def is_legacy(self) -> bool:
        """Whether the function's arguments are among the words themselves."""
        return not {"args", "arg", "kwarg"} & self.low.keys()

    def arguments(self) -> tuple[list[Any], dict[str, Any]]:
        """The positional and the keyword arguments; raises ReactorError."""
        if "args" not in self.low:
            return _positional(self.low.get("arg")), _keywords(self.low.get("kwarg"))
        args = self.low["args"]
        if isinstance(args, Mapping):
            return [], _text_keys(args)
        if not isinstance(args, list):
            raise ReactorError(f"args must be a list of `name: value`, not {args!r:.80}")
        repacked: dict[Any, Any] = {}
        for entry in args:
            if isinstance(entry, Mapping) and len(entry) == 1:
                repacked.update(entry)
            elif isinstance(entry, str | int | float):
                repacked[entry] = None
            else:
                raise ReactorError(f"args must be a list of `name: value`; {entry!r:.80} is none")
        if not repacked:
            raise ReactorError("args is empty: leave it out")
        return [], _text_keys(repacked)


def reactions_of(sls: str, data: Any) -> dict[str, list[Reaction]]:
    """The reactions of a file by id; raises ReactorError, naming what is wrong."""
    if not isinstance(data, Mapping):
        raise ReactorError("it does not render to a dictionary")
    found: dict[str, list[Reaction]] = {}
    for name, body in data.items():
        if not isinstance(name, str):
            raise ReactorError(f"the id {name!r:.80} is not a text: it may need quotes")
        if not name.startswith("__"):
            try:
                found[name] = list(_of_id(sls, name, body))
            except ReactorError as error:
                raise ReactorError(f"{name}: {error}") from error
    return found


def in_order(reactions: Iterator[Reaction]) -> list[Reaction]:
    """Those with an `order` first, by it; the others in the order of the files."""

    def order(reaction: Reaction) -> int:
        given = reaction.low.get("order")
        return given if isinstance(given, int) and given > 0 else LAST

    return sorted(reactions, key=order)


def _of_id(sls: str, name: str, body: Any) -> Iterator[Reaction]:
    if isinstance(body, str) and "." in body:
        body = {body: []}
    if not isinstance(body, Mapping):
        raise ReactorError("there must be a reaction such as `local.test.ping:` below it")
    seen: set[str] = set()
    for key, words in body.items():
        kind, _, fun = str(key).partition(".")
        if kind.startswith("__"):
            continue
        if not isinstance(words, list):
            raise ReactorError(f"what is below {key} must be a list")
        kind = ALIASES.get(kind, kind)
        if kind not in KINDS:
            raise ReactorError(f"{key}: a reaction is one of {', '.join(KINDS)}")
        if kind in seen:
            raise ReactorError(f"two reactions are {kind}: give each an id of its own")
        seen.add(kind)
        yield from _of_words(sls, name, kind, fun, words)


def _of_words(sls: str, name: str, kind: str, fun: str, words: list[Any]) -> Iterator[Reaction]:
    functions = [fun] if fun else []
    low: dict[str, Any] = {"name": name}
    for word in words:
        if isinstance(word, str):
            functions.append(word)
        elif isinstance(word, Mapping):
            low.update(_text_keys(word))
        else:
            raise ReactorError(f"{word!r:.80} is neither a function nor `name: value`")
    if len(functions) != 1 or " " in functions[0].strip():
        told = ", ".join(map(repr, functions)) or "none"
        raise ReactorError(f"{kind}: there must be one function, and it has {told}")
    names = low.pop("names", None)
    for own in [{}] if not names else _names(names):
        yield Reaction(name, sls, kind, functions[0], {**low, **own})


def _names(names: Any) -> list[dict[str, Any]]:
    """What `names` adds to each of its reactions."""
    if not isinstance(names, list):
        raise ReactorError("names must be a list")
    found: list[dict[str, Any]] = []
    for entry in names:
        if not isinstance(entry, Mapping):
            found.append({"name": entry})
            continue
        for name, words in entry.items():
            own: dict[str, Any] = {"name": name}
            for word in words if isinstance(words, list) else [words]:
                own.update(_text_keys(word) if isinstance(word, Mapping) else {})
            found.append(own)
    return found


def _positional(given: Any) -> list[Any]:
    args = [] if given is None else list(given) if isinstance(given, list | tuple) else [given]
    return [str(arg) if isinstance(arg, int) and is_jid(str(arg)) else arg for arg in args]


def _keywords(given: Any) -> dict[str, Any]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise ReactorError(f"kwarg must be a map, not {given!r:.80}")
    return _text_keys(given)


def _text_keys(given: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(key): value for key, value in given.items()}
