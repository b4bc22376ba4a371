"""Prints docs/engines.md's table: the error of every operator in every engine here, by a file of fixed and of any size.

    python tests/benchmarks/engine_errors.py ['dysample*' ...]

Errors are of float32, root mean square, relative to torch in float64, with parameters as if trained.
"""

from __future__ import annotations

import fnmatch
import logging
import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

import upsamplers
from upsampler_bench.backends._engine import export
from upsampler_bench.capabilities._probing import as_if_trained

CHANNELS = 32
# (B, H, W) of the fixed file and the first call of the other; and of its second call.
SIZES = (2, 12, 10), (1, 15, 13)


def in_onnxruntime(path: Path, inputs: Sequence[Tensor]) -> Tensor:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [node.name for node in session.get_inputs()]
    return torch.from_numpy(session.run(None, dict(zip(names, (x.numpy() for x in inputs), strict=True)))[0])


def in_openvino(path: Path, inputs: Sequence[Tensor]) -> Tensor:
    import openvino

    compiled = openvino.Core().compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return torch.from_numpy(compiled([x.numpy() for x in inputs])[0].copy())


Run = Callable[[Path, Sequence[Tensor]], Tensor]
ENGINES: dict[str, Run] = {"onnxruntime": in_onnxruntime, "openvino": in_openvino}


def cell(run: Run, path: Path, inputs: Sequence[Tensor], expected: Tensor) -> str:
    try:
        out = run(path, inputs)
    except Exception as problem:
        return f"refused: {' '.join(str(problem).split())[:80]}"
    if out.shape != expected.shape:
        return f"wrong shape {tuple(out.shape)}"
    return f"{float((out.double() - expected).norm() / expected.norm()):.0e}"


def row(name: str, engines: Sequence[Run]) -> list[str]:
    torch.manual_seed(0)
    up = upsamplers.create(name, CHANNELS, backend="torch").eval()
    as_if_trained(up)
    calls = [up.example_inputs(*size) for size in SIZES]
    with torch.no_grad():
        up.double()
        expected = [up(*(x.double() if x.is_floating_point() else x for x in inputs)) for inputs in calls]
        up.float()
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for dynamic in (False, True):
            path = Path(folder) / str(dynamic) / "up.onnx"
            path.parent.mkdir()
            try:
                export(up, calls[0], path, dynamic=dynamic)
            except upsamplers.Unsupported as problem:
                return [str(problem)]
            paths.append(path)
        fixed, any_size = paths
        cells = []
        for run in engines:
            cells.append(cell(run, fixed, calls[0], expected[0]))
            cells += [cell(run, any_size, *pair) for pair in zip(calls, expected, strict=True)]
        return cells


def main() -> None:
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    patterns = sys.argv[1:] or ["*"]
    engines = [name for name in ENGINES if find_spec(name)]
    heads = [f"{name}, {kind}" for name in engines for kind in ("fixed", "any size: first", "second")]
    print(f"| operator | {' | '.join(heads)} |\n| :-- |{' --: |' * len(heads)}", flush=True)
    for name in upsamplers.names():
        if any(fnmatch.fnmatch(name, pattern) for pattern in patterns):
            print(f"| `{name}` | {' | '.join(row(name, [ENGINES[engine] for engine in engines]))} |", flush=True)


if __name__ == "__main__":
    main()
