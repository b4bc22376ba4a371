"""Is this machine fit to measure on? Findings, and what to do about each."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

import psutil
import torch

from upsampler_bench import device
from upsampler_bench.case import Settings
from upsampler_bench.device import environment, processor
from upsampler_bench.results import Environment

BUSY_SHARE = 0.25
HOT_CELSIUS = 80
OPTIONAL = ("triton",)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        what: e.g. "load".
        found: as it is.
        advice: what to do about it; empty where it is fine.
    """

    what: str
    found: str
    advice: str = ""


def examine(name: str = "auto") -> list[Finding]:
    """Looks at the device, the versions and everything that makes timings noisy or wrong.

    Raises:
        DeviceError: there is no such device.
    """
    place = device.create(device.resolve(name), Settings())
    now = environment.capture(place)
    return [*_device(now), *_processor(now), *_packages(now)]


def _device(now: Environment) -> Iterator[Finding]:
    yield Finding("device", f"{now.device_name} ({now.device_kind})", _no_gpu(now))
    condition = now.conditions[0]
    if now.device_kind == "cuda":
        yield Finding("driver", f"{now.versions['driver'] or 'unknown'}, CUDA {now.versions['cuda']}")
        others = int(condition.get("gpu_processes", 0))
        advice = "end them, or choose another GPU with --device cuda:i" if others > 1 else ""
        yield Finding("GPU processes", str(others), advice)
        heat = float(condition.get("temperature_c", 0))
        yield Finding("temperature", f"{heat:.0f} C", "let it cool down first" if heat > HOT_CELSIUS else "")
        reasons = str(condition.get("throttled", ""))
        yield Finding(
            "throttling", reasons or "none", "samples will be marked; check power and cooling" * bool(reasons)
        )
    tf32 = now.machine.get("tf32", "off")
    yield Finding("TF32", tf32, "" if tf32 == "off" else "float32 figures would not be float32's")


def _no_gpu(now: Environment) -> str:
    if now.device_kind == "cuda" or torch.version.cuda is None:
        return ""
    return "" if torch.cuda.is_available() else "this torch is built for CUDA, but no GPU answers: check the driver"


def _processor(now: Environment) -> Iterator[Finding]:
    cores, threads = processor.usable_cores(), torch.get_num_threads()
    yield Finding("threads", f"{threads} on {cores} cores", "use --threads" if threads > cores else "")
    governor = now.machine["governor"]
    slow = governor not in ("performance", "unknown")
    yield Finding("governor", governor, "cpupower frequency-set -g performance steadies the clock" if slow else "")
    load = psutil.getloadavg()[0]
    busy = load > BUSY_SHARE * cores
    yield Finding("load", f"{load:.2f} on {cores} cores", "wait, or end what runs: trust ratios only" if busy else "")
    heap = now.machine.get("heap", "kept heap")
    yield Finding("heap", heap, "" if heap == "kept heap" else "no glibc: each output is mapped anew, times are longer")
    free = psutil.virtual_memory().available / 2**30
    yield Finding("free memory", f"{free:.1f} GiB", "close to what large shapes need" if free < 4 else "")
    frozen = sorted(name for name in os.environ if name.startswith(("OMP_", "MKL_NUM", "KMP_")))
    yield Finding("OpenMP variables", ", ".join(frozen) or "none", "unset them: they change the timings" * bool(frozen))


def _packages(now: Environment) -> Iterator[Finding]:
    for package in ("python", "torch", "fvcore"):
        yield Finding(package, now.versions[package] or "missing")
    wrong = _installed("pynvml")
    advice = "pip uninstall pynvml; pip install nvidia-ml-py: that one makes torch warn" if wrong else ""
    yield Finding("NVML binding", f"nvidia-ml-py {_installed('nvidia-ml-py') or 'missing'}", advice)
    for package in OPTIONAL:
        yield Finding(package, _installed(package) if find_spec(package) else "not installed (optional)")


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
