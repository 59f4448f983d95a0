"""What the machine does: load, memory, processes, disks and network, mostly from /proc."""

from __future__ import annotations

import fnmatch
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import psutil

from greensalt.errors import CommandExecutionError
from greensalt.minion.context import Context

# Reads files that may be slow, such as those of hung file systems: no GREEN.

DISK_FIELDS: Final = (
    "reads_issued",
    "reads_merged",
    "sectors_read",
    "ms_spent_reading",
    "writes_completed",
    "writes_merged",
    "sectors_written",
    "ms_spent_writing",
    "io_in_progress",
    "ms_spent_in_io",
    "weighted_ms_spent_in_io",
)
NET_FIELDS: Final = (
    "rx_bytes",
    "rx_packets",
    "rx_errs",
    "rx_drop",
    "rx_fifo",
    "rx_frame",
    "rx_compressed",
    "rx_multicast",
    "tx_bytes",
    "tx_packets",
    "tx_errs",
    "tx_drop",
    "tx_fifo",
    "tx_colls",
    "tx_carrier",
    "tx_compressed",
)


def _lines(name: str) -> list[str]:
    try:
        return Path("/proc", name).read_text().splitlines()
    except OSError as error:
        raise CommandExecutionError(f"/proc/{name} can't be read: {error.strerror}") from error


