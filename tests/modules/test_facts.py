"""grains, pillar-less settings and the functions about functions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from greensalt.modules._data import is_true, split_list, traverse
from tests._calls import Caller


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("a", {"b": [10, {"c": 3}], 5: "five"}),
        ("a:b:0", 10),
        ("a:b:-1:c", 3),
        ("a:b:c", 3),
        ("a:5", "five"),
        ("a:b:7", None),
        ("a:x", None),
        ("a:b:0:deeper", None),
        ("", None),
    ],
)
def test_a_path_leads_through_dicts_and_lists(path: str, value: Any) -> None:
    assert traverse({"a": {"b": [10, {"c": 3}], 5: "five"}}, path) == value


def test_loose_values_are_read_as_salt_reads_them() -> None:
    yes: list[Any] = [True, 1, "1", "true", "TRUE", 2.5, [1]]
    no: list[Any] = [False, 0, "no", "yes", "", None, -1, []]
    assert list(map(is_true, yes + no)) == [True] * 7 + [False] * 8
    assert split_list("a, b") == ["a", "b"]
    assert split_list(None) == []
    assert split_list((1, 2)) == [1, 2]
    assert split_list(5) == ["5"]


def test_grains_are_found_by_name_and_path(minion: Caller) -> None:
    assert minion.call("grains.get", "nested:list:b") == 1
    assert minion.call("grains.get", "nested|list|0", delimiter="|") == "a"
    assert minion.call("grains.get", "no:such", "none") == "none"
    assert minion.call("grains.fetch", "os") == "Debian"
    assert minion.call("grains.item", "os", "nested:list:0", "nope") == {
        "os": "Debian",
        "nested:list:0": "a",
        "nope": "",
    }
    assert minion.call("grains.has_value", "nested:list") is True
    assert minion.call("grains.has_value", "nope") is False
    assert minion.call("grains.equals", "nested:list:b", "1") is True
    assert minion.call("grains.ls") == ["nested", "os", "os_family"]
    assert minion.call("grains.items")["os"] == "Debian"


def test_names_and_numbers_can_be_hidden(minion: Caller) -> None:
    minion.context.grains = {"host": "web1", "serialnumber": "ABCDEFGH", "os": "Debian"}
    hidden = {"host": "MINION", "serialnumber": "ABCDEFXX", "os": "Debian"}
    assert minion.call("grains.items", sanitize=True) == hidden
    assert minion.call("grains.item", "host", sanitize="true") == {"host": "MINION"}


def test_a_dict_is_chosen_by_a_grain(minion: Caller) -> None:
    table = {"Deb*": {"pkg": "apache2"}, "RedHat": {"pkg": "httpd"}, "base": {"port": 80}}
    assert minion.call("grains.filter_by", table) == {"pkg": "apache2"}
    merged = minion.call("grains.filter_by", table, base="base", merge={"pkg": "own"})
    assert merged == {"pkg": "own", "port": 80}
    assert minion.call("grains.filter_by", {"default": 1}, grain="nope") == 1


def grains_file(minion: Caller) -> Any:
    path: Path = minion.context.opts.config_dir / "grains"
    return yaml.safe_load(path.read_text())


def test_grains_are_set_in_the_grains_file_and_read_anew(minion: Caller) -> None:
    assert minion.call("grains.setval", "role", "web") == {"role": "web"}
    assert minion.call("grains.setvals", {"a": 1, "b": [2]}) == {"a": 1, "b": [2]}
    assert grains_file(minion) == {"role": "web", "a": 1, "b": [2]}
    assert minion.ear.refreshed == ["grains", "grains"]
    minion.call("grains.setval", "a", None, destructive=True)
    assert grains_file(minion) == {"role": "web", "b": [2]}


def test_an_unreadable_grains_file_is_not_overwritten(minion: Caller) -> None:
    path = minion.context.opts.config_dir / "grains"
    path.parent.mkdir()
    path.write_text("a: [")
    assert "Unable to read existing grains file" in minion.job("grains.setval", "a", 1).ret
    assert path.read_text() == "a: ["


def test_a_grain_inside_others_is_set_beside_them(minion: Caller) -> None:
    assert minion.call("grains.set", "nested:port", 80) == {
        "comment": "",
        "changes": {"nested": {"list": ["a", {"b": 1}], "port": 80}},
        "result": True,
    }


def test_a_grain_that_is_a_list_or_dict_is_not_replaced_by_accident(minion: Caller) -> None:
    ret = minion.call("grains.set", "nested", "flat")
    assert ret["result"] is False
    assert ret["comment"].endswith("Use 'force=True' to overwrite.")
    assert minion.call("grains.set", "os", {"a": 1})["result"] is False
    assert minion.call("grains.set", "nested", "flat", force=True)["changes"] == {"nested": "flat"}
    assert minion.call("grains.set", "os", "Debian")["comment"] == "Grain is already set"
    assert minion.call("grains.set", "os:name", "x")["result"] is False


def test_lists_in_grains_grow_and_shrink(minion: Caller) -> None:
    minion.context.grains = {"roles": ["web"], "one": 1, "deep": {"list": [1]}}
    assert minion.call("grains.append", "roles", "db") == {"roles": ["web", "db"]}
    assert minion.call("grains.append", "roles", "web") == (
        "The val web was already in the list roles"
    )
    assert minion.call("grains.append", "one", 2) == "The key one is not a valid list"
    assert minion.call("grains.append", "one", 2, convert=True) == {"one": [1, 2]}
    assert minion.call("grains.append", "deep:list", 2) == {"deep": {"list": [1, 2]}}
    assert minion.call("grains.remove", "roles", "web") == {"roles": []}
    assert minion.call("grains.remove", "roles", "x") == "The val x was not in the list roles"


def test_grains_are_deleted(minion: Caller) -> None:
    minion.call("grains.setval", "gone", 1)
    minion.context.grains = {"gone": 1}
    assert minion.call("grains.delkey", "gone")["result"] is True
    assert grains_file(minion) == {}
    assert minion.call("grains.delval", "gone")["changes"] == {"gone": None}


def test_settings_come_from_configuration_grains_and_pillar(minion: Caller) -> None:
    assert minion.call("config.get", "id") == "mouse"
    assert minion.call("config.get", "os") == "Debian"
    assert minion.call("config.get", "apache:port") == 80
    assert minion.call("config.get", "apache:port", omit_pillar=True) == ""
    assert minion.call("config.get", "nope", "none") == "none"
    assert minion.call("config.option", "os") == "Debian"
    assert minion.call("config.option", "os*", wildcard=True) == {
        "os": "Debian",
        "os_family": "Debian",
    }
    assert minion.call("config.items")["id"] == "mouse"
    assert minion.call("config.valid_fileproto", "salt://x") is True
    assert minion.call("config.valid_fileproto", "/x") is False


def test_dicts_of_several_sources_can_be_merged(minion: Caller) -> None:
    minion.context.grains = {"apache": {"port": 8080, "tls": {"on": True}}}
    minion.context.pillar = {"apache": {"port": 80, "tls": {"key": "k"}}}
    assert minion.call("config.get", "apache") == {"port": 8080, "tls": {"on": True}}
    assert minion.call("config.get", "apache", merge="recurse") == {
        "port": 8080,
        "tls": {"on": True, "key": "k"},
    }
    assert minion.call("config.get", "apache", merge="overwrite")["tls"] == {"on": True}


def test_functions_are_listed_by_module_and_pattern(minion: Caller) -> None:
    assert "test.ping" in minion.call("sys.list_functions")
    assert "sys.doc" in minion.call("sys.list_functions", "sys")
    assert minion.call("sys.list_functions", "test.pi*", "test.echo") == ["test.echo", "test.ping"]
    assert "test" in minion.call("sys.list_modules")
    assert minion.call("sys.list_modules", "sy*", "cmd", "nope") == ["cmd", "sys"]


def test_argspecs_are_found_by_module_function_and_pattern(minion: Caller) -> None:
    assert minion.call("sys.argspec", "test.retcode") == {
        "test.retcode": {"args": ["code"], "defaults": [42], "varargs": None, "kwargs": None}
    }
    assert "sys.doc" in minion.call("sys.argspec", "sys")
    assert minion.call("sys.argspec", "nope") == {}
    assert minion.call("sys.argspec", "cmd.run")["cmd.run"]["args"][:4] == [
        "cmd",
        "cwd",
        "stdin",
        "runas",
    ]


def test_documentation_is_found_by_module_function_and_pattern(minion: Caller) -> None:
    assert set(minion.call("sys.doc", "test.ping")) == {"test.ping"}
    assert "sys.doc" in minion.call("sys.doc", "sys")
    assert set(minion.call("sys.doc", "test.p*")) == {
        "test.ping",
        "test.provider",
        "test.providers",
    }
    assert len(minion.call("sys.doc")) == len(minion.call("sys.list_functions"))


def test_reloading_modules_is_asked_of_the_minion(minion: Caller) -> None:
    assert minion.call("sys.reload_modules") is True
    assert minion.ear.refreshed == ["modules"]
