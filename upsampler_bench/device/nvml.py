"""Readings of a GPU by its driver: clocks, temperature, power, throttling and processes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from itertools import combinations
from typing import Any

from upsampler_bench.errors import DeviceError

# NVML's bits of reasons for throttling.
THROTTLE_REASONS = {
    0x8: "hardware slowdown",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "power brake",
    0x4: "power cap",
}
# NVML's levels of the nearest thing that two GPUs share: up to these they are on one board, or below one PCIe switch.
# Several switches in a row count too: their GPUs share the uppermost one's link to the host.
SAME_BOARD, SAME_SWITCH = 0, 20
WORD_BITS = 64


@cache
def _driver() -> Any:
    """The NVML library, initialised once per process, or None without a driver."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    return pynvml


def conditions(uuid: str) -> Mapping[str, float | str]:
    """Clocks (MHz), temperature (C), power (W) and throttle reasons now; empty if nothing can be read.

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
        "throttled": lambda: _reasons(driver.nvmlDeviceGetCurrentClocksThrottleReasons(handle)),
    }
    values = {name: _read(driver, reader) for name, reader in readers.items()}
    return {name: value for name, value in values.items() if value is not None}


def joules(uuid: str) -> float:
    """Energy that a GPU has used since its driver was loaded (J).

    Raises:
        DeviceError: there is no driver, or it does not count this GPU's energy (older than Volta, or part of a GPU).
    """
    driver = _driver()
    if driver is None:
        raise DeviceError("no NVIDIA driver answers")
    try:
        return float(driver.nvmlDeviceGetTotalEnergyConsumption(driver.nvmlDeviceGetHandleByUUID(uuid))) / 1000
    except driver.NVMLError as problem:
        raise DeviceError(f"the driver does not count this GPU's energy: {problem}") from problem


def uuid(properties: Any) -> str:
    """The UUID of a GPU by torch's properties of it, as the driver prints it."""
    return f"GPU-{str(getattr(properties, 'uuid', '')).removeprefix('GPU-')}"


def index(uuid: str) -> int | None:
    """How the driver counts a GPU, or None without a driver."""
    driver = _driver()
    number = driver and _read(driver, lambda: driver.nvmlDeviceGetIndex(driver.nvmlDeviceGetHandleByUUID(uuid)))
    return None if number is None else int(number)


def shared(uuids: Sequence[str]) -> list[tuple[str, str, str]]:
    """The pairs of these GPUs that share something by which one slows the other, and what it is."""
    driver, pairs = _driver(), []

    def ancestor(first: str, second: str) -> int:
        handles = map(driver.nvmlDeviceGetHandleByUUID, (first, second))
        return int(driver.nvmlDeviceGetTopologyCommonAncestor(*handles))

    for first, second in combinations(uuids if driver else (), 2):
        level = _read(driver, partial(ancestor, first, second))
        if level is not None and level <= SAME_SWITCH:
            pairs.append((first, second, "the power of one board" if level == SAME_BOARD else "a PCIe switch"))
    return pairs


def near_cores(uuid: str, count: int) -> frozenset[int]:
    """The host's cores nearest to a GPU, of `count` in all; empty if the driver does not say."""
    driver = _driver()
    words = driver and _read(
        driver,
        lambda: driver.nvmlDeviceGetCpuAffinity(driver.nvmlDeviceGetHandleByUUID(uuid), -(-count // WORD_BITS)),
    )
    return frozenset(core for core in range(count) if words and words[core // WORD_BITS] >> core % WORD_BITS & 1)


def driver_version() -> str:
    """The driver's version, or "" without one."""
    driver = _driver()
    return str((driver and _read(driver, driver.nvmlSystemGetDriverVersion)) or "")


def _read(driver: Any, reader: Callable[[], Any]) -> Any:
    try:
        return reader()
    except (driver.NVMLError, AttributeError):
        return None


def _reasons(bits: int) -> str:
    return ", ".join(name for bit, name in THROTTLE_REASONS.items() if bits & bit)
