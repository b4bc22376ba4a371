"""Whether the operator exports to ONNX at opset 18, and one file serves any size."""

from __future__ import annotations

import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from upsampler_bench.capabilities import No, NotApplicable, _probing
from upsampler_bench.device import Device
from upsampler_bench.results import Reading
from upsampler_bench.workloads.output_check import TOLERANCES
from upsampler_bench.workloads.workload import Workload

# From opset 20 on GridSample's mode is called "linear", which some runtimes read as nearest and others refuse.
OPSET = 18
NEEDED = ("onnx", "onnxruntime", "onnxscript")
INFO = _probing.info(
    "onnx_export",
    "ONNX",
    212,
    f"torch.onnx.export(dynamo=True) writes one file of opset {OPSET} for any batch, height and width: no operator of "
    "a custom domain, GridSample bilinear; onnxruntime gives eager's values at two sizes.",
)
INFOS = (INFO,)
METHOD = f"exported in float32 at opset {OPSET}, read back, run by onnxruntime on the CPU"
SECONDS = 4.0


def measure(workload: Workload, device: Device) -> tuple[Reading, ...]:
    """Exports for one size, reads the file back, and runs it with that size and another."""
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise NotApplicable(f"needs {', '.join(missing)}: pip install 'upsampler-bench[export]'")
    case = workload.case
    plain = {"device": "cpu", "dtype": "float32", "layout": "contiguous"}
    first = _probing.variant(workload, **plain, batch=max(2, case.batch))
    other = _probing.variant(workload, **plain, batch=1, height=case.height + 3, width=case.width + 2)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "operator.onnx"
        _export(first, path)
        _refuse_unportable(path)
        error = max(_off(path, one) for one in (first, other))
    return _probing.yes(INFO, METHOD, error=error, opset=OPSET)


def _export(built: Workload, path: Path) -> None:
    """Writes the file.

    Raises:
        No: the exporter cannot; its cause alone is told.
    """
    free: Any = torch.export.Dim.DYNAMIC
    shapes = tuple({0: free, 2: free, 3: free} for _ in built.inputs)
    try:
        with torch.no_grad():
            torch.onnx.export(
                built.module, built.inputs, path, dynamo=True, opset_version=OPSET, dynamic_shapes=shapes, verbose=False
            )
    except torch.onnx.OnnxExporterError as problem:
        cause = problem.__cause__ or problem
        raise No(f"{type(cause).__name__}: {' '.join(str(cause).split())[:200]}") from problem


def _refuse_unportable(path: Path) -> None:
    import onnx

    from upsampler_bench.capabilities import _onnx_file

    model = onnx.load(path)
    onnx.checker.check_model(model)
    if reason := _onnx_file.why_not_portable(model, OPSET):
        raise No(reason)


def _off(path: Path, built: Workload) -> float:
    """How far onnxruntime's output is off eager's."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()]
    given = dict(zip(names, (one.detach().numpy() for one in built.inputs), strict=False))
    (out,) = session.run(None, given)
    found: dict[str, Tensor] = {"output": torch.from_numpy(out)}
    at = "×".join(map(str, built.inputs[0].shape))
    return _probing.hold(found, {"output": _probing.forward(built)}, TOLERANCES[torch.float32], f"eager at {at}")
