"""What machine, versions and conditions a run was measured under."""

from __future__ import annotations

import os
import platform
import threading
import time
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import TracebackType

import psutil
import torch

from upsampler_bench.device import Device
from upsampler_bench.device.processor import usable_cores
from upsampler_bench.results import Environment

GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
PACKAGES = ("torch", "upsampler-bench", "fvcore", "triton")
PERIOD = 0.1


def capture(device: Device) -> Environment:
    """Everything that a reader needs to place a figure, as it is now."""
    name, versions, machine = device.describe()
    installed = {package: _version(package) for package in PACKAGES}
    return Environment(
        device_name=name,
        device_kind=device.kind,
        versions={"python": platform.python_version(), **installed, **versions},
        machine={**_machine(), **machine},
        conditions=({"at": "start", **device.conditions()},),
    )


def _machine() -> Mapping[str, str]:
    return {
        "system": f"{platform.system()} {platform.release()}",
        "architecture": platform.machine(),
        "cores": str(usable_cores()),
        "threads": str(torch.get_num_threads()),
        "memory": f"{psutil.virtual_memory().total / 2**30:.1f} GiB",
        "governor": governor(),
        "libc": " ".join(platform.libc_ver()),
        "ci": "yes" if os.environ.get("CI") else "no",
    }


def governor() -> str:
    """The frequency governor of the first core, or "unknown" where the system does not show it."""
    try:
        return GOVERNOR.read_text(encoding="utf-8").strip()
    except OSError:
        return "unknown"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def seconds_of_others() -> float:
    """The time that neither this process nor its parent has had of all cores since the system started, in seconds."""
    everyone = psutil.cpu_times()
    own = [psutil.Process(one).cpu_times() for one in (os.getpid(), os.getppid()) if psutil.pid_exists(one)]
    stolen = getattr(everyone, "steal", 0.0)
    return float(everyone.user + everyone.system + stolen - sum(one.user + one.system for one in own))


class ConditionMonitor:
    """Reads a device's conditions at 10 Hz in the background and keeps their extremes; use it as a context.

    Attributes:
        throttled: why the device was throttled so far.
    """

    def __init__(self, read: Callable[[], Mapping[str, float | str]]) -> None:
        self._read = read
        self._begun, self._before = time.monotonic(), seconds_of_others()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._extremes: dict[str, tuple[float, float]] = {}
        self.throttled: set[str] = set()

    def __enter__(self) -> ConditionMonitor:
        """Starts reading."""
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        """Stops reading."""
        self._end.set()
        self._thread.join()

    @property
    def others(self) -> float:
        """How many cores other processes have held since this began, on average."""
        return max(0.0, seconds_of_others() - self._before) / max(time.monotonic() - self._begun, 1e-3)

    def summary(self) -> Mapping[str, float | str]:
        """The least and the most of each reading, the cores of others, and why the device was throttled, if it was."""
        found: dict[str, float | str] = {"at": "during", "cores_of_others": round(self.others, 2)}
        for name, (low, high) in self._extremes.items():
            found |= {f"{name}_min": low, f"{name}_max": high}
        return found | ({"throttled": ", ".join(sorted(self.throttled))} if self.throttled else {})

    def _watch(self) -> None:
        while not self._end.wait(PERIOD):
            for name, value in self._read().items():
                if isinstance(value, str):
                    self.throttled.update(value.split(", ") if name == "throttled" and value else ())
                else:
                    low, high = self._extremes.get(name, (value, value))
                    self._extremes[name] = (min(low, value), max(high, value))
