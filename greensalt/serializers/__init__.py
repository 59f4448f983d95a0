"""Serializers of the inner loads: one file per codec, chosen per link and negotiated (Spec 12.4).

Every codec carries the same values and gives them back in the same form, that of the msgpack
dialect; how, its `facts` say. `find` gets one by name, `served` a table to read packets by.
"""

from greensalt.serializers.codec import (
    MSGPACK,
    ONLY_MSGPACK,
    PREFIX_BYTES,
    Codec,
    Codecs,
    Facts,
    How,
)
from greensalt.serializers.registry import find, names, served

__all__ = [
    "MSGPACK",
    "ONLY_MSGPACK",
    "PREFIX_BYTES",
    "Codec",
    "Codecs",
    "Facts",
    "How",
    "find",
    "names",
    "served",
]
