"""What an operator must get right before it is timed: shape, dtype, every element written, its reference's values."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

import upsamplers
from upsampler_bench.workload import Workload

TOLERANCES = {torch.float64: 1e-9, torch.float32: 1e-4, torch.float16: 1e-2, torch.bfloat16: 5e-2}


def why_wrong(workload: Workload) -> str | None:
    """Runs one forward and says what is wrong with its output, or None.

    Fresh memory is filled with NaN for this forward, so that an element which nobody wrote shows.
    """
    out = _with_filled_memory(workload)
    case, x = workload.case, workload.inputs[0]
    expected = (case.batch, case.channels, case.scale * case.height, case.scale * case.width)
    if not isinstance(out, Tensor) or tuple(out.shape) != expected:
        found = tuple(out.shape) if isinstance(out, Tensor) else type(out).__name__
        return f"wrong output: shape {found}, expected {expected}"
    if out.dtype != x.dtype:
        return f"wrong output: dtype {out.dtype}, expected {x.dtype}"
    if not bool(out.isfinite().all()):
        return "wrong output: not finite, or not every element written"
    return _unlike_reference(workload, out)


def _with_filled_memory(workload: Workload) -> object:
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.use_deterministic_algorithms(True, warn_only=True)
        try:
            return workload.forward()
        finally:
            torch.use_deterministic_algorithms(before[0], warn_only=before[1])


def _unlike_reference(workload: Workload, out: Tensor) -> str | None:
    reference = upsamplers.get(workload.case.upsampler).reference
    if not reference:
        return None
    case = workload.case
    twin = upsamplers.create(reference, case.channels, scale=case.scale).to(out.device, out.dtype).eval()
    twin.load_state_dict(workload.module.state_dict())
    with torch.inference_mode():
        wanted = twin(*workload.inputs)
    error = float((out - wanted).abs().max() / wanted.abs().max().clamp_min(1e-12))
    limit = TOLERANCES[out.dtype]
    return None if error <= limit else f"wrong output: {error:.1e} off {reference}, more than {limit:.0e}"
