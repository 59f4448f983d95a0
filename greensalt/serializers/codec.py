"""What a codec is: a name, a mark on the wire, two functions, and what it says of itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple

from greensalt.wire.dialect import pack, unpack

How = Literal["native", "escaped", "changed"]
"""How a kind of value travels: the format has it; greensalt's escape carries it, unchanged; or it
arrives as something else, under every codec the same (Spec 12.4)."""


class Facts(NamedTuple):
    """What a codec does with values that not every format has."""

    bytes: How
    tuples: How
    int_keys: How
    big_ints: How  # beyond 64 bits
    datetimes: How
    nan: How


class Codec(NamedTuple):
    """Packs the inner loads of a link. Both functions raise MalformedMessage and nothing else.

    `prefix` is the 8 bytes in front of each plaintext that say what follows. `dumps` takes every
    value that has a form on the wire; `loads` gives it back as the msgpack dialect would.
    """

    name: str
    prefix: bytes
    dumps: Callable[[object], bytes]
    loads: Callable[[bytes], Any]
    facts: Facts

    def __repr__(self) -> str:
        return f"<Codec {self.name}>"


PREFIX_BYTES: Final = 8
TAG_CHARS: Final = 4

MSGPACK: Final = Codec(
    name="msgpack",
    prefix=b"pickle::",  # Salt's constant; nothing is pickled
    dumps=pack,
    loads=unpack,
    facts=Facts(
        bytes="native",
        tuples="changed",
        int_keys="native",
        big_ints="changed",
        datetimes="escaped",
        nan="native",
    ),
)
"""The default, and the only codec that a stock peer speaks."""

Codecs = Mapping[bytes, Codec]
"""The codecs that a peer reads, by their prefixes."""

ONLY_MSGPACK: Final[Codecs] = MappingProxyType({MSGPACK.prefix: MSGPACK})


def prefix_of(tag: str) -> bytes:
    """The plaintext prefix of a codec: its tag of four characters in a frame of ours."""
    return f"gs.{tag}:".encode("ascii")
