"""CPU and memory of a daemon with all the processes it has forked."""

from __future__ import annotations

from contextlib import suppress

import psutil


def tree(pid: int) -> list[psutil.Process]:
    root = psutil.Process(pid)
    return [root, *root.children(recursive=True)]


def cpu_s(pid: int) -> float:
    """User and system seconds so far of all processes that live now."""
    total = 0.0
    for process in tree(pid):
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system
    return total


def memory_mib(pid: int) -> float:
    """Proportional set size: what is shared is divided among those who share it."""
    total = 0
    for process in tree(pid):
        with suppress(psutil.NoSuchProcess):  # stock masters start short ones now and then
            total += process.memory_full_info().pss
    return total / (1 << 20)
