"""Grains of the hardware, from the kernel's files of machines that are not at hand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from greensalt.minion.grains.hardware import hardware_grains
from greensalt.minion.grains.virtual import judge
from tests.minion._machines import tree

X86 = "processor : 0\nvendor_id : AuthenticAMD\nmodel name : EPYC: 7\nflags : fpu vme\n"
ARM = "processor\t: 0\nFeatures\t: swp half\n\nprocessor\t: 1\n\nHardware\t: BCM2835\n"
POWER = "processor : 0\ncpu : POWER9 (architected), altivec supported\nno colon here\n"
MAINFRAME = "vendor_id       : IBM/S390\n# processors    : 2\n"


@pytest.mark.parametrize(
    ("cpuinfo", "number", "model", "flags"),
    [
        (X86 + "\n" + X86, 2, "EPYC: 7", ["fpu", "vme"]),
        (ARM, 2, "Unknown", ["swp", "half"]),
        ("Processor : ARMv6-compatible processor rev 7\n", 1, "ARMv6", []),
        (POWER, 1, "POWER9 (architected), altivec supported", []),
        (MAINFRAME, 2, "IBM/S390", []),
        ("", 0, "Unknown", []),
    ],
)
def test_processors(
    tmp_path: Path, cpuinfo: str, number: int, model: str, flags: list[str]
) -> None:
    grains = hardware_grains(tree(tmp_path, {"proc/cpuinfo": cpuinfo}))
    assert (grains["num_cpus"], grains["cpu_model"], grains["cpu_flags"]) == (number, model, flags)


def test_hardware_from_the_kernel_s_files(tmp_path: Path) -> None:
    root = tree(
        tmp_path,
        {
            "proc/meminfo": "MemTotal:  2097153 kB\nMemFree: 1 kB\nSwapTotal: 1024 kB\n",
            "proc/cmdline": "quiet root=UUID=x console='ttyS0 x' n=\"1\"\n",
            "sys/class/dmi/id/product_uuid": "ABC-DEF\n",
            "sys/class/dmi/id/sys_vendor": b"Dell \xff\n",
            "sys/class/fc_host/host0/x": "",
            "sys/firmware/efi/efivars/SecureBoot-1": b"\x06\x00\x00\x00\x01",
        },
    )
    devices = tmp_path / "sys/devices"
    (tmp_path / "sys/block").mkdir()
    for name, where, flag in [
        ("sda", "pci", "1"), ("nvme0n1", "pci", "0"), ("loop0", "virtual", "1"), ("odd", "pci", "x")
    ]:  # fmt: skip
        tree(devices / where / name, {"queue/rotational": flag})
        (tmp_path / "sys/block" / name).symlink_to(devices / where / name)
    grains = hardware_grains(root)
    assert (grains["mem_total"], grains["swap_total"]) == (2048, 1)
    assert grains["kernelparams"] == [
        ["quiet", None], ["root", None], ["console", "ttyS0 x"], ["n", "1"]
    ]  # fmt: skip
    assert grains["uuid"] == "abc-def"
    assert grains["manufacturer"] == "Dell \ufffd"
    assert "serialnumber" not in grains
    assert (grains["disks"], grains["ssds"]) == (["sda"], ["nvme0n1"])
    assert grains["efi"] is grains["efi-secure-boot"] is grains["fibre_channel_host"] is True


def test_hardware_of_a_machine_that_tells_nothing(tmp_path: Path) -> None:
    grains = hardware_grains(tmp_path)
    assert grains["mem_total"] == 0
    assert grains["efi"] is False
    assert "kernelparams" not in grains
    tree(tmp_path, {"proc/cmdline": "a='b c", "sys/firmware/efi/vars/x": ""})
    grains = hardware_grains(tmp_path)
    assert grains["kernelparams"] == [["a", "'b"], ["c", None]]
    assert (grains["efi"], grains["efi-secure-boot"]) == (True, False)


def test_a_secure_boot_flag_for_root_alone_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(_path: Path) -> bytes:
        raise PermissionError

    root = tree(tmp_path, {"sys/firmware/efi/efivars/SecureBoot-1": b"\x01"})
    monkeypatch.setattr(Path, "read_bytes", denied)
    assert hardware_grains(root)["efi-secure-boot"] is False


KVM = {"manufacturer": "QEMU", "productname": "Standard PC"}


@pytest.mark.parametrize(
    ("detected", "firmware", "files", "virtual", "subtype"),
    [
        ("none", {}, {}, "physical", None),
        (None, {}, {}, "physical", None),
        ("kvm", {}, {}, "kvm", None),
        ("vmware", {}, {}, "VMware", None),
        ("microsoft", {}, {}, "VirtualPC", None),
        ("docker", {}, {}, "container", "Docker"),
        ("lxc-libvirt", {}, {}, "container", "LXC"),
        ("podman", KVM, {}, "container", "Podman"),
        ("amazon", {"manufacturer": "Amazon EC2"}, {}, "Nitro", "Amazon EC2"),
        ("oracle", {"productname": "VirtualBox"}, {}, "VirtualBox", None),
        ("google", {"manufacturer": "Google"}, {}, "kvm", None),
        ("kvm", {"productname": "Google Compute Engine"}, {}, "gce", None),
        (None, KVM, {}, "kvm", None),
        (None, {"biosvendor": "SeaBIOS"}, {}, "kvm", None),
        (None, {"manufacturer": "VMware, Inc."}, {}, "VMware", None),
        (None, {"manufacturer": "Nutanix", "productname": "AHV"}, {}, "kvm", "Nutanix AHV"),
        (None, {"manufacturer": "oVirt", "productname": "oVirt Node"}, {}, "kvm", "ovirt"),
        (
            None,
            {"manufacturer": "Microsoft Corporation", "productname": "Virtual Machine"},
            {},
            "VirtualPC",
            None,
        ),
        (
            "kvm",
            {"manufacturer": "Amazon EC2", "productname": "t3.micro"},
            {},
            "Nitro",
            "Amazon EC2 (t3.micro)",
        ),
        ("xen", {"manufacturer": "Amazon EC2"}, {}, "xen", "Amazon EC2"),
        ("xen", {"productname": "HVM domU"}, {}, "xen", "Xen HVM DomU"),
        (None, {}, {"proc/xen/xsd_kva": ""}, "xen", "Xen Dom0"),
        (None, {}, {"proc/xen/capabilities": "control_d\n"}, "xen", "Xen Dom0"),
        (None, {}, {"proc/xen/capabilities": "x\n"}, "xen", "Xen PV DomU"),
        (None, {}, {"sys/bus/xen/drivers/xenconsole/x": ""}, "xen", "Xen PV DomU"),
        (None, {}, {"proc/vz/version": ""}, "openvzhn", None),
        (None, {}, {"proc/vz/veinfo": ""}, "openvzve", None),
        (None, {}, {"proc/cpuinfo": "model name : QEMU Virtual CPU v2"}, "kvm", None),
        ("kvm", {}, {"proc/1/cgroup": "1:name=systemd:/docker/abc"}, "container", "Docker"),
        ("kvm", {}, {"proc/1/cgroup": "1:cpu:/kubepods/x"}, "kvm", "kubernetes"),
        (None, {}, {"proc/1/cgroup": "1:cpu:/libpod_parent/x"}, "virtual", "libpod"),
        (None, {}, {"proc/1/environ": "a=b\0container=lxc\0"}, "container", "LXC"),
        (None, {}, {"proc/1/root/x": ""}, "virtual", "chroot"),
    ],
)
def test_what_the_machine_is_made_of(
    tmp_path: Path,
    detected: str | None,
    firmware: Mapping[str, Any],
    files: Mapping[str, str],
    virtual: str,
    subtype: str | None,
) -> None:
    grains = judge(detected, firmware, tree(tmp_path, files))
    assert grains == {"virtual": virtual} | ({"virtual_subtype": subtype} if subtype else {})
