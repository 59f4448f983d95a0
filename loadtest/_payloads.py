"""What the emulated minions return: five results, as like real ones as they get.

Every value is made anew from fixed numbers, so that two runs return the same bytes.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from greensalt.errors import ConfigError


class Payload(NamedTuple):
    """`fun` is the function of the job, `make` makes what every minion returns for it."""

    name: str
    fun: str
    make: Callable[[], Any]


def _ping() -> Any:
    return True


def _grains() -> Any:
    """Some 8 KB: short texts, lists of addresses and packages, one level of nesting."""
    rng = random.Random(1)
    return {
        "id": "web-0001.example.net",
        "os": "Debian",
        "os_family": "Debian",
        "osrelease": "13.1",
        "osrelease_info": [13, 1],
        "kernel": "Linux",
        "kernelrelease": "6.12.43+deb13-amd64",
        "num_cpus": 16,
        "mem_total": 64_221,
        "swap_total": 0,
        "virtual": "kvm",
        "biosversion": "1.16.3-debian-1.16.3-2",
        "systemd": {"version": "257", "features": "+PAM +AUDIT +SELINUX +APPARMOR +IMA"},
        "cpu_flags": [f"flag_{rng.randrange(1 << 24):06x}" for _ in range(180)],
        "ip4_interfaces": {
            f"eth{n}": [f"10.{n}.{rng.randrange(256)}.{rng.randrange(256)}"] for n in range(24)
        },
        "hwaddr_interfaces": {
            f"eth{n}": ":".join(f"{rng.randrange(256):02x}" for _ in range(6)) for n in range(24)
        },
        "disks": [f"nvme{n}n1" for n in range(12)],
        "roles": {
            f"role-{n}": {"since": 1_700_000_000 + n, "weight": rng.random(), "active": n % 3 == 0}
            for n in range(85)
        },
    }


def _text() -> Any:
    """Some 64 KB of log lines, with an umlaut here and there."""
    rng = random.Random(2)
    lines = [
        f"2026-01-{n % 28 + 1:02} 12:{n % 60:02}:{rng.randrange(60):02} node-{n % 40:03} "
        f"worker[{rng.randrange(30_000)}]: Größe {rng.randrange(10**9)} bytes, "
        f"status={rng.choice(('ok', 'retry', 'geprüft'))}"
        for n in range(800)
    ]
    return "\n".join(lines)


def _highstate() -> Any:
    """Some 60 KB: 168 states as a highstate returns them."""
    rng = random.Random(3)
    result = {}
    for n in range(168):
        name = f"/etc/app/conf.d/{n:03}-section.conf"
        result[f"file_|-app_conf_{n}_|-{name}_|-managed"] = {
            "name": name,
            "result": n % 17 != 0,
            "comment": f"File {name} updated" if n % 3 else f"File {name} is in the correct state",
            "changes": {"diff": f"--- \n+++ \n@@ -{n},7 +{n},7 @@\n" + "-old\n+new\n" * 6}
            if n % 3
            else {},
            "__sls__": "app.conf",
            "__id__": f"app_conf_{n}",
            "__run_num__": n,
            "start_time": f"12:00:{n % 60:02}.{rng.randrange(10**6):06}",
            "duration": round(rng.random() * 40, 3),
            "warnings": [],
        }
    return result


def _chunk() -> Any:
    """256 KiB of bytes that no compression and no text encoding likes."""
    return random.Random(4).randbytes(256 << 10)


PAYLOADS: Final[dict[str, Payload]] = {
    payload.name: payload
    for payload in (
        Payload("ping", "test.ping", _ping),
        Payload("grains", "grains.items", _grains),
        Payload("text", "cmd.run", _text),
        Payload("highstate", "state.highstate", _highstate),
        Payload("binary", "cp.get_file", _chunk),
    )
}


def payload(name: str) -> Payload:
    """The payload of that name. Raises ConfigError that names those there are."""
    if name not in PAYLOADS:
        raise ConfigError(f"no payload {name!r}: there are {', '.join(PAYLOADS)}")
    return PAYLOADS[name]


def return_load(minion_id: str, jid: str, fun: str, value: Any) -> dict[str, Any]:
    """The load of a `_return`, without the fields that the session adds (docs/protocol.md 6.1)."""
    return {
        "cmd": "_return",
        "id": minion_id,
        "jid": jid,
        "fun": fun,
        "fun_args": [],
        "return": value,
        "retcode": 0,
        "success": True,
        "user": "root",
    }
