"""ONNX Runtime: the module exported at opset 18, on the CPU or with the CUDA provider."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from upsampler_bench.backends import _engine
from upsampler_bench.case import Case

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

DESCRIPTION = "ONNX Runtime, of the module exported at opset 18"
OPERATORS = "torch"
SECONDS = 3.0
IS_ENGINE = True
DTYPES = ("float32", "float16")
PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
# The types of an ONNX file that outputs may have.
TYPES = {"tensor(float)": "float32", "tensor(float16)": "float16", "tensor(double)": "float64"}


def why_not(case: Case) -> str | None:
    """Engines run inference, of exported files, where they are installed."""
    available: list[str] = []
    if find_spec("onnxruntime") is not None:
        import onnxruntime

        available = onnxruntime.get_available_providers()
    devices = [device for device, provider in PROVIDERS.items() if provider in available]
    return _engine.why_not(case, ("onnxruntime", *_engine.EXPORTER), "onnxruntime", DTYPES, devices)


def prepare(module: nn.Module, inputs: tuple[Tensor, ...]) -> Callable[..., Any]:
    """A session with as many threads as torch has, which reads inputs and writes outputs where torch has them."""
    import onnxruntime

    import upsamplers

    device = inputs[0].device
    provider = PROVIDERS[device.type]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        path = Path(folder) / "model.onnx"
        begin = time.perf_counter()
        size = _engine.export(module, inputs, path)
        exported = time.perf_counter()
        try:
            session = _session(path, device)
        except Exception as problem:  # each kind of refusal has a class of its own, of no common base
            raise upsamplers.Unsupported(f"refused by onnxruntime: {' '.join(str(problem).split())[:200]}") from problem
        built = time.perf_counter()
        elsewhere = _elsewhere(path, device, inputs) if provider != PROVIDERS["cpu"] else ""
    threads = "" if device.type == "cuda" else f", {_engine.threads()}"
    note = f"onnxruntime {onnxruntime.__version__}, {provider}, opset {_engine.OPSET}{threads}"
    facts: dict[str, float | str] = {"version": onnxruntime.__version__, "provider": provider, "opset": _engine.OPSET}
    facts |= {"export": exported - begin}
    if elsewhere:
        note, facts["elsewhere"] = f"{note}; elsewhere: {elsewhere}", elsewhere
    return _engine.Engine(_bound(session, device), built - begin, size, note, facts)


def _session(path: Path, device: torch.device, *, profile: bool = False) -> Any:
    import onnxruntime
    import torch

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors
    # From the heap of the process, as torch on a CPU: an arena for each session would keep the memory of all of them.
    options.enable_cpu_mem_arena = False
    # Threads that wait for the next call by spinning would slow whatever is timed between two calls.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    options.enable_profiling = profile
    options.profile_file_prefix = str(path.with_suffix(""))
    if device.type == "cpu":
        return onnxruntime.InferenceSession(str(path), options, providers=[PROVIDERS["cpu"]])
    _engine.use_own_stream(device)
    chosen = {
        "device_id": str(device.index or 0),
        # The stream that is timed, and the precision of products that torch has.
        "user_compute_stream": str(torch.cuda.current_stream(device).cuda_stream),
        "use_tf32": str(int(torch.backends.cuda.matmul.allow_tf32)),
    }
    providers = [(PROVIDERS["cuda"], chosen), PROVIDERS["cpu"]]
    return onnxruntime.InferenceSession(str(path), options, providers=providers)


def _bound(session: Any, device: torch.device) -> Callable[..., Any]:
    """A call of a session on torch's own memory."""
    import numpy
    import onnxruntime
    import torch

    import upsamplers

    shapes = [tuple(node.shape) for node in session.get_outputs()]
    if not all(isinstance(side, int) for shape in shapes for side in shape):
        raise upsamplers.Unsupported(_engine.unlike(shapes))
    names, where = [node.name for node in session.get_inputs()], (device.type, device.index or 0)
    binding, outputs = session.io_binding(), []
    for node, shape in zip(session.get_outputs(), shapes, strict=True):
        # What the engine never writes is then found by the output check.
        output = torch.full(shape, float("nan"), dtype=getattr(torch, TYPES[node.type]), device=device)
        binding.bind_output(node.name, *where, numpy.dtype(TYPES[node.type]), shape, output.data_ptr())
        outputs.append(output)
    options = onnxruntime.RunOptions()
    options.add_run_config_entry("disable_synchronize_execution_providers", "1")  # as torch's calls do not wait
    out = outputs[0] if len(outputs) == 1 else tuple(outputs)

    def call(*inputs: Tensor) -> Any:
        for name, x in zip(names, inputs, strict=True):
            x = x.contiguous()
            dtype = numpy.dtype(str(x.dtype).removeprefix("torch."))
            binding.bind_input(name, *where, dtype, tuple(x.shape), x.data_ptr())
        session.run_with_iobinding(binding, options)
        return out

    return call


def _elsewhere(path: Path, device: torch.device, inputs: tuple[Tensor, ...]) -> str:
    """The nodes of one call that ran on another provider than the device's, e.g. "3 Gather on CPU"."""
    session = _session(path, device, profile=True)
    _bound(session, device)(*inputs)
    return nodes_elsewhere(json.loads(Path(session.end_profiling()).read_text()), PROVIDERS[device.type])


def nodes_elsewhere(events: list[dict[str, Any]], provider: str) -> str:
    """Of ONNX Runtime's profile: how many nodes of which kind ran on other providers than this one."""
    counts: dict[tuple[str, str], int] = {}
    for event in events:
        ran = event.get("args", {})
        if ran.get("provider", provider) != provider:
            kind = ran["op_name"], ran["provider"].removesuffix("ExecutionProvider")
            counts[kind] = counts.get(kind, 0) + 1
    return ", ".join(f"{count} {name} on {other}" for (name, other), count in sorted(counts.items()))
