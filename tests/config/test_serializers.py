"""The options `serializer` and `serializers`."""

from __future__ import annotations

from pathlib import Path

import pytest

from greensalt.config import ClientConfig, MasterConfig, MinionConfig
from greensalt.errors import ConfigError


@pytest.fixture(autouse=True)
def no_configuration_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def master(directory: Path, text: str) -> MasterConfig:
    (directory / "master").write_text(text)
    return MasterConfig.load(directory)


def test_without_a_word_everything_is_msgpack(tmp_path: Path) -> None:
    config = master(tmp_path, "")
    assert (config.serializer, config.serializers) == ("msgpack", {})
    assert MinionConfig(id="m").serializer == "msgpack"


def test_a_master_has_a_publish_port_for_each_further_serializer(tmp_path: Path) -> None:
    config = master(tmp_path, "serializers: {orjson: 4515, cbor2: '4516'}\n")
    assert config.serializers == {"orjson": 4515, "cbor2": 4516}


def test_minion_and_client_choose_one(tmp_path: Path) -> None:
    (tmp_path / "minion").write_text("id: m\nserializer: ormsgpack\n")
    (tmp_path / "master").write_text("serializer: msgspec_json\n")
    assert MinionConfig.load(tmp_path).serializer == "ormsgpack"
    assert ClientConfig.load(tmp_path).serializer == "msgspec_json"
    assert MinionConfig.load(tmp_path).options()["serializer"] == "ormsgpack"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("serializer: orjsn", r"no serializer 'orjsn'; did you mean 'orjson'\?\), not 'orjsn'"),
        ("serializer: pickle", r"'pickle' is refused: .* can run code"),
        ("serializer: [orjson]", r"serializer must be a string"),
        ("serializers: {yaml: 4515}", r"'yaml' is refused: .* name types"),
        ("serializers: {msgpack: 4515}", r"without msgpack, which has publish_port"),
        ("serializers: {orjson: 0}", r"from serializers to TCP ports \(orjson has 0\)"),
        ("serializers: {orjson: x}", r"a whole number"),
        ("serializers: [orjson]", r"must be a map from serializers to TCP ports"),
        ("serializers: {orjson: 4505}", r"orjson has the port 4505 of publish_port"),
        ("serializers: {orjson: 4506}", r"orjson has the port 4506 of ret_port"),
        ("serializers: {orjson: 1, cbor2: 1}", r"cbor2 has the port 1 of orjson"),
        ("serialisers: {}", r"unknown option 'serialisers'; did you mean 'serializers'\?"),
    ],
)
def test_what_can_not_be_is_said(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(ConfigError, match=f"{tmp_path / 'master'}: .*{message}"):
        master(tmp_path, f"{line}\n")
