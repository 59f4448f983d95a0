"""Grains of the network: addresses, the machine's names, the resolver's configuration."""

from __future__ import annotations

import ipaddress
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from greensalt.minion.grains.files import ROOT, read_text

log = logging.getLogger(__name__)

# Seconds that all look-ups of names together may take.
LOOKUP_S: Final = 1.5
# Those of every address may take longer, for somebody wants them.
FQDNS_S: Final = 10.0
FQDNS_MOST: Final = 256

_Addresses = dict[str, list[str]]


def network_grains(root: Path = ROOT) -> dict[str, Any]:
    """ipv4, ipv6, *_interfaces, fqdn, fqdn_ip*, host, domain, localhost, dns."""
    v4, v6, hardware = _interfaces()
    grains: dict[str, Any] = {
        "ip4_interfaces": v4,
        "ip6_interfaces": v6,
        "ip_interfaces": {name: [*v4[name], *v6[name]] for name in v4},
        "hwaddr_interfaces": hardware,
        "ipv4": _sorted(address for addresses in v4.values() for address in addresses),
        "ipv6": _sorted(address for addresses in v6.values() for address in addresses),
    }
    grains.update(_names(bool(grains["ipv4"]), bool(grains["ipv6"])))
    grains.update(_resolver(root))
    return grains


def _interfaces() -> tuple[_Addresses, _Addresses, dict[str, str]]:
    """For each interface its IPv4 and IPv6 addresses; hardware addresses of those that have one."""
    # Only here, as its import takes longer than the call.
    import psutil

    v4: _Addresses = {}
    v6: _Addresses = {}
    hardware: dict[str, str] = {}
    for label, addresses in psutil.net_if_addrs().items():
        # An address with a label of its own, eth0:1, is one more of eth0.
        name = label.partition(":")[0]
        known4, known6 = v4.setdefault(name, []), v6.setdefault(name, [])
        for address in addresses:
            if address.family == socket.AF_INET:
                known4.append(address.address)
            elif address.family == socket.AF_INET6:
                known6.append(address.address.partition("%")[0])
            elif address.family == psutil.AF_LINK and address.address:
                hardware[name] = address.address
    return v4, v6, hardware


def _sorted(addresses: Iterable[str]) -> list[str]:
    """Each address once, in numeric order."""
    return [str(address) for address in sorted(set(map(ipaddress.ip_address, addresses)), key=int)]


def _names(has_v4: bool, has_v6: bool) -> dict[str, Any]:
    """The machine's names, and the addresses that its full name stands for."""
    localhost = socket.gethostname()
    grains: dict[str, Any] = {"localhost": localhost, "fqdn": localhost}
    grains.update({"fqdn_ip4": [], "fqdn_ip6": []})

    def look_up() -> dict[str, Any]:
        fqdn = _full_name(localhost)
        return {
            "fqdn": fqdn,
            "fqdn_ip4": _addresses_of(fqdn, socket.AF_INET) if has_v4 else [],
            "fqdn_ip6": _addresses_of(fqdn, socket.AF_INET6) if has_v6 else [],
        }

    found = _within(LOOKUP_S, look_up)
    if found is None:
        log.warning(
            "the name of this machine, %s, could not be looked up within %s s: the grains fqdn and"
            " domain may be wrong",
            localhost,
            LOOKUP_S,
        )
    grains.update(found or {})
    grains["host"], _, grains["domain"] = grains["fqdn"].partition(".")
    return grains


def fqdns_grain(grains: Mapping[str, Any], seconds: float = FQDNS_S) -> list[str]:
    """The names of the machine's addresses, sorted; only those that are known in time.

    `grains` are those of `network_grains`.
    """
    addresses = [
        address
        for address in (*grains["ipv4"], *grains["ipv6"])
        if not ipaddress.ip_address(address).is_loopback
    ]
    found: set[str] = set()
    at_work = [
        threading.Thread(target=_name_into, args=(address, found), daemon=True)
        for address in addresses[:FQDNS_MOST]
    ]
    for thread in at_work:
        thread.start()
    until = time.monotonic() + seconds
    for thread in at_work:
        thread.join(max(0.0, until - time.monotonic()))
    return sorted(found.copy())


def _name_into(address: str, found: set[str]) -> None:
    try:
        found.add(socket.getfqdn(socket.gethostbyaddr(address)[0]))
    except (OSError, UnicodeError) as error:
        log.debug("%s has no name: %s", address, error)


def _full_name(localhost: str) -> str:
    try:
        found = socket.getaddrinfo(
            localhost, 0, type=socket.SOCK_STREAM, proto=socket.SOL_TCP, flags=socket.AI_CANONNAME
        )
    except (OSError, UnicodeError):
        found = []
    names = [canonical for _, _, _, canonical, _ in found if canonical]
    if names:
        return names[-1]
    try:
        return socket.getfqdn(localhost)
    except UnicodeError:
        return localhost


def _addresses_of(name: str, family: socket.AddressFamily) -> list[str]:
    try:
        found = socket.getaddrinfo(name, None, family)
    except (OSError, UnicodeError):
        return []
    return _sorted(str(where[0]).partition("%")[0] for *_, where in found)


def _within(seconds: float, fn: Callable[[], dict[str, Any]]) -> dict[str, Any] | None:
    """What fn returns if it does so in time; the resolver can't be stopped, only left behind."""
    results: list[dict[str, Any]] = []
    worker = threading.Thread(target=lambda: results.append(fn()), daemon=True)
    worker.start()
    worker.join(seconds)
    return results[0] if results else None


def _resolver(root: Path) -> dict[str, Any]:
    """The resolver's configuration: the real one, where systemd-resolved stands in between."""
    path = root / "run/systemd/resolve/resolv.conf"
    if not path.exists():
        path = root / "etc/resolv.conf"
    if not path.exists():
        return {}
    servers: list[str] = []
    sortlist: list[str] = []
    search: list[str] = []
    options: list[str] = []
    domain = ""
    for line in read_text(path).splitlines():
        word, *rest = _words(line)
        match word.lower():
            case "nameserver" if rest:
                servers.extend(_address(rest[0]))
            case "domain" if rest:
                domain = rest[0]
            case "search":
                search = rest
            case "sortlist":
                sortlist.extend(network for text in rest for network in _network(text))
            case "options":
                options.extend(rest[:1])
    servers = list(dict.fromkeys(servers))
    return {
        "dns": {
            "nameservers": servers,
            "ip4_nameservers": [server for server in servers if ":" not in server],
            "ip6_nameservers": [server for server in servers if ":" in server],
            "sortlist": list(dict.fromkeys(sortlist)),
            "domain": domain,
            "search": search,
            "options": list(dict.fromkeys(options)),
        }
    }


def _words(line: str) -> list[str]:
    """The words of a line before a comment; one empty word if there are none."""
    words = []
    for word in line.split():
        if word[0] in "#;":
            break
        words.append(word)
    return words or [""]


def _address(text: str) -> list[str]:
    try:
        return [str(ipaddress.ip_address(text))]
    except ValueError:
        return []


def _network(text: str) -> list[str]:
    """A network of the sort list; without a mask it has that of its class."""
    try:
        network = ipaddress.ip_network(text)
        if "/" not in text and network.version == 4:
            first = int(text.partition(".")[0])
            prefix = 8 if first < 128 else 16 if first < 192 else 24
            network = ipaddress.ip_network(f"{text}/{prefix}", strict=False)
    except ValueError:
        return []
    return [network.with_netmask]
