"""Records the deterministic metrics of an operator: costs, ATen operations, signatures of what it computes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

import upsamplers
from upsampler_bench import device, metrics
from upsampler_bench.baseline.baseline_file import Baseline, OperatorBaseline
from upsampler_bench.baseline.signature import signatures
from upsampler_bench.case import INFERENCE, TRAIN, Case, Settings
from upsampler_bench.errors import BenchError
from upsampler_bench.results import Reading
from upsampler_bench.runner import group
from upsampler_bench.workloads import output_check, workload
from upsampler_bench.workloads.workload import Workload

CASE = Case("", INFERENCE, batch=1, channels=64, height=32, width=32)
# The default heap: nothing is timed, and the process may go on to other things.
SETTINGS = Settings(threads=1, malloc="default")
METRICS = ("flops", "params", "memory", "train_memory", "traffic")
# Read after the signatures: with dropout these depend on how often a step ran before.
ALLOCATIONS = ("allocations", "train_allocations")


def record(case: Case) -> OperatorBaseline:
    """Everything of the operator of a case; an exception becomes the reason why there is nothing."""
    threads = torch.get_num_threads()
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(SETTINGS.seed)
            return _record(case)
    except (upsamplers.UpsamplerError, BenchError) as problem:
        return OperatorBaseline(failed=str(problem))
    except Exception as problem:
        return OperatorBaseline(failed=group.why(problem))
    finally:
        torch.set_num_threads(threads)


def baseline(operators: Mapping[str, OperatorBaseline]) -> Baseline:
    """What was recorded of operators, with what it depends on."""
    return Baseline(CASE.condition, torch.__version__.partition("+")[0], operators, SETTINGS.seed)


def _record(case: Case) -> OperatorBaseline:
    run_on = device.create(case.device, SETTINGS)
    forward = _workload(case)
    forward.step()  # what an operator does in its first call alone is not a cost of a forward
    if wrong := output_check.why_wrong(forward):
        return OperatorBaseline(failed=wrong)
    training = _workload(replace(case, mode=TRAIN))
    training.step()
    readings = [*_readings(forward, run_on, METRICS), *_readings(training, run_on, METRICS)]
    signed = signatures(_workload(case), _workload(replace(case, mode=TRAIN)), SETTINGS.seed)
    if isinstance(signed, str):
        return OperatorBaseline(failed=signed)
    readings += [*_readings(forward, run_on, ALLOCATIONS), *_readings(training, run_on, ALLOCATIONS)]
    uncounted = {str(reading.facts["uncounted"]) for reading in readings if "uncounted" in reading.facts}
    return OperatorBaseline(
        counts={reading.metric: int(reading.samples[0]) for reading in readings},
        output=signed[0],
        gradient=signed[1],
        operations=operations(forward),
        uncounted=", ".join(sorted(uncounted)),
    )


def _workload(case: Case) -> Workload:
    """A workload with inputs of its own, so that gradients of one are not those of another."""
    return workload.build(case, SETTINGS, workload.shared_inputs(case, SETTINGS))


def _readings(built: Workload, run_on: device.Device, wanted: tuple[str, ...]) -> list[Reading]:
    deterministic = {info.name for info in metrics.infos(wanted) if info.exact}
    readings: list[Reading] = []
    for metric in metrics.for_case(built.case, wanted).values():
        if metrics.is_once(metric):
            readings += metric.measure(built, run_on)
    return [reading for reading in readings if reading.metric in deterministic]


def operations(built: Workload) -> dict[str, int]:
    """How often one forward under inference mode calls each ATen operator, such as "aten.conv2d.default".

    On small inputs these calls are most of the time. Views and casts that change nothing are counted too: each is a
    call of about a microsecond.
    """
    with _CountedCalls() as calls:
        built.forward()
    return dict(calls.by_name)


class _CountedCalls(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call,unused-ignore]
        self.by_name: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.by_name[str(func)] += 1
        return func(*args, **(kwargs or {}))
