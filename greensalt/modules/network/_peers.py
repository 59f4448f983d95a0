"""Names, and other machines: who they are and whether they can be reached."""

from __future__ import annotations

import re
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from greensalt.errors import CommandExecutionError, SaltInvocationError
from greensalt.minion.context import Context
from greensalt.modules._commands import need_program, run_program
from greensalt.modules.network._addresses import ip_addrs, ip_addrs6

TRACE_TIMEOUT_S = 120


def _host(name: Any) -> str:
    """A host name or address that no program can take for an option."""
    text = str(name)
    if not re.fullmatch(r"[A-Za-z0-9_:.%-]+", text) or text.startswith("-"):
        raise SaltInvocationError(f"{text!r} is not a host")
    return text


def get_hostname() -> str:
    """Return the host name of the machine.

    CLI Example:

        greensalt-cli '*' network.get_hostname
    """
    return socket.gethostname()


def get_fqdn() -> str:
    """Return the full name of the machine.

    CLI Example:

        greensalt-cli '*' network.get_fqdn
    """
    return socket.getfqdn()


def fqdns() -> dict[str, list[str]]:
    """Return the names that the DNS knows for the machine's addresses.

    CLI Example:

        greensalt-cli '*' network.fqdns
    """
    addresses = [*ip_addrs(), *ip_addrs6()]
    with ThreadPoolExecutor(8) as pool:
        names = set(pool.map(_name_of, addresses))
    return {"fqdns": sorted(name for name in names if name)}


def _name_of(address: str) -> str:
    try:
        return socket.getfqdn(socket.gethostbyaddr(address)[0])
    except OSError:
        return ""


def ping(host: str, timeout: Any = False, return_boolean: bool = False, *, context: Context) -> Any:
    """Send four ICMP pings to a host; return what the program writes, or whether it answered.

    CLI Example:

        greensalt-cli '*' network.ping archlinux.org
        greensalt-cli '*' network.ping archlinux.org timeout=3 return_boolean=True
    """
    command = ["ping", *(["-W", str(int(timeout))] if timeout else []), "-c", "4", _host(host)]
    result = context.home.run(run_program, command, context, redirect_stderr=True)
    return result["retcode"] == 0 if return_boolean else result["stdout"]


def dig(host: str, *, context: Context) -> str:
    """Ask the DNS about a host with the program dig; return what it writes.

    CLI Example:

        greensalt-cli '*' network.dig archlinux.org
    """
    command = [need_program("dig"), _host(host)]
    return str(context.home.run(run_program, command, context)["stdout"])


def traceroute(host: str, *, context: Context) -> list[dict[str, Any]]:
    """Return the way to a host, step by step, as the program traceroute finds it.

    CLI Example:

        greensalt-cli '*' network.traceroute archlinux.org
    """
    command = [need_program("traceroute"), _host(host)]
    result = context.home.run(run_program, command, context, timeout=TRACE_TIMEOUT_S)
    found = []
    for line in result["stdout"].splitlines():
        step = re.match(r"\s*(\d+)\s+(?:(\S+) \(([^)]+)\)(.*)|\*)", line)
        if step is None:
            continue
        number, name, address, times = step.groups()
        if name is None:
            found.append({"count": int(number), "hostname": "*"})
            continue
        entry: dict[str, Any] = {"count": int(number), "hostname": name, "ip": address}
        for index, ms in enumerate(re.findall(r"([\d.]+) ms", times), 1):
            entry[f"ms{index}"] = float(ms)
        found.append(entry)
    return found


def connect(host: str, port: Any = None, **kwargs: Any) -> dict[str, Any]:
    """Tell whether a TCP connection to a port of a host can be made.

    ``timeout`` are the seconds to wait (5), ``family`` is ``ipv4`` or ``ipv6``.

    CLI Example:

        greensalt-cli '*' network.connect archlinux.org 80
        greensalt-cli '*' network.connect archlinux.org 80 timeout=3 family=ipv4
    """
    for name, value in (("host", host), ("port", port)):
        if not value:
            return {"result": False, "comment": f"Required argument, {name}, is missing."}
    if kwargs.get("proto", "tcp") != "tcp":
        raise CommandExecutionError("only TCP knows connections")
    families = {"ipv4": socket.AF_INET, "ipv6": socket.AF_INET6}
    family = families.get(str(kwargs.get("family")), socket.AF_UNSPEC)
    try:
        found = socket.getaddrinfo(_host(host), int(port), family, socket.SOCK_STREAM)
    except (socket.gaierror, ValueError):
        comment = f"Unable to resolve host {host} on tcp port {port}"
        return {"result": False, "comment": comment}
    kind, socktype, proto, _, address = found[0]
    where = f"{host} ({address[0]}) on tcp port {port}"
    with socket.socket(kind, socktype, proto) as connection:
        connection.settimeout(float(kwargs.get("timeout", 5)))
        try:
            connection.connect(address)
        except OSError:
            return {"result": False, "comment": f"Unable to connect to {where}"}
    return {"result": True, "comment": f"Successfully connected to {where}"}


def wol(mac: str, bcast: str = "255.255.255.255", destport: Any = 9) -> bool:
    """Wake a machine up by its hardware address.

    CLI Example:

        greensalt-cli '*' network.wol 08-00-27-13-69-77
        greensalt-cli '*' network.wol 080027136977 255.255.255.255 7
    """
    digits = re.sub(r"[:.-]", "", str(mac))
    if not re.fullmatch(r"[0-9A-Fa-f]{12}", digits):
        raise SaltInvocationError(f"Invalid MAC address {mac}")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        sender.sendto(b"\xff" * 6 + bytes.fromhex(digits) * 16, (bcast, int(destport)))
    return True
