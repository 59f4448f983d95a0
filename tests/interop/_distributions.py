"""The files by which distributions say what they are."""

from __future__ import annotations

from typing import Final

# Distribution: {file below /etc: content}.
DISTRIBUTIONS: Final[dict[str, dict[str, str]]] = {
    "debian12": {
        "os-release": """
PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"
NAME="Debian GNU/Linux"
VERSION_ID="12"
VERSION="12 (bookworm)"
VERSION_CODENAME=bookworm
ID=debian
""",
        "debian_version": "12.5\n",
    },
    "debian-sid": {
        "os-release": """
PRETTY_NAME="Debian GNU/Linux trixie/sid"
NAME="Debian GNU/Linux"
VERSION_CODENAME=trixie
ID=debian
""",
        "debian_version": "trixie/sid\n",
    },
    "ubuntu2204": {
        "os-release": """
PRETTY_NAME="Ubuntu 22.04.4 LTS"
NAME="Ubuntu"
VERSION_ID="22.04"
VERSION="22.04.4 LTS (Jammy Jellyfish)"
VERSION_CODENAME=jammy
ID=ubuntu
ID_LIKE=debian
UBUNTU_CODENAME=jammy
""",
        "lsb-release": """
DISTRIB_ID=Ubuntu
DISTRIB_RELEASE=22.04
DISTRIB_CODENAME=jammy
DISTRIB_DESCRIPTION="Ubuntu 22.04.4 LTS"
""",
    },
    "mint21": {
        "os-release": """
NAME="Linux Mint"
VERSION="21.3 (Virginia)"
ID=linuxmint
ID_LIKE="ubuntu debian"
PRETTY_NAME="Linux Mint 21.3"
VERSION_ID="21.3"
VERSION_CODENAME=virginia
UBUNTU_CODENAME=jammy
""",
        "lsb-release": """
DISTRIB_ID=LinuxMint
DISTRIB_RELEASE=21.3
DISTRIB_CODENAME=virginia
DISTRIB_DESCRIPTION="Linux Mint 21.3 Virginia"
""",
    },
    "pop22": {
        "os-release": """
NAME="Pop!_OS"
VERSION="22.04 LTS"
ID=pop
ID_LIKE="ubuntu debian"
PRETTY_NAME="Pop!_OS 22.04 LTS"
VERSION_ID="22.04"
VERSION_CODENAME=jammy
""",
    },
    "raspbian11": {
        "os-release": """
PRETTY_NAME="Raspbian GNU/Linux 11 (bullseye)"
NAME="Raspbian GNU/Linux"
VERSION_ID="11"
VERSION="11 (bullseye)"
VERSION_CODENAME=bullseye
ID=raspbian
ID_LIKE=debian
""",
    },
    "kali": {
        "os-release": """
PRETTY_NAME="Kali GNU/Linux Rolling"
NAME="Kali GNU/Linux"
VERSION_ID="2024.1"
VERSION="2024.1"
VERSION_CODENAME=kali-rolling
ID=kali
ID_LIKE=debian
""",
    },
    "rhel9": {
        "os-release": """
NAME="Red Hat Enterprise Linux"
VERSION="9.4 (Plow)"
ID="rhel"
ID_LIKE="fedora"
VERSION_ID="9.4"
PLATFORM_ID="platform:el9"
PRETTY_NAME="Red Hat Enterprise Linux 9.4 (Plow)"
CPE_NAME="cpe:/o:redhat:enterprise_linux:9::baseos"
""",
        "redhat-release": "Red Hat Enterprise Linux release 9.4 (Plow)\n",
    },
    "centos7": {
        "os-release": """
NAME="CentOS Linux"
VERSION="7 (Core)"
ID="centos"
ID_LIKE="rhel fedora"
VERSION_ID="7"
PRETTY_NAME="CentOS Linux 7 (Core)"
CPE_NAME="cpe:/o:centos:centos:7"
""",
        "centos-release": "CentOS Linux release 7.9.2009 (Core)\n",
    },
    "centos-stream9": {
        "os-release": """
NAME="CentOS Stream"
VERSION="9"
ID="centos"
ID_LIKE="rhel fedora"
VERSION_ID="9"
PRETTY_NAME="CentOS Stream 9"
CPE_NAME="cpe:/o:centos:centos:9"
""",
    },
    "rocky9": {
        "os-release": """
NAME="Rocky Linux"
VERSION="9.3 (Blue Onyx)"
ID="rocky"
ID_LIKE="rhel centos fedora"
VERSION_ID="9.3"
PRETTY_NAME="Rocky Linux 9.3 (Blue Onyx)"
CPE_NAME="cpe:/o:rocky:rocky:9::baseos"
""",
    },
    "alma8": {
        "os-release": """
NAME="AlmaLinux"
VERSION="8.9 (Midnight Oncilla)"
ID="almalinux"
ID_LIKE="rhel centos fedora"
VERSION_ID="8.9"
PRETTY_NAME="AlmaLinux 8.9 (Midnight Oncilla)"
CPE_NAME="cpe:/o:almalinux:almalinux:8::baseos"
""",
    },
    "oracle8": {
        "os-release": """
NAME="Oracle Linux Server"
VERSION="8.9"
ID="ol"
ID_LIKE="fedora"
VERSION_ID="8.9"
PRETTY_NAME="Oracle Linux Server 8.9"
CPE_NAME="cpe:/o:oracle:linux:8:9:server"
""",
    },
    "fedora40": {
        "os-release": """
NAME="Fedora Linux"
VERSION="40 (Server Edition)"
ID=fedora
VERSION_ID=40
VERSION_CODENAME=""
PRETTY_NAME="Fedora Linux 40 (Server Edition)"
CPE_NAME="cpe:/o:fedoraproject:fedora:40"
""",
    },
    "amazon2": {
        "os-release": """
NAME="Amazon Linux"
VERSION="2"
ID="amzn"
ID_LIKE="centos rhel fedora"
VERSION_ID="2"
PRETTY_NAME="Amazon Linux 2"
CPE_NAME="cpe:2.3:o:amazon:amazon_linux:2"
""",
    },
    "amazon2023": {
        "os-release": """
NAME="Amazon Linux"
VERSION="2023"
ID="amzn"
ID_LIKE="fedora"
VERSION_ID="2023"
PRETTY_NAME="Amazon Linux 2023.4.20240401"
CPE_NAME="cpe:2.3:o:amazon:amazon_linux:2023"
""",
    },
    "leap15": {
        "os-release": """
NAME="openSUSE Leap"
VERSION="15.5"
ID="opensuse-leap"
ID_LIKE="suse opensuse"
VERSION_ID="15.5"
PRETTY_NAME="openSUSE Leap 15.5"
CPE_NAME="cpe:/o:opensuse:leap:15.5"
""",
    },
    "tumbleweed": {
        "os-release": """
NAME="openSUSE Tumbleweed"
ID="opensuse-tumbleweed"
ID_LIKE="opensuse suse"
VERSION_ID="20240415"
PRETTY_NAME="openSUSE Tumbleweed"
CPE_NAME="cpe:/o:opensuse:tumbleweed:20240415"
""",
    },
    "sles15": {
        "os-release": """
NAME="SLES"
VERSION="15-SP5"
VERSION_ID="15.5"
PRETTY_NAME="SUSE Linux Enterprise Server 15 SP5"
ID="sles"
ID_LIKE="suse"
CPE_NAME="cpe:/o:suse:sles:15:sp5"
""",
    },
    "arch": {
        "os-release": """
NAME="Arch Linux"
PRETTY_NAME="Arch Linux"
ID=arch
BUILD_ID=rolling
""",
    },
    "manjaro": {
        "os-release": """
NAME="Manjaro Linux"
PRETTY_NAME="Manjaro Linux"
ID=manjaro
ID_LIKE=arch
BUILD_ID=rolling
""",
        "lsb-release": """
DISTRIB_ID=ManjaroLinux
DISTRIB_RELEASE=23.1.4
DISTRIB_CODENAME=Vulcan
DISTRIB_DESCRIPTION="Manjaro Linux"
""",
    },
    "alpine": {
        "os-release": """
NAME="Alpine Linux"
ID=alpine
VERSION_ID=3.19.1
PRETTY_NAME="Alpine Linux v3.19"
""",
        "alpine-release": "3.19.1\n",
    },
    "gentoo": {
        "os-release": """
NAME=Gentoo
ID=gentoo
PRETTY_NAME="Gentoo Linux"
VERSION_ID="2.14"
""",
        "gentoo-release": "Gentoo Base System release 2.14\n",
    },
    "void": {
        "os-release": """
NAME="Void"
ID="void"
PRETTY_NAME="Void Linux"
""",
    },
    "photon5": {
        "os-release": """
NAME="VMware Photon OS"
VERSION="5.0"
ID=photon
VERSION_ID=5.0
PRETTY_NAME="VMware Photon OS/Linux"
""",
        "lsb-release": """
DISTRIB_ID="VMware Photon OS"
DISTRIB_RELEASE="5.0"
DISTRIB_CODENAME=Photon
DISTRIB_DESCRIPTION="VMware Photon OS 5.0"
""",
    },
    "nixos": {
        "os-release": """
NAME=NixOS
ID=nixos
VERSION="24.05 (Uakari)"
VERSION_CODENAME=uakari
VERSION_ID="24.05"
PRETTY_NAME="NixOS 24.05 (Uakari)"
""",
        "lsb-release": """
DISTRIB_CODENAME=uakari
DISTRIB_DESCRIPTION="NixOS 24.05 (Uakari)"
DISTRIB_ID=nixos
DISTRIB_RELEASE="24.05"
""",
    },
}