def _number(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def uptime() -> dict[str, Any]:
    """Return since when the machine runs, and how many users are logged in.

    CLI Example:

        greensalt-cli '*' status.uptime
    """
    seconds = int(float(_lines("uptime")[0].split()[0]))
    now = datetime.now(UTC).replace(tzinfo=None)
    since = now - timedelta(seconds=seconds)
    up = timedelta(seconds=seconds)
    return {
        "seconds": seconds,
        "since_iso": since.isoformat(),
        "since_t": int(time.time() - seconds),
        "days": up.days,
        "time": f"{up.seconds // 3600}:{up.seconds % 3600 // 60}",
        "users": len(psutil.users()),
    }


def loadavg() -> dict[str, float]:
    """Return how many processes wanted to run, in the last 1, 5 and 15 minutes.

    CLI Example:

        greensalt-cli '*' status.loadavg
    """
    return dict(zip(("1-min", "5-min", "15-min"), os.getloadavg(), strict=True))


def cpustats() -> dict[str, Any]:
    """Return what the processors have done since the machine started, as /proc/stat counts it.

    CLI Example:

        greensalt-cli '*' status.cpustats
    """
    found: dict[str, Any] = {}
    for line in _lines("stat"):
        name, *values = line.split()
        numbers = [_number(value) for value in values]
        if name == "cpu":
            fields = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
            found[name] = dict(zip(fields, numbers, strict=False))
        elif name in ("intr", "softirq"):
            found[name] = {
                "total": numbers[0],
                f"{'irqs' if name == 'intr' else 'softirqs'}": numbers[1:],
            }
        else:
            found[name] = numbers[0]
    return found


def meminfo() -> dict[str, dict[str, str]]:
    """Return how memory is used, as /proc/meminfo tells.

    CLI Example:

        greensalt-cli '*' status.meminfo
    """
    found = {}
    for line in _lines("meminfo"):
        name, value, *unit = line.replace(":", " ").split()
        found[name] = {"value": value, **({"unit": unit[0]} if unit else {})}
    return found


def cpuinfo() -> dict[str, Any]:
    """Return what kind of processor the machine has, as /proc/cpuinfo tells of the last one.

    CLI Example:

        greensalt-cli '*' status.cpuinfo
    """
    found: dict[str, Any] = {}
    for line in _lines("cpuinfo"):
        name, colon, value = line.partition(":")
        if colon:
            name = name.strip()
            found[name] = value.split() if name == "flags" else value.strip()
    return found


def diskstats() -> dict[str, dict[str, Any]]:
    """Return what has been read from and written to disks.

    CLI Example:

        greensalt-cli '*' status.diskstats
    """
    found = {}
    for line in _lines("diskstats"):
        major, minor, device, *values = line.split()
        counts = dict(zip(DISK_FIELDS, map(_number, values), strict=False))
        found[device] = {
            "major": _number(major),
            "minor": _number(minor),
            "device": device,
            **counts,
        }
    return found


def diskusage(*args: str) -> dict[str, dict[str, int]]:
    """Return the bytes that are there and free on file systems.

    The arguments are patterns for mount points, or names of kinds of file systems.

    CLI Example:

        greensalt-cli '*' status.diskusage
        greensalt-cli '*' status.diskusage ext4
        greensalt-cli '*' status.diskusage '/*'
    """
    found = {}
    for line in _lines("mounts"):
        _, mount, kind, *_ = line.split()
        mount = mount.encode().decode("unicode_escape")  # blanks are written as \040
        if args and not any(
            fnmatch.fnmatch(mount, wanted) if "/" in wanted or "*" in wanted else kind == wanted
            for wanted in args
        ):
            continue
        try:
            status = os.statvfs(mount)
        except OSError:
            continue
        found[mount] = {
            "available": status.f_bavail * status.f_frsize,
            "total": status.f_blocks * status.f_frsize,
        }
    return found


def vmstats() -> dict[str, Any]:
    """Return the counters of virtual memory.

    CLI Example:

        greensalt-cli '*' status.vmstats
    """
    return {name: _number(value) for name, value in map(str.split, _lines("vmstat"))}


def nproc() -> int:
    """Return the number of processors that the minion may use.

    CLI Example:

        greensalt-cli '*' status.nproc
    """
    return len(os.sched_getaffinity(0))


def netstats() -> dict[str, dict[str, Any]]:
    """Return the counters of the network protocols.

    CLI Example:

        greensalt-cli '*' status.netstats
    """
    found: dict[str, dict[str, Any]] = {}
    lines = [line.split() for line in _lines("net/netstat")]
    # Each protocol has a line of names, and one of values.
    for names, values in zip(lines[::2], lines[1::2], strict=False):
        counts = map(_number, values[1:])
        found[names[0].rstrip(":")] = dict(zip(names[1:], counts, strict=False))
    return found


def netdev() -> dict[str, dict[str, Any]]:
    """Return what network interfaces have received and sent.

    CLI Example:

        greensalt-cli '*' status.netdev
    """
    found = {}
    for line in _lines("net/dev")[2:]:
        name, _, values = line.partition(":")
        counts = dict(zip(NET_FIELDS, map(_number, values.split()), strict=False))
        found[name.strip()] = {"iface": name.strip(), **counts}
    return found


def procs() -> dict[str, dict[str, str]]:
    """Return the processes by number, each with its user and command.

    CLI Example:

        greensalt-cli '*' status.procs
    """
    found = {}
    for process in psutil.process_iter(["pid", "username", "cmdline", "name"]):
        info = process.info
        command = " ".join(info["cmdline"] or ()) or f"[{info['name']}]"
        found[str(info["pid"])] = {"user": info["username"] or "", "cmd": command}
    return found


def pid(sig: str) -> str:
    """Return the numbers of the processes whose command contains a text, one per line.

    CLI Example:

        greensalt-cli '*' status.pid <sig>
    """
    own = str(os.getpid())
    return "\n".join(
        number for number, process in procs().items() if sig in process["cmd"] and number != own
    )


def version() -> str:
    """Return the version of the kernel.

    CLI Example:

        greensalt-cli '*' status.version
    """
    return _lines("version")[0].strip()


def time_(format: str = "%A, %d. %B %Y %I:%M%p") -> str:
    """Return the time of the minion, in its own zone.

    CLI Example:

        greensalt-cli '*' status.time
        greensalt-cli '*' status.time '%s'
    """
    return datetime.now().astimezone().strftime(format)


def all_status() -> dict[str, Any]:
    """Return what most functions of this module return, by their names.

    CLI Example:

        greensalt-cli '*' status.all_status
    """
    functions = (
        *(cpuinfo, cpustats, diskstats, diskusage, loadavg, meminfo),
        *(netdev, netstats, uptime, vmstats),
    )
    return {function.__name__: function() for function in functions}


def custom(*, context: Context) -> dict[str, Any]:
    """Return the values that the configuration names, such as ``status.uptime.custom: [days]``.

    CLI Example:

        greensalt-cli '*' status.custom
    """
    found: dict[str, Any] = {}
    for key, names in context.opts.others.items():
        function, _, last = key.rpartition(".")
        if key.startswith("status.") and last == "custom" and function != "status":
            values = context.call(function)
            found.update({name: values.get(name, "UNKNOWN") for name in names})
    return found
