"""Grains of the machine: processors, memory, firmware."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any, Final

from greensalt.minion.grains.files import ROOT, read_text

# Grains and the files of /sys/class/dmi/id that have them; some are for root alone.
_FIRMWARE: Final = {
    "biosversion": "bios_version",
    "biosvendor": "bios_vendor",
    "boardname": "board_name",
    "productname": "product_name",
    "manufacturer": "sys_vendor",
    "biosreleasedate": "bios_date",
    "uuid": "product_uuid",
    "serialnumber": "product_serial",
}


def hardware_grains(root: Path = ROOT) -> dict[str, Any]:
    """What the machine is made of: cpu_*, num_cpus, mem_total and swap_total (MiB), disks, ..."""
    grains = _processors(root)
    grains.update(_memory(root))
    grains.update(_disks(root))
    grains.update(_firmware(root))
    grains.update(_efi(root))
    grains.update(_kernel_parameters(root))
    grains["fibre_channel_host"] = (root / "sys/class/fc_host").is_dir()
    return grains


def _processors(root: Path) -> dict[str, Any]:
    number, model, flags = 0, "Unknown", ""
    for line in read_text(root / "proc/cpuinfo").splitlines():
        key, _, value = (part.strip() for part in line.partition(":"))
        match key:
            case "processor":
                number += 1
            case "# processors" if value.isdigit():
                number = int(value)
            case "vendor_id" | "model name" | "cpu":
                model = value
            case "Processor":
                number, model = 1, value.split("-")[0]
            case "flags" | "Features":
                flags = value
    return {"num_cpus": number, "cpu_model": model, "cpu_flags": flags.split()}


def _memory(root: Path) -> dict[str, Any]:
    """Total sizes in MiB; the file says kB and means KiB."""
    sizes = {"MemTotal": 0, "SwapTotal": 0}
    for line in read_text(root / "proc/meminfo").splitlines():
        key, _, value = line.partition(":")
        if key in sizes:
            sizes[key] = int(value.split()[0]) // 1024
    return {"mem_total": sizes["MemTotal"], "swap_total": sizes["SwapTotal"]}


def _disks(root: Path) -> dict[str, list[str]]:
    """Block devices that are not virtual, by whether they turn."""
    kinds: dict[str, list[str]] = {"1": [], "0": []}
    for flag in (root / "sys/block").glob("*/queue/rotational"):
        device = flag.parent.parent
        if "/devices/virtual/" not in str(device.resolve()):
            kinds.get(read_text(flag), []).append(device.name)
    return {"disks": sorted(kinds["1"]), "ssds": sorted(kinds["0"])}


def _efi(root: Path) -> dict[str, bool]:
    for name in ("efivars", "vars"):
        where = root / "sys/firmware/efi" / name
        if where.exists():
            pattern = "SecureBoot-*" if name == "efivars" else "SecureBoot-*/data"
            try:
                flags = [path.read_bytes()[-1:] for path in where.glob(pattern)]
            except PermissionError:
                flags = []
            return {"efi": True, "efi-secure-boot": flags == [b"\x01"]}
    return {"efi": False, "efi-secure-boot": False}


def _firmware(root: Path) -> dict[str, str]:
    """What the vendor wrote into the machine; nothing where there is no such table."""
    where = root / "sys/class/dmi/id"
    grains = {}
    for grain, name in _FIRMWARE.items():
        try:
            grains[grain] = (where / name).read_text(encoding="utf-8", errors="replace").strip()
        except OSError:
            continue
    if "uuid" in grains:
        grains["uuid"] = grains["uuid"].lower()
    return grains


def _kernel_parameters(root: Path) -> dict[str, Any]:
    """The kernel's command line as pairs; a parameter without a value has None."""
    if not (root / "proc/cmdline").exists():
        return {}
    text = read_text(root / "proc/cmdline")
    try:
        words = shlex.split(text)
    except ValueError:
        words = text.split()
    parts = [word.split("=") for word in words]
    return {
        "kernelparams": [
            [part[0], part[1].strip('"') if len(part) == 2 else None] for part in parts
        ]
    }
