"""Finding codecs by name: ours, those of other packages, and those that are refused."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from greensalt.errors import ConfigError, MalformedMessage, SerializerUnusable
from greensalt.serializers import MSGPACK, find, names, served

OURS = {"msgpack", "orjson", "json", "msgspec_msgpack", "msgspec_json", "ormsgpack", "cbor2"}

FOREIGN = """
import json
from greensalt.serializers import Facts

TAG = "{tag}"
FACTS = Facts("changed", "changed", "changed", "changed", "changed", "native")

def dumps(obj):
    return json.dumps(obj).encode()

def loads(data):
    return json.loads(data)
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An installed distribution that offers codecs; returns the directory it is in."""
    info = tmp_path / "other-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1.0\n")
    offers = ("simple", "broken", "clash", "gone", "pickle")
    lines = [f"{name} = other_{name}\n" for name in offers]
    lines += ["fast = pickle\n", "fast_yaml = yaml:safe_load\n"]
    (info / "entry_points.txt").write_text("[greensalt.serializers]\n" + "".join(lines))
    (tmp_path / "other_simple.py").write_text(FOREIGN.format(tag="smpl"))
    (tmp_path / "other_clash.py").write_text(FOREIGN.format(tag="orjs"))
    (tmp_path / "other_broken.py").write_text("TAG = 'brok'\n")
    monkeypatch.syspath_prepend(tmp_path)
    find.cache_clear()
    yield tmp_path
    find.cache_clear()


def test_all_of_ours_are_there() -> None:
    assert set(names()) >= OURS
    assert {find(name).name for name in OURS} == OURS
    assert find("msgpack") is MSGPACK


def test_a_packet_tells_its_codec_by_the_prefix() -> None:
    table = served(["orjson", "cbor2"])
    assert {prefix: codec.name for prefix, codec in table.items()} == {
        b"pickle::": "msgpack",
        b"gs.orjs:": "orjson",
        b"gs.cbor:": "cbor2",
    }


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("pickle", "can run code"),
        ("dill", "can run code"),
        ("cloudpickle", "can run code"),
        ("jsonpickle", "can run code"),
        ("marshal", "crash the interpreter"),
        ("yaml", "name types to be built"),
    ],
)
def test_what_can_execute_is_refused_by_name(name: str, reason: str) -> None:
    with pytest.raises(SerializerUnusable, match=f"{name}' is refused.*{reason}"):
        find(name)
    assert name not in names()


def test_an_unknown_name_gets_the_nearest_one() -> None:
    with pytest.raises(ConfigError, match=r"no serializer 'orjsn'; did you mean 'orjson'\?"):
        find("orjsn")
    with pytest.raises(SerializerUnusable, match="there are cbor2, json, "):
        find("xyzzy")


def test_a_codec_whose_library_is_missing_names_it() -> None:
    code = (
        "import sys; sys.modules['cbor2'] = None\n"
        "from greensalt.serializers import find\n"
        "find('cbor2')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=60
    )
    assert "SerializerUnusable: the serializer 'cbor2' needs the package 'cbor2'" in done.stderr
    assert "pip install 'greensalt[serializers]'" in done.stderr


def test_importing_the_registry_loads_no_library() -> None:
    code = (
        "import sys, greensalt.serializers\n"
        "print({'orjson', 'cbor2', 'msgspec', 'ormsgpack'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == "set()"


def test_another_package_offers_a_codec(package: Path) -> None:
    codec = find("simple")
    assert "simple" in names()
    assert codec.prefix == b"gs.smpl:"
    assert codec.loads(codec.dumps({"a": (1, 2), "b": b"text", "n": 2**64})) == {
        "a": [1, 2],
        "b": "text",
        "n": str(2**64),
    }


def test_what_it_raises_or_reads_wrongly_is_malformed(package: Path) -> None:
    codec = find("simple")
    for value in (b"\xff", object()):
        with pytest.raises(MalformedMessage, match="can't be sent"):
            codec.dumps(value)
    for data in (b"{", b"[" * 300 + b"]" * 300, b"[" * 100_000):
        with pytest.raises(MalformedMessage, match="not a message"):
            codec.loads(data)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("broken", "lacks FACTS, dumps or loads"),
        ("clash", "TAG must be 4 characters that nobody has"),
        ("gone", r"\(other_gone\) can't be loaded"),
        ("pickle", "is refused"),
        ("fast", "'fast' is pickle: what it reads can run code"),
        ("fast_yaml", "'fast_yaml' is yaml"),
    ],
)
def test_a_package_can_not_offer_just_anything(package: Path, name: str, reason: str) -> None:
    with pytest.raises(SerializerUnusable, match=reason):
        find(name)
