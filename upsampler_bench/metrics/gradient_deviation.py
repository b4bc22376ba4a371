"""How far the gradients of another backend are from the torch form in float64."""

from __future__ import annotations

from upsampler_bench.case import TORCH, TRAIN, Case
from upsampler_bench.device import Device
from upsampler_bench.metrics import OPERATOR
from upsampler_bench.results import ERROR, MetricInfo, Reading
from upsampler_bench.workloads import deviation
from upsampler_bench.workloads.workload import Workload

INFO = MetricInfo(
    "gradient_deviation",
    "Gradient deviation",
    ERROR,
    TRAIN,
    place=45,
    description="Largest difference of a gradient (of an input or a parameter) from backend torch in float64, over the "
    "largest magnitude of that gradient.",
)
INFOS = (INFO,)
SUBJECT = OPERATOR


def applies(case: Case) -> bool:
    """On backends other than torch, with which they are compared."""
    return case.backend != TORCH


def measure(workload: Workload, device: Device) -> tuple[Reading, ...]:
    """Compares one backward."""
    return (Reading(INFO.name, ((deviation.of_gradients(workload),),), "compared with backend torch in float64"),)
