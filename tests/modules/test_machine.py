"""status, disk, network and pip: what this machine says of itself must fit together."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import pytest

from tests._calls import Caller
from tests.modules.conftest import Programs


def test_the_kernels_counters_are_read(minion: Caller) -> None:
    assert minion.call("status.uptime")["seconds"] > 0
    assert minion.call("status.loadavg").keys() == {"1-min", "5-min", "15-min"}
    assert minion.call("status.meminfo")["MemTotal"]["unit"] == "kB"
    assert minion.call("status.cpustats")["cpu"]["user"] > 0
    assert minion.call("status.netdev")["lo"]["iface"] == "lo"
    assert minion.call("status.nproc") == len(os.sched_getaffinity(0))
    assert "Linux" in minion.call("status.version")
    assert "TcpExt" in minion.call("status.netstats")
    everything = minion.call("status.all_status")
    assert {"cpuinfo", "diskstats", "vmstats", "uptime"} <= everything.keys()


def test_processes_are_listed_and_found(minion: Caller) -> None:
    own = minion.call("status.procs")[str(os.getpid())]
    assert "python" in own["cmd"] or "pytest" in own["cmd"]
    assert minion.call("status.pid", "no-such-process-anywhere") == ""
    assert minion.call("status.time", "%Y").isdigit()


def test_the_configuration_chooses_values(tmp_path: Path) -> None:
    others = {"status.uptime.custom": ["days", "nonsense"], "status.custom": []}
    found = Caller(tmp_path, others=others).call("status.custom")
    assert found["days"] >= 0
    assert found["nonsense"] == "UNKNOWN"


def test_file_systems_are_measured(minion: Caller, tmp_path: Path) -> None:
    usage = minion.call("disk.usage")
    mount = max((m for m in usage if str(tmp_path).startswith(m)), key=len)
    assert int(usage[mount]["1K-blocks"]) > 0
    assert minion.call("disk.percent", mount).endswith("%")
    assert minion.call("disk.inodeusage")[mount]["filesystem"] == usage[mount]["filesystem"]
    assert minion.call("disk.get_fstype_from_path", str(tmp_path))
    assert minion.call("status.diskusage", f"{mount}*")[mount]["total"] > 0
    assert minion.job("disk.usage", "-; rm").ret == "ERROR: Invalid flag passed to disk.usage"


def test_names_with_blanks_do_not_upset_the_table(minion: Caller, programs: Programs) -> None:
    rows = "Filesystem 1024-blocks Used Available Capacity Mounted on"
    programs.add("df", f"echo '{rows}'; echo '//nas/my share  100 40 60 40% /mnt/my share'")
    assert minion.call("disk.usage") == {
        "/mnt/my share": {
            "filesystem": "//nas/my share",
            "1K-blocks": "100",
            "used": "40",
            "available": "60",
            "capacity": "40%",
        }
    }


def test_block_devices_are_described(minion: Caller, programs: Programs) -> None:
    line = '/dev/sda1: LABEL="my disk" UUID="1-2" TYPE="ext4"'
    programs.add("blkid", f"echo '{line}'")
    programs.add("lsblk", "echo ext4")
    assert minion.call("disk.blkid") == {
        "/dev/sda1": {"LABEL": "my disk", "UUID": "1-2", "TYPE": "ext4"}
    }
    assert minion.call("disk.fstype", "/dev/sda1") == "ext4"
    programs.add("blkid", "exit 2")
    assert minion.call("disk.blkid", "/dev/none") == {}


def test_addresses_are_those_of_the_interfaces(minion: Caller) -> None:
    interfaces = minion.call("network.interfaces")
    assert interfaces["lo"]["inet"][0]["address"] == "127.0.0.1"
    assert minion.call("network.ip_addrs", "lo", include_loopback=True) == ["127.0.0.1"]
    assert "127.0.0.1" not in minion.call("network.ipaddrs")
    assert minion.call("network.ip_addrs", include_loopback=True, cidr="127.0.0.0/8") == [
        "127.0.0.1"
    ]
    assert "::1" not in minion.call("network.ip_addrs6")
    assert minion.call("network.hwaddr", "lo") == "00:00:00:00:00:00"
    unknown = minion.job("network.interface_ip", "nope0").ret
    assert unknown.endswith("Interface nope0 not in available interfaces.")
    assert "Invalid CIDR" in minion.job("network.in_subnet", "nonsense").ret


def test_connections_are_tried_and_seen(minion: Caller) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        ret = minion.call("network.connect", "127.0.0.1", port)
        assert ret == {
            "result": True,
            "comment": f"Successfully connected to 127.0.0.1 (127.0.0.1) on tcp port {port}",
        }
        with socket.create_connection(("127.0.0.1", port)):
            seen = minion.call("network.active_tcp").values()
            assert port in {connection["remote_port"] for connection in seen}
        listening = [s for s in minion.call("network.netstat") if s.get("state") == "LISTEN"]
        assert f"127.0.0.1:{port}" in {entry["local-address"] for entry in listening}


def test_routes_are_read_from_the_program_ip(minion: Caller, programs: Programs) -> None:
    programs.add(
        "ip",
        r"""case "$*" in
  "route get 8.8.8.8") echo '8.8.8.8 via 192.0.2.1 dev eth0 src 192.0.2.2 uid 0';;
  -4*) printf '%s\n' 'default via 192.0.2.1 dev eth0' '192.0.2.0/24 dev eth0 scope link' \
       'unreachable 10.0.0.0/8';;
  -6*) printf '%s\n' 'fd00::/64 dev eth0 metric 256' 'local fd00::2 dev eth0' 'default dev tun0';;
  *) echo 'no route' >&2; exit 2;; esac""",
    )
    assert minion.call("network.default_route", "inet") == [
        {
            "addr_family": "inet",
            "destination": "0.0.0.0",
            "gateway": "192.0.2.1",
            "netmask": "0.0.0.0",
            "flags": "UG",
            "interface": "eth0",
        }
    ]
    routes = minion.call("network.routes")
    assert [(r["destination"], r["netmask"], r["interface"]) for r in routes] == [
        ("0.0.0.0", "0.0.0.0", "eth0"),
        ("192.0.2.0", "255.255.255.0", "eth0"),
        ("fd00::/64", "", "eth0"),
        ("fd00::2/128", "", "eth0"),
        ("::/0", "", "tun0"),
    ]
    assert minion.call("network.get_route", "8.8.8.8")["source"] == "192.0.2.2"
    assert minion.job("network.get_route", "9.9.9.9").ret == "ERROR: no route"


def test_hosts_that_would_be_options_are_refused(minion: Caller, programs: Programs) -> None:
    for name in ("ping", "dig", "traceroute"):
        programs.add(name, "echo answer")
    assert minion.call("network.ping", "host", timeout=3) == "answer"
    assert programs.calls("ping") == ["-W 3 -c 4 host"]
    assert minion.call("network.ping", "host", return_boolean=True) is True
    assert minion.call("network.dig", "host") == "answer"
    for name in ("ping", "dig", "traceroute"):
        assert "is not a host" in minion.job(f"network.{name}", "-f localhost").ret


def test_the_way_to_a_host_is_told_step_by_step(minion: Caller, programs: Programs) -> None:
    programs.add(
        "traceroute",
        r"""printf '%s\n' 'traceroute to x (192.0.2.9), 30 hops max' \
