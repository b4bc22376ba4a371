"""What an operator must get right before it is timed: shape, dtype, every element written, its reference's values."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

import upsamplers
from upsampler_bench.device import OUT_OF_MEMORY_ERRORS
from upsampler_bench.workloads.workload import Workload

TOLERANCES = {torch.float64: 1e-9, torch.float32: 1e-4, torch.float16: 1e-2, torch.bfloat16: 5e-2}


def why_wrong(workload: Workload) -> str | None:
    """Runs forwards in eval mode and says what is wrong with the output or with what they leave behind, or None.

    A model's scores only have to be finite: its operator's own output is what bare cases check.
    """
    training = workload.module.training
    workload.module.eval()
    try:
        out = workload.forward()
        if workload.case.model:
            wrong = _why_wrong_scores(workload, out)
        else:
            wrong = _why_wrong_output(workload, out) or _not_written(workload) or _unlike_reference(workload, out)
    finally:
        workload.module.train(training)
    if not wrong and workload.has_written_to_its_inputs():
        return "wrong: it writes to its inputs, which others read too"
    return wrong


def _why_wrong_output(workload: Workload, out: object) -> str | None:
    case, x = workload.case, workload.inputs[0]
    expected = (case.batch, case.channels, case.scale * case.height, case.scale * case.width)
    if not isinstance(out, Tensor) or tuple(out.shape) != expected:
        found = tuple(out.shape) if isinstance(out, Tensor) else type(out).__name__
        return f"wrong output: shape {found}, expected {expected}"
    if out.dtype != x.dtype:
        return f"wrong output: dtype {out.dtype}, expected {x.dtype}"
    return None if bool(out.isfinite().all()) else "wrong output: not finite"


def _why_wrong_scores(workload: Workload, out: object) -> str | None:
    several = out if isinstance(out, tuple) else (out,)
    batch = workload.case.batch
    for one in several:
        if not isinstance(one, Tensor) or one.dim() != 4 or one.shape[0] != batch or not one.is_floating_point():
            found = f"{one.dtype} {tuple(one.shape)}" if isinstance(one, Tensor) else type(one).__name__
            return f"wrong output of the model: {found}; expected scores ({batch}, K, h, w), or a tuple of such"
    return None if all(bool(one.isfinite().all()) for one in several) else "wrong output of the model: not finite"


def _not_written(workload: Workload) -> str | None:
    """Fills fresh memory with NaN for one forward, so that an element which nobody wrote shows."""
    if workload.is_compiled:  # takes its memory past the filling, and would be compiled anew for it
        return None
    try:
        with _filled_memory():
            out = workload.forward()
    except OUT_OF_MEMORY_ERRORS:  # some operations take another path then, which may need more than the one timed
        return None
    return None if bool(out.isfinite().all()) else "wrong output: not every element written"


@contextmanager
def _filled_memory() -> Iterator[None]:
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.use_deterministic_algorithms(True, warn_only=True)
        try:
            yield
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
