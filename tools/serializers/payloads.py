"""What travels on a link, as real as it gets: whole loads of returns, the same at every run."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

JID = "20260101120000123456"
BINARY_BYTES = 256 * 1024
TEXT_BYTES = 64 * 1024
STATES = 150

_TEXT = (
    "file directory service package user group mount network kernel module state minion master"
    " running enabled installed absent present managed updated changed unchanged configuration"
)
_WORDS = _TEXT.split(" ")


def payloads() -> Mapping[str, dict[str, Any]]:
    """The loads by what they carry."""
    chance = random.Random(20260101)
    return {
        "test.ping": returned("test.ping", True, chance),
        "grains": returned("grains.items", grains(chance), chance),
        "cmd.run, 64 KiB": returned("cmd.run", command_output(chance), chance),
        "highstate": returned("state.apply", highstate(chance), chance),
        "binary, 256 KiB": returned("cp.get_file", chance.randbytes(BINARY_BYTES), chance),
    }


def returned(fun: str, value: Any, chance: random.Random) -> dict[str, Any]:
    """A `_return` as a minion sends it; `tok` is 256 bytes that no text can hold."""
    return {
        "cmd": "_return",
        "id": "web17.example.org",
        "jid": JID,
        "fun": fun,
        "fun_args": [],
        "return": value,
        "retcode": 0,
        "success": True,
        "user": "root",
        "ts": 1767268800,
        "nonce": chance.randbytes(16).hex(),
        "tok": chance.randbytes(256),
    }


def grains(chance: random.Random) -> dict[str, Any]:
    """A grains dictionary of some 8 KB."""
    interfaces = ["lo", "eth0", "eth1", "docker0", "wg0"]
    known: dict[str, Any] = {
        "os": "Debian",
        "os_family": "Debian",
        "osfullname": "Debian GNU/Linux",
        "osmajorrelease": 12,
        "osrelease_info": [12, 5],
        "kernel": "Linux",
        "kernelversion": "#1 SMP PREEMPT_DYNAMIC Debian 6.1.76-1 (2024-02-01)",
        "num_cpus": 16,
        "mem_total": 64214,
        "virtual": "kvm",
        "gpus": [],
        "selinux": {"enabled": False, "enforced": "Disabled"},
        "systemd": {"version": "252", "features": "+PAM +AUDIT +SELINUX +APPARMOR +IMA +SMACK"},
        "locale_info": {"defaultlanguage": "en_US", "timezone": "UTC", "detectedencoding": "utf-8"},
        "pythonversion": [3, 11, 2, "final", 0],
        "path": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "cpu_flags": [f"{_word(chance)}_{number}" for number in range(120)],
        "disks": [f"nvme{number}n1" for number in range(8)],
        "hwaddr_interfaces": {name: _mac(chance) for name in interfaces},
        "ip4_interfaces": {name: [_ip(chance)] for name in interfaces},
        "ip6_interfaces": {name: [f"fe80::{chance.randrange(65536):x}"] for name in interfaces},
        "dns": {"nameservers": [_ip(chance) for _ in range(3)], "search": ["example.org"]},
        "uuid": chance.randbytes(16).hex(),
        "zfs_support": False,
        "lsb_distrib_id": None,
    }
    for number in range(110):
        known[f"role_{number}_{_word(chance)}"] = " ".join(_word(chance) for _ in range(3))
    return known


def command_output(chance: random.Random) -> str:
    """Lines of a log, 64 KiB of them."""
    lines: list[str] = []
    size = 0
    while size < TEXT_BYTES:
        text = " ".join(_word(chance) for _ in range(10))
        line = f'2026-01-01T12:00:{len(lines) % 60:02} web17 daemon[{len(lines)}]: "{text}"\n'
        lines.append(line)
        size += len(line)
    return "".join(lines)[:TEXT_BYTES]


def highstate(chance: random.Random) -> dict[str, Any]:
    """The result of a highstate of STATES states, some 60 KB."""
    return {
        f"file_|-/etc/{_word(chance)}/{number}.conf_|-/etc/{_word(chance)}_|-managed": {
            "name": f"/etc/{_word(chance)}/{number}.conf",
            "changes": _changes(number, chance),
            "result": None if number % 25 == 0 else True,
            "comment": " ".join(_word(chance) for _ in range(12)),
            "__sls__": f"{_word(chance)}.{_word(chance)}",
            "__run_num__": number,
            "start_time": f"12:00:{number % 60:02}.{number:06}",
            "duration": round(chance.uniform(0.2, 900), 3),
            "__id__": f"/etc/{_word(chance)}/{number}.conf",
        }
        for number in range(STATES)
    }


def _changes(number: int, chance: random.Random) -> dict[str, Any]:
    if number % 3:
        return {}
    diff = "\n".join(f"+{_word(chance)} = {_word(chance)}" for _ in range(8))
    return {"diff": f"--- \n+++ \n@@ -1,3 +1,8 @@\n{diff}", "mode": "0644"}


def _word(chance: random.Random) -> str:
    return chance.choice(_WORDS)


def _ip(chance: random.Random) -> str:
    return f"10.{chance.randrange(256)}.{chance.randrange(256)}.{chance.randrange(256)}"


def _mac(chance: random.Random) -> str:
    return ":".join(f"{byte:02x}" for byte in chance.randbytes(6))