' 1  gate (192.0.2.1)  0.5 ms  0.6 ms  0.7 ms' ' 2  * * *'""",
    )
    assert minion.call("network.traceroute", "x") == [
        {"count": 1, "hostname": "gate", "ip": "192.0.2.1", "ms1": 0.5, "ms2": 0.6, "ms3": 0.7},
        {"count": 2, "hostname": "*"},
    ]


def test_the_machine_knows_its_names(minion: Caller) -> None:
    assert minion.call("network.get_hostname") == socket.gethostname()
    assert minion.call("network.get_fqdn")
    assert isinstance(minion.call("network.arp"), dict)
    assert "Invalid MAC" in minion.job("network.wol", "nonsense").ret


PIP = r"""
case "$*" in
  *--version*) echo "pip 24.0 from /x (python 3.11)";;
  *--outdated*) echo '[{"name": "A_b", "latest_version": "2", "latest_filetype": "wheel"}]';;
  *list*) cat "$LIST";;
  *freeze*) echo "A_b==1";;
  *"install -U"*) echo '[{"name": "A_b", "version": "2"}]' > "$LIST";;
  *) echo "$VIRTUAL_ENV";;
esac"""


@pytest.fixture
def env(programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A virtual environment whose Python is a stand-in."""
    listing = tmp_path / "list"
    listing.write_text('[{"name": "A_b", "version": "1"}, {"name": "zoo", "version": "3"}]')
    monkeypatch.setenv("LIST", str(listing))
    programs.add("python", PIP)
    (tmp_path / "venv" / "bin").mkdir(parents=True)
    (tmp_path / "venv" / "bin" / "python").symlink_to(programs.directory / "python")
    return str(tmp_path / "venv")


