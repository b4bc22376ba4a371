"""Is this machine fit to measure on? Findings, and what to do about each."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

import psutil
import torch

from upsampler_bench import device
from upsampler_bench.case import Settings
from upsampler_bench.device import environment, processor, quota
from upsampler_bench.device.environment import installed_version
from upsampler_bench.results import Environment
from upsamplers.functional.backend import WHY_NO_TRITON

# Of the cores that this process may run on: a higher load disturbs timings.
BUSY_SHARE = 0.25
# What a quota must leave beside the threads that compute, for those of Python and of the system's readings.
SPARE_CORES = 0.1
HOT_CELSIUS = 80
LITTLE_MEMORY = 4 * 2**30  # bytes


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was checked.

    Attributes:
        check: e.g. "load".
        value: as it is.
        advice: what to do about it; empty if nothing.
    """

    check: str
    value: str
    advice: str = ""


def examine(name: str = "auto") -> list[Finding]:
    """Checks the device, the versions and everything that makes timings noisy or wrong.

    Raises:
        DeviceError: there is no such device.
    """
    now = environment.capture(device.create(device.resolve(name), Settings()))
    findings = [*_device(now), *_processor(now), *_packages(now)]
    return [Finding(check, value, advice if wrong else "") for check, value, wrong, advice in findings]


def _device(now: Environment) -> Iterator[tuple[str, str, bool, str]]:
    """Each check, its value, whether it needs advice, and the advice."""
    is_cuda = now.device_kind == "cuda"
    unused = not is_cuda and torch.version.cuda is not None and not torch.cuda.is_available()
    advice = "this torch is built for CUDA but finds no GPU: check the driver"
    yield "device", f"{now.device_name} ({now.device_kind})", unused, advice
    if is_cuda:
        condition = now.conditions[0]
        yield "driver", f"{now.versions['driver'] or 'unknown'}, CUDA {now.versions['cuda']}", False, ""
        processes = condition.get("gpu_processes")
        advice = "end them, or choose another GPU with --device cuda:i"
        yield "GPU processes", _known(processes), processes is not None and int(processes) > 1, advice
        celsius = condition.get("temperature_c")
        hot = celsius is not None and float(celsius) > HOT_CELSIUS
        yield "temperature (C)", _known(celsius), hot, "let it cool down first"
        reasons = condition.get("throttled")
        advice = "samples will be marked; check power and cooling"
        yield "throttling", "none" if reasons == "" else _known(reasons), bool(reasons), advice
    tf32 = now.machine.get("tf32", "off")
    yield "TF32", tf32, tf32 != "off", "float32 operators would be measured at a lower precision"


def _known(value: float | str | None) -> str:
    return "unknown: the driver does not say" if value is None else str(value)


def _processor(now: Environment) -> Iterator[tuple[str, str, bool, str]]:
    cores, threads = len(processor.cores()), torch.get_num_threads()
    limit = quota.cores()
    yield "threads", f"{threads} on {processor.usable_cores():g} cores", threads > cores, "use --threads"
    value = f"{limit:g} cores, throttled in {quota.throttled_periods()} periods so far" if limit else "none"
    advice = "raise it: it changes times, and ratios with them"
    yield "CPU quota", value, limit is not None and limit < min(threads + SPARE_CORES, cores), advice
    governor = now.machine["governor"]
    advice = "cpupower frequency-set -g performance steadies the clock"
    yield "governor", governor, governor not in ("performance", "unknown"), advice
    load = psutil.getloadavg()[0]
    advice = "wait, or end other processes: only ratios can be trusted"
    yield "load", f"{load:.2f} on {cores} cores", load > BUSY_SHARE * cores, advice
    heap = now.machine.get("heap", "kept heap")
    advice = "no glibc: the memory of each output is mapped again, times are longer"
    yield "heap", heap, heap != "kept heap", advice
    free, limit_bytes = quota.available_memory(), quota.memory_limit()
    value = f"{free / 2**30:.1f} GiB" + (f" within a limit of {limit_bytes / 2**30:.1f} GiB" if limit_bytes else "")
    yield "free memory", value, free < LITTLE_MEMORY, "large shapes may not fit"
    variables = sorted(name for name in os.environ if name.startswith(("OMP_", "MKL_NUM", "KMP_")))
    yield "OpenMP variables", ", ".join(variables) or "none", bool(variables), "unset them: they change the timings"


def _packages(now: Environment) -> Iterator[tuple[str, str, bool, str]]:
    for package in ("python", "torch", "fvcore"):
        yield package, now.versions[package] or "missing", False, ""
    advice = "pip uninstall pynvml; pip install nvidia-ml-py: with pynvml torch warns"
    nvml = f"nvidia-ml-py {installed_version('nvidia-ml-py') or 'missing'}"
    yield "NVML binding", nvml, bool(installed_version("pynvml")), advice
    unusable = now.device_kind == "cuda" and WHY_NO_TRITON
    advice = f"operators run on backend torch only: {WHY_NO_TRITON}"
    yield "triton", installed_version("triton") or "not installed", bool(unusable), advice
