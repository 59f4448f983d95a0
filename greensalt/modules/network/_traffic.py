"""Routes, neighbours and connections."""

from __future__ import annotations

import ipaddress
import re
import socket
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import psutil

from greensalt.errors import CommandExecutionError
from greensalt.minion.context import Context
from greensalt.modules._commands import run_program
from greensalt.modules.network._addresses import convert_cidr

DEFAULTS: Final = ("0.0.0.0", "::/0", "default")  # noqa: S104  # destinations, not addresses to bind
# Kinds of routes that lead nowhere in particular.
OTHER_ROUTES: Final = frozenset(
    {
        *("unicast", "broadcast", "throw", "unreachable", "prohibit"),
        *("blackhole", "nat", "anycast", "multicast"),
    }
)


def routes(family: str | None = None, *, context: Context) -> list[dict[str, str]]:
    """Return the routes of the machine, of one family (``inet``, ``inet6``) or both.

    CLI Example:

        greensalt-cli '*' network.routes
        greensalt-cli '*' network.routes inet
    """
    if family not in ("inet", "inet6", None):
        raise CommandExecutionError(f"Invalid address family {family}")
    found = []
    for version, table, kind in (("-4", "main", "inet"), ("-6", "all", "inet6")):
        if family in (kind, None):
            command = ["ip", version, "route", "show", "table", table]
            result = context.home.run(run_program, command, context)
            entries = (_route(line.split(), kind) for line in result["stdout"].splitlines())
            found += [entry for entry in entries if entry is not None]
    return found


def _route(words: list[str], family: str) -> dict[str, str] | None:
    if not words or words[0] in OTHER_ROUTES:
        return None
    named = dict(pairwise(words[1:]))
    is_default = words[0] == "default"
    if is_default:
        destination = "0.0.0.0" if family == "inet" else "::/0"  # noqa: S104  # see DEFAULTS
        netmask = "0.0.0.0" if family == "inet" else ""  # noqa: S104  # see DEFAULTS
    elif words[0] == "local":
        destination, netmask = f"{words[1]}/128", ""
    elif family == "inet":
        network = convert_cidr(words[0])
        destination, netmask = network["network"], network["netmask"]
    else:
        destination, netmask = words[0], ""
    nowhere = "0.0.0.0" if family == "inet" else "::"  # noqa: S104  # see DEFAULTS
    return {
        "addr_family": family,
        "destination": destination,
        "gateway": named.get("via", nowhere),
        "netmask": netmask,
        "flags": "UG" if "via" in named else "U",
        "interface": named.get("dev", ""),
    }


def default_route(family: str | None = None, *, context: Context) -> list[dict[str, str]]:
    """Return the routes that are taken where no other fits.

    CLI Example:

        greensalt-cli '*' network.default_route
    """
    found = routes(family, context=context)
    return [route for route in found if route["destination"] in DEFAULTS]


def get_route(ip: str, *, context: Context) -> dict[str, Any]:
    """Return the route that is taken to an address.

    CLI Example:

        greensalt-cli '*' network.get_route 10.10.10.10
    """
    address = str(ipaddress.ip_address(ip))
    result = context.home.run(run_program, ["ip", "route", "get", address], context)
    if result["retcode"]:
        raise CommandExecutionError(result["stderr"])
    words = result["stdout"].split()
    named = dict(pairwise(words))
    return {
        "destination": ip,
        "gateway": named.get("via"),
        "interface": named.get("dev"),
        "source": named.get("src"),
    }


def arp() -> dict[str, str]:
    """Return the IPv4 addresses of the machines nearby, by their hardware addresses.

    CLI Example:

        greensalt-cli '*' network.arp
    """
    found = {}
    for line in Path("/proc/net/arp").read_text().splitlines()[1:]:
        address, _, flags, hardware, *_ = line.split()
        if int(flags, 16) & 2:  # complete
            found[hardware] = address
    return found


def active_tcp() -> dict[int, dict[str, Any]]:
    """Return the TCP connections of the machine.

    CLI Example:

        greensalt-cli '*' network.active_tcp
    """
    found: dict[int, dict[str, Any]] = {}
    for connection in psutil.net_connections("tcp"):
        if connection.status == psutil.CONN_ESTABLISHED and connection.laddr and connection.raddr:
            found[len(found)] = {
                "local_addr": connection.laddr.ip,
                "local_port": connection.laddr.port,
                "remote_addr": connection.raddr.ip,
                "remote_port": connection.raddr.port,
            }
    return found


def netstat() -> list[dict[str, Any]]:
    """Return all TCP and UDP sockets of the machine, with the programs that have them.

    CLI Example:

        greensalt-cli '*' network.netstat
    """
    found = []
    for connection in psutil.net_connections("inet"):
        is_tcp = connection.type == socket.SOCK_STREAM
        entry = {
            "proto": "tcp" if is_tcp else "udp",
            "local-address": _endpoint(connection.laddr),
            "remote-address": _endpoint(connection.raddr),
            "program": _program(connection.pid),
        }
        if is_tcp:
            entry["state"] = re.sub("^NONE$", "", connection.status)
        found.append(entry)
    return found


def _endpoint(address: Any) -> str:
    if not address:
        return "0.0.0.0:*"
    return f"[{address.ip}]:{address.port}" if ":" in address.ip else f"{address.ip}:{address.port}"


def _program(pid: int | None) -> str:
    if pid is None:
        return "-"
    try:
        return f"{pid}/{psutil.Process(pid).name()}"
    except psutil.Error:
        return str(pid)
