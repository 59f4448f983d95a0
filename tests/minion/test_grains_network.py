"""Grains of the network: addresses, names, resolver, gateways."""

from __future__ import annotations

import logging
import socket
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest

from greensalt.minion.grains import network
from greensalt.minion.grains.network import network_grains
from greensalt.minion.grains.routes import route_grains
from tests.minion._machines import tree


class Address(NamedTuple):
    """An address, as psutil tells it."""

    family: int
    address: str | None


def test_addresses_are_listed_by_interface(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    v4, v6, link = socket.AF_INET, socket.AF_INET6, psutil.AF_LINK
    found = {
        "lo": [Address(v4, "127.0.0.1"), Address(v6, "::1"), Address(link, "00:00:00:00:00:00")],
        "eth0": [Address(v4, "10.0.0.10"), Address(v6, "fe80::1%eth0"), Address(link, "02:fc::1")],
        "eth0:1": [Address(v4, "10.0.0.9")],
        "tun0": [Address(v4, "10.0.0.9"), Address(link, None), Address(-1, "x")],
    }
    monkeypatch.setattr(psutil, "net_if_addrs", lambda: found)
    grains = network_grains(tmp_path)
    assert grains["ip4_interfaces"] == {
        "lo": ["127.0.0.1"], "eth0": ["10.0.0.10", "10.0.0.9"], "tun0": ["10.0.0.9"]
    }  # fmt: skip
    assert grains["ip6_interfaces"] == {"lo": ["::1"], "eth0": ["fe80::1"], "tun0": []}
    assert grains["ip_interfaces"]["eth0"] == ["10.0.0.10", "10.0.0.9", "fe80::1"]
    assert grains["hwaddr_interfaces"] == {"lo": "00:00:00:00:00:00", "eth0": "02:fc::1"}
    assert grains["ipv4"] == ["10.0.0.9", "10.0.0.10", "127.0.0.1"]
    assert grains["ipv6"] == ["::1", "fe80::1"]


RESOLV = """
# comment
nameserver 10.0.0.1
nameserver 10.0.0.1 ; twice
nameserver 2001:DB8::1
nameserver nonsense
nameserver
domain example.com
search a.example.com b.example.com # and no more
sortlist 130.155.160.0/255.255.240.0 130.155.0.0 10.0.0.0 192.168.1.0 fd00::/8 nonsense
options ndots:2 timeout:1
options ndots:2
Options rotate
"""


def test_the_resolver_s_configuration(tmp_path: Path) -> None:
    assert "dns" not in network_grains(tmp_path)
    root = tree(tmp_path, {"etc/resolv.conf": RESOLV})
    assert network_grains(root)["dns"] == {
        "nameservers": ["10.0.0.1", "2001:db8::1"],
        "ip4_nameservers": ["10.0.0.1"],
        "ip6_nameservers": ["2001:db8::1"],
        "sortlist": [
            "130.155.160.0/255.255.240.0",
            "130.155.0.0/255.255.0.0",
            "10.0.0.0/255.0.0.0",
            "192.168.1.0/255.255.255.0",
            "fd00::/ff00::",
        ],
        "domain": "example.com",
        "search": ["a.example.com", "b.example.com"],
        "options": ["ndots:2", "rotate"],
    }
    tree(tmp_path, {"run/systemd/resolve/resolv.conf": "nameserver 9.9.9.9\n"})
    assert network_grains(root)["dns"]["nameservers"] == ["9.9.9.9"]


def test_a_dead_resolver_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    answer = threading.Event()

    def no_answer(*_: object, **__: object) -> list[Any]:
        answer.wait(30)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", no_answer)
    monkeypatch.setattr(socket, "gethostname", lambda: "web1.example.com")
    monkeypatch.setattr(network, "LOOKUP_S", 0.1)
    start = time.perf_counter()
    with caplog.at_level(logging.WARNING):
        grains = network_grains(tmp_path)
    answer.set()
    assert time.perf_counter() - start < 5
    assert (grains["fqdn"], grains["host"], grains["domain"]) == (
        "web1.example.com", "web1", "example.com"
    )  # fmt: skip
    assert grains["fqdn_ip4"] == []
    assert "web1.example.com, could not be looked up within 0.1 s" in caplog.text


def test_the_full_name_is_the_canonical_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def getaddrinfo(host: str, *_: object, flags: int = 0, **__: object) -> list[Any]:
        if flags:
            name = "Web1.example.com"
            return [(2, 1, 6, name, ("10.0.0.9", 0)), (2, 1, 6, "", ("10.0.0.9", 0))]
        if host != "Web1.example.com":  # a look-up that another test has given up
            raise OSError(host)
        return [(2, 1, 6, "", (ip, 0)) for ip in ("10.0.0.9", "10.0.0.10", "10.0.0.9")]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    grains = network_grains(tmp_path)
    assert grains["fqdn"] == "Web1.example.com"
    assert grains["domain"] == "example.com"
    assert grains["fqdn_ip4"] == ["10.0.0.9", "10.0.0.10"]


@pytest.mark.parametrize("error", [OSError("no name"), UnicodeError("label too long")])
def test_a_name_that_can_not_be_resolved_stands_for_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object, **__: object) -> list[Any]:
        raise error

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    monkeypatch.setattr(socket, "gethostbyaddr", fail)
    monkeypatch.setattr(socket, "gethostname", lambda: "lonely")
    grains = network_grains(tmp_path)
    assert grains["fqdn"] == "lonely"
    assert (grains["domain"], grains["fqdn_ip4"], grains["fqdn_ip6"]) == ("", [], [])


ANY6 = "0" * 32
GATEWAY4 = "eth0 00000000 010200C0 0003 0 0 100 00000000 0 0 0\n"
GATEWAY6 = f"{ANY6} 00 {ANY6} 00 fd000000000000000000000000000001 00000400 02 00 00000003 eth0\n"
NETWORK6 = f"{ANY6} 00 {ANY6} 00 {ANY6} 00000400 02 00 00000001 tun0\n"
REJECT6 = f"{ANY6} 00 {ANY6} 00 {ANY6} ffffffff 01 00 00200200 lo\n"
HEAD = "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n"


@pytest.mark.parametrize(
    ("v4", "v6", "grains"),
    [
        ("", "", (False, False, False)),
        (HEAD + GATEWAY4, "", (True, "192.0.2.1", False)),
        (
            HEAD + GATEWAY4 + "ppp0 00000000 00000000 0001 0 0 50 00000000 0 0 0\n",
            "",
            (True, True, False),
        ),
        (HEAD + "eth0 000200C0 00000000 0001 0 0 0 00FFFFFF 0 0 0", "", (False, False, False)),
        ("", GATEWAY6 + REJECT6, (True, False, "fd00::1")),
        ("", NETWORK6, (True, False, True)),
        ("", REJECT6, (False, False, False)),
    ],
)
def test_gateways(tmp_path: Path, v4: str, v6: str, grains: tuple[Any, ...]) -> None:
    root = tree(tmp_path, {"proc/net/route": v4, "proc/net/ipv6_route": v6})
    assert tuple(route_grains(root).values()) == grains
