"""OpenVINO: the module exported at opset 18, on the CPU."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from upsampler_bench.backends import _engine
from upsampler_bench.case import Case

if TYPE_CHECKING:
    from torch import Tensor, nn

DESCRIPTION = "OpenVINO, of the module exported at opset 18"
OPERATORS = "torch"
SECONDS = 3.0
IS_ENGINE = True
DTYPES = ("float32", "float16")
# What its plug-in calls a node that has no kernel for this processor, and runs in plain C++.
PLAIN = "ref"


def why_not(case: Case) -> str | None:
    """Engines run inference, of exported files, where they are installed."""
    return _engine.why_not(case, ("openvino", *_engine.EXPORTER), "openvino", DTYPES, ("cpu",))


def prepare(module: nn.Module, inputs: tuple[Tensor, ...]) -> Callable[..., Any]:
    """A compiled model with as many threads as torch has; it reads inputs and writes outputs where torch has them."""
    import openvino
    import torch

    import upsamplers

    # By default a processor with such products computes float32 in bfloat16.
    precision = {torch.float32: "f32", torch.float16: "f16"}[inputs[0].dtype]
    settings = {
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "INFERENCE_PRECISION_HINT": precision,
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "ENABLE_CPU_PINNING": False,  # the process has its cores already
    }
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        path = Path(folder) / "model.onnx"
        begin = time.perf_counter()
        size = _engine.export(module, inputs, path)
        exported = time.perf_counter()
        try:
            compiled = openvino.Core().compile_model(str(path), "CPU", settings)
        except RuntimeError as problem:
            raise upsamplers.Unsupported(f"refused by openvino: {' '.join(str(problem).split())[:200]}") from problem
        built = time.perf_counter()
    version = openvino.__version__.partition("-")[0]
    note = f"openvino {version}, CPU, {precision}, opset {_engine.OPSET}, {_engine.threads()}"
    facts: dict[str, float | str] = {"version": version, "provider": "CPU", "opset": _engine.OPSET}
    facts |= {"export": exported - begin, "precision": precision}
    if elsewhere := _plain_nodes(compiled):
        note, facts["elsewhere"] = f"{note}; without a kernel for this processor: {elsewhere}", elsewhere
    return _engine.Engine(_bound(compiled), built - begin, size, note, facts)


def _bound(compiled: Any) -> Callable[..., Any]:
    """A call of a compiled model on torch's own memory."""
    import openvino
    import torch

    import upsamplers

    if any(output.get_partial_shape().is_dynamic for output in compiled.outputs):
        shapes = [tuple(map(str, output.get_partial_shape())) for output in compiled.outputs]
        raise upsamplers.Unsupported(_engine.unlike(shapes))
    request, outputs = compiled.create_infer_request(), []
    for place, port in enumerate(compiled.outputs):
        # What the engine never writes is then found by the output check.
        dtype = getattr(torch, str(port.get_element_type().to_dtype()))
        outputs.append(torch.full(tuple(port.shape), float("nan"), dtype=dtype))
        request.set_output_tensor(place, openvino.Tensor(outputs[-1].numpy(), shared_memory=True))
    out = outputs[0] if len(outputs) == 1 else tuple(outputs)

    def call(*inputs: Tensor) -> Any:
        for place, x in enumerate(inputs):
            request.set_input_tensor(place, openvino.Tensor(x.contiguous().numpy(), shared_memory=True))
        request.infer()
        return out

    return call


def _plain_nodes(compiled: Any) -> str:
    """The nodes without a kernel for this processor, e.g. "2 Gather"."""
    facts = [node.get_rt_info() for node in compiled.get_runtime_model().get_ops()]
    kinds = Counter(
        str(fact["layerType"].value) for fact in facts if str(fact["primitiveType"].value).startswith(PLAIN)
    )
    return ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
