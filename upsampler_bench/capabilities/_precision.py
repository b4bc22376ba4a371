"""Forward and backward in a narrower dtype, held against float32: shared by the probes of half precision."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from upsampler_bench.capabilities import No
from upsampler_bench.capabilities._probing import backward, hold, outcome, variant
from upsampler_bench.case import TRAIN
from upsampler_bench.workloads.output_check import TOLERANCES
from upsampler_bench.workloads.workload import DTYPES, Workload

# A sampled operator's derivative jumps where a rounded point comes to lie in another pixel: gradients agree roughly.
ROUGHLY = 0.5
METHOD = "one forward and backward, held against float32 by the root mean square of the error"


def off_in(workload: Workload, dtype: str) -> float:
    """How far output and gradients in this dtype are off those of float32 from the same rounded numbers.

    Raises:
        No: the dtype is not kept, or the values are further off than its rounding explains.
    """
    narrow = variant(workload, dtype=dtype, mode=TRAIN)
    found = outcome(narrow)
    _refuse_other_dtypes(found, DTYPES[dtype])
    full = variant(workload, dtype="float32", mode=TRAIN)
    full.module.load_state_dict(narrow.module.state_dict())
    full = replace(full, inputs=tuple(_widened(one) for one in narrow.inputs))
    return _near(found, outcome(full), DTYPES[dtype], "float32")


def off_under_autocast(workload: Workload, dtype: torch.dtype) -> float:
    """The same of float32 inputs under autocast to this dtype.

    Raises:
        No: the output or a gradient is not float32, or the values are further off than the rounding explains.
    """
    built = variant(workload, dtype="float32", mode=TRAIN)
    with torch.autocast(built.case.device.partition(":")[0], dtype):
        out = built.module(*built.inputs)
    found = backward(built, out)
    _refuse_other_dtypes(found, torch.float32)
    return _near(found, outcome(built), dtype, "float32 without autocast")


def _near(found: dict[str, Tensor], wanted: dict[str, Tensor], dtype: torch.dtype, than: str) -> float:
    out = {"output": wanted.pop("output")}
    hold(found, wanted, ROUGHLY, than)
    return hold(found, out, TOLERANCES[dtype], than)


def _refuse_other_dtypes(found: dict[str, Tensor], wanted: torch.dtype) -> None:
    for name, one in found.items():
        if one.dtype != wanted:
            raise No(f"{name} is {_name(one.dtype)}, expected {_name(wanted)}")


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _widened(one: Tensor) -> Tensor:
    return one.detach().float().requires_grad_() if one.is_floating_point() else one
