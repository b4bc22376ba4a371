"""Forward and backward in half precision, compared with float32: shared by the probes of half precision."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from upsampler_bench.capabilities import No
from upsampler_bench.capabilities._probing import error, limit, outcome, variant
from upsampler_bench.case import TRAIN
from upsampler_bench.workloads.workload import DTYPES, Workload

METHOD = "one forward and backward, compared with float32 by the root mean square of the error"


def error_in(workload: Workload, dtype: str) -> float:
    """The error of the output and of the gradients in this dtype, relative to float32 on the same rounded numbers.

    Raises:
        No: the dtype is not kept, or the error is larger than rounding explains.
    """
    half = variant(workload, dtype=dtype, mode=TRAIN)
    values = outcome(half)
    _require_dtype(values, DTYPES[dtype])
    full = variant(workload, dtype="float32", mode=TRAIN)
    full.module.load_state_dict(half.module.state_dict())
    inputs = tuple(x.detach().float().requires_grad_() if x.is_floating_point() else x for x in half.inputs)
    return _error(values, outcome(replace(full, inputs=inputs)), DTYPES[dtype], "float32")


def error_under_autocast(workload: Workload, dtype: torch.dtype) -> float:
    """The error of the output and of the gradients of float32 inputs under autocast to this dtype.

    Raises:
        No: the output or a gradient is not float32, or the error is larger than rounding explains.
    """
    full = variant(workload, dtype="float32", mode=TRAIN)
    with torch.autocast(full.case.device.partition(":")[0], dtype):
        out = full.module(*full.inputs)
    values = outcome(full, out)
    _require_dtype(values, torch.float32)
    return _error(values, outcome(full), dtype, "float32 without autocast")


def _error(values: dict[str, Tensor], expected: dict[str, Tensor], dtype: torch.dtype, reference: str) -> float:
    """The output's error; those of the gradients are only checked."""
    errors = {name: error(values[name], expected[name], limit(name, dtype), reference, name) for name in expected}
    return errors["output"]


def _require_dtype(values: dict[str, Tensor], dtype: torch.dtype) -> None:
    expected = str(dtype).removeprefix("torch.")
    for name, value in values.items():
        if value.dtype != dtype:
            raise No(f"{name} is {str(value.dtype).removeprefix('torch.')}, expected {expected}")
