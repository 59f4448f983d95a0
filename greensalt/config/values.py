"""What an option may hold: the declared types, checked and converted.

The type of an option is its annotation in the config class. Numbers written as strings are taken as
numbers, a single string as a list of one, as stock Salt does; nothing else is guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from greensalt.config.codecs import check_codec_name
from greensalt.config.record import Limits
from greensalt.errors import SerializerUnusable

Strings = tuple[str, ...]
Options = Mapping[str, Any]
Roots = Mapping[str, tuple[str, ...]]
Serializer = str
SerializerPorts = Mapping[str, int]
Plugins = tuple[tuple[str, Any], ...]  # (name, what it is given), in the order of the file


class WrongValue(Exception):
    """A value that an option can't take; the message says what it wants. Never leaves config."""


def conform(value: Any, type_text: str, limits: Limits) -> Any:
    """The value as the type that an annotation names, within its limits; raises WrongValue."""
    reasons = []
    for kind in type_text.split(" | "):
        if kind == "None":
            continue  # nothing given means the default; that is not a value of a file
        try:
            return _within(_CONVERTERS[kind](value), limits)
        except WrongValue as reason:
            reasons.append(str(reason))
    raise WrongValue(" or ".join(reasons))


def _within(value: Any, limits: Limits) -> Any:
    if limits.choices and value not in limits.choices:
        raise WrongValue(f"one of {', '.join(limits.choices)}")
    too_small = limits.least is not None and value < limits.least
    if too_small or (limits.most is not None and value > limits.most):
        top = "" if limits.most is None else f" and at most {limits.most}"
        raise WrongValue(f"a number of at least {limits.least}{top}")
    return value


def _bool(value: Any) -> bool:
    if not isinstance(value, bool):
        raise WrongValue("True or False")
    return value


def _int(value: Any) -> int:
    if isinstance(value, str):
        try:
            return int(value)
        except ValueError:
            pass
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise WrongValue("a whole number")
    return value


def _float(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise WrongValue("a number")
    try:
        return float(value)
    except ValueError:
        raise WrongValue("a number") from None


def _str(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise WrongValue("a string")
    return str(value)


def _path(value: Any) -> Path:
    if not isinstance(value, str | Path) or not str(value):
        raise WrongValue("a path")
    if "\0" in str(value):
        raise WrongValue("a path without NUL")
    return Path(value).expanduser()


def _strings(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, list | tuple):
        raise WrongValue("a list of strings")
    try:
        return tuple(_str(item) for item in value)
    except WrongValue:
        raise WrongValue("a list of strings") from None


def _options(value: Any) -> dict[str, Any]:
    if isinstance(value, list) and all(isinstance(item, Mapping) for item in value):
        # Salt lets `nodegroups` and its like be a list of one-key maps, to keep their order.
        value = {key: entry for item in value for key, entry in item.items()}
    if not isinstance(value, Mapping):
        raise WrongValue("a map")
    return {str(key): entry for key, entry in value.items()}


def _roots(value: Any) -> dict[str, tuple[str, ...]]:
    if not isinstance(value, Mapping):
        raise WrongValue("a map from environments to lists of directories")
    roots = {}
    for environment, directories in value.items():
        try:
            roots[str(environment)] = _strings(directories or [])
        except WrongValue:
            raise WrongValue("a map from environments to lists of directories") from None
    return roots


def _serializer(value: Any) -> str:
    try:
        return check_codec_name(_str(value))
    except SerializerUnusable as error:
        raise WrongValue(f"a serializer ({error})") from None


def _serializer_ports(value: Any) -> dict[str, int]:
    if not isinstance(value, Mapping):
        raise WrongValue("a map from serializers to TCP ports")
    ports = {}
    for name, port in value.items():
        if _serializer(name) == "msgpack":
            raise WrongValue("a map without msgpack, which has publish_port")
        number = _int(port)
        if not 0 < number <= 65535:
            raise WrongValue(f"a map from serializers to TCP ports ({name} has {port!r})")
        ports[str(name)] = number
    return ports


def _plugins(value: Any) -> Plugins:
    """Salt's form is a list of maps with one key; the same name may come more than once."""
    if not isinstance(value, list | tuple):
        raise WrongValue("a list of maps with one key each")
    plugins: list[tuple[str, Any]] = []
    for entry in value:
        if isinstance(entry, Mapping):
            plugins += [(str(name), given) for name, given in entry.items()]
        elif isinstance(entry, tuple) and len(entry) == 2:
            plugins.append(entry)
        else:
            raise WrongValue("a list of maps with one key each")
    return tuple(plugins)


_CONVERTERS: dict[str, Callable[[Any], Any]] = {
    "bool": _bool,
    "int": _int,
    "float": _float,
    "str": _str,
    "Path": _path,
    "Strings": _strings,
    "Options": _options,
    "Roots": _roots,
    "Serializer": _serializer,
    "SerializerPorts": _serializer_ports,
    "Plugins": _plugins,
}
