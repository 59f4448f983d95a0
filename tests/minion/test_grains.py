"""Grains of this machine, of this process, and of the administrator."""

from __future__ import annotations

import os
import pwd
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from greensalt import __version__
from greensalt.minion.grains import core_grains
from greensalt.minion.grains.custom import file_grains
from greensalt.minion.grains.files import command_output, read_text
from greensalt.minion.grains.network import fqdns_grain
from greensalt.minion.grains.process import process_grains
from greensalt.wire import dialect
from tests.minion._machines import program


@dataclass
class Options:
    """The options that grains depend on."""

    config_dir: Path
    id: str = "web1.example.com"
    grains: Mapping[str, Any] = field(default_factory=dict)
    master: Any = ("salt",)
    grains_module_dirs: tuple[Path, ...] = ()
    enable_gpu_grains: bool = True
    enable_fqdns_grains: bool = False


def test_this_machine_has_the_grains_that_are_targeted(tmp_path: Path) -> None:
    grains = core_grains(Options(tmp_path))
    assert grains["kernel"] == os.uname().sysname
    assert grains["num_cpus"] == os.cpu_count()
    assert grains["mem_total"] > 100
    assert "127.0.0.1" in grains["ipv4"]
    assert "127.0.0.1" in grains["ip4_interfaces"]["lo"]
    assert grains["localhost"] == socket.gethostname()
    assert grains["host"] == grains["fqdn"].split(".")[0]
    assert grains["username"] == pwd.getpwuid(os.geteuid()).pw_name
    assert grains["pid"] == os.getpid()
    assert grains["saltversion"] == "3008.3"
    assert grains["saltversioninfo"] == [3008, 3]
    assert grains["greensaltversion"] == __version__
    assert grains["server_id"] == process_grains("web1.example.com", "salt")["server_id"]
    assert grains["master"] == "salt"
    for name in ("os", "os_family", "osrelease", "osarch", "init", "virtual", "locale_info"):
        assert grains[name], name


def test_grains_are_what_the_wire_can_carry(tmp_path: Path) -> None:
    grains = core_grains(Options(tmp_path))
    assert dialect.unpack(dialect.pack(grains)) == grains


def test_grains_are_the_same_when_computed_again(tmp_path: Path) -> None:
    assert core_grains(Options(tmp_path)) == core_grains(Options(tmp_path))


def test_grains_take_no_time(tmp_path: Path) -> None:
    core_grains(Options(tmp_path))
    took = []
    for _ in range(5):
        start = time.perf_counter()
        core_grains(Options(tmp_path))
        took.append(time.perf_counter() - start)
    # 20 ms on an idle machine.
    assert min(took) < 0.2


def test_the_administrator_s_grains_win(tmp_path: Path) -> None:
    (tmp_path / "grains").write_text("os: Mine\nroles: [web]\nboth: file\n")
    grains = core_grains(Options(tmp_path, grains={"both": "option", "kernel": "Mine"}))
    assert grains["os"] == "Mine"
    assert grains["roles"] == ["web"]
    assert grains["both"] == "option"
    assert grains["kernel"] == "Mine"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"a: [", "is not YAML"),
        (b"- a\n", "is not a dictionary but a list"),
        (b"\xff\xfe", "can't be read"),
    ],
)
def test_a_broken_grains_file_is_warned_of(
    tmp_path: Path, content: bytes, says: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "grains").write_bytes(content)
    assert file_grains(tmp_path) == {}
    assert says in caplog.text
    assert str(tmp_path / "grains") in caplog.text


def test_no_grains_file_and_an_empty_one_say_nothing(tmp_path: Path) -> None:
    assert file_grains(tmp_path) == {}
    (tmp_path / "grains").write_text("# none yet\n")
    assert file_grains(tmp_path) == {}


def test_the_server_id_is_a_number_for_databases() -> None:
    assert process_grains("probe", "salt")["server_id"] == 734552213


