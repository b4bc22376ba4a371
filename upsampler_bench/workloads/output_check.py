"""What an operator must get right before it is timed: shape, dtype, every element written, the torch form's values."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from upsampler_bench import backends
from upsampler_bench.case import TORCH
from upsampler_bench.device import OUT_OF_MEMORY_ERRORS
from upsampler_bench.workloads import deviation
from upsampler_bench.workloads.workload import Workload
from upsamplers import Upsampler

TOLERANCES = {torch.float64: 1e-9, torch.float32: 1e-4, torch.float16: 1e-2, torch.bfloat16: 5e-2}


def why_wrong(workload: Workload) -> str | None:
    """Runs forwards in eval mode; what is wrong with the output or with what they leave behind, or None.

    In training, the step before this must have given the operators of a model gradients.

    A model's scores only have to be finite, its operator's own output is what bare cases check; in an engine the whole
    model was exported, and its scores are compared too.
    """
    training = workload.module.training
    workload.module.eval()
    try:
        out = workload.forward()
        if workload.case.model:
            wrong = _wrong_scores(workload, out) or (why_untrained(workload.module) if training else None)
            if not wrong and backends.is_engine(workload.case.backend):
                wrong = _unlike_torch(workload)
        else:
            wrong = _wrong_output(workload, out) or _unwritten_elements(workload) or _unlike_torch(workload)
    finally:
        workload.module.train(training)
    if not wrong and workload.has_written_to_its_inputs():
        return "wrong: modifies its inputs in place (they are shared with other operators)"
    return wrong


@contextmanager
def deterministic_algorithms() -> Iterator[None]:
    """Deterministic algorithms, which also fill fresh memory with NaN; what has none only warns."""
    before = torch.get_deterministic_debug_mode()
    torch.set_deterministic_debug_mode("warn")  # use_deterministic_algorithms imports a compiler, in a second
    try:
        yield
    finally:
        torch.set_deterministic_debug_mode(before)


def _wrong_output(workload: Workload, out: object) -> str | None:
    case, dtype = workload.case, workload.inputs[0].dtype
    expected = (case.batch, case.channels, case.scale * case.height, case.scale * case.width)
    if not isinstance(out, Tensor):
        return f"wrong output: {type(out).__name__}, expected a tensor of shape {expected}"
    if tuple(out.shape) != expected:
        return f"wrong output: shape {tuple(out.shape)}, expected {expected}"
    if out.dtype != dtype:
        return f"wrong output: dtype {out.dtype}, expected {dtype}"
    return None if bool(out.isfinite().all()) else "wrong output: not finite"


def _wrong_scores(workload: Workload, out: object) -> str | None:
    batch = workload.case.batch
    for scores in out if isinstance(out, tuple) else (out,):
        expected = f"expected scores ({batch}, K, h, w) or a tuple of such"
        if not isinstance(scores, Tensor):
            return f"wrong output of the model: {type(scores).__name__}; {expected}"
        if scores.dim() != 4 or scores.shape[0] != batch or not scores.is_floating_point():
            return f"wrong output of the model: {scores.dtype} {tuple(scores.shape)}; {expected}"
        if not bool(scores.isfinite().all()):
            return "wrong output of the model: not finite"
    return None


def _unwritten_elements(workload: Workload) -> str | None:
    """Fills fresh memory with NaN for one forward, so that elements which are never written are not finite."""
    if not workload.is_eager:  # compiled code does not fill its memory, and would be compiled again
        return None
    try:
        with warnings.catch_warnings(), deterministic_algorithms():
            warnings.simplefilter("ignore")
            out = workload.forward()
    except OUT_OF_MEMORY_ERRORS:  # deterministic algorithms may need more memory than those that are timed
        return None
    return None if bool(out.isfinite().all()) else "wrong output: not every element is written"


def _unlike_torch(workload: Workload) -> str | None:
    """Compares another backend's output with the torch form's in float64; on torch there is nothing to compare."""
    if workload.case.backend == TORCH:
        return None
    try:
        error = deviation.of_output(workload).largest
    except OUT_OF_MEMORY_ERRORS:  # float64 needs more memory than what is timed
        return None
    limit = TOLERANCES[workload.inputs[0].dtype]
    if error <= limit:  # nor is NaN
        return None
    return f"wrong output: differs from backend torch in float64 by {error:.1e}, more than {limit:.0e}"


def why_untrained(module: nn.Module) -> str | None:
    """What is wrong if a training step gave no parameter of a model's operators a gradient, or None."""
    operators = [operator for operator in module.modules() if isinstance(operator, Upsampler)]
    trained = [one for operator in operators for one in operator.parameters() if one.requires_grad]
    if not trained or any(one.grad is not None for one in trained):
        return None
    return "wrong gradient: no parameter of the operator gets one"
