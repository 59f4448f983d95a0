"""CPU and memory of a daemon with all the processes it has forked."""

from __future__ import annotations

import psutil


def tree(pid: int) -> list[psutil.Process]:
    root = psutil.Process(pid)
    return [root, *root.children(recursive=True)]


def cpu_s(pid: int) -> float:
    """User and system seconds so far of all processes that live now."""
    total = 0.0
    for process in tree(pid):
        times = process.cpu_times()
        total += times.user + times.system
    return total


def memory_mib(pid: int) -> float:
    """Proportional set size: what is shared is divided among those who share it."""
    return float(sum(process.memory_full_info().pss for process in tree(pid)) / (1 << 20))
