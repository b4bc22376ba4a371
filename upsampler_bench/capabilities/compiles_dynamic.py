"""Whether one compiled program serves any size."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
import torch._dynamo.config
import torch._dynamo.exc

from upsampler_bench.capabilities import No, _compiler, _probing
from upsampler_bench.device import Device
from upsampler_bench.results import Reading
from upsampler_bench.workloads.workload import Workload

INFO = _probing.info(
    "compiles_dynamic",
    "comp dyn",
    210,
    "torch.compile(fullgraph=True, dynamic=True) makes one program of a forward, which serves a second batch, "
    "height and width without compiling anew, with eager's values.",
)
INFOS = (INFO,)
# Inductor takes up to ten times as long over symbolic sizes; what depends on the operator is how it is traced.
BACKEND = "aot_eager"
METHOD = f"torch.compile by {BACKEND} (traced and decomposed, not turned into machine code)"
SECONDS = 4.0


def measure(workload: Workload, device: Device) -> tuple[Reading, ...]:
    """Compiles for one size and calls the program with another."""
    case = workload.case
    first = _probing.variant(workload, batch=max(2, case.batch))
    larger = {"batch": first.case.batch + 1, "height": case.height + 3, "width": case.width + 2}
    other = _probing.variant(workload, **larger)
    with _compiler.forgotten():
        program = torch.compile(first.module, fullgraph=True, dynamic=True, backend=BACKEND)
        error = _off(first, program)
        with torch._dynamo.config.patch(error_on_recompile=True):
            try:
                return _probing.yes(INFO, METHOD, error=max(error, _off(other, program)))
            except torch._dynamo.exc.RecompileError as problem:
                raise No(f"compiled anew for a second size: {_guard(str(problem))}") from problem


def _off(built: Workload, program: Any) -> float:
    """How far the program's output is off eager's."""
    found, wanted = ({"output": _probing.forward(one)} for one in (replace(built, module=program), built))
    return _probing.hold(found, wanted, _probing.rounding(built), "eager")


def _guard(text: str) -> str:
    """The guard that failed, of the compiler's report."""
    return " ".join(text.partition("guard failure(s):")[2].split())[:160] or "no guard named"
