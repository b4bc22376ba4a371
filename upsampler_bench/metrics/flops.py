"""Multiply-adds of one forward in two named conventions, counted by fvcore with our own handles."""

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

from upsampler_bench.case import INFERENCE, TORCH, Settings
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
    "element, interpolation 0, a blend 2.",
)
INFOS = (MAC, PAPER)
METHOD = "fvcore on a traced forward"
Handles = Mapping[str, Handle]


@dataclass(frozen=True, slots=True)
class Counts:
    """Multiply-adds of one forward by convention, and the operations without a handle."""

    by_convention: Mapping[str, int]
    unknown: tuple[str, ...]


# Counts of traced modules: the roofline time needs them too, and tracing a large operator takes seconds.
_counted: WeakKeyDictionary[nn.Module, Counts] = WeakKeyDictionary()


def measure(workload: Workload, device: Device) -> tuple[Reading, ...]:
    """Traces one forward on backend torch: what is computed is the same on every backend.

    An operation without a handle is named in the fact "uncounted". A model's fact "extras" is what other tools count
    too: biases of convolutions, 2 per element of a batch norm, 1 of a ReLU.
    """
    counted = of(workload)
    facts: dict[str, float | str] = {}
    notes: tuple[str, ...] = ()
    if counted.unknown:
        facts["uncounted"] = ", ".join(counted.unknown)
        notes = (f"not counted: {facts['uncounted']}",)
    if workload.case.model:
        facts["extras"] = float(counted.by_convention["extras"])
    return tuple(
        Reading(info.name, ((counted.by_convention[convention],),), METHOD, notes, facts)
        for convention, info in (("mac", MAC), ("paper", PAPER))
    )


def of(workload: Workload) -> Counts:
    """The counts of a workload's forward in every convention, in eval mode; the module's mode is restored."""
    if workload.module not in _counted:
        case = workload.case
        module = workload.module if case.backend == TORCH else make(case.on(TORCH), Settings())
        training = module.training
        try:
            _counted[workload.module] = counts(module.eval(), workload.inputs, _conventions.ALL)
        finally:
            module.train(training)
    return _counted[workload.module]


def count(module: nn.Module, inputs: tuple[Tensor, ...], handles: Handles) -> tuple[int, tuple[str, ...]]:
    """`counts` in one convention: the multiply-adds, and the operations without a handle."""
    counted = counts(module, inputs, {"": handles})
    return counted.by_convention[""], counted.unknown


def counts(module: nn.Module, inputs: tuple[Tensor, ...], conventions: Mapping[str, Handles]) -> Counts:
    """Multiply-adds of one forward in several conventions, from one trace.

    Args:
        module: in eval mode.
        inputs: of its forward.
        conventions: by name, the handle of each operation.
    """
    # fvcore would also log the operations without a handle, which we report.
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
