"""One contract for all codecs: what goes in comes out as the msgpack dialect would give it back."""

from __future__ import annotations

import enum
import math
import tracemalloc
from collections import OrderedDict
from datetime import UTC, date, datetime
from typing import Any, NamedTuple

import pytest
from hypothesis import given, strategies as st

from greensalt.errors import MalformedMessage
from greensalt.serializers import MSGPACK, PREFIX_BYTES, Codec, find, names
from greensalt.wire.dialect import MAX_DEPTH, Constant, pack, unpack

codecs = pytest.mark.parametrize("codec", [find(name) for name in names()], ids=lambda c: c.name)


class Colour(enum.StrEnum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


class Pair(NamedTuple):
    left: Any
    right: Any


class Name(str):
    __slots__ = ()


class Share(float):
    __slots__ = ()


scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(2**64) - 2, 2**64 + 2)
    | st.floats()
    | st.text()
    | st.text('\0\\u0bdsfc:"', max_size=6)
    | st.binary(max_size=40)
    | st.sampled_from([b"text", b"caf\xe9".decode(errors="surrogateescape"), Name("sub")])
    | st.datetimes()
    | st.datetimes(timezones=st.just(UTC))
    | st.dates()
    | st.builds(Constant, st.text(), st.none() | st.text() | st.integers(0, 9))
    | st.sampled_from([Colour.RED, Level.HIGH, bytearray(b"\xff"), "null", "\0", "\0b:!"])
)
keys = (
    st.text()
    | st.sampled_from(["", "\0", "\0s:", "\0i:1", "null"])
    | st.binary(max_size=4)
    | st.integers()
    | st.booleans()
    | st.none()
    | st.floats(allow_nan=False)
)
objects = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(keys, inner, max_size=5)
        | st.tuples(inner, inner)
        | st.builds(Pair, inner, inner)
        | st.dictionaries(st.text(), inner, max_size=3).map(OrderedDict)
        | st.frozensets(st.integers() | st.text(), max_size=1)
    ),
    max_leaves=20,
)


def same(left: Any, right: Any) -> bool:
    """Equal in value and in type, with NaN equal to itself, and in the same order."""
    if type(left) is not type(right):
        return False
    if isinstance(left, float):
        return left == right or (math.isnan(left) and math.isnan(right))
    if isinstance(left, dict):
        return same([*left.items()], [*right.items()])
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right)


def assert_as_in_the_dialect(codec: Codec, value: Any) -> None:
    there, expected = codec.loads(codec.dumps(value)), unpack(pack(value))
    assert same(there, expected), (value, there, expected)


@codecs
@given(objects)
def test_every_value_arrives_as_under_the_dialect(codec: Codec, value: Any) -> None:
    assert_as_in_the_dialect(codec, value)


@codecs
@given(objects)
def test_so_it_does_inside_a_request(codec: Codec, value: Any) -> None:
    """Every request has a `tok`: bytes, which JSON has to escape."""
    load = {"cmd": "_return", "return": value, "id": "m1", "nonce": "0" * 32, "tok": b"\xc4\xff"}
    assert_as_in_the_dialect(codec, load)


@codecs
@given(objects)
def test_what_has_arrived_goes_on_unchanged(codec: Codec, value: Any) -> None:
    first = codec.loads(codec.dumps(value))
    assert same(codec.loads(codec.dumps(first)), first)


SAMPLES: dict[str, Any] = {
    "bytes": b"\x00\xff\xfe",
    "tuples": (1, (2, 3)),
    "int_keys": {1: "a", -5: "b"},
    "big_ints": 2**64,
    "datetimes": datetime(2026, 1, 2, 3, 4, 5, 678),  # noqa: DTZ001  # the wire has no zone
    "nan": float("nan"),
}


@codecs
@pytest.mark.parametrize("kind", SAMPLES)
def test_a_codec_does_what_it_declares(codec: Codec, kind: str) -> None:
    how = getattr(codec.facts, kind)
    assert how in ("native", "escaped", "changed")
    sample = SAMPLES[kind]
    assert same(codec.loads(codec.dumps(sample)), sample) is (how != "changed")


