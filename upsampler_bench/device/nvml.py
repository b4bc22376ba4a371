"""What the driver says of a GPU: clocks, temperature, power, throttling and other processes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

Facts = Mapping[str, float | str]

THROTTLES = {
    0x8: "hardware slowdown",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "power brake",
    0x4: "power cap",
}


@cache
def _driver() -> Any:
    """The NVML library, begun once a process, or None where there is no driver."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    return pynvml


def conditions(uuid: str) -> Facts:
    """Clocks (MHz), temperature (C), power (W) and throttle reasons now; empty where nothing can be read.

    Args:
        uuid: the GPU's, as the driver prints it ("GPU-..."), since indices differ under CUDA_VISIBLE_DEVICES.
    """
    driver = _driver()
    handle = driver and _read(driver, lambda: driver.nvmlDeviceGetHandleByUUID(uuid))
    if not handle:
        return {}
    readers: dict[str, Callable[[], Any]] = {
        "sm_clock_mhz": lambda: driver.nvmlDeviceGetClockInfo(handle, driver.NVML_CLOCK_SM),
        "memory_clock_mhz": lambda: driver.nvmlDeviceGetClockInfo(handle, driver.NVML_CLOCK_MEM),
        "temperature_c": lambda: driver.nvmlDeviceGetTemperature(handle, driver.NVML_TEMPERATURE_GPU),
        "power_w": lambda: driver.nvmlDeviceGetPowerUsage(handle) / 1000,
        "gpu_processes": lambda: len(driver.nvmlDeviceGetComputeRunningProcesses(handle)),
        "throttled": lambda: _throttles(driver.nvmlDeviceGetCurrentClocksThrottleReasons(handle)),
    }
    found = {name: _read(driver, reader) for name, reader in readers.items()}
    return {name: value for name, value in found.items() if value is not None}


def driver_version() -> str:
    """The driver's version, or "" where there is none."""
    driver = _driver()
    return str((driver and _read(driver, driver.nvmlSystemGetDriverVersion)) or "")


def _read(driver: Any, reader: Callable[[], Any]) -> Any:
    try:
        return reader()
    except (driver.NVMLError, AttributeError):
        return None


def _throttles(bits: int) -> str:
    return ", ".join(name for bit, name in THROTTLES.items() if bits & bit)
