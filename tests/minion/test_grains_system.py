"""Grains of the operating system, from the files of machines that are not at hand.

All distributions are compared with stock Salt in tests/interop/test_grains_vs_stock.py.
"""

from __future__ import annotations

import locale
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from greensalt.minion.grains.system import os_grains, system_grains
from tests.interop._distributions import DISTRIBUTIONS
from tests.minion._machines import program, tree


@pytest.mark.parametrize(
    ("name", "os_name", "family", "finger", "codename"),
    [
        ("debian12", "Debian", "Debian", "Debian-12", "bookworm"),
        ("debian-sid", "Debian", "Debian", "Debian-trixie/sid", "trixie"),
        ("ubuntu2204", "Ubuntu", "Debian", "Ubuntu-22.04", "jammy"),
        ("pop22", "Pop", "Debian", "Pop!_OS-22.04", "jammy"),
        ("rhel9", "RedHat", "RedHat", "Red Hat Enterprise Linux-9", "Plow"),
        ("centos7", "CentOS", "RedHat", "CentOS Linux-7", "CentOS Linux 7 (Core)"),
        ("rocky9", "Rocky", "RedHat", "Rocky Linux-9", "Blue Onyx"),
        ("fedora40", "Fedora", "RedHat", "Fedora Linux-40", ""),
        ("leap15", "SUSE", "Suse", "Leap-15", "openSUSE Leap 15.5"),
        ("arch", "Arch", "Arch", None, "Arch Linux"),
    ],
)
def test_distributions(
    tmp_path: Path, name: str, os_name: str, family: str, finger: str | None, codename: str
) -> None:
    files = {f"etc/{file}": content for file, content in DISTRIBUTIONS[name].items()}
    grains = os_grains(tree(tmp_path, files))
    assert (grains["os"], grains["os_family"]) == (os_name, family)
    assert grains.get("osfinger") == finger
    assert grains["oscodename"] == codename


def test_a_system_without_os_release_still_has_a_name(tmp_path: Path) -> None:
    grains = os_grains(tmp_path)
    assert grains["os"] == grains["os_family"] == "Linux"
    assert "osfinger" not in grains


def test_an_lsb_release_without_an_id_does_not_hide_os_release(tmp_path: Path) -> None:
    root = tree(
        tmp_path,
        {
            "etc/os-release": 'NAME="Fedora Linux"\nID=fedora\nVERSION_ID=40\n',
            "etc/lsb-release": "DISTRIB_DESCRIPTION=nothing\n",
        },
    )
    grains = os_grains(root)
    assert grains["osfinger"] == "Fedora Linux-40"
    assert grains["lsb_distrib_description"] == "nothing"


def test_a_machine_id_is_taken_from_the_first_file(tmp_path: Path) -> None:
    assert "machine_id" not in system_grains(tmp_path)
    tree(tmp_path, {"var/lib/dbus/machine-id": "dbus\n"})
    assert system_grains(tmp_path)["machine_id"] == "dbus"
    tree(tmp_path, {"etc/machine-id": "abc\n"})
    assert system_grains(tmp_path)["machine_id"] == "abc"


@pytest.mark.parametrize(
    ("command", "files", "init"),
    [
        ("/sbin/init\0splash", {"run/systemd/system/x": ""}, "systemd"),
        ("/opt/bin/init", {"opt/bin/init": b"\x7fELF ... UPSTART_VERSION ..."}, "upstart"),
        ("/opt/bin/init", {"opt/bin/init": "sysvinit"}, "sysvinit"),
        ("/opt/bin/init", {"opt/bin/init": "busybox"}, "unknown"),
        ("/opt/bin/init", {}, "unknown"),
        ("/usr/bin/tini\0--\0sleep", {}, "tini"),
        ("/usr/bin/dumb-init\0x", {}, "dumb-init"),
        ("/usr/bin/python3\0/usr/bin/supervisord\0-n", {}, "supervisord"),
        ("runit", {}, "runit"),
        ("/usr/bin/python3\0/sbin/my_init", {}, "runit"),
        ("bash", {}, "unknown"),
        ("", {}, "unknown"),
    ],
)
def test_init_is_recognised(
    tmp_path: Path, command: str, files: Mapping[str, str | bytes], init: str
) -> None:
    root = tree(tmp_path, {"proc/1/cmdline": command, **files})
    assert system_grains(root)["init"] == init


def test_systemd_and_selinux_are_grains_where_they_are_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = tmp_path / "bin"
    monkeypatch.setenv("PATH", str(programs))
    grains = system_grains(tmp_path)
    assert "systemd" not in grains
    assert "selinux" not in grains
    assert grains["systempath"] == [str(programs)]

    program(programs, "systemctl", "echo 'systemd 252 (252.1)'; echo '+PAM -AUDIT'")
    program(programs, "localectl", "")
    program(programs, "selinuxenabled", "")
    grains = system_grains(tmp_path)
    assert grains["systemd"] == {"version": "252", "features": "+PAM -AUDIT"}
    assert grains["selinux"] == {"enabled": False}

    program(programs, "systemctl", "echo broken")
    program(programs, "getenforce", "")
    assert system_grains(tmp_path)["systemd"] == {"version": "UNDEFINED", "features": ""}
    assert system_grains(tmp_path)["selinux"] == {"enabled": False, "enforced": "Disabled"}
    for flag, word in [("1", "Enforcing"), ("0", "Permissive")]:
        tree(tmp_path, {"sys/fs/selinux/enforce": flag})
        assert system_grains(tmp_path)["selinux"] == {"enabled": True, "enforced": word}


@pytest.mark.parametrize(
    ("machine", "family", "architecture"),
    [
        ("x86_64", "debian", "amd64"),
        ("aarch64", "debian", "arm64"),
        ("s390x", "debian", "s390x"),
        ("x86_64", "fedora", "x86_64"),
    ],
)
def test_the_architecture_is_the_packages_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, machine: str, family: str, architecture: str
) -> None:
    monkeypatch.setattr(os, "uname", lambda: os.uname_result(("Linux", "n", "r", "v", machine)))
    root = tree(tmp_path, {"etc/os-release": f"NAME={family.capitalize()}\nID={family}\n"})
    grains = system_grains(root)
    assert grains["osarch"] == architecture
    assert grains["cpuarch"] == machine


def test_narrow_programs_have_narrow_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "maxsize", (1 << 31) - 1)
    monkeypatch.setattr(os, "uname", lambda: os.uname_result(("Linux", "n", "r", "v", "aarch64")))
    root = tree(tmp_path, {"etc/os-release": "NAME=Debian\nID=debian\n"})
    assert system_grains(root)["osarch"] == "armhf"


def test_a_broken_locale_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> tuple[str, str]:
        raise ValueError("unknown locale: UTF-8")

    monkeypatch.setattr(locale, "getlocale", broken)
    info = system_grains(tmp_path)["locale_info"]
    assert info["defaultlanguage"] == info["defaultencoding"] == "unknown"
