"""TensorRT: the module exported at opset 18, on an NVIDIA GPU. Written from its documentation; not yet run anywhere."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from upsampler_bench.backends import _engine
from upsampler_bench.case import Case

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

DESCRIPTION = "TensorRT, of the module exported at opset 18 (not yet tried on a GPU)"
OPERATORS = "torch"
SECONDS = 30.0
IS_ENGINE = True


def why_not(case: Case) -> str | None:
    """Engines run inference, of exported files, where they are installed."""
    return _engine.why_not(case, ("tensorrt", *_engine.EXPORTER), "tensorrt", ("float32", "float16"), ("cuda",))


def prepare(module: nn.Module, inputs: tuple[Tensor, ...]) -> Callable[..., Any]:
    """An execution context on torch's stream, which reads inputs and writes outputs where torch has them."""
    import tensorrt
    import torch

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        path = Path(folder) / "model.onnx"
        begin = time.perf_counter()
        size = _engine.export(module, inputs, path)
        exported = time.perf_counter()
        plan = _plan(path)
    engine = tensorrt.Runtime(tensorrt.Logger(tensorrt.Logger.ERROR)).deserialize_cuda_engine(plan)
    built = time.perf_counter()
    tf32 = " with TF32" if torch.backends.cuda.matmul.allow_tf32 else ""
    note = f"tensorrt {tensorrt.__version__}, {inputs[0].dtype}{tf32}, opset {_engine.OPSET}"
    facts: dict[str, float | str] = {"version": tensorrt.__version__, "opset": _engine.OPSET}
    facts |= {"provider": "CUDA", "export": exported - begin, "plan_bytes": engine.serialize().nbytes}
    return _engine.Engine(_bound(engine, inputs[0].device), built - begin, size, note, facts)


def _plan(path: Path) -> Any:
    """The engine's bytes.

    Raises:
        Unsupported: it cannot read the file, or has no kernel for a node.
    """
    import tensorrt
    import torch

    import upsamplers

    logger = tensorrt.Logger(tensorrt.Logger.ERROR)
    builder = tensorrt.Builder(logger)
    # As exported: in each tensor's own dtype.
    network = builder.create_network(1 << int(tensorrt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = tensorrt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(path)):
        reasons = "; ".join(str(parser.get_error(place)) for place in range(parser.num_errors))
        raise upsamplers.Unsupported(f"refused by tensorrt: {' '.join(reasons.split())[:200]}")
    config = builder.create_builder_config()
    if not torch.backends.cuda.matmul.allow_tf32:
        config.clear_flag(tensorrt.BuilderFlag.TF32)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise upsamplers.Unsupported("refused by tensorrt: no engine could be built")
    return plan


def _bound(engine: Any, device: torch.device) -> Callable[..., Any]:
    """A call of an engine on torch's own memory."""
    import tensorrt
    import torch

    _engine.use_own_stream(device)
    dtypes = {tensorrt.float32: torch.float32, tensorrt.float16: torch.float16}
    context, names, outputs = engine.create_execution_context(), [], []
    for place in range(engine.num_io_tensors):
        name = engine.get_tensor_name(place)
        if engine.get_tensor_mode(name) == tensorrt.TensorIOMode.INPUT:
            names.append(name)
            continue
        shape, dtype = tuple(engine.get_tensor_shape(name)), dtypes[engine.get_tensor_dtype(name)]
        # What the engine never writes is then found by the output check.
        outputs.append(torch.full(shape, float("nan"), dtype=dtype, device=device))
        context.set_tensor_address(name, outputs[-1].data_ptr())
    out = outputs[0] if len(outputs) == 1 else tuple(outputs)

    def call(*inputs: Tensor) -> Any:
        # Kept until the next call, as the engine reads them after this one has returned.
        call.inputs = [x.contiguous() for x in inputs]  # type: ignore[attr-defined]
        for name, x in zip(names, call.inputs, strict=True):  # type: ignore[attr-defined]
            context.set_tensor_address(name, x.data_ptr())
        context.execute_async_v3(torch.cuda.current_stream(device).cuda_stream)
        return out

    return call
