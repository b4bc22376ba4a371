"""How far the output of another backend is from the torch form in float64."""

from __future__ import annotations

from upsampler_bench.case import INFERENCE, TORCH, Case
from upsampler_bench.device import Device
from upsampler_bench.metrics import OPERATOR
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
INFOS = (INFO,)
SUBJECT = OPERATOR


def applies(case: Case) -> bool:
    """On backends other than torch, with which they are compared."""
    return case.backend != TORCH


def measure(workload: Workload, device: Device) -> tuple[Reading, ...]:
    """Compares one forward."""
    return (Reading(INFO.name, ((deviation.of_output(workload),),), "compared with backend torch in float64"),)
