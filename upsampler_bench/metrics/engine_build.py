"""What an engine costs before its first call: the time to build it, and the size of the exported file."""

from __future__ import annotations

from upsampler_bench import backends
from upsampler_bench.backends._engine import Engine
from upsampler_bench.case import INFERENCE, Case
from upsampler_bench.device import Device
from upsampler_bench.results import MetricInfo, Reading
from upsampler_bench.workloads.workload import Workload

TIME = MetricInfo(
    "build_time",
    "Build time",
    "s",
    INFERENCE,
    once=True,
    place=70,
    description="Time from the PyTorch module to an engine that can be called: export and building, once.",
)
SIZE = MetricInfo(
    "model_size",
    "Model size",
    "B",
    INFERENCE,
    exact=True,
    place=71,
    description="Bytes of the exported file, weights included.",
)
INFOS = (TIME, SIZE)
NO_MEMORY = "its memory is not reported"


def applies(case: Case) -> bool:
    """On engines alone."""
    return backends.is_engine(case.backend)


def measure(workload: Workload, device: Device) -> tuple[Reading, ...]:
    """What preparing the workload took."""
    engine = workload.call
    assert isinstance(engine, Engine)
    notes = (f"{engine.note}; {NO_MEMORY}",)
    return (
        Reading(TIME.name, ((engine.build_seconds,),), "host clock, once", notes, engine.facts),
        Reading(SIZE.name, ((engine.model_bytes,),), "size of the exported file"),
    )
