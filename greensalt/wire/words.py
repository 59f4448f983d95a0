"""Words as typed arguments of a job: those of a command line, and those of a peer publish.

`1` becomes a number, `{a: 1}` a dict, `a=b` an entry of one trailing dict that is marked with
`__kwarg__`. Source: docs/protocol.md 5.3 and 8.1.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from greensalt.wire.arguments import KWARG_MARK, split_keyword, yaml_value

JID_DIGITS: Final = 20


def parse_args(words: Iterable[Any], no_parse: Collection[str] = ()) -> list[Any]:
    """The arguments that `words` mean; the values of the keywords in `no_parse` stay text.

    What is no text is taken as it is.

    Keyword arguments come last, as one dict with the mark `__kwarg__`.
    """
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for word in words:
        if not isinstance(word, str):
            args.append(word)
            continue
        pair = split_keyword(word)
        if pair is None:
            args.append(yaml_value(word))
        else:
            name, value = pair
            kwargs[name] = value if name in no_parse else yaml_value(value)
    return add_kwargs(args, kwargs)


def add_kwargs(args: Iterable[Any], kwargs: Mapping[str, Any] | None) -> list[Any]:
    """Typed arguments with `kwargs` as the trailing marked dict.

    A number of 20 digits is a job id, and job ids are text.
    """
    ready = [_jid_as_text(arg) for arg in args]
    if kwargs:
        ready.append({KWARG_MARK: True, **kwargs} | {KWARG_MARK: True})
    return ready


def _jid_as_text(value: Any) -> Any:
    if isinstance(value, int) and len(str(value)) == JID_DIGITS and value > 0:
        return str(value)
    return value
