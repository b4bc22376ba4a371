"""Reads of operators what has no noise: costs counted, operations dispatched, and signatures of what they compute."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import torch

import upsamplers
from upsampler_bench import device, metrics
from upsampler_bench.baseline.baseline_file import Baseline, Exact
from upsampler_bench.baseline.operations import operations
from upsampler_bench.baseline.signature import signatures
from upsampler_bench.case import INFERENCE, TRAIN, Case, Settings
from upsampler_bench.errors import BenchError
from upsampler_bench.results import Reading
from upsampler_bench.runner import group
from upsampler_bench.workloads import output_check, workload

CASE = Case("", INFERENCE, batch=1, channels=64, height=32, width=32)
# The default heap: nothing is timed, and the process may go on to other things.
SETTINGS = Settings(threads=1, malloc="default")
METRICS = ("flops", "params", "memory", "train_memory", "traffic")


def fitting(names: Iterable[str]) -> tuple[str, ...]:
    """Those of these operators that run on a CPU at all: which others are registered depends on what is installed."""
    return tuple(name for name in names if "cpu" in upsamplers.get(name).devices)


def record(name: str) -> Exact:
    """Everything of one operator; what it raises becomes the reason for which there is nothing."""
    threads = torch.get_num_threads()
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(SETTINGS.seed)
            return _record(CASE.of(name))
    except (upsamplers.UpsamplerError, BenchError) as problem:
        return Exact(failed=str(problem))
    except Exception as problem:
        return Exact(failed=group.why(problem))
    finally:
        torch.set_num_threads(threads)


def baseline(operators: dict[str, Exact]) -> Baseline:
    """What was recorded of operators, with what it depends on."""
    return Baseline(CASE.condition, torch.__version__.partition("+")[0], operators, seed=SETTINGS.seed)


def _record(case: Case) -> Exact:
    place = device.create(case.device, SETTINGS)
    forward = _built(case)
    forward.step()  # what an operator does in its first call alone is no cost of a forward
    if wrong := output_check.why_wrong(forward):
        return Exact(failed=wrong)
    training = _built(replace(case, mode=TRAIN))
    training.step()
    readings = [one for built in (forward, training) for one in _readings(built, place)]
    found = signatures(_built(case), _built(replace(case, mode=TRAIN)), SETTINGS.seed)
    if isinstance(found, str):
        return Exact(failed=found)
    return Exact(
        counts={one.metric: int(one.samples[0]) for one in readings},
        output=found[0],
        gradient=found[1],
        operations=operations(forward),
        uncounted=", ".join(sorted({str(one.facts["uncounted"]) for one in readings if "uncounted" in one.facts})),
    )


def _built(case: Case) -> workload.Workload:
    """A workload with inputs of its own, so that gradients of one are not those of another."""
    return workload.build(case, SETTINGS, workload.shared_inputs(case, SETTINGS))


def _readings(built: workload.Workload, place: device.Device) -> list[Reading]:
    wanted = metrics.for_case(built.case, METRICS).values()
    exact = {info.name for info in metrics.infos(METRICS) if info.exact}
    found = [reading for one in wanted if metrics.is_once(one) for reading in one.measure(built, place)]
    return [one for one in found if one.metric in exact]
