"""The serializers that a run can compare, and the box of a session that speaks one of them.

All that the load test knows of `greensalt.serializers` is here; without it there is msgpack.
"""

from __future__ import annotations

import importlib
import importlib.util
from functools import cache
from typing import Any, Final, Protocol

from greensalt.crypto.crypticle import Crypticle, new_nonce
from greensalt.crypto.handshake import Accepted, SignInAttempt
from greensalt.crypto.keypair import PrivateKey
from greensalt.errors import ConfigError, SignInRefused
from greensalt.wire.dialect import pack, unpack

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
        return pack(obj)

    def loads(self, data: bytes) -> Any:
        return unpack(data)


class _Chosen:
    """A box whose loads are those of a codec of the registry."""

    def __init__(self, name: str, key_string: str) -> None:
        registry = _registry()
        # Their signatures take a codec only where the registry exists.
        self._crypticle: Any = Crypticle(key_string)
        self._codec = registry.find(name)
        self._codecs = registry.served([name])

    def dumps(self, obj: object, nonce: str | None = None) -> bytes:
        packet: bytes = self._crypticle.dumps(obj, nonce, self._codec)
        return packet

    def loads(self, packet: bytes, nonce: str | None = None) -> Any:
        return self._crypticle.loads(packet, nonce, self._codecs)


def available() -> list[str]:
    """The names of all serializers whose libraries are here, the default one first."""
    registry = _registry()
    names = [DEFAULT] if registry is None else filter(_is_usable, registry.names())
    return sorted(names, key=lambda name: (name != DEFAULT, name))


def check(name: str) -> str:
    """`name` unchanged; ConfigError when this installation has no such serializer."""
    if name not in available():
        raise ConfigError(f"no serializer {name!r} here: there are {', '.join(available())}")
    return name


def box(name: str, key_string: str) -> Box:
    """The box of a session (or of the publish port) under a key string."""
    return Crypticle(key_string) if name == DEFAULT else _Chosen(name, key_string)


def plain(name: str) -> Plain:
    """The serializer alone, to be measured."""
    if name == DEFAULT:
        return _Msgpack()
    codec: Plain = _registry().find(name)
    return codec


def attempt(minion_id: str, key: PrivateKey, name: str) -> SignInAttempt:
    """A sign-in that asks for a serializer; stock masters see nothing new for the default one."""
    plain_one = SignInAttempt(minion_id, key, new_nonce(), b"")
    wish: dict[str, Any] = {} if name == DEFAULT else {"serializer": name}
    return plain_one._replace(**wish)


def check_granted(accepted: Accepted, name: str) -> None:
    """Raises SignInRefused when the master does not serve the serializer that was asked for."""
    granted = getattr(accepted, "serializer", None) or DEFAULT
    if granted != name:
        raise SignInRefused(
            f"the master does not serve {name}: its configuration must name it in `serializers`"
        )


@cache
def _is_usable(name: str) -> bool:
    try:
        _registry().find(name)
    except ConfigError:
        return False
    return True


def _registry() -> Any:
    """The registry of serializers, or None when this greensalt has the one only."""
    if importlib.util.find_spec(_REGISTRY) is None:
        return None
    return importlib.import_module(_REGISTRY)
