from __future__ import annotations

import tracemalloc
from datetime import date, datetime
from typing import Any

import msgpack
import pytest
from hypothesis import given, strategies as st

from greensalt.errors import MalformedMessage
from greensalt.wire.dialect import MAX_DEPTH, Constant, pack, pack_bin, unpack, unpack_bin
from tests.vectors.load import vectors

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text()
)
objects = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8
)


@pytest.mark.parametrize("case", vectors("dialect"), ids=lambda case: str(case["what"]))
def test_golden_bytes(case: dict[str, Any]) -> None:
    assert pack(case["value"]).hex() == case["wire"]
    assert unpack(bytes.fromhex(case["wire"])) == case["value"]


@given(objects)
def test_what_is_packed_comes_back(obj: object) -> None:
    assert unpack(pack(obj)) == obj
    assert unpack_bin(pack_bin(obj)) == obj


def test_valid_utf8_becomes_text_and_the_rest_stays_bytes_keys_included() -> None:
    assert unpack(pack({b"key": b"text", b"\xff": b"\xfe\xff"})) == {
        "key": "text",
        b"\xff": b"\xfe\xff",
    }


def test_the_bin_family_of_a_peer_is_read_like_raw() -> None:
    assert unpack(msgpack.packb({"a": b"text", "b": b"\xff"}, use_bin_type=True)) == {
        "a": "text",
        "b": b"\xff",
    }


def test_no_bin_and_no_str8_is_sent() -> None:
    assert pack(b"\xff" * 40)[0] == 0xDA
    assert pack("x" * 40)[0] == 0xDA


def test_the_bus_keeps_bytes_and_text_apart() -> None:
    assert unpack_bin(pack_bin({"a": b"text", "b": "text"})) == {"a": b"text", "b": "text"}


def test_undecodable_file_names_pass_through_both_dialects() -> None:
    name = b"caf\xe9".decode(errors="surrogateescape")
    assert unpack(pack(name)) == b"caf\xe9"
    assert unpack_bin(pack_bin(name)) == name


def test_tuples_and_sets_become_lists() -> None:
    assert unpack(pack((1, {2}, frozenset({3})))) == [1, [2], [3]]


@pytest.mark.parametrize("number", [2**64, -(2**63) - 1, 10**100])
def test_integers_beyond_64_bits_become_decimal_text(number: int) -> None:
    assert unpack(pack({"n": number})) == {"n": str(number)}


def test_a_time_travels_as_extension_78() -> None:
    wire = bytes.fromhex("81a164c7184e32303236303130325430333a30343a30352e303030363738")
    moment = datetime(2026, 1, 2, 3, 4, 5, 678)  # noqa: DTZ001  # the wire has no zone
    assert pack({"d": moment}) == wire
    assert unpack(wire) == {"d": moment}
    assert unpack(pack(date(2026, 1, 2))) == datetime(2026, 1, 2)  # noqa: DTZ001


def test_a_constant_travels_as_extension_79() -> None:
    wire = bytes.fromhex("81a161c70a4f92a74e4f545f534554c0")
    assert pack({"a": Constant("NOT_SET", None)}) == wire
    assert unpack(wire) == {"a": Constant("NOT_SET", None)}
    assert unpack_bin(wire) == {"a": Constant("NOT_SET", None)}


def test_an_unknown_extension_is_kept_as_its_payload() -> None:
    assert unpack(msgpack.packb({"x": msgpack.ExtType(5, b"abc")})) == {"x": "abc"}
    assert unpack(msgpack.packb(msgpack.Timestamp(1, 2))) == msgpack.Timestamp(1, 2).to_bytes()


@pytest.mark.parametrize(
    ("code", "payload"),
    [
        (78, b"yesterday"),
        (78, b"20261302T00:00:00.000000"),
        (78, b""),
        (79, b""),
        (79, msgpack.packb("NOT_SET")),
        (79, msgpack.packb(["NAME", [1]])),
        (79, msgpack.packb([1, "NAME"])),
        (79, msgpack.packb(["NAME", msgpack.ExtType(79, b"x")])),
    ],
)
def test_a_broken_extension_is_a_malformed_message(code: int, payload: bytes) -> None:
    with pytest.raises(MalformedMessage):
        unpack(msgpack.packb(msgpack.ExtType(code, payload)))


