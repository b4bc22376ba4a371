"""One operator under pytest-benchmark: its output is checked, its deterministic metrics are read, its call is timed."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import torch

from upsampler_bench import backends, device, metrics
from upsampler_bench.case import DTYPES, INFERENCE, LAYOUTS, TIMED, TRAIN, Case, Settings, default_backend
from upsampler_bench.device import Device
from upsampler_bench.errors import PlanError
from upsampler_bench.runner import operators
from upsampler_bench.workloads import output_check, workload
from upsampler_bench.workloads.workload import Workload

CHOICES: Mapping[str, Sequence[str]] = {
    "dtype": DTYPES,
    "layout": LAYOUTS,
    "mode": (INFERENCE, TRAIN),
    "backend": backends.names(),
}
FREE = ("scale", "device")


class WrongOutput(AssertionError):
    """An operator's output is wrong; the message says how."""


def case_of(upsampler: str, shape: Sequence[int], *, plugin: str = "", **keys: Any) -> Case:
    """The case that a test describes.

    Args:
        upsampler: a registered name, with options in brackets where wanted.
        shape: (C, H, W) or (B, C, H, W).
        plugin: a module or .py file that registers the operator; empty: none.
        keys: scale, dtype, layout, device, mode, backend.

    Raises:
        PlanError: a key or the shape is not valid.
        UnknownUpsampler: there is no such operator.
        DeviceError: there is no such device.
    """
    operators.load([plugin] if plugin else [])
    operators.add_variants([upsampler])
    if unknown := sorted(keys.keys() - {*CHOICES, *FREE}):
        raise PlanError(f"no key {unknown[0]!r} of a case; there are {', '.join([*FREE, *CHOICES])}")
    for name in CHOICES.keys() & keys.keys():
        if keys[name] not in CHOICES[name]:
            raise PlanError(f"no {name} {keys[name]!r}; there are {', '.join(CHOICES[name])}")
    if len(shape) not in (3, 4) or not all(isinstance(size, int) and size > 0 for size in shape):
        raise PlanError(f"shape {tuple(shape)!r}: expected (C, H, W) or (B, C, H, W), all positive integers")
    batch, channels, height, width = [1, *shape][-4:]
    keys["device"] = device.resolve(keys.get("device", "cpu"))
    keys.setdefault("backend", default_backend(keys["device"]))
    return Case(upsampler, batch=batch, channels=channels, height=height, width=width, **keys)


def measure(case: Case, benchmark: Any, *, threads: int = 1, rounds: int = 0) -> dict[str, float]:
    """Checks, reads and times one case.

    Args:
        case: what to measure.
        benchmark: pytest-benchmark's fixture.
        threads: CPU threads; 0: all.
        rounds: of one call each; 0: as many rounds and calls as pytest-benchmark's options say.

    Returns:
        The values by metric, in base units; what the fixture stores in `extra_info` too.

    Raises:
        WrongOutput: the operator's output is wrong.
        UpsamplerError: there is no such operator, or it refuses the case.
    """
    settings, threads_before = Settings(threads=threads), torch.get_num_threads()
    opened = device.create(case.device, settings)
    try:
        workload.wake(opened.name)
        built = workload.build(case, settings, workload.shared_inputs(case, settings))
        if reason := output_check.why_wrong(built):
            raise WrongOutput(reason)
        values = _exact_values(built, opened)
        benchmark.group = benchmark.group or case.group
        _time(built, opened, benchmark, settings, rounds)
        benchmark.extra_info.update(asdict(case), threads=str(torch.get_num_threads()), **values)
    finally:
        opened.release()
        torch.set_num_threads(threads_before)  # for the tests that follow
    if benchmark.stats:
        values[TIMED[case.mode]] = benchmark.stats.stats.median
    return values


def _exact_values(built: Workload, opened: Device) -> dict[str, float]:
    values: dict[str, float] = {}
    # Warnings of the packages that count are no fault of the operator, and must not fail a strict project's test.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for metric in metrics.for_case(built.case, ()).values():
            if metrics.is_once(metric) and metric.INFOS[0].exact:
                readings = metric.measure(built, opened)
                values |= {reading.metric: reading.estimate.value for reading in readings if reading.samples}
    return values


def _time(built: Workload, opened: Device, benchmark: Any, settings: Settings, rounds: int) -> None:
    def call() -> None:
        built.step()
        opened.synchronize()

    if benchmark.enabled:
        begun, calls = time.perf_counter(), 0
        while calls < settings.warmup_calls or time.perf_counter() - begun < settings.warmup_seconds:
            call()
            calls += 1
    if rounds:
        benchmark.pedantic(call, rounds=rounds)
    else:
        benchmark(call)
