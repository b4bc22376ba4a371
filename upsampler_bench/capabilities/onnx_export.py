"""Whether the operator exports to ONNX at opset 18, and one file works for any size."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from upsampler_bench.capabilities import No, NotApplicable, _probing
from upsampler_bench.device import Device
from upsampler_bench.results import Reading
from upsampler_bench.workloads.output_check import TOLERANCES
from upsampler_bench.workloads.workload import Workload

# From opset 20 on GridSample's mode is called "linear", which some runtimes read as nearest and others refuse.
OPSET = 18
STANDARD_DOMAINS = ("", "ai.onnx")
BILINEAR = "bilinear"
PACKAGES = ("onnx", "onnxruntime", "onnxscript")
INFO = _probing.info(
    "onnx_export",
    "ONNX",
    212,
    f"torch.onnx.export(dynamo=True) writes one file of opset {OPSET} for any batch, height and width, without "
    "operators of a custom domain, with bilinear GridSample; onnxruntime gives eager's values at two sizes.",
)
INFOS = (INFO,)
METHOD = f"exported in float32 at opset {OPSET}, read back, run by onnxruntime on the CPU"
SECONDS = 4.0


def measure(workload: Workload, device: Device) -> tuple[Reading, ...]:
    """Exports for one size, reads the file back, and runs it with that size and another."""
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise NotApplicable(f"needs {', '.join(missing)}: pip install 'upsampler-bench[export]'")
    import onnx

    case = workload.case
    plain = {"device": "cpu", "dtype": "float32", "layout": "contiguous"}
    first = _probing.variant(workload, **plain, batch=max(2, case.batch))
    other = _probing.variant(workload, **plain, batch=1, height=case.height + 3, width=case.width + 2)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "operator.onnx"
        _export(first, path)
        model = onnx.load(path)
        onnx.checker.check_model(model)
        if reason := why_not_portable(model):
            raise No(reason)
        error = max(_error(path, built) for built in (first, other))
    return _probing.yes(INFO, METHOD, error=error, opset=OPSET)


def why_not_portable(model: Any) -> str | None:
    """Why another runtime may compute something else than was meant by an onnx.ModelProto, or None."""
    from onnx.inliner import inline_local_functions

    versions = {opset.domain: opset.version for opset in model.opset_import}
    version = next((versions[domain] for domain in STANDARD_DOMAINS if domain in versions), None)
    if version != OPSET:
        return f"the file has opset {version}, expected {OPSET}"
    nodes = list(_nodes(inline_local_functions(model).graph))
    custom = sorted({f"{node.domain}::{node.op_type}" for node in nodes if node.domain not in STANDARD_DOMAINS})
    if custom:
        return f"operators of a custom domain: {', '.join(custom)}"
    modes = {_sampling_mode(node) for node in nodes if node.op_type == "GridSample"}
    if modes - {BILINEAR}:
        return f"GridSample has mode {', '.join(sorted(modes))}, expected {BILINEAR}"
    return None


def _nodes(graph: Any) -> Iterator[Any]:
    """Every node of a graph and of its subgraphs."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for subgraph in (attribute.g, *attribute.graphs):
                yield from _nodes(subgraph)


def _sampling_mode(node: Any) -> str:
    return next((attribute.s.decode() for attribute in node.attribute if attribute.name == "mode"), BILINEAR)


def _export(built: Workload, path: Path) -> None:
    """Writes the file.

    Raises:
        No: the exporter cannot; the message is that of its cause alone.
    """
    dynamic: Any = torch.export.Dim.DYNAMIC
    shapes = tuple({0: dynamic, 2: dynamic, 3: dynamic} for _ in built.inputs)
    try:
        with torch.no_grad():
            torch.onnx.export(
                built.module, built.inputs, path, dynamo=True, opset_version=OPSET, dynamic_shapes=shapes, verbose=False
            )
    except torch.onnx.OnnxExporterError as problem:
        cause = problem.__cause__ or problem
        raise No(f"{type(cause).__name__}: {' '.join(str(cause).split())[:200]}") from problem


def _error(path: Path, built: Workload) -> float:
    """The error of onnxruntime's output, relative to eager's."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [node.name for node in session.get_inputs()]
    feed = dict(zip(names, (x.detach().numpy() for x in built.inputs), strict=False))
    (out,) = session.run(None, feed)
    size = "×".join(map(str, built.inputs[0].shape))
    eager = _probing.forward(built)
    return _probing.error(torch.from_numpy(out), eager, TOLERANCES[torch.float32], f"eager at {size}")
