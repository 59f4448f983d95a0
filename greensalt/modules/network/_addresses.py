"""The addresses of the machine's interfaces, and reckoning with addresses."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any, Final

import psutil

from greensalt.errors import SaltInvocationError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

FAMILIES: Final = {"inet": socket.AF_INET, "inet6": socket.AF_INET6}


def interfaces() -> dict[str, dict[str, Any]]:
    """Return all network interfaces: whether they are up, and their addresses.

    CLI Example:

        greensalt-cli '*' network.interfaces
    """
    states = psutil.net_if_stats()
    found: dict[str, dict[str, Any]] = {}
    for name, addresses in psutil.net_if_addrs().items():
        entry: dict[str, Any] = {"up": name in states and states[name].isup}
        found[name] = entry
        for address in addresses:
            if address.family == psutil.AF_LINK:
                entry["hwaddr"] = address.address
            elif address.family == socket.AF_INET:
                entry.setdefault("inet", []).append(
                    {
                        "address": address.address,
                        "netmask": address.netmask,
                        "broadcast": address.broadcast,
                        "label": name,
                    }
                )
            elif address.family == socket.AF_INET6:
                entry.setdefault("inet6", []).append(_describe6(address))
    return found


def _describe6(address: Any) -> dict[str, str]:
    text = address.address.partition("%")[0]
    parsed = ipaddress.IPv6Address(text)
    scope = "global"
    if parsed.is_loopback:
        scope = "host"
    elif parsed.is_link_local:
        scope = "link"
    bits = int(ipaddress.IPv6Address(address.netmask or "::")).bit_count()
    return {"address": text, "prefixlen": str(bits), "scope": scope}


def _known(iface: str) -> dict[str, Any]:
    found = interfaces().get(iface)
    if found is None:
        raise SaltInvocationError(f"Interface {iface} not in available interfaces.")
    return found


def interface(iface: str) -> list[dict[str, Any]]:
    """Return the IPv4 addresses of an interface, with their networks.

    CLI Example:

        greensalt-cli '*' network.interface eth0
    """
    return list(_known(iface).get("inet", []))


def interface_ip(iface: str) -> str:
    """Return the first IPv4 address of an interface; empty if it has none.

    CLI Example:

        greensalt-cli '*' network.interface_ip eth0
    """
    found = interface(iface)
    return str(found[0]["address"]) if found else ""


def hw_addr(iface: str) -> str:
    """Return the hardware address of an interface.

    CLI Example:

        greensalt-cli '*' network.hw_addr eth0
    """
    return str(_known(iface).get("hwaddr", ""))


def hwaddr(iface: str) -> str:
    """Do what `network.hw_addr` does.

    CLI Example:

        greensalt-cli '*' network.hwaddr eth0
    """
    return hw_addr(iface)


def _own(family: str, wanted: Any, include_loopback: bool) -> list[tuple[Address, Network]]:
    """The machine's addresses and their networks, of one interface or several or all."""
    names = None if wanted is None else [wanted] if isinstance(wanted, str) else list(wanted)
    found = set()
    for name, entry in interfaces().items():
        if names is not None and name not in names:
            continue
        for item in entry.get(family, ()):
            size = item["netmask" if family == "inet" else "prefixlen"]
            network = ipaddress.ip_network(f"{item['address']}/{size}", strict=False)
            address = ipaddress.ip_address(item["address"])
            if include_loopback or not address.is_loopback:
                found.add((address, network))
    return sorted(found, key=lambda pair: (int(pair[0]), pair[1].prefixlen))


def ip_addrs(
    interface: Any = None,
    include_loopback: bool = False,
    cidr: str | None = None,
    type: str | None = None,
) -> list[str]:
    """Return the IPv4 addresses of the machine.

    ``cidr`` chooses those of a network, ``type`` those that are ``public`` or ``private``.

    CLI Example:

        greensalt-cli '*' network.ip_addrs
        greensalt-cli '*' network.ip_addrs cidr=10.0.0.0/8
        greensalt-cli '*' network.ip_addrs type=public
    """
    found = [address for address, _ in _own("inet", interface, include_loopback)]
    if cidr:
        return [str(address) for address in found if address in _network(cidr)]
    if type in ("public", "private"):
        return [str(address) for address in found if address.is_private == (type == "private")]
    return list(dict.fromkeys(map(str, found)))


def ip_addrs6(
    interface: Any = None, include_loopback: bool = False, cidr: str | None = None
) -> list[str]:
    """Return the IPv6 addresses of the machine; ``cidr`` chooses those of a network.

    CLI Example:

        greensalt-cli '*' network.ip_addrs6
    """
    found = [address for address, _ in _own("inet6", interface, include_loopback)]
    return [str(address) for address in found if not cidr or address in _network(cidr)]


def ipaddrs(
    interface: Any = None,
    include_loopback: bool = False,
    cidr: str | None = None,
    type: str | None = None,
) -> list[str]:
    """Do what `network.ip_addrs` does.

    CLI Example:

        greensalt-cli '*' network.ipaddrs
    """
    return ip_addrs(interface, include_loopback, cidr, type)


