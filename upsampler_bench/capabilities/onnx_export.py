"""Whether the operator exports to ONNX at opset 18, and one file works for any size."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

import upsamplers
from upsampler_bench.backends._engine import OPSET, export
from upsampler_bench.capabilities import No, NotApplicable, _probing
from upsampler_bench.device import Device
from upsampler_bench.results import Reading
from upsampler_bench.workloads.output_check import TOLERANCES
from upsampler_bench.workloads.workload import Workload

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
SECONDS = 6.0


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
        try:
            export(first.module, first.inputs, path, dynamic=True)
        except upsamplers.Unsupported as problem:
            raise No(str(problem)) from problem
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
