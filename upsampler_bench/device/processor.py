"""The host's processor and its heap: cores, name, and whether glibc keeps memory between calls."""

from __future__ import annotations

import ctypes
import math
import os
import platform
from typing import Any

from upsampler_bench.device import quota

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4


def cores() -> tuple[int, ...]:
    """The numbers of the cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))


def usable_cores() -> float:
    """The cores that this process may keep busy: its quota (such as 0.5), at most those that it may run on."""
    return min(len(cores()), quota.cores() or math.inf)


def threads(asked: int) -> int:
    """CPU threads: those asked for; of 0, as many as the process may keep busy, at least one."""
    return asked or max(1, int(usable_cores()))


def name() -> str:
    """The processor's name, as the system prints it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()


def keep_heap() -> bool:
    """Makes glibc keep freed memory, so that a 59 MB output is not mapped and paged in again at every call."""
    if platform.libc_ver()[0] != "glibc":
        return False
    libc: Any = ctypes.CDLL(None)
    options = ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, -1), (M_TOP_PAD, 256 * 2**20))
    return all(libc.mallopt(option, value) == 1 for option, value in options)


def trim_heap() -> None:
    """Returns the free memory of the kept heap to the system."""
    ctypes.CDLL(None).malloc_trim(0)
