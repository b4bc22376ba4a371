"""The machine, the versions and the conditions of a run."""

from __future__ import annotations

import contextlib
import os
import platform
import socket
import threading
import time
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil
import torch

from upsampler_bench.device import Device, quota
from upsampler_bench.device.processor import cores, usable_cores
from upsampler_bench.results import Environment, Origin

# The kernel counts the time of processes in ticks of about 10 ms: over shorter spans (s) it says little.
SHORTEST_SPAN = 1.0
GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
PACKAGES = ("torch", "upsampler-bench", "fvcore", "triton")
PERIOD = 0.1


def capture(device: Device) -> Environment:
    """The environment as it is now."""
    name, versions, machine = device.describe()
    installed = {package: installed_version(package) for package in PACKAGES}
    return Environment(
        device_name=name,
        device_kind=device.kind,
        versions={"python": platform.python_version(), **installed, **versions},
        machine={
            "system": f"{platform.system()} {platform.release()}",
            **identity(),
            "threads": str(torch.get_num_threads()),
            "governor": governor(),
            "libc": " ".join(platform.libc_ver()),
            "ci": "yes" if os.environ.get("CI") else "no",
            **machine,
        },
        conditions=({"at": "start", **device.conditions()},),
        origin=Origin(socket.gethostname(), *device.identity()),
    )


def identity() -> dict[str, str]:
    """What tells machines apart whose processors have one name, such as "AMD EPYC"."""
    return {
        "architecture": platform.machine(),
        "cores": f"{usable_cores():g}",
        "memory": f"{(quota.memory_limit() or psutil.virtual_memory().total) / 2**30:.1f} GiB",
    }


def governor() -> str:
    """The frequency governor of the first core, or "unknown" if the system does not show it."""
    try:
        return GOVERNOR.read_text(encoding="utf-8").strip()
    except OSError:
        return "unknown"


def installed_version(package: str) -> str:
    """The version of an installed package, or ""."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def seconds_of_others() -> float:
    """Core seconds since the system started, of any priority, that neither this process nor its two parents used.

    On the cores that this process may run on: processes that measure on other devices are bound to others.
    """
    each, mine = psutil.cpu_times(percpu=True), cores()
    seconds = 0.0
    for total in (each[core] for core in mine if core < len(each)):
        seconds += total.user + getattr(total, "nice", 0.0) + total.system + getattr(total, "steal", 0.0)
    this = psutil.Process()
    for process in (this, *this.parents()[:2]):  # the parent supervises, its parent reads what this one measures
        with contextlib.suppress(psutil.Error):
            if {*getattr(process, "cpu_affinity", tuple)()} <= {*mine}:
                own = process.cpu_times()
                seconds -= own.user + own.system
    return seconds


class ConditionMonitor:
    """Reads a device's conditions at 10 Hz in the background and keeps their extremes; use it as a context."""

    def __init__(self, read: Callable[[], Mapping[str, float | str]]) -> None:
        self._read = read
        self._begun, self._before = time.monotonic(), seconds_of_others()
        self._throttled_before = quota.throttled_periods()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._extremes: dict[str, tuple[float, float]] = {}
        self._reasons: set[str] = set()

    def __enter__(self) -> ConditionMonitor:
        """Starts reading."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stops reading."""
        self._end.set()
        self._thread.join()

    @property
    def others(self) -> float:
        """How many cores other processes have used since this began, on average over at least SHORTEST_SPAN."""
        return max(0.0, seconds_of_others() - self._before) / max(time.monotonic() - self._begun, SHORTEST_SPAN)

    @property
    def throttled(self) -> str:
        """Why the device, or this process by its CPU quota, was throttled since this began; empty if it was not."""
        reasons = set(self._reasons)
        if quota.throttled_periods() > self._throttled_before:
            reasons.add(f"CPU quota of {usable_cores():g} cores")
        return ", ".join(sorted(reasons))

    def summary(self) -> Mapping[str, float | str]:
        """The extremes of each reading, the cores of others, and why it was throttled, if it was."""
        summary: dict[str, float | str] = {"at": "during", "cores_of_others": round(self.others, 2)}
        for name, (low, high) in self._extremes.items():
            summary |= {f"{name}_min": low, f"{name}_max": high}
        if throttled := self.throttled:
            summary |= {"throttled": throttled, "throttled_periods": quota.throttled_periods() - self._throttled_before}
        return summary

    def _watch(self) -> None:
        while not self._end.wait(PERIOD):
            for name, value in self._read().items():
                if name == "throttled" and value:
                    self._reasons.update(str(value).split(", "))
                elif not isinstance(value, str):
                    low, high = self._extremes.get(name, (value, value))
                    self._extremes[name] = (min(low, value), max(high, value))
