"""The serializers that a run can compare, and the box of a session that speaks one of them."""

from __future__ import annotations

from functools import cache
from typing import Any

from greensalt.crypto.crypticle import Crypticle, new_nonce
from greensalt.crypto.handshake import Accepted, SignInAttempt
from greensalt.crypto.keypair import PrivateKey
from greensalt.errors import ConfigError, SignInRefused
from greensalt.serializers import MSGPACK, Codec, find, names, served

DEFAULT = MSGPACK.name
"""What every peer speaks, stock Salt included."""


class Box:
    """Seals and opens the loads of one session, or of the publish port, in one serializer."""

    def __init__(self, name: str, key_string: str) -> None:
        self._crypticle = Crypticle(key_string)
        self._codec = find(name)
        self._codecs = served([name])

    def dumps(self, obj: object, nonce: str | None = None) -> bytes:
        return self._crypticle.dumps(obj, nonce, self._codec)

    def loads(self, packet: bytes, nonce: str | None = None) -> Any:
        return self._crypticle.loads(packet, nonce, self._codecs)


def available() -> list[str]:
    """The names of all serializers whose libraries are here, the default one first."""
    usable = filter(_is_usable, names())
    return sorted(usable, key=lambda name: (name != DEFAULT, name))


def check(name: str) -> str:
    """`name` unchanged; ConfigError when this installation has no such serializer."""
    if name not in available():
        raise ConfigError(f"no serializer {name!r} here: there are {', '.join(available())}")
    return name


def plain(name: str) -> Codec:
    """The serializer alone, without the encryption around it, to be measured."""
    return find(name)


def attempt(minion_id: str, key: PrivateKey, name: str) -> SignInAttempt:
    """A sign-in that asks for a serializer; stock masters see nothing new for the default one."""
    wish = None if name == DEFAULT else name
    return SignInAttempt(minion_id, key, new_nonce(), b"", serializer=wish)


def check_granted(accepted: Accepted, name: str) -> None:
    """Raises SignInRefused when the master does not serve the serializer that was asked for."""
    if (accepted.serializer or DEFAULT) != name:
        raise SignInRefused(
            f"the master does not serve {name}: its configuration must name it in `serializers`"
        )


@cache
def _is_usable(name: str) -> bool:
    try:
        find(name)
    except ConfigError:
        return False
    return True
