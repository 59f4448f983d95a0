"""One check per target type: what is looked at, and what must hold for it (spec 5.4).

A check is compiled once and then asked for one minion or for thousands.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

from greensalt.errors import TargetError
from greensalt.target.lookup import DEFAULT_DELIMITER, Lookup, Mode, glob_test
from greensalt.target.regex import Regex

Subject = Literal["id", "grains", "pillar"]

# Characters of one target, names of a list included; the limit of an event on the bus.
MAX_TARGET: Final = 1 << 20


class Check(NamedTuple):
    """What one term of a target asks for.

    subject: which of a minion's facts `holds` wants to see.
    names: the ids that the term names literally, for the master to say which of them are missing.
    """

    subject: Subject
    holds: Callable[[Any], bool]
    names: tuple[str, ...] = ()


def compile_check(tgt_type: str, tgt: object, delimiter: str = DEFAULT_DELIMITER) -> Check:
    """The check of a target that is a single term.

    tgt is a str, or for `list` also a list of str. Raises TargetError for an unknown type and for
    a target that its type can't understand.
    """
    make = _MAKERS.get(tgt_type)
    if make is None:
        raise TargetError(f"unknown target type {tgt_type!r}: none of {', '.join(sorted(_MAKERS))}")
    if tgt_type == "list" and isinstance(tgt, list | tuple):
        return _names_check(tgt)
    if not isinstance(tgt, str):
        raise TargetError(f"a {tgt_type} target is a text, not {type(tgt).__name__}")
    if not tgt:
        raise TargetError("the target is empty")
    if len(tgt) > MAX_TARGET:
        raise TargetError(f"a target of {len(tgt)} characters is too long")
    return make(tgt, delimiter)


def _glob_check(tgt: str, _delimiter: str) -> Check:
    return Check("id", glob_test(tgt))


def _pcre_check(tgt: str, _delimiter: str) -> Check:
    return Check("id", Regex(tgt).matches)


def _list_check(tgt: str, _delimiter: str) -> Check:
    return _names_check(tgt.split(","))


def _names_check(given: Sequence[object]) -> Check:
    names = tuple(dict.fromkeys(name for name in given if isinstance(name, str) and name))
    if not names:
        raise TargetError("the list of minions is empty")
    return Check("id", frozenset(names).__contains__, names)


def _lookup_maker(subject: Subject, mode: Mode) -> Callable[[str, str], Check]:
    def make(tgt: str, delimiter: str) -> Check:
        return Check(subject, Lookup(tgt, delimiter, mode).found)

    return make


def _ipcidr_check(tgt: str, _delimiter: str) -> Check:
    """An address, or a network such as 10.0.0.0/8 whose host bits must be zero."""
    try:
        address = ipaddress.ip_address(tgt)
    except ValueError:
        return _network_check(tgt)
    text, key = str(address), f"ipv{address.version}"

    def same(grains: Mapping[str, Any]) -> bool:
        return text in _texts(grains.get(key))

    return Check("grains", same)


def _network_check(tgt: str) -> Check:
    try:
        network = ipaddress.ip_network(tgt)
    except ValueError as error:
        raise TargetError(f"{tgt!r} is neither an address nor a network: {error}") from error
    key = f"ipv{network.version}"

    def inside(grains: Mapping[str, Any]) -> bool:
        return any(_is_in(text, network) for text in _texts(grains.get(key)))

    return Check("grains", inside)


def _is_in(text: str, network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    try:
        return ipaddress.ip_address(text) in network
    except ValueError:
        # A grain that somebody set by hand; it makes no other address wrong.
        return False


def _texts(value: object) -> list[str]:
    """The addresses in a grain: a list as the minion computes it, or one text set by hand."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, list | tuple):
        return [member for member in value if isinstance(member, str)]
    return []


_MAKERS: Final[Mapping[str, Callable[[str, str], Check]]] = {
    "glob": _glob_check,
    "pcre": _pcre_check,
    "list": _list_check,
    "ipcidr": _ipcidr_check,
    "grain": _lookup_maker("grains", "glob"),
    "grain_pcre": _lookup_maker("grains", "regex"),
    "pillar": _lookup_maker("pillar", "glob"),
    "pillar_pcre": _lookup_maker("pillar", "regex"),
    "pillar_exact": _lookup_maker("pillar", "exact"),
}