@codecs
def test_values_that_are_hard_for_some(codec: Codec) -> None:
    for value in (
        {"n": None, "nan": float("nan"), "inf": [float("inf"), -float("inf")]},
        {"\0b:AA==": "\0b:AA==", "b": b"\xff", "\0": "\\u0000"},
        {"when": [datetime(999, 1, 2), date(1, 1, 1), datetime(2026, 1, 2, tzinfo=UTC)]},  # noqa: DTZ001
        {True: "t", 0: "f", None: "n", 1.5: "x", b"\xff": "y", b"k": "z"},
        {"empty": [{}, [], "", b"", (), set()]},
        {"big": [2**63, 2**64 - 1, 2**64, -(2**63), -(2**63) - 1, 10**40]},
        {"emoji": "🧂 — déjà vu", "name": b"caf\xe9".decode(errors="surrogateescape")},
        {"shares": [Share(1.5), Share("nan"), Share("inf"), None], Share(0.5): Share(2)},
        {"enum": [Colour.RED, Level.HIGH], "pair": Pair(1, Pair(2, b"\xff"))},
        {"floats": [1.0, -0.0, 1e308, 5e-324, 0.1 + 0.2], "ints": [0, -1, 127, 128]},
        {"constant": Constant("NOT_SET", None), "other": Constant("X", "\0")},
    ):
        assert_as_in_the_dialect(codec, value)


@codecs
@pytest.mark.parametrize("kind", ["list", "dict", "int keys", "with bytes"])
def test_nesting_holds_as_deep_as_results_go(codec: Codec, kind: str) -> None:
    value: Any = b"\xff" if kind == "with bytes" else 1
    for _ in range(200):
        value = {"list": [value], "dict": {"a": value}, "int keys": {1: value}}.get(kind, [value])
    load = {"load": {"return": value}}
    assert codec.loads(codec.dumps(load)) == load


@codecs
@pytest.mark.parametrize("make", [lambda v: [v], lambda v: {"a": v}, lambda v: {1: v}])
def test_too_deep_a_value_is_refused_by_the_sender(codec: Codec, make: Any) -> None:
    value: Any = 1
    for _ in range(3000):
        value = make(value)
    with pytest.raises(MalformedMessage):
        codec.dumps(value)


@codecs
def test_a_container_inside_itself_is_named_not_followed(codec: Codec) -> None:
    load: dict[str, Any] = {"n": 1}
    load["self"] = [load]
    note = f"<Recursion on dict with id={id(load)}>"
    assert codec.loads(codec.dumps(load)) == {"n": 1, "self": [note]}


@codecs
@pytest.mark.parametrize(
    "value",
    [object(), {"a": [pytest]}, {"f": len}, "\ud800", 10**5000, {object(): 1}, 1j],
    ids=["object", "module", "function", "surrogate", "huge number", "object key", "complex"],
)
def test_what_has_no_form_on_the_wire_is_refused(codec: Codec, value: Any) -> None:
    with pytest.raises(MalformedMessage, match="can't be sent"):
        codec.dumps(value)


HOSTILE = {
    "nothing": b"",
    "reserved": b"\xc1",
    "cut text": b"\xa5abc",
    "two objects": b"1 2",
    "open list": b"[1,",
    "bad JSON": b"{'a': 1}",
    "NaN": b"NaN",
    "latin-1": b'"caf\xe9"',
    "raw NUL": b'"\x00b:AA=="',
    "many digits": b"9" * 100_000,
    "unknown escape": b'"\\u0000x:1"',
    "broken base64": b'"\\u0000b:*"',
    "broken time": b'"\\u0000d:yesterday"',
    "constant of a list": b'"\\u0000c:[\\"a\\",[1]]"',
    "lists": b"[" * 100_000,
    "closed lists": b"[" * 300 + b"]" * 300,
    "dicts": b'{"a":' * 300 + b"1" + b"}" * 300,
    "list as key": b"\x81\x90\x01",
    "CBOR list as key": b"\xa1\x81\x01\x02",
    "msgpack lists": b"\x91" * 100_000,
    "closed msgpack lists": b"\x91" * (MAX_DEPTH + 1) + b"\xc0",
    "msgpack dicts": b"\x81\xa0" * 5000 + b"\xc0",
    "CBOR lists": b"\x81" * (MAX_DEPTH + 1) + b"\x01",
    "promised list": b"\xdd\xff\xff\xff\xff",
    "promised map": b"\xdf\xff\xff\xff\xff",
    "promised bytes": b"\xc6\xff\xff\xff\xff",
    "promised lists": b"\xdd\xff\xff\xff\xff" * 900,
    "promised CBOR list": b"\x9b\x7f\xff\xff\xff\xff\xff\xff\xff",
    "promised CBOR bytes": b"\x5b\x7f\xff\xff\xff\xff\xff\xff\xff",
    "broken extension": b"\xc7\x01\x4e\x00",
    "pattern": bytes.fromhex("d823616b"),
    "cycle": bytes.fromhex("d81c81d81d00"),
    "bignum": bytes.fromhex("c249010000000000000000"),
    "huge decimal": bytes.fromhex("c4821b00000000ffffffff03"),
    "huge float": bytes.fromhex("c5821b00000000ffffffff03"),
    "undefined": b"\xf7",
    "undefined inside": b"\x81\xf7",
    "undefined as key": b"\xa1\xf7\x01",
    "simple value": b"\xf8\xff",
    "unknown tag": bytes.fromhex("d90fff00"),
    "set": bytes.fromhex("d901028101"),
    "string references": bytes.fromhex("d9010082444141414168d81900"),
}


