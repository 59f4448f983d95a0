"""Grains ip_gw, ip4_gw, ip6_gw: whether there is a default route, and through which gateway."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

from greensalt.minion.grains.files import ROOT, read_text

# Flags of a route: it leads to a gateway; it leads nowhere.
_GATEWAY: Final = 0x2
_REJECT: Final = 0x200
_ANY4: Final = "00000000"
_ANY6: Final = "0" * 32

# A metric and a gateway; True: the network itself.
_Route = tuple[int, str | bool]


def route_grains(root: Path = ROOT) -> dict[str, Any]:
    """The gateway's address, True for a default route without one, False for none."""
    v4, v6 = _nearest(_default4(root)), _nearest(_default6(root))
    return {"ip_gw": bool(v4 or v6), "ip4_gw": v4, "ip6_gw": v6}


def _nearest(routes: Iterator[_Route]) -> str | bool:
    return min(routes, key=itemgetter(0), default=(0, False))[1]


def _default4(root: Path) -> Iterator[_Route]:
    for line in read_text(root / "proc/net/route").splitlines()[1:]:
        _, destination, gateway, flags, _, _, metric, mask, *_ = line.split()
        if (destination, mask) == (_ANY4, _ANY4) and not int(flags, 16) & _REJECT:
            # The kernel prints the address as a number of this machine's byte order.
            address = socket.inet_ntoa(struct.pack("=I", int(gateway, 16)))
            yield int(metric), address if int(flags, 16) & _GATEWAY else True


def _default6(root: Path) -> Iterator[_Route]:
    for line in read_text(root / "proc/net/ipv6_route").splitlines():
        destination, prefix, _, _, gateway, metric, _, _, flags, _ = line.split()
        if (destination, prefix) == (_ANY6, "00") and not int(flags, 16) & _REJECT:
            address = socket.inet_ntop(socket.AF_INET6, bytes.fromhex(gateway))
            yield int(metric, 16), address if int(flags, 16) & _GATEWAY else True
