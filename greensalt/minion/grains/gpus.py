"""Grains `gpus` and `num_gpus`: the graphics processors that lspci lists, where it is installed."""

from __future__ import annotations

import re
from typing import Any, Final

from greensalt.minion.grains.files import command_output

_CLASSES: Final = frozenset(("3d controller", "display controller", "vga compatible controller"))
_VENDORS: Final = ("nvidia", "amd", "ati", "intel", "vmware", "matrox", "aspeed")


def gpu_grains() -> dict[str, Any]:
    """Vendor and model of each, in the order of the bus."""
    gpus = []
    for device in (command_output("lspci", "-vmm") or "").split("\n\n"):
        fields = dict(line.split(":\t", 1) for line in device.splitlines() if ":\t" in line)
        if fields.get("Class", "").lower() in _CLASSES:
            words = re.split(r"\W+", fields.get("Vendor", "").lower())
            vendor = next((name for name in _VENDORS if name in words), "unknown")
            gpus.append({"vendor": vendor, "model": fields.get("Device", "")})
    return {"gpus": gpus, "num_gpus": len(gpus)}