def ipaddrs6(
    interface: Any = None, include_loopback: bool = False, cidr: str | None = None
) -> list[str]:
    """Do what `network.ip_addrs6` does.

    CLI Example:

        greensalt-cli '*' network.ipaddrs6
    """
    return ip_addrs6(interface, include_loopback, cidr)


def _networks(family: str, wanted: Any, include_loopback: bool, verbose: bool) -> Any:
    found = {network for _, network in _own(family, wanted, include_loopback)}
    ordered = sorted(found, key=lambda network: (int(network.network_address), network.prefixlen))
    if not verbose:
        return [str(network) for network in ordered]
    return {
        str(network): {
            "address": str(network.network_address),
            "netmask": str(network.netmask),
            "num_addresses": network.num_addresses,
            "prefixlen": network.prefixlen,
        }
        for network in ordered
    }


def ip_networks(
    interface: Any = None, include_loopback: bool = False, verbose: bool = False
) -> Any:
    """Return the IPv4 networks that the machine is in.

    CLI Example:

        greensalt-cli '*' network.ip_networks
        greensalt-cli '*' network.ip_networks interface=docker0 verbose=True
    """
    return _networks("inet", interface, include_loopback, verbose)


def ip_networks6(
    interface: Any = None, include_loopback: bool = False, verbose: bool = False
) -> Any:
    """Return the IPv6 networks that the machine is in.

    CLI Example:

        greensalt-cli '*' network.ip_networks6
    """
    return _networks("inet6", interface, include_loopback, verbose)


def subnets(interfaces: Any = None) -> list[str]:
    """Return the IPv4 networks that the machine is in, or some of its interfaces.

    CLI Example:

        greensalt-cli '*' network.subnets
        greensalt-cli '*' network.subnets interfaces=eth1
    """
    return list(_networks("inet", interfaces, False, False))


def subnets6() -> list[str]:
    """Return the IPv6 networks that the machine is in.

    CLI Example:

        greensalt-cli '*' network.subnets6
    """
    return list(_networks("inet6", None, False, False))


def _network(cidr: str) -> Network:
    try:
        return ipaddress.ip_network(cidr, strict=False)
    except ValueError:
        raise SaltInvocationError(f"Invalid CIDR '{cidr}'") from None


def in_subnet(cidr: str) -> bool:
    """Tell whether one of the machine's addresses is in a network.

    CLI Example:

        greensalt-cli '*' network.in_subnet 10.0.0.0/16
    """
    network = _network(cidr)
    family = "inet" if network.version == 4 else "inet6"
    return any(address in network for address, _ in _own(family, None, False))


def ip_in_subnet(ip_addr: str, cidr: str) -> bool:
    """Tell whether an address is in a network.

    CLI Example:

        greensalt-cli '*' network.ip_in_subnet 172.17.0.4 172.16.0.0/12
    """
    return ipaddress.ip_address(ip_addr) in _network(cidr)


def calc_net(ip_addr: str, netmask: str | None = None) -> str:
    """Return the network of an address.

    CLI Example:

        greensalt-cli '*' network.calc_net 172.17.0.5 255.255.255.240
        greensalt-cli '*' network.calc_net 2a02:f6e:a000:80:84d8:8332:7866:4e07/64
    """
    text = f"{ip_addr}/{netmask}" if netmask is not None else ip_addr
    return str(ipaddress.ip_network(text, strict=False))


def convert_cidr(cidr: str) -> dict[str, str]:
    """Return network, mask and broadcast address of a network.

    CLI Example:

        greensalt-cli '*' network.convert_cidr 172.31.0.0/16
    """
    network = ipaddress.ip_network(cidr, strict=False)
    return {
        "network": str(network.network_address),
        "netmask": str(network.netmask),
        "broadcast": str(network.broadcast_address),
    }


def ifacestartswith(cidr: Any) -> list[str]:
    """Return the interfaces with an IPv4 address that begins with a text.

    CLI Example:

        greensalt-cli '*' network.ifacestartswith 10.0
    """
    return [
        address["label"]
        for entry in interfaces().values()
        for address in entry.get("inet", ())
        if address["address"].startswith(str(cidr))
    ]


def iphexval(ip: str) -> str:
    """Return an IPv4 address in hexadecimal digits.

    CLI Example:

        greensalt-cli '*' network.iphexval 10.0.0.1
    """
    return ipaddress.IPv4Address(ip).packed.hex().upper()


def is_private(ip_addr: str) -> bool:
    """Tell whether an address is for private networks.

    CLI Example:

        greensalt-cli '*' network.is_private 10.0.0.3
    """
    return ipaddress.ip_address(ip_addr).is_private


def is_loopback(ip_addr: str) -> bool:
    """Tell whether an address is the machine itself.

    CLI Example:

        greensalt-cli '*' network.is_loopback 127.0.0.1
    """
    return ipaddress.ip_address(ip_addr).is_loopback


def reverse_ip(ip_addr: str) -> str:
    """Return the name by which the DNS knows an address.

    CLI Example:

        greensalt-cli '*' network.reverse_ip 172.17.0.4
    """
    return ipaddress.ip_address(ip_addr).reverse_pointer
