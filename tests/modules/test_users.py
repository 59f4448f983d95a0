from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests._calls import Caller
from tests.modules.conftest import Programs

PASSWD = """root:x:0:0:root:/root:/bin/bash
ann:x:1001:1001:Ann,12,555-1,555-2,likes tea:/home/ann:/bin/zsh
"""
GROUP = "root:x:0:\nwheel:x:10:ann,root\nbroken line\n"


@pytest.fixture
def root(tmp_path: Path) -> str:
    (tmp_path / "root" / "etc").mkdir(parents=True)
    (tmp_path / "root" / "etc" / "passwd").write_text(PASSWD)
    (tmp_path / "root" / "etc" / "group").write_text(GROUP)
    return str(tmp_path / "root")


def test_users_are_described(minion: Caller, root: str) -> None:
    info = minion.call("user.info", "ann", root=root)
    assert {key: info[key] for key in ("uid", "home", "shell", "fullname", "other")} == {
        "uid": 1001,
        "home": "/home/ann",
        "shell": "/bin/zsh",
        "fullname": "Ann",
        "other": "likes tea",
    }
    assert minion.call("user.info", "bob", root=root) == {}
    assert minion.call("user.list_users", root=root) == ["ann", "root"]
    assert [user["name"] for user in minion.call("user.getent", root=root)] == ["root", "ann"]
    assert minion.call("user.primary_group", "root") == "root"
    assert "root" in minion.call("user.list_groups", "root")


def test_groups_are_described(minion: Caller, root: str) -> None:
    assert minion.call("group.info", "wheel", root=root) == {
        "name": "wheel",
        "passwd": "x",
        "gid": 10,
        "members": ["ann", "root"],
    }
    assert minion.call("group.info", "none", root=root) == {}
    assert [group["name"] for group in minion.call("group.getent", root=root)] == ["root", "wheel"]
    assert minion.call("group.info", "root")["gid"] == 0


def test_a_user_is_added_with_what_is_asked_for(minion: Caller, programs: Programs) -> None:
    programs.add("useradd")
    assert minion.call(
        "user.add", "ann", 1001, 1001, home="/h", shell="/bin/zsh", system=True, createhome=False
    )
    assert minion.call("user.add", "bob", usergroup=True, unique=False, nologinit=True) is True
    assert minion.call("user.add", "cid", usergroup=False, root="/mnt") is True
    assert programs.calls("useradd") == [
        "-s /bin/zsh -u 1001 -g 1001 -d /h -M -r ann",
        "-U -m -l -o bob",
        "-N -m cid -R /mnt",
    ]


def test_a_user_that_cannot_be_added_is_a_failure(minion: Caller, programs: Programs) -> None:
    programs.add("useradd", "echo exists >&2; exit 9")
    outcome = minion.job("user.add", "ann")
    assert (outcome.ret, outcome.retcode) == (False, 9)


def test_fields_of_a_user_are_changed(
    minion: Caller, programs: Programs, root: str, tmp_path: Path
) -> None:
    passwd = Path(root, "etc/passwd")
    programs.add("usermod", f"sed -i 's!/bin/zsh!/bin/sh!; s!Ann!Anna!' {passwd}")
    assert minion.call("user.chshell", "ann", "/bin/sh", root=root) is True
    assert minion.call("user.chshell", "ann", "/bin/sh", root=root) is True
    assert minion.call("user.chfullname", "ann", "Anna", root=root) is True
    assert minion.call("user.chuid", "ann", 7, root=root) is False
    assert programs.calls("usermod") == [
        f"-R {root} -s /bin/sh ann",
        f"-R {root} -u 7 ann",
    ]
    passwd.write_text(PASSWD)
    assert minion.call("user.chfullname", "ann", "Anna", root=root) is True
    assert programs.calls("usermod")[-1] == f"-R {root} -c Anna,12,555-1,555-2,likes tea ann"
    assert "User 'bob' does not exist" in minion.job("user.chgid", "bob", 7, root=root).ret
    assert "User 'root' already exists" in minion.job("user.rename", "ann", "root", root=root).ret


def test_a_user_is_put_into_groups(minion: Caller, programs: Programs) -> None:
    programs.add("usermod")
    assert minion.call("user.chgroups", "root", "wheel,audio", append=True) is True
    assert minion.call("user.chgroups", "root", minion.call("user.list_groups", "root")) is True
    assert programs.calls("usermod") == ["-a -G wheel,audio root"]


def test_a_user_is_deleted(minion: Caller, programs: Programs) -> None:
    programs.add("userdel", 'echo "/var/mail/$3 not found" >&2; exit 12')
    assert minion.call("user.delete", "ann", remove=True, force=True) is True
    minion.context.grains = {"os_family": "RedHat"}
    assert minion.call("user.delete", "ann") is False
    assert programs.calls("userdel") == ["-r -f ann", "ann"]


def test_groups_are_added_changed_and_deleted(minion: Caller, programs: Programs) -> None:
    for name in ("groupadd", "groupdel", "gpasswd"):
        programs.add(name)
    assert minion.call("group.add", "web", 33, system=True) is True
    assert minion.call("group.adduser", "web", "ann") is True
    assert minion.call("group.deluser", "root", "ann") is True
    assert minion.call("group.members", "web", ["ann", "bob"]) is True
    assert minion.call("group.delete", "web") is True
    assert minion.call("group.chgid", "no-such-group", 7) is False
    assert minion.call("group.chgid", "root", 0) is True
    assert programs.calls("groupadd") == ["-g 33 -r web"]
    assert programs.calls("gpasswd") == ["--add ann web", "--members ann,bob web"]
    assert programs.calls("groupdel") == ["web"]


def test_a_missing_program_is_named(
    minion: Caller, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert minion.job("group.add", "web").ret == "ERROR: Command 'groupadd' cannot be found"


def test_environment_variables_are_those_of_the_minion(
    minion: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLOUR", "green")
    assert minion.call("environ.get", "COLOUR") == "green"
    assert minion.call("environ.items")["COLOUR"] == "green"
    assert minion.call("environ.setval", "COLOUR", "red") == "red"
    assert os.environ["COLOUR"] == "red"
    assert minion.call("environ.setval", "COLOUR", 5) is False
    assert minion.call("environ.setval", "", "x") is False
    assert minion.call("environ.setval", "COLOUR", False) == ""
    assert minion.call("environ.setenv", {"COLOUR": 5}) is False
    assert minion.call("environ.setenv", "no dict") is False
    assert minion.call("cmd.run", "echo $COLOUR") == ""


def test_all_other_environment_variables_can_be_cleared(minion: Caller) -> None:
    saved = dict(os.environ)
    only = {"COLOUR": "blue", "PATH": os.environ["PATH"]}
    try:
        cleared = minion.call("environ.setenv", only, clear_all=True, false_unsets=True)
        left = set(os.environ)
    finally:
        os.environ.clear()
        os.environ.update(saved)
    assert cleared["COLOUR"] == "blue"
    assert left == {"COLOUR", "PATH"}
