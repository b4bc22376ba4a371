"""One operator under pytest-benchmark: built, checked, its exact metrics read, and then handed over to be timed."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import torch

from upsampler_bench import benchmark_json, device, metrics
from upsampler_bench.benchmark_json import CALLS, OURS
from upsampler_bench.case import DTYPES, INFERENCE, LAYOUTS, TIMED, TRAIN, Case, Settings
from upsampler_bench.device import Device, environment
from upsampler_bench.errors import PlanError
from upsampler_bench.results import COMPLETE, SCHEMA, Environment, Measurement, Reading, UpsamplerInfo
from upsampler_bench.runner import operators
from upsampler_bench.workloads import output_check, workload
from upsampler_bench.workloads.workload import Workload

CHOICES: Mapping[str, Sequence[str]] = {"dtype": DTYPES, "layout": LAYOUTS, "mode": (INFERENCE, TRAIN)}
FREE = ("scale", "device")


class Wrong(AssertionError):
    """An operator's output is wrong; the message says how."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a test asks for."""

    case: Case
    settings: Settings


@dataclass
class Sitting:
    """What the benchmarks of one pytest session have in common, told once in what pytest-benchmark stores.

    Attributes:
        environment: of the first benchmark; later ones of another device are told apart by their cases.
    """

    environment: Environment | None = None
    settings: Settings = field(default_factory=Settings)
    upsamplers: dict[str, UpsamplerInfo] = field(default_factory=dict)

    def note(self, asked: Asked, where: Device) -> None:
        """Takes in one more benchmark."""
        if self.environment is None:
            self.environment, self.settings = environment.capture(where), asked.settings
        self.upsamplers[asked.case.upsampler] = operators.info(asked.case.upsampler)

    def add_to(self, stored: dict[str, Any]) -> None:
        """Says under a key of our own what a report needs beside the benchmarks."""
        if self.environment is None:
            return
        stored[OURS] = {
            "schema": SCHEMA,
            "environment": asdict(self.environment),
            "settings": asdict(self.settings),
            "metrics": [asdict(one) for one in metrics.infos()],
            "upsamplers": [asdict(one) for one in self.upsamplers.values()],
            "ended": COMPLETE,
        }


def ask(upsampler: str, shape: Sequence[int], *, threads: int = 1, plugin: str = "", **keys: Any) -> Asked:
    """A test's words as a case.

    Args:
        upsampler: a registered name, with options in brackets where wanted.
        shape: (C, H, W) or (B, C, H, W).
        threads: CPU threads; 0: all.
        plugin: a module or .py file that registers the operator; empty: none.
        keys: scale, dtype, layout, device, mode.

    Raises:
        PlanError: there is no such operator or key, or the shape is none.
        DeviceError: there is no such device.
    """
    operators.load([plugin] if plugin else [])
    operators.add_variants([upsampler])
    if unknown := sorted(keys.keys() - {*CHOICES, *FREE}):
        raise PlanError(f"no key {unknown[0]!r} of a case; there are {', '.join([*FREE, *CHOICES])}")
    for name in CHOICES.keys() & keys.keys():
        if keys[name] not in CHOICES[name]:
            raise PlanError(f"no {name} {keys[name]!r}; there are {', '.join(CHOICES[name])}")
    if len(shape) not in (3, 4) or not all(isinstance(one, int) and one > 0 for one in shape):
        raise PlanError(f"shape {tuple(shape)!r}: expected (C, H, W) or (B, C, H, W), all whole and above 0")
    batch, channels, height, width = [1, *shape][-4:]
    keys["device"] = device.resolve(keys.get("device", "cpu"))
    case = Case(upsampler, batch=batch, channels=channels, height=height, width=width, **keys)
    return Asked(case, Settings(threads=threads))


def measure(asked: Asked, benchmark: Any, sitting: Sitting, rounds: int = 0) -> dict[str, float]:
    """Checks, reads and times one case; the figures by metric, in base units.

    Args:
        asked: the case.
        benchmark: pytest-benchmark's fixture.
        sitting: takes note of it.
        rounds: of one call each; 0: as many, and of as many calls, as pytest-benchmark's options say.

    Raises:
        Wrong: the operator's output is wrong.
        UpsamplerError: there is no such operator, or it refuses the case.
    """
    case, settings = asked.case, asked.settings
    with _prepared(asked) as where:
        built = workload.build(case, settings, workload.shared_inputs(case, settings))
        if reason := output_check.why_wrong(built):
            raise Wrong(reason)
        sitting.note(asked, where)
        readings = _exact(built, where)
        figures = {one.metric: one.estimate.value for one in readings if one.samples}
        benchmark.group = benchmark.group or case.group
        _time(_call(built, where), benchmark, settings, rounds)
        calls = {CALLS: float(benchmark.stats.iterations)} if benchmark.stats else {}
        timed = Reading(TIMED[case.mode], (), _method(where), facts=calls)
        kept = benchmark_json.without_samples(Measurement(case, readings=(*readings, timed)), timed.metric)
        threads = {"threads": str(torch.get_num_threads())}
        benchmark.extra_info.update({**dict(benchmark_json.columns(case)), **threads, **figures, OURS: kept})
    if benchmark.stats:
        figures[timed.metric] = benchmark.stats.stats.median
    return figures


@contextmanager
def _prepared(asked: Asked) -> Iterator[Device]:
    """The case's device, made ready; the threads are left as they were, for the tests that follow."""
    threads = torch.get_num_threads()
    where = device.create(asked.case.device, asked.settings)
    try:
        workload.wake(where.name)
        yield where
    finally:
        where.release()
        torch.set_num_threads(threads)


def _exact(built: Workload, where: Device) -> tuple[Reading, ...]:
    """The metrics that are read in one go and have no noise."""
    # What counting makes its packages warn of is no fault of the operator, and must not fail a strict project's test.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = [one for one in metrics.for_case(built.case, ()).values() if metrics.is_once(one)]
        return tuple(reading for one in found if one.INFOS[0].exact for reading in one.measure(built, where))


def _call(built: Workload, where: Device) -> Callable[[], None]:
    """What is timed: one call, and on a GPU the wait until it is done."""

    def call() -> None:
        built.step()
        where.synchronize()

    return call


def _time(call: Callable[[], None], benchmark: Any, settings: Settings, rounds: int) -> None:
    if benchmark.enabled:
        _warm_up(call, settings)
    if rounds:
        benchmark.pedantic(call, rounds=rounds)
    else:
        benchmark(call)


def _warm_up(call: Callable[[], None], settings: Settings) -> None:
    begun, calls = time.perf_counter(), 0
    while calls < settings.warmup_calls or time.perf_counter() - begun < settings.warmup_seconds:
        call()
        calls += 1


def _method(where: Device) -> str:
    waited, threads = "" if where.kind == "cpu" else ", synchronised", torch.get_num_threads()
    how = f"one operator after the other, {threads} thread{'s' * (threads != 1)}"
    return f"pytest-benchmark: host clock{waited}, {how}"
