"""The serializers that a run can compare, and the box of a session that speaks one of them."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any, Final, Protocol

from greensalt.crypto.crypticle import Crypticle
from greensalt.errors import ConfigError

DEFAULT: Final = "msgpack"
"""What every peer speaks, stock Salt included."""

_REGISTRY: Final = "greensalt.serializers"


class Box(Protocol):
    """Seals and opens the loads of one session."""

    def dumps(self, obj: object, nonce: str | None = None) -> bytes: ...

    def loads(self, packet: bytes, nonce: str | None = None) -> Any: ...


class Plain(Protocol):
    """A serializer alone, without the encryption around it."""

    def dumps(self, obj: Any) -> bytes: ...

    def loads(self, data: bytes) -> Any: ...


class _Msgpack:
    def dumps(self, obj: Any) -> bytes:
        from greensalt.wire.dialect import pack

        return pack(obj)

    def loads(self, data: bytes) -> Any:
        from greensalt.wire.dialect import unpack

        return unpack(data)


def available() -> list[str]:
    """The names of all serializers of this installation, the default one first."""
    registry = _registry()
    names = [DEFAULT] if registry is None else list(registry.available())
    return sorted(names, key=lambda name: (name != DEFAULT, name))


def check(name: str) -> str:
    """`name` unchanged; ConfigError when this installation has no such serializer."""
    if name not in available():
        raise ConfigError(f"no serializer {name!r} here: there are {', '.join(available())}")
    return name


def box(name: str, key_string: str) -> Box:
    """The box of a session (or of the publish port) under a key string."""
    registry = _registry()
    if name == DEFAULT or registry is None:
        return Crypticle(key_string)
    sealed: Box = registry.crypticle(name, key_string)
    return sealed


def plain(name: str) -> Plain:
    """The serializer alone, to be measured."""
    registry = _registry()
    if name == DEFAULT or registry is None:
        return _Msgpack()
    codec: Plain = registry.get(name)
    return codec


def sign_in_fields(name: str) -> dict[str, str]:
    """What a minion adds to its sign-in to ask for a serializer; stock masters see nothing new."""
    return {} if name == DEFAULT else {"serializer": name}


def _registry() -> Any:
    """The registry of serializers, or None when this greensalt has the one only."""
    if importlib.util.find_spec(_REGISTRY) is None:
        return None
    return importlib.import_module(_REGISTRY)
