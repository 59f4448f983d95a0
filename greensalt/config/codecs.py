"""Which serializers may be named in a configuration, and why some never are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from greensalt.errors import SerializerUnusable

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP: Final = "greensalt.serializers"
"""The entry points by which other packages offer theirs."""

BUILT_IN: Final[Mapping[str, str]] = MappingProxyType(
    {
        "msgpack": "msgpack",
        "orjson": "orjson",
        "json": "",
        "msgspec_msgpack": "msgspec",
        "msgspec_json": "msgspec",
        "ormsgpack": "ormsgpack",
        "cbor2": "cbor2",
    }
)
"""greensalt's own, each with the package it needs besides greensalt's dependencies."""

_RUNS_CODE: Final = "what it reads can run code of the sender's choice"
_BUILDS_OBJECTS: Final = "its documents can name types to be built, and a plain reader is slow"

REFUSED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "pickle": _RUNS_CODE,
        "cPickle": _RUNS_CODE,
        "_pickle": _RUNS_CODE,
        "pickle5": _RUNS_CODE,
        "cloudpickle": _RUNS_CODE,
        "dill": _RUNS_CODE,
        "shelve": _RUNS_CODE,
        "joblib": _RUNS_CODE,
        "jsonpickle": _RUNS_CODE,
        "eval": _RUNS_CODE,
        "python": _RUNS_CODE,
        "marshal": "it reads code objects, and crafted bytes crash the interpreter",
        "yaml": _BUILDS_OBJECTS,
        "ruamel": _BUILDS_OBJECTS,
        "repr": "reading it means to parse Python",
    }
)
"""What is not a serializer here, whoever offers it, and the reason."""


def check_codec_name(name: str) -> str:
    """The name unchanged; raises SerializerUnusable, which says what to do instead."""
    if name in REFUSED:
        raise SerializerUnusable(name, f"the serializer {name!r} is refused: {REFUSED[name]}")
    if name in BUILT_IN:
        return name
    from difflib import get_close_matches

    known = {*BUILT_IN, *(point.name for point in offered_codecs())} - {*REFUSED}
    if name in known:
        return name
    close = get_close_matches(name, sorted(known), n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(sorted(known))}"
    raise SerializerUnusable(name, f"there is no serializer {name!r}; {hint}")


def offered_codecs() -> Iterable[EntryPoint]:
    """What other packages offer, not loaded."""
    from importlib.metadata import entry_points  # 20 ms that few commands have to spend

    return entry_points(group=GROUP)
