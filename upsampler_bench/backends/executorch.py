"""ExecuTorch: the module lowered to XNNPACK where that has kernels, as on phones, on the CPU."""

from __future__ import annotations

import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from upsampler_bench.backends import _engine
from upsampler_bench.case import Case

if TYPE_CHECKING:
    from torch import Tensor, nn

DESCRIPTION = "ExecuTorch, of the module lowered to XNNPACK where that can"
OPERATORS = "torch"
SECONDS = 10.0
IS_ENGINE = True
DTYPES = ("float32",)
# Nodes of a lowered program that compute nothing in a kernel of ExecuTorch's own.
NO_KERNELS = ("executorch_call_delegate", "getitem", "alloc")


def why_not(case: Case) -> str | None:
    """Engines run inference, of exported files, where they are installed."""
    return _engine.why_not(case, ("executorch",), "executorch", DTYPES, ("cpu",))


def prepare(module: nn.Module, inputs: tuple[Tensor, ...]) -> Callable[..., Any]:
    """A loaded program with as many threads as torch has."""
    import torch
    from executorch.runtime import Runtime

    import upsamplers

    begin = time.perf_counter()
    try:
        with _quiet(), torch.no_grad():
            exported = torch.export.export(module, inputs)
            program, elsewhere = _lowered(exported)
    except Exception as problem:  # whatever a pass of the exporter raises
        reason = f"{type(problem).__name__}: {' '.join(str(problem).split())[:200]}"
        raise upsamplers.Unsupported(f"not lowered to ExecuTorch: {reason}") from problem
    _set_threads(torch.get_num_threads())
    try:
        loaded = Runtime.get().load_program(program)
        method = loaded.load_method("forward")
    except RuntimeError as problem:
        reason = " ".join(str(problem).split())[:200]
        raise upsamplers.Unsupported(f"refused by executorch: {reason} (its nodes: {elsewhere})") from problem
    release = version("executorch")
    note = f"executorch {release}, XNNPACK, {_engine.threads()}"
    facts: dict[str, float | str] = {"version": release, "provider": "XNNPACK"}
    if elsewhere:
        note, facts["elsewhere"] = f"{note}; in kernels of its own: {elsewhere}", elsewhere

    def call(*inputs: Tensor) -> Any:
        outputs = method.execute(inputs)
        return outputs[0] if len(outputs) == 1 else tuple(outputs)

    call.program = loaded  # type: ignore[attr-defined]  # a method does not keep what it was loaded from
    return _engine.Engine(call, time.perf_counter() - begin, len(program), note, facts)


def _lowered(exported: Any) -> tuple[bytes, str]:
    """The program of an exported module, and the nodes that XNNPACK does not run, e.g. "1 grid_sampler_2d"."""
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    lowered = to_edge_transform_and_lower(exported, partitioner=[XnnpackPartitioner()])
    program = lowered.to_executorch()
    nodes = [node.target.__name__ for node in lowered.exported_program().graph.nodes if node.op == "call_function"]
    kinds = Counter(name.partition(".")[0] for name in nodes if name not in NO_KERNELS)
    return program.buffer, ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))


def _set_threads(count: int) -> None:
    from executorch.extension.pybindings import portable_lib

    with _quiet():
        portable_lib._unsafe_reset_threadpool(count)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the warnings of its packages, which a user can do nothing about."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
