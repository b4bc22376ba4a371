"""How far the output of another backend is from the torch form in float64."""

from __future__ import annotations

from upsampler_bench import backends
from upsampler_bench.case import INFERENCE, TORCH, Case
from upsampler_bench.device import Device
from upsampler_bench.results import ERROR, MetricInfo, Reading
from upsampler_bench.workloads import deviation
from upsampler_bench.workloads.workload import Workload

INFO = MetricInfo(
    "deviation",
    "Deviation",
    ERROR,
    INFERENCE,
    place=25,
    description="Largest difference of an output element from backend torch in float64, over the largest magnitude.",
)
RMS = MetricInfo(
    "deviation_rms",
    "RMS deviation",
    ERROR,
    INFERENCE,
    place=26,
    description="Root mean square of the output's differences from backend torch in float64, over that of the output.",
)
INFOS = (INFO, RMS)
METHOD = "compared with backend torch in float64"


def applies(case: Case) -> bool:
    """Of operators on backends other than torch, with which they are compared; of models in engines."""
    return case.backend != TORCH and (not case.model or backends.is_engine(case.backend))


def measure(workload: Workload, device: Device) -> tuple[Reading, ...]:
    """Compares one forward."""
    found = deviation.of_output(workload)
    return Reading(INFO.name, ((found.largest,),), METHOD), Reading(RMS.name, ((found.rms,),), METHOD)
