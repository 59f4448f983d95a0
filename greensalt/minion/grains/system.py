"""Grains of the operating system: which one, which kernel, which init."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from greensalt.minion.grains.files import ROOT, command_output, read_text

# Stock Salt's short names, by the start of the full name: small letters, no spaces.
_SHORT_NAMES: Final[Mapping[str, str]] = {
    "alibabacloud": "Alinux",
    "almalinux": "AlmaLinux",
    "arch": "Arch",
    "archarm": "Arch ARM",
    "cloudlinux": "CloudLinux",
    "debian": "Debian",
    "linuxmint": "Mint",
    "manjaro": "Manjaro",
    "mendel": "Mendel",
    "neon": "KDE neon",
    "oracleserver": "OEL",
    "pop": "Pop",
    "raspbian": "Raspbian",
    "redhatenterprise": "RedHat",
    "rocky": "Rocky",
    "scientific": "ScientificLinux",
    "univention": "Univention",
    "virtuozzo": "Virtuozzo",
    "vmwarephotonos": "VMware Photon OS",
    "photon": "VMware Photon OS",
    "void": "Void",
}
# Salt knows full names by their first ten characters.
_SHORT_NAME_LENGTH: Final = 10
_BY_TEN: Final = {name[:_SHORT_NAME_LENGTH]: short for name, short in _SHORT_NAMES.items()}

_FAMILIES: Final[Mapping[str, tuple[str, ...]]] = {
    "Debian": (
        "Ubuntu", "Mint", "Raspbian", "Devuan", "Kali", "KDE neon", "Pop", "Deepin", "Univention",
        "Cumulus", "Parrot OS", "TurnKey", "Trisquel", "elementary OS", "antiX", "Mendel", "OSMC",
        "Linaro", "AstraLinuxCE", "AstraLinuxSE",
    ),
    "RedHat": (
        "Fedora", "CentOS", "CentOS Stream", "Rocky", "AlmaLinux", "AlmaLinux Kitten", "Amazon",
        "OEL", "CloudLinux", "ScientificLinux", "Virtuozzo", "XenServer", "XCP-ng", "Alinux",
        "openEuler", "VMware Photon OS", "ALT", "Sangoma", "RED OS",
    ),
    "Suse": ("SUSE", "SLES", "SLED", "openSUSE", "openSUSE Leap", "openSUSE Tumbleweed"),
    "Arch": ("Arch ARM", "Manjaro", "Manjaro ARM", "EndeavourOS", "Antergos"),
    "Gentoo": ("Funtoo",),
}  # fmt: skip
_FAMILY_OF: Final = {os: family for family, members in _FAMILIES.items() for os in members}

# Where osfinger begins with the short name, and where it ends with the whole release.
_SHORT_FINGERS: Final = frozenset(("Debian", "Raspbian", "AlmaLinux"))
_LONG_FINGERS: Final = frozenset(("Ubuntu", "Pop", "NixOS"))
# Releases that os-release gives without the part after the point.
_COARSE_RELEASES: Final = ("CentOS Linux 7", "CentOS Linux 8")

_LINUX: Final = re.compile(r"\W(?:gnu/)?linux", re.IGNORECASE)
_LSB_LINE: Final = re.compile(r"""DISTRIB_(ID|RELEASE|CODENAME|DESCRIPTION)=["']?([\w\s.-]+)""")

_DEBIAN_ARCHITECTURES: Final = {
    "x86_64": "amd64", "aarch64": "arm64", "armv7l": "armhf", "armv8l": "armhf", "armv6l": "armhf",
    "i386": "i386", "i486": "i386", "i586": "i386", "i686": "i386", "ppc64le": "ppc64el",
    "loongarch64": "loong64",
}  # fmt: skip
_NARROW: Final = {"x86_64": "i686", "aarch64": "armv7l"}


def system_grains(root: Path = ROOT) -> dict[str, Any]:
    """What runs here: os*, kernel*, cpuarch, init, systemd, locale_info, machine_id."""
    kernel = os.uname()
    grains: dict[str, Any] = {
        "kernel": kernel.sysname,
        "nodename": kernel.nodename,
        "kernelrelease": kernel.release,
        "kernelversion": kernel.version,
        "cpuarch": kernel.machine,
        "init": _init(root),
        "locale_info": _locale(),
        "ps": "ps -efHww",
        "path": os.environ.get("PATH", "").strip(),
        "shell": os.environ.get("SHELL", "/bin/sh"),
        "transactional": shutil.which("transactional-update") is not None,
    }
    grains["systempath"] = grains["path"].split(os.pathsep)
    grains.update(_selinux(root))
    grains.update(_systemd())
    grains.update(os_grains(root))
    grains["osarch"] = _architecture(grains["os_family"], kernel.machine)
    for name in ("etc/machine-id", "var/lib/dbus/machine-id"):
        if (root / name).exists():
            grains["machine_id"] = read_text(root / name)
            break
    return grains


