"""Whether one compiled program works for any size."""

from __future__ import annotations

from typing import Any

import torch

from upsampler_bench.capabilities import No, _compiler, _probing
from upsampler_bench.device import Device
from upsampler_bench.results import Reading
from upsampler_bench.workloads.workload import Workload

INFO = _probing.info(
    "compiles_dynamic",
    "comp dyn",
    210,
    "torch.compile(fullgraph=True, dynamic=True) makes one program of a forward, which works for a second batch, "
    "height and width without being compiled again, with eager's values.",
)
INFOS = (INFO,)
# Inductor takes up to ten times as long over symbolic sizes; what depends on the operator is how it is traced.
BACKEND = "aot_eager"
METHOD = f"torch.compile by {BACKEND} (traced and decomposed, not turned into machine code)"
SECONDS = 8.0


def measure(workload: Workload, device: Device) -> tuple[Reading, ...]:
    """Compiles for one size and calls the program with another."""
    import torch._dynamo.config
    import torch._dynamo.exc

    case = workload.case
    first = _probing.variant(workload, batch=max(2, case.batch))
    other = _probing.variant(workload, batch=first.case.batch + 1, height=case.height + 3, width=case.width + 2)
    with _compiler.nothing_traced():
        compiled = torch.compile(first.module, fullgraph=True, dynamic=True, backend=BACKEND)
        error = _error(compiled, first)
        with torch._dynamo.config.patch(error_on_recompile=True):
            try:
                error = max(error, _error(compiled, other))
            except torch._dynamo.exc.RecompileError as problem:
                guard = " ".join(str(problem).partition("guard failure(s):")[2].split())[:160]
                raise No(f"compiled again for a second size: {guard or 'no guard named'}") from problem
    return _probing.yes(INFO, METHOD, error=error)


def _error(compiled: Any, workload: Workload) -> float:
    """The error of the compiled module's output, relative to eager's."""
    with torch.no_grad():
        out = compiled(*workload.inputs)
    return _probing.error(out, _probing.forward(workload), _probing.tolerance(workload), "eager")
