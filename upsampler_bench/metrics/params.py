"""Parameters: weights without biases and norms, as the paper prints them, and all."""

from __future__ import annotations

from upsampler_bench.case import INFERENCE
from upsampler_bench.device import Device
from upsampler_bench.results import MetricInfo, Reading
from upsampler_bench.workloads.workload import Workload

WEIGHTS = MetricInfo(
    "params_weights",
    "Weights",
    "1",
    INFERENCE,
    exact=True,
    additive=True,
    place=61,
    description="Parameters of two or more dimensions: no biases, no norms, as the paper prints them.",
)
ALL = MetricInfo(
    "params_all", "Parameters", "1", INFERENCE, exact=True, additive=True, place=62, description="All parameters."
)
INFOS = (WEIGHTS, ALL)


def measure(workload: Workload, device: Device) -> tuple[Reading, ...]:
    """Counts the module's parameters."""
    parameters = list(workload.module.parameters())
    weights = sum(parameter.numel() for parameter in parameters if parameter.dim() > 1)
    everything = sum(parameter.numel() for parameter in parameters)
    return (
        Reading(WEIGHTS.name, ((weights,),), "parameters of two or more dimensions"),
        Reading(ALL.name, ((everything,),), "all parameters"),
    )
