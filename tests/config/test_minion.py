from __future__ import annotations

import stat
from pathlib import Path

import pytest

from greensalt.config import MinionConfig
from greensalt.config.hostid import find_minion_id, host_names
from greensalt.config.minion import MasterAddress, parse_master
from greensalt.errors import ConfigError


def minion(directory: Path, text: str) -> MinionConfig:
    (directory / "minion").write_text(text)
    return MinionConfig.load(directory)


def test_defaults_are_salts_but_for_the_check_of_signatures(tmp_path: Path) -> None:
    config = minion(tmp_path, "id: m\n")
    assert config.masters == (MasterAddress("salt", 4506),)
    assert config.publish_port is None
    assert config.acceptance_wait_time == 10
    assert config.sign_pub_messages is True


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("salt.example", ("salt.example", 4506)),
        ("10.0.0.1:5506", ("10.0.0.1", 5506)),
        ("fe80::1", ("fe80::1", 4506)),
        ("[fe80::1]", ("fe80::1", 4506)),
        ("[fe80::1]:77", ("fe80::1", 77)),
        (" salt ", ("salt", 4506)),
        ("salt:", ("salt", 4506)),
    ],
)
def test_a_master_is_a_host_with_or_without_port(text: str, address: tuple[str, int]) -> None:
    assert parse_master(text, 4506) == address


@pytest.mark.parametrize(
    "text",
    ["", "a b", "tcp://a", "[::1", "[::1]x", "host:0", "host:99999", "host:x", ":1"],
)
def test_what_is_no_master_address_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"minion: master "):
        minion(tmp_path, f"id: m\nmaster: ['{text}']\n")


def test_several_masters_are_a_list(tmp_path: Path) -> None:
    config = minion(tmp_path, "id: m\nmaster: [one, 'two:9']\nmaster_port: 8\n")
    assert config.masters == (MasterAddress("one", 8), MasterAddress("two", 9))


def test_the_configured_id_wins_and_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "minion_id").write_text("remembered\n")
    assert minion(tmp_path, "id: configured\n").id == "configured"
    assert (tmp_path / "minion_id").read_text() == "remembered\n"


def test_a_remembered_id_is_used(tmp_path: Path) -> None:
    (tmp_path / "minion_id").write_bytes(b"\xef\xbb\xbfremembered\n")
    assert minion(tmp_path, "").id == "remembered"


def test_a_guessed_id_is_the_hosts_name_and_is_remembered(tmp_path: Path) -> None:
    guessed = minion(tmp_path, "").id
    assert guessed == next(host_names(), "localhost")
    assert (tmp_path / "minion_id").read_text() == guessed
    assert sorted(path.name for path in tmp_path.iterdir()) == ["minion", "minion_id"]
    assert stat.S_IMODE((tmp_path / "minion_id").stat().st_mode) & 0o022 == 0


def test_an_id_is_not_remembered_against_the_users_wish(tmp_path: Path) -> None:
    (tmp_path / "minion_id").write_text("remembered")
    assert minion(tmp_path, "minion_id_caching: false\n").id != "remembered"
    assert (tmp_path / "minion_id").read_text() == "remembered"


def test_an_id_that_cannot_be_kept_is_a_warning(tmp_path: Path) -> None:
    warnings: list[str] = []
    place = tmp_path / "missing" / "minion_id"
    find_minion_id(place, caching=True, lowercase=False, remove_domain=False, warn=warnings.append)
    (warning,) = warnings
    assert f"could not be kept in {place}: No such file or directory" in warning


def guessed(monkeypatch: pytest.MonkeyPatch, name: str, **wishes: str | bool) -> str:
    monkeypatch.setattr("socket.getfqdn", lambda: name)
    monkeypatch.setattr("socket.gethostname", lambda: name)
    lowercase = bool(wishes.get("lowercase", False))
    remove_domain = wishes.get("remove_domain", False)
    return find_minion_id(
        Path("/nowhere/minion_id"),
        caching=False,
        lowercase=lowercase,
        remove_domain=remove_domain,
        warn=print,
    )


def test_a_guessed_name_is_changed_as_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    assert guessed(monkeypatch, "Web1.Example.org") == "Web1.Example.org"
    assert guessed(monkeypatch, "Web1.Example.org", lowercase=True) == "web1.example.org"
    assert guessed(monkeypatch, "Web1.Example.org", remove_domain=True) == "Web1"
    assert guessed(monkeypatch, "Web1.Example.org", remove_domain="example.org") == "Web1"
    assert guessed(monkeypatch, "Web1.Example.org", remove_domain="example.com") != "Web1"


def test_localhost_is_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.getfqdn", lambda: "localhost.localdomain")
    monkeypatch.setattr("socket.gethostname", lambda: "web1")
    assert next(host_names()) == "web1"
    monkeypatch.setattr("socket.gethostname", lambda: "web1.example.org")
    assert next(host_names()) == "web1.example.org"


def test_a_domain_is_appended_to_a_short_id(tmp_path: Path) -> None:
    assert minion(tmp_path, "id: web1\nappend_domain: example.org\n").id == "web1.example.org"
    assert minion(tmp_path, "id: w.a.b\nappend_domain: example.org\n").id == "w.a.b"


def test_user_modules_are_looked_for_in_module_dirs_and_among_the_synced(tmp_path: Path) -> None:
    config = minion(tmp_path, "id: m\nmodule_dirs: /opt/modules\nextension_modules: /x\n")
    assert config.function_dirs == (Path("/opt/modules"), Path("/x/modules"))


def test_an_option_that_modules_look_at_is_kept_without_a_warning(tmp_path: Path) -> None:
    (tmp_path / "minion").write_text("id: m1\ncmd_safe: false\npillar_mask_output: false\n")
    config = MinionConfig.load(tmp_path)
    assert (config.others["cmd_safe"], config.others["pillar_mask_output"]) == (False, False)
    assert list(config.warnings) == []
