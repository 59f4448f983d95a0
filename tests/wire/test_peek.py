from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st

from greensalt.errors import MalformedMessage, ProtocolError
from greensalt.wire.dialect import pack, pack_bin, unpack
from greensalt.wire.envelope import clear_request, encrypted_request
from greensalt.wire.peek import EventPeek, Peek, peek_request
from tests._load import cpu_of
from tests.wire.test_dialect import objects


def test_an_encrypted_request_tells_its_id_and_is_flat() -> None:
    body = encrypted_request("m1", bytes(range(256)) * 400, "OAEP-SHA1", "PKCS1v15-SHA1")
    assert peek_request(body) == Peek("aes", "m1", None, is_flat=True)


def test_a_clear_request_tells_the_key_in_its_load() -> None:
    key = "k" * 76
    load: dict[Any, Any] = {"cmd": "publish", "arg": [["x" * 70_000]], "key": key, 7: None}
    body = clear_request(load)
    assert peek_request(body) == Peek("clear", None, key, is_flat=True)


def test_containers_in_the_envelope_are_seen() -> None:
    assert not peek_request(pack({"enc": "aes", "load": b"x", "more": [1]})).is_flat
    assert not peek_request(pack({"enc": "aes", "load": [b"x"]})).is_flat
    assert not peek_request(pack({"enc": "aes", ("a", "b"): {}})).is_flat


def test_fields_of_another_kind_count_as_absent() -> None:
    assert peek_request(pack({"enc": 1, "id": "x" * 300})) == Peek(None, None, None, is_flat=True)


def test_millions_of_objects_take_a_moment_only() -> None:
    many = b"\xdd" + (4_000_000).to_bytes(4, "big") + b"\x90" * 4_000_000
    body = b"\x82\xa3enc\xa5clear\xa4load\x82\xa3key\xa3abc\xa3arg" + many
    some = b"\xdd" + (400_000).to_bytes(4, "big") + b"\x90" * 400_000
    built_tenth_s = cpu_of(lambda: unpack(some))
    assert cpu_of(lambda: peek_request(body)) < built_tenth_s
    assert peek_request(body).key == "abc"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xc1",
        b"\x93\x01\x02\x03",
        b"\x82\xa3enc",
        b"\x81\xa4load",
        b"\x81\xa4load\x82\xa3key\xa3ab",
        b"\xdf\xff\xff\xff\xff",
        b"\x81\xa1\xff\xc0",
    ],
)
def test_what_is_no_request_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedMessage):
        peek_request(body)


@given(st.binary(max_size=300) | objects.map(pack))
def test_nothing_but_a_protocol_error_escapes(body: bytes) -> None:
    try:
        peek_request(body)
    except ProtocolError:
        pass


@pytest.mark.parametrize("before", [0, 1, 14, 15, 300])
def test_an_event_is_stamped_when_the_stamp_is_its_last_key(before: int) -> None:
    data: dict[str, Any] = {str(number): [number, {"a": b"x"}] for number in range(before)}
    assert EventPeek().is_stamped(pack_bin({**data, "_stamp": "2026"}))
    assert not EventPeek().is_stamped(pack_bin(data))
    assert not EventPeek().is_stamped(pack_bin({**data, "inner": {"_stamp": "2026"}}))
    assert not EventPeek().is_stamped(pack_bin({**data, "text": "_stamp"}))


def test_a_broken_event_is_not_stamped_and_leaves_nothing_to_the_next() -> None:
    peek, good = EventPeek(), pack_bin({"a": 1, "_stamp": "2026"})
    many = b"\xde\xff\xff" + good[1:]
    for bad in (b"", b"\xc1", b"\x90", b"\x80", b"\xde\x00", many, good[:-1], good + b"\x01"):
        assert not peek.is_stamped(bad)
        assert peek.is_stamped(good)
    assert not peek.is_stamped(b"\x82\xa1a\xc1" + good[3:])
    assert peek.is_stamped(good)


@given(st.dictionaries(st.text(), objects, max_size=20), st.binary(max_size=60))
def test_every_stamped_event_is_seen_whatever_came_before(data: Any, garbage: bytes) -> None:
    peek = EventPeek()
    peek.is_stamped(garbage)
    data.pop("_stamp", None)
    assert peek.is_stamped(pack_bin({**data, "_stamp": "2026"}))