def test_a_container_inside_itself_is_named_not_followed() -> None:
    load: dict[str, Any] = {"n": 1}
    load["self"] = [load]
    assert unpack(pack(load)) == {
        "n": 1,
        "self": [f"<Recursion on dict with id={id(load)}>"],
    }


@pytest.mark.parametrize(
    "obj",
    [object(), {"a": [pytest]}, {"f": len}, "\ud800", 10**5000],
    ids=["object", "module", "function", "surrogate", "huge number"],
)
def test_what_has_no_form_on_the_wire_is_refused(obj: object) -> None:
    with pytest.raises(MalformedMessage, match="can't be sent"):
        pack(obj)


def test_too_deep_an_object_is_refused_by_the_sender() -> None:
    obj: list[Any] = []
    for _ in range(3000):
        obj = [obj]
    with pytest.raises(MalformedMessage):
        pack(obj)


@pytest.mark.parametrize("opening", [b"\x91", b"\x81\xa0"], ids=["lists", "dicts"])
def test_nesting_is_bounded(opening: bytes) -> None:
    assert unpack(opening * MAX_DEPTH + b"\xc0")
    for depth in (MAX_DEPTH + 1, 1000, 2000, 1_000_000):
        with pytest.raises(MalformedMessage):
            unpack(opening * depth + b"\xc0")
        with pytest.raises(MalformedMessage):
            unpack(opening * depth)
    with pytest.raises(MalformedMessage):
        unpack_bin(opening * 1_000_000 + b"\xc0")


def test_extensions_inside_extensions_do_not_recurse() -> None:
    inner = b"\xc0"
    for _ in range(2000):
        inner = msgpack.packb(["N", msgpack.ExtType(79, inner)])
    with pytest.raises(MalformedMessage):
        unpack(msgpack.packb(msgpack.ExtType(79, inner)))


@pytest.mark.parametrize(
    "data",
    [
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xdb\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\xc9\xff\xff\xff\xff\x00",
        b"\xdd\xff\xff\xff\xff" * 900,
        b"\xdd\x00\x0f\xff\xff" * 200_000,
        b"\xdc\xff\xff" * 400_000,
    ],
)
def test_promised_lengths_reserve_no_memory(data: bytes) -> None:
    tracemalloc.start()
    try:
        for read in (unpack, unpack_bin):
            with pytest.raises(MalformedMessage):
                read(data)
        assert tracemalloc.get_traced_memory()[1] < 3 * len(data) + 100_000
    finally:
        tracemalloc.stop()


def test_a_large_message_is_read_whole() -> None:
    load = {"data": b"\xff" * 1_000_000, "list": list(range(1000))}
    assert unpack(pack(load)) == load


@pytest.mark.parametrize(
    "data",
    [b"", b"\xc1", b"\x81\x90\x01", b"\x01\x02", b"\xa5abc", b"\xda\xff"],
    ids=["nothing", "reserved", "list as key", "two objects", "cut text", "cut length"],
)
def test_broken_bytes_are_a_malformed_message(data: bytes) -> None:
    for read in (unpack, unpack_bin):
        with pytest.raises(MalformedMessage):
            read(data)


@given(st.binary(max_size=2000))
def test_nothing_but_a_protocol_error_escapes(data: bytes) -> None:
    for read in (unpack, unpack_bin):
        try:
            read(data)
        except MalformedMessage:
            pass


@given(objects, st.data())
def test_nothing_but_a_protocol_error_escapes_from_a_damaged_message(
    obj: object, data: st.DataObject
) -> None:
    wire = bytearray(pack(obj))
    for _ in range(data.draw(st.integers(1, 4))):
        wire[data.draw(st.integers(0, len(wire) - 1))] = data.draw(st.integers(0, 255))
    try:
        pack(unpack(bytes(wire)))
    except MalformedMessage:
        pass


def test_constants_are_values() -> None:
    one = Constant("NOT_SET", None)
    assert one == Constant("NOT_SET", None)
    assert one != Constant("NOT_SET", 1)
    assert one != "NOT_SET"
    assert len({one, Constant("NOT_SET", None)}) == 1
    assert repr(one) == "Constant('NOT_SET', None)"


def test_a_timestamp_as_a_key_becomes_its_bytes() -> None:
    stamp = msgpack.Timestamp(1, 2)
    assert unpack(msgpack.packb({stamp: 1})) == {stamp.to_bytes(): 1}