@codecs
@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_bytes_are_malformed_and_reserve_no_memory(codec: Codec, what: str) -> None:
    data = HOSTILE[what]
    tracemalloc.start()
    try:
        try:
            value = codec.loads(data)
        except MalformedMessage:
            pass
        else:
            assert_harmless(value)
        assert tracemalloc.get_traced_memory()[1] < 20 * len(data) + 1_000_000
    finally:
        tracemalloc.stop()


def assert_harmless(value: Any) -> None:
    """What nonsense in one format happens to mean in another is an ordinary value."""
    assert same(unpack(pack(value)), value)


JSON = {"nothing", "cut text", "open list", "bad JSON", "NaN", "latin-1", "raw NUL"}
JSON |= {"unknown escape", "broken base64", "broken time", "constant of a list", "many digits"}
JSON |= {"lists", "closed lists", "dicts", "two objects", "promised list", "cycle"}
MSGPACKS = {"nothing", "reserved", "cut text", "list as key", "msgpack lists"}
MSGPACKS |= {"closed msgpack lists", "msgpack dicts", "promised list", "promised map"}
MSGPACKS |= {"promised bytes", "promised lists", "broken extension"}
CBOR = {"nothing", "CBOR list as key", "CBOR lists", "promised CBOR list", "promised CBOR bytes"}
CBOR |= {"pattern", "cycle", "bignum", "huge decimal", "huge float", "undefined", "simple value"}
CBOR |= {"undefined inside", "undefined as key", "unknown tag", "set", "string references"}


@codecs
def test_what_is_broken_in_its_own_format_is_refused(codec: Codec) -> None:
    refused = JSON if "json" in codec.name else CBOR if codec.name == "cbor2" else MSGPACKS
    for what in refused - ({"many digits"} if codec.name == "cbor2" else set()):
        with pytest.raises(MalformedMessage):
            codec.loads(HOSTILE[what])


@codecs
@given(st.binary(max_size=300))
def test_nothing_but_a_protocol_error_escapes(codec: Codec, data: bytes) -> None:
    try:
        value = codec.loads(data)
    except MalformedMessage:
        return
    pack(value)


@codecs
@given(objects, st.data())
def test_nothing_but_a_protocol_error_escapes_from_a_damaged_message(
    codec: Codec, value: Any, data: st.DataObject
) -> None:
    wire = bytearray(codec.dumps(value))
    for _ in range(data.draw(st.integers(1, 4))):
        wire[data.draw(st.integers(0, len(wire) - 1))] = data.draw(st.integers(0, 255))
    try:
        pack(codec.loads(bytes(wire)))
    except MalformedMessage:
        pass


@codecs
def test_a_large_message_is_read_whole(codec: Codec) -> None:
    load = {"data": b"\xff" * 1_000_000, "list": list(range(1000)), "rows": [{"a": 1}] * 500}
    assert same(codec.loads(codec.dumps(load)), load)


def test_each_codec_has_a_prefix_of_its_own() -> None:
    prefixes = {find(name).prefix for name in names()}
    assert len(prefixes) == len(names())
    assert {len(prefix) for prefix in prefixes} == {PREFIX_BYTES}
    assert MSGPACK.prefix == b"pickle::"