@pytest.mark.parametrize(("master", "grain"), [("a", "a"), (("a",), "a"), (("a", "b"), ("a", "b"))])
def test_the_master_is_one_or_a_list(master: Any, grain: Any) -> None:
    assert process_grains("x", master)["master"] == grain


def test_a_user_without_a_name_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 4_242_424)
    grains = process_grains("x", "salt")
    assert (grains["uid"], grains["username"], grains["groupname"]) == (4_242_424, "4242424", "")


def test_a_group_without_a_name_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    user = pwd.struct_passwd(("ann", "x", 1000, 4_242_424, "", "/", "/bin/sh"))
    monkeypatch.setattr(pwd, "getpwuid", lambda _uid: user)
    grains = process_grains("x", "salt")
    assert (grains["username"], grains["groupname"]) == ("ann", "")


def test_a_working_directory_that_is_gone_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert process_grains("x", "salt")["cwd"] == "/"


def test_commands_that_fail_are_no_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    assert command_output("no-such-command") is None
    program(tmp_path / "bin", "mute", "exit 3")
    assert command_output("mute") is None
    program(tmp_path / "bin", "wordy", "echo ' none '; exit 1")
    assert command_output("wordy") == "none"
    monkeypatch.setattr("greensalt.minion.grains.files.COMMAND_S", 0.1)
    program(tmp_path / "bin", "slow", "exec sleep 30")
    assert command_output("slow") is None
    assert "slow" in caplog.text


def test_files_that_can_not_be_read_are_empty(tmp_path: Path) -> None:
    assert read_text(tmp_path / "none") == ""
    assert read_text(tmp_path) == ""


def test_graphics_processors_are_counted_where_lspci_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listing = (
        "Slot:\t00:02.0\nClass:\tVGA compatible controller\nVendor:\tIntel Corporation\n"
        "Device:\tHD Graphics 620\n\n"
        "Class:\tDisplay controller\nVendor:\tAdvanced Micro Devices, Inc. [AMD/ATI]\n"
        "Device:\tNavi 10\n\n"
        "Class:\t3D controller\nVendor:\tRed Hat, Inc.\nDevice:\tVirtio: GPU\n\n"
        "Class:\tEthernet controller\nVendor:\tIntel Corporation\nDevice:\t82574L\n"
    )
    (tmp_path / "listing").write_text(listing)
    program(tmp_path / "bin", "lspci", f"exec cat {tmp_path}/listing")
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    grains = core_grains(Options(tmp_path))
    assert grains["num_gpus"] == 3
    assert grains["gpus"] == [
        {"vendor": "intel", "model": "HD Graphics 620"},
        {"vendor": "amd", "model": "Navi 10"},
        {"vendor": "unknown", "model": "Virtio: GPU"},
    ]
    assert "gpus" not in core_grains(Options(tmp_path, enable_gpu_grains=False))


def test_names_of_addresses_are_looked_up_on_request_and_not_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()

    def name_of(address: str) -> tuple[str, list[str], list[str]]:
        if address == "10.0.0.3":
            go_on.wait(30)
        if address == "10.0.0.2":
            raise OSError("unknown host")
        return f"host-{address.replace('.', '-')}.example.com", [], [address]

    monkeypatch.setattr("socket.gethostbyaddr", name_of)
    monkeypatch.setattr("socket.getfqdn", lambda name: name)
    known = {"ipv4": ["10.0.0.1", "10.0.0.2", "10.0.0.4", "127.0.0.1"], "ipv6": ["::1"]}
    names = ["host-10-0-0-1.example.com", "host-10-0-0-4.example.com"]
    assert fqdns_grain(known) == names
    slow = {"ipv4": ["10.0.0.3", *known["ipv4"]], "ipv6": []}
    try:
        assert fqdns_grain(slow, seconds=1) == names
    finally:
        go_on.set()
    assert core_grains(Options(tmp_path))["fqdns"] == []