def os_grains(root: Path = ROOT) -> dict[str, Any]:
    """The grains of the distribution, from os-release and lsb-release below a root."""
    # Only here, as it costs as much to import as everything else to compute.
    import distro

    known = distro.LinuxDistribution(
        include_lsb=False, include_uname=False, include_oslevel=False, root_dir=str(root)
    )
    release = known.os_release_info()
    name = release.get("name", "").strip() or known.name() or "Linux"
    short, full = _short_name(name, release.get("id", "")), name
    if _vendor(release) in ("suse", "opensuse"):
        short, full = "SUSE", "Leap" if name == "openSUSE Leap" else name
    lsb = _lsb(root)
    if "lsb_distrib_id" not in lsb:
        lsb.update(_lsb_of(release, name, short))
    codename = lsb.get("lsb_distrib_codename", "").strip()
    if not codename or "Red Hat" in codename:
        codename = known.codename()
    number = lsb.get("lsb_distrib_release", "").strip() or known.version(best=True)
    grains: dict[str, Any] = {
        **lsb,
        "os": short,
        "os_family": _FAMILY_OF.get(short, short),
        "osfullname": full,
        "oscodename": codename,
        "osrelease": number,
    }
    if number:
        grains.update(_release_parts(short, full, number))
    return grains


def _lsb(root: Path) -> dict[str, str]:
    """The lsb_distrib_* grains of /etc/lsb-release."""
    lines = map(_LSB_LINE.match, read_text(root / "etc/lsb-release").splitlines())
    return {f"lsb_distrib_{line[1].lower()}": line[2].rstrip() for line in lines if line}


def _lsb_of(release: Mapping[str, str], name: str, short: str) -> dict[str, str]:
    """The same grains for a distribution that has no lsb-release."""
    grains = {"lsb_distrib_id": name}
    codename = release.get("version_codename", release.get("pretty_name"))
    if codename is not None:
        if short in ("Rocky", "AlmaLinux") and "(" in codename:
            codename = codename.partition("(")[2].partition(")")[0]
        grains["lsb_distrib_codename"] = codename
    coarse = codename is not None and codename.startswith(_COARSE_RELEASES)
    if "version_id" in release and not coarse:
        grains["lsb_distrib_release"] = release["version_id"]
    return grains


def _vendor(release: Mapping[str, str]) -> str:
    """Who made it, by the platform name `cpe:/o:vendor:product:...` in os-release."""
    parts = release.get("cpe_name", "").split(":")
    if len(parts) < 5 or parts[0] != "cpe":
        return ""
    return parts[2 if parts[1].startswith("/") else 3].lower()


def _short_name(name: str, os_id: str) -> str:
    if os_id == "pop":
        return "Pop"
    bare = _LINUX.sub("", name).strip()
    return _BY_TEN.get(bare.replace(" ", "").lower()[:_SHORT_NAME_LENGTH], bare)


def _release_parts(short: str, full: str, release: str) -> dict[str, Any]:
    """osrelease_info, osmajorrelease, osfinger."""
    info = [int(part) if part.isdigit() else part for part in release.split(".")]
    grains: dict[str, Any] = {"osrelease_info": info}
    if isinstance(info[0], int):
        grains["osmajorrelease"] = info[0]
    name = short if short in _SHORT_FINGERS else full
    grains["osfinger"] = f"{name}-{release if short in _LONG_FINGERS else info[0]}"
    return grains


def _architecture(family: str, machine: str) -> str:
    """The architecture as the distribution's packages call it."""
    if sys.maxsize < 1 << 32:
        # 32-bit programs on a 64-bit kernel.
        machine = _NARROW.get(machine, machine)
    return _DEBIAN_ARCHITECTURES.get(machine, machine) if family == "Debian" else machine


def _selinux(root: Path) -> dict[str, Any]:
    """What selinuxenabled and getenforce would say, where they are installed."""
    if shutil.which("selinuxenabled") is None:
        return {}
    enforce = root / "sys/fs/selinux/enforce"
    selinux: dict[str, Any] = {"enabled": enforce.exists()}
    if shutil.which("getenforce"):
        words = {"1": "Enforcing", "0": "Permissive"}
        selinux["enforced"] = words.get(read_text(enforce), "Disabled")
    return {"selinux": selinux}


def _systemd() -> dict[str, Any]:
    if not (shutil.which("systemctl") and shutil.which("localectl")):
        return {}
    lines = (command_output("systemctl", "--version") or "").splitlines()
    if len(lines) < 2 or not lines[0].startswith("systemd "):
        return {"systemd": {"version": "UNDEFINED", "features": ""}}
    return {"systemd": {"version": lines[0].split()[1], "features": lines[1]}}


def _init(root: Path) -> str:
    """The first process of the machine, or of the container."""
    if (root / "run/systemd/system").exists():
        return "systemd"
    words = read_text(root / "proc/1/cmdline").replace("\0", " ").split()
    if not words:
        return "unknown"
    program = shutil.which(words[0]) or words[0]
    if program.endswith("bin/init"):
        try:
            code = (root / program.lstrip("/")).read_bytes().lower()
        except OSError:
            return "unknown"
        return next(
            (name for name in ("upstart", "sysvinit", "systemd") if name.encode() in code),
            "unknown",
        )
    names = {word.rpartition("/")[2] for word in words}
    if words == ["runit"] or "my_init" in names:
        return "runit"
    return next((name for name in ("supervisord", "dumb-init", "tini") if name in names), "unknown")


def _locale() -> dict[str, Any]:
    import locale
    from datetime import UTC, datetime

    try:
        language, encoding = locale.getlocale()
    except ValueError:
        language = encoding = "unknown"
    return {
        "defaultlanguage": language,
        "defaultencoding": encoding,
        "detectedencoding": sys.getdefaultencoding(),
        "timezone": datetime.now(tz=UTC).astimezone().tzname() or "unknown",
    }
