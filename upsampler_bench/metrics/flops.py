"""Multiply-adds of one forward in two named conventions, counted by fvcore with handles of our own."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
from fvcore.nn import FlopCountAnalysis
from fvcore.nn.jit_handles import Handle
from torch import Tensor, nn

import upsamplers
from upsampler_bench.case import INFERENCE, Settings
from upsampler_bench.device import Device
from upsampler_bench.metrics import _conventions
from upsampler_bench.results import MetricInfo, Reading
from upsampler_bench.workloads.workload import Workload, make

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
Handles = Mapping[str, Handle]


@dataclass(frozen=True, slots=True)
class Counts:
    """Multiply-adds of one forward by convention, and the operations that no handle knows."""

    by_convention: Mapping[str, int]
    unknown: tuple[str, ...]


# Counts of modules that were traced before: floors need them too, and tracing a large operator takes seconds.
_found: WeakKeyDictionary[nn.Module, Counts] = WeakKeyDictionary()


def measure(workload: Workload, device: Device) -> tuple[Reading, ...]:
    """Traces one forward; a fused twin is counted by its reference, since fusing leaves the mathematics as it is.

    An operation that no handle knows is named in the fact "uncounted". A model's fact "extras" is what common tools
    count besides: biases of convolutions, 2 an element of a batch norm, 1 of a ReLU.
    """
    found = of(workload)
    unknown = ", ".join(found.unknown)
    facts: dict[str, float | str] = {"uncounted": unknown} if unknown else {}
    facts |= {"extras": float(found.by_convention["extras"])} if workload.case.model else {}
    notes = (f"not counted: {unknown}",) if unknown else ()
    return tuple(
        Reading(info.name, ((found.by_convention[name],),), METHOD, notes, facts)
        for name, info in (("mac", MAC), ("paper", PAPER))
    )


def of(workload: Workload) -> Counts:
    """The counts of a workload's forward in every convention, in eval mode; the module stays in the mode it is in."""
    if workload.module not in _found:
        module = _counted(workload)
        training = module.training
        try:
            _found[workload.module] = counts(module.eval(), workload.inputs, _conventions.ALL)
        finally:
            module.train(training)
    return _found[workload.module]


def count(module: nn.Module, inputs: tuple[Tensor, ...], handles: Handles) -> tuple[int, tuple[str, ...]]:
    """`counts` in one convention: the multiply-adds, and the operations that no handle knows."""
    found = counts(module, inputs, {"": handles})
    return found.by_convention[""], found.unknown


def counts(module: nn.Module, inputs: tuple[Tensor, ...], conventions: Mapping[str, Handles]) -> Counts:
    """Multiply-adds of one forward in several conventions, from one trace.

    Args:
        module: in eval mode.
        inputs: of its forward.
        conventions: by name, what each operation counts.
    """
    # As fvcore builds its analysis it would warn in the log of what we report ourselves.
    logging.getLogger("fvcore.nn.jit_analysis").setLevel(logging.ERROR)
    known = {kind for handles in conventions.values() for kind in handles}
    with torch.inference_mode():
        analysis = FlopCountAnalysis(module, inputs).clear_op_handles()
        analysis = analysis.set_op_handle(**{kind: _in_each(conventions, kind) for kind in known})
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
        total = analysis.by_operator()
        return Counts({name: int(total[name]) for name in conventions}, tuple(sorted(analysis.unsupported_ops())))


def _in_each(conventions: Mapping[str, Handles], kind: str) -> Handle:
    """What an operation counts, by the convention's name."""

    def handle(inputs: list[Any], outputs: list[Any]) -> Counter[str]:
        return Counter({name: int(handles[kind](inputs, outputs)) for name, handles in conventions.items()})

    return handle


def _counted(workload: Workload) -> nn.Module:
    """The module that stands for the operator in a count: of a fused twin its reference, in eval mode."""
    case = workload.case
    reference = upsamplers.get(case.upsampler).reference
    return make(case.of(reference), Settings()).eval() if reference else workload.module
