"""Grains `virtual` and `virtual_subtype`: what the machine is, if not made of metal.

Asked in turn, each of them may overrule the one before: systemd-detect-virt, the names that
hypervisors write into the firmware, their traces in /proc and /sys, and containers last, since a
container may run in a virtual machine. The words are stock Salt's, capital letters included.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from greensalt.minion.grains.files import ROOT, command_output, read_text

Found = tuple[str, str | None]

# What systemd-detect-virt says, where it is not Salt's word already.
_DETECTED: Final[tuple[tuple[str, Found], ...]] = (
    ("vmware", ("VMware", None)),
    ("microsoft", ("VirtualPC", None)),
    ("lxc", ("container", "LXC")),
    ("podman", ("container", "Podman")),
    ("docker", ("container", "Docker")),
    ("amazon", ("Nitro", "Amazon EC2")),
)
_SAME: Final = frozenset(
    ("qemu", "kvm", "oracle", "xen", "bochs", "chroot", "uml", "systemd-nspawn")
)
# Firmware: vendor and product in one text.
_FIRMWARE: Final[tuple[tuple[str, Found], ...]] = (
    ("BHYVE", ("bhyve", None)),
    ("oVirt", ("kvm", "ovirt")),
    ("RHEV Hypervisor", ("kvm", "rhev")),
    ("VirtualBox", ("VirtualBox", None)),
    ("VMware", ("VMware", None)),
    ("Parallels Software", ("Parallels", None)),
    ("Nutanix", ("kvm", "Nutanix AHV")),
    ("QEMU", ("kvm", None)),
    ("Bochs", ("kvm", None)),
    ("SeaBIOS", ("kvm", None)),
    ("Google", ("kvm", None)),
)
# Product names that count more than what was detected.
_PRODUCTS: Final[tuple[tuple[str, Found], ...]] = (
    ("VirtualBox", ("VirtualBox", None)),
    ("RHEV Hypervisor", ("kvm", "rhev")),
    ("oVirt Node", ("kvm", "ovirt")),
    ("Google", ("gce", None)),
    ("BHYVE", ("bhyve", None)),
)
# Traces in the control groups of the first process; None: the kind of machine stays.
_CONTROL_GROUPS: Final[tuple[tuple[str, tuple[str | None, str]], ...]] = (
    (":/lxc/", ("container", "LXC")),
    (":/kubepods/", (None, "kubernetes")),
    (":/libpod_parent/", (None, "libpod")),
    (":/system.slice/docker", ("container", "Docker")),
    (":/docker/", ("container", "Docker")),
    (":/docker-ce/", ("container", "Docker")),
)


def virtual_grains(firmware: Mapping[str, Any], root: Path = ROOT) -> dict[str, Any]:
    """The two grains, from the firmware's grains (hardware.py) and traces below a root."""
    return judge(command_output("systemd-detect-virt"), firmware, root)


def judge(detected: str | None, firmware: Mapping[str, Any], root: Path) -> dict[str, Any]:
    """The two grains, `detected` being what systemd-detect-virt said."""
    virtual, subtype = _detected(detected) or _by_firmware(firmware) or ("physical", None)
    if _is_chroot(root):
        subtype = "chroot"
    virtual, subtype = _traces(virtual, subtype, firmware, root)
    product = _first(_PRODUCTS, str(firmware.get("productname", "")))
    if product:
        virtual, subtype = product[0], product[1] or subtype
    virtual, subtype = _container(virtual, subtype, root)
    if subtype and virtual == "physical":
        virtual = "virtual"
    if virtual in ("qemu", "kvm", "xen") and firmware.get("manufacturer") == "Amazon EC2":
        name = firmware.get("productname")
        subtype = f"Amazon EC2 ({name})" if name else "Amazon EC2"
        virtual = virtual if virtual == "xen" else "Nitro"
    grains = {"virtual": virtual}
    if subtype:
        grains["virtual_subtype"] = subtype
    return grains


def _first(table: tuple[tuple[str, Found], ...], text: str) -> Found | None:
    return next((found for sign, found in table if sign in text), None)


def _detected(detected: str | None) -> Found | None:
    if detected in _SAME:
        return detected, None
    return _first(_DETECTED, detected or "")


def _by_firmware(firmware: Mapping[str, Any]) -> Found | None:
    vendor = str(firmware.get("manufacturer", ""))
    product = str(firmware.get("productname", ""))
    if "Microsoft" in vendor and "Virtual Machine" in product:
        return "VirtualPC", None
    return _first(_FIRMWARE, f"{vendor} {product} {firmware.get('biosvendor', '')}")


def _is_chroot(root: Path) -> bool:
    """Whether the first process has another root than this one."""
    try:
        here, first = root.stat(), (root / "proc/1/root").stat()
    except OSError:
        return False
    return (here.st_dev, here.st_ino) != (first.st_dev, first.st_ino)


def _traces(
    virtual: str, subtype: str | None, firmware: Mapping[str, Any], root: Path
) -> tuple[str, str | None]:
    """What OpenVZ, Xen and QEMU leave in /proc and /sys."""
    if (root / "proc/vz/version").exists():
        virtual = "openvzhn"
    elif (root / "proc/vz/veinfo").exists():
        virtual = "openvzve"
    capabilities = read_text(root / "proc/xen/capabilities")
    if (root / "proc/xen/xsd_kva").exists() or "control_d" in capabilities:
        virtual, subtype = "xen", "Xen Dom0"
    elif firmware.get("productname") == "HVM domU":
        virtual, subtype = "xen", "Xen HVM DomU"
    elif capabilities or (root / "sys/bus/xen/drivers/xenconsole").exists():
        virtual, subtype = "xen", "Xen PV DomU"
    if "QEMU Virtual CPU" in read_text(root / "proc/cpuinfo"):
        virtual = "kvm"
    return virtual, subtype


def _container(virtual: str, subtype: str | None, root: Path) -> tuple[str, str | None]:
    groups = read_text(root / "proc/1/cgroup")
    for sign, (kind, name) in _CONTROL_GROUPS:
        if sign in groups:
            virtual, subtype = kind or virtual, name
            break
    # Newer ones hide their control groups, but not their environment.
    if "container=lxc" in read_text(root / "proc/1/environ"):
        virtual, subtype = "container", "LXC"
    return virtual, subtype
