"""Codecs by name: our own, loaded when first asked for, and those of other packages.

Another package offers a codec through the entry point group `greensalt.serializers`. The object it
names, mostly a module, has `TAG` (four ASCII letters or digits), `FACTS`, `dumps` and `loads`. It
gets values in canonical form only, and what it reads is checked, so that it needs to know nothing
of the dialect. Whatever it raises becomes MalformedMessage.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from greensalt.config.codecs import BUILT_IN, REFUSED, check_codec_name, offered_codecs
from greensalt.errors import MalformedMessage, SerializerUnusable
from greensalt.serializers.canonical import canonical, rewritten, settled, text
from greensalt.serializers.codec import MSGPACK, TAG_CHARS, Codec, Codecs, Facts, prefix_of

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

_TAG: Final = re.compile(rf"[A-Za-z0-9]{{{TAG_CHARS}}}")
_OWN_TAGS: Final = frozenset({"json", "orjs", "mspk", "mspj", "ormp", "cbor"})


def names() -> list[str]:
    """The names of all codecs that are declared here, whether their libraries are there or not."""
    return sorted({*BUILT_IN, *(point.name for point in offered_codecs())} - {*REFUSED})


def served(codec_names: Iterable[str]) -> Codecs:
    """The codecs by their prefixes; msgpack is always among them. Raises as `find`."""
    codecs = (MSGPACK, *map(find, codec_names))
    return {codec.prefix: codec for codec in codecs}


@cache
def find(name: str) -> Codec:
    """A codec by its name.

    Raises SerializerUnusable, which says why: there is none, it is refused, its library is missing,
    or it is not what it should be.
    """
    if name == MSGPACK.name:
        return MSGPACK
    check_codec_name(name)
    if name in BUILT_IN:
        return _built_in(name)
    point, *others = (point for point in offered_codecs() if point.name == name)
    if others:
        raise SerializerUnusable(name, f"several packages offer the serializer {name!r}")
    return _foreign(name, point)


def _built_in(name: str) -> Codec:
    try:
        module = import_module(f"greensalt.serializers.{name}")
    except ImportError as error:
        raise SerializerUnusable(
            name,
            f"the serializer {name!r} needs the package {BUILT_IN[name]!r}, which is not installed"
            f" ({error}); pip install 'greensalt[serializers]' brings it",
        ) from error
    return Codec(
        name,
        prefix_of(module.TAG),
        _guarded(module.dumps, "can't be sent"),
        _guarded(module.loads, "not a message"),
        module.FACTS,
    )


def _foreign(name: str, point: EntryPoint) -> Codec:
    root = point.module.partition(".")[0]
    if root in REFUSED:
        raise SerializerUnusable(name, f"the serializer {name!r} is {root}: {REFUSED[root]}")
    try:
        offered = point.load()
    except (ImportError, AttributeError) as error:
        raise SerializerUnusable(
            name, f"the serializer {name!r} ({point.value}) can't be loaded: {error}"
        ) from error
    tag, facts = getattr(offered, "TAG", None), getattr(offered, "FACTS", None)
    write, read = getattr(offered, "dumps", None), getattr(offered, "loads", None)
    if not isinstance(tag, str) or not _TAG.fullmatch(tag) or tag in _OWN_TAGS:
        raise SerializerUnusable(
            name, f"the serializer {name!r}: TAG must be {TAG_CHARS} characters that nobody has"
        )
    if not isinstance(facts, Facts) or not callable(write) or not callable(read):
        raise SerializerUnusable(
            name, f"the serializer {name!r} lacks FACTS, dumps or loads ({point.value})"
        )
    return Codec(
        name,
        prefix_of(tag),
        _guarded(lambda obj: write(rewritten(obj, canonical, canonical)), "can't be sent"),
        _guarded(lambda data: settled(read(data), bytes, text), "not a message"),
        facts,
    )


def _guarded(function: Callable[[Any], Any], what: str) -> Callable[[Any], Any]:
    """The border: whatever a codec raises for a value or for bytes is a MalformedMessage."""

    def guarded(given: Any) -> Any:
        try:
            return function(given)
        except Exception as error:
            raise MalformedMessage(f"{what}: {error}") from error

    return guarded