def test_python_packages_are_listed(minion: Caller, env: str) -> None:
    assert minion.call("pip.version", env) == "24.0"
    assert minion.call("pip.list", bin_env=env) == {"a-b": "1", "zoo": "3"}
    assert minion.call("pip.list", "A.b", bin_env=env) == {"a-b": "1"}
    assert minion.call("pip.freeze", env) == ["A_b==1"]
    assert minion.call("pip.list_upgrades", env) == {"A_b": "2 [wheel]"}
    assert minion.call("pip.is_installed", "a_B", env) is True
    assert minion.call("pip.is_installed", "nope", env) is False
    assert minion.call("pip.upgrade_available", "A_b", env) is True


def test_python_packages_are_installed_with_pips_options(
    minion: Caller, env: str, programs: Programs
) -> None:
    ret = minion.call(
        "pip.install",
        "a,b>=1;<2",
        bin_env=env,
        requirements="/srv/r.txt",
        index_url="https://pypi.example",
        upgrade=True,
        find_links=["/x", "/y"],
        extra_args=[{"--latest": "z"}, "--quiet"],
    )
    assert ret["stdout"] == env
    assert programs.calls("python")[-1] == (
        "-m pip install --requirement /srv/r.txt --index-url https://pypi.example --upgrade"
        " --find-links /x --find-links /y a b>=1,<2 --latest z --quiet"
    )
    minion.call("pip.uninstall", ["a", "b"], bin_env=env, timeout=5)
    assert programs.calls("python")[-1] == "-m pip uninstall -y --timeout 5 a b"
    assert minion.call("pip.install", bin_env=env)["stdout"] == "No packages to install."
    assert "mutually exclusive" in minion.job("pip.install", "a", no_index=True, index_url="x").ret
    assert "can't fetch salt://r" in minion.job("pip.install", requirements="salt://r").ret


def test_all_python_packages_are_upgraded(minion: Caller, env: str) -> None:
    assert minion.call("pip.upgrade", env) == {
        "changes": {
            "a-b": {"old": "1", "new": "2"},
            "zoo": {"old": "3", "new": ""},
        },
        "result": True,
        "comment": "",
    }


def test_the_minions_own_python_is_used_without_another(minion: Caller) -> None:
    assert minion.call("pip.is_installed", "gevent") is True
    assert minion.call("pip.version", sys.executable) == minion.call("pip.version")


def test_an_environment_without_python_is_named(minion: Caller, tmp_path: Path) -> None:
    ret = minion.job("pip.list", bin_env=str(tmp_path)).ret
    assert ret == (
        f"Command required for 'pip.list' not found: Could not find a pip binary in virtualenv"
        f" {tmp_path}"
    )
    assert "Access denied to /no/such" in minion.job("pip.list", bin_env="/no/such").ret
