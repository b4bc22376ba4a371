"""What engines share: they run the exported file of a module, in inference alone, and cost a build."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from upsampler_bench.case import INFERENCE, PROBE, Case
from upsampler_bench.units import counted

if TYPE_CHECKING:
    from pathlib import Path

    import torch
    from torch import Tensor, nn

# From opset 20 on GridSample's mode is called "linear", which some runtimes read as nearest and others refuse.
OPSET = 18
# What exports that.
EXPORTER = ("onnx", "onnxscript")


@dataclass(frozen=True, slots=True)
class Engine:
    """A module made ready to run in an engine, called as the module is.

    Attributes:
        run: takes the module's inputs, returns its outputs; the same memory each time, which the next call overwrites.
        build_seconds: from the module to the engine, export included.
        model_bytes: of the exported file, weights included.
        note: the engine with its version and how it runs, for a footnote.
        facts: the same for machines: "version", "provider", "opset", "export" (s), and which nodes ran elsewhere.
    """

    run: Callable[..., Any]
    build_seconds: float
    model_bytes: int
    note: str
    facts: Mapping[str, float | str] = field(default_factory=dict)

    def __call__(self, *inputs: Tensor) -> Any:
        """What the module returns for these inputs."""
        return self.run(*inputs)


def why_not(
    case: Case, packages: Sequence[str], extra: str, dtypes: Sequence[str], devices: Sequence[str]
) -> str | None:
    """Why an engine cannot run a case, whatever the operator, or None.

    Args:
        case: asked for.
        packages: that it needs, its own first.
        extra: of this project, which installs it.
        dtypes, devices: that the engine runs here.
    """
    device = case.device.partition(":")[0]
    if case.mode == PROBE:
        return f"backend {case.backend} is timed, not tested; the capability 'onnx_export' tests the export"
    if case.mode != INFERENCE:
        return f"backend {case.backend} runs inference alone"
    if missing := [name for name in packages if find_spec(name) is None]:
        return f"backend {case.backend} needs {', '.join(missing)}: pip install 'upsampler-bench[{extra}]'"
    if device not in devices:
        return f"backend {case.backend} runs on {' and '.join(devices)} here, not on {device}"
    if case.dtype not in dtypes:
        return f"backend {case.backend} takes {' and '.join(dtypes)}, not {case.dtype}"
    if case.layout != "contiguous":
        return f"backend {case.backend} takes contiguous inputs and chooses layouts itself, not {case.layout}"
    return None


def export(module: nn.Module, inputs: tuple[Tensor, ...], path: Path, *, dynamic: bool = False) -> int:
    """Writes a module as an ONNX file, the weights beside it.

    Args:
        module: on its device, in eval mode.
        inputs: what it is called with.
        path: of the file, in a folder of its own.
        dynamic: for any batch, height and width; else for these inputs' alone, as engines are built for one size.

    Returns:
        The bytes of the folder.

    Raises:
        Unsupported: the exporter cannot; the message is that of its cause alone.
    """
    import torch

    import upsamplers

    any_size: Any = torch.export.Dim.DYNAMIC
    shapes = tuple({0: any_size, 2: any_size, 3: any_size} for _ in inputs) if dynamic else None
    try:
        with torch.no_grad():
            torch.onnx.export(
                module, inputs, path, dynamo=True, opset_version=OPSET, dynamic_shapes=shapes, verbose=False
            )
    except torch.onnx.OnnxExporterError as problem:
        cause = problem.__cause__ or problem
        reason = f"{type(cause).__name__}: {' '.join(str(cause).split())[:200]}"
        raise upsamplers.Unsupported(f"not exported to ONNX: {reason}") from problem
    return sum(file.stat().st_size for file in path.parent.iterdir())


def use_own_stream(device: torch.device) -> None:
    """From now on this process works on a stream of its own: engines take the default one for none, or wait on it."""
    import torch

    default = torch.cuda.default_stream(device)
    if torch.cuda.current_stream(device) == default:
        default.synchronize()
        torch.cuda.set_stream(torch.cuda.Stream(device))


def unlike(shapes: Sequence[tuple[int | str, ...]]) -> str:
    """Says that a built engine has outputs that cannot be bound."""
    return f"the engine's outputs have shapes {', '.join(map(str, shapes))}, which are not fixed"


def threads() -> str:
    """As many CPU threads as torch has, which is as many as the case says."""
    import torch

    return counted(torch.get_num_threads(), "thread")
