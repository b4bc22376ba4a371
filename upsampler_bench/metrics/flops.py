"""Multiply-adds of one forward in two named conventions, counted by fvcore with handles of our own."""

from __future__ import annotations

import logging

import torch
from fvcore.nn import FlopCountAnalysis
from fvcore.nn.jit_handles import Handle
from torch import Tensor, nn

import upsamplers
from upsampler_bench.case import INFERENCE
from upsampler_bench.device import Device
from upsampler_bench.metrics import _conventions
from upsampler_bench.results import MetricInfo, Reading
from upsampler_bench.workload import Workload

MAC = MetricInfo(
    "flops_mac",
    "GFLOPs (mac)",
    "MAC",
    INFERENCE,
    exact=True,
    additive=True,
    place=52,
    description="Multiplications, 1 multiply-add = 1: a bilinear sample 4 an element, a transposed convolution at "
    "its input; where a sample is taken counts with the sample.",
)
PAPER = MetricInfo(
    "flops_paper",
    "GFLOPs (paper)",
    "MAC",
    INFERENCE,
    exact=True,
    additive=True,
    place=51,
    description="As the DySample paper counts: as mac, but a transposed convolution at its output, grid_sample 11 an "
    "element, interpolation 0.",
)
INFOS = (MAC, PAPER)
METHOD = "fvcore on a traced forward"


def measure(workload: Workload, device: Device) -> tuple[Reading, ...]:
    """Traces one forward; a fused twin is counted by its reference, since fusing leaves the mathematics as it is.

    An operation that no handle knows is named in the fact "uncounted".
    """
    module = counted(workload)
    mac, unknown = count(module, workload.inputs, _conventions.MAC)
    paper, _ = count(module, workload.inputs, _conventions.PAPER)
    facts: dict[str, float | str] = {"uncounted": ", ".join(unknown)} if unknown else {}
    notes = (f"not counted: {', '.join(unknown)}",) if unknown else ()
    return (
        Reading(MAC.name, ((mac,),), METHOD, notes, facts),
        Reading(PAPER.name, ((paper,),), METHOD, notes, facts),
    )


def count(module: nn.Module, inputs: tuple[Tensor, ...], handles: dict[str, Handle]) -> tuple[int, tuple[str, ...]]:
    """Multiply-adds of one forward, and the operations that no handle knows.

    Args:
        module: in eval mode.
        inputs: of its forward.
        handles: a convention: what each operation counts.
    """
    # As fvcore builds its analysis it would warn in the log of what we report ourselves.
    logging.getLogger("fvcore.nn.jit_analysis").setLevel(logging.ERROR)
    with torch.inference_mode():
        analysis = FlopCountAnalysis(module, inputs).clear_op_handles().set_op_handle(**handles)
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
        return int(analysis.total()), tuple(sorted(analysis.unsupported_ops()))


def counted(workload: Workload) -> nn.Module:
    """The module that stands for the operator in a count: of a fused twin its reference, in eval mode."""
    case = workload.case
    reference = upsamplers.get(case.upsampler).reference if not case.host else ""
    if not reference:
        return workload.module
    twin = upsamplers.create(reference, case.channels, scale=case.scale)
    x = workload.inputs[0]
    return twin.to(x.device, x.dtype).eval()
