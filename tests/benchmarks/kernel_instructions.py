"""What Triton compiles the kernels to, without a GPU: registers, spills and instructions for every block size.

Compiles for compute capability 9.0 at the paper's shape, 256x120x120, times two, and takes the machine code apart with
the tools that come with triton. Run without TRITON_INTERPRET:

    python tests/benchmarks/fused_instructions.py [float32|bfloat16|float16] [contiguous|channels_last]
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from upsamplers.functional._triton import affinity_kernels as affinity
from upsamplers.functional._triton import point_kernels as points
from upsamplers.functional._triton import projection_kernels as projection
from upsamplers.functional._triton import window_kernels as windows
from upsamplers.functional._triton.launch import OPTIONS, SOFTMAX

CHANNELS, SIDE, SCALE, GROUPS, DEPTH = 256, 120, 2, 4, 32
AREA = SIDE**2
ELEMENTS = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}
# Arguments that are pointers; nothing else has one of these names.
POINTERS = (
    "x", "logits", "shared_logits", "out", "lse", "grad", "grad_x", "grad_logits", "grad_shared", "query", "key",
    "offsets", "scopes", "initial", "grad_offsets", "grad_scopes", "steps", "weight", "second_weight", "bias",
    "second_bias", "norm_scale", "norm_shift",
)  # fmt: skip
WINDOW = {"K": 5, "S": SCALE, "MODE": SOFTMAX, "HAS_SHARED": False}
POINT = {"S": SCALE, "HAS_SCOPES": False, "HAS_INITIAL": True, "UNMASKED": True}
PROJECTION = {
    "SHUFFLE": 1, "BLOCK_N": 32, "HAS_SECOND": True, "HAS_BIAS": True, "HAS_SECOND_BIAS": False, "HAS_NORM": False,
    "IN_FLOAT32": False,
}  # fmt: skip
KERNELS: dict[Any, dict[str, Any]] = {
    points.sample_points_fwd_kernel: {**POINT, "HAS_OFFSETS": True},
    points.sample_points_bwd_doffsets_kernel: POINT,
    points.sample_points_bwd_dx_kernel: {**POINT, "HAS_OFFSETS": True, "SUBS": SCALE, "EXACT": False},
    points.sample_points_bwd_dx_far_kernel: {**POINT, "EXACT": False},
    projection.project_fwd_kernel: PROJECTION,
    windows.window_sum_fwd_kernel: {**WINDOW, "SUBS": 4, "STORE_LSE": True, "IN_ROWS": True},
    windows.window_sum_bwd_dx_kernel: {**WINDOW, "SIDES": SCALE},
    windows.window_sum_bwd_dlogits_kernel: {**WINDOW, "TAPS": 32, "SUBS": 4},
    affinity.affinity_sum_fwd_kernel: {"K": 5, "S": SCALE, "SUBS": 4, "DIM": DEPTH, "STORE_LSE": True, "IN_ROWS": True},
}
TOOLS = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
INSTRUCTION = re.compile(r"^\s*/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\d+\s+)?([A-Z0-9_]+)(.*);")
LABEL = re.compile(r"^(\.L_x_\d+):")


@dataclass(frozen=True, slots=True)
class Code:
    """One kernel with one choice of blocks, compiled.

    Attributes:
        name: the kernel's.
        blocks: what was chosen.
        registers: a thread's.
        spilled: bytes of a thread that registers had no room for.
        instructions: all of them, in their order.
        loop: those of the longest loop.
    """

    name: str
    blocks: dict[str, int]
    registers: int
    spilled: int
    instructions: tuple[str, ...]
    loop: tuple[str, ...]

    def line(self) -> str:
        """Of a table."""
        counts = Counter(self.loop)
        memory = "/".join(str(sum(counts[name] for name in names)) for names in (("LDG",), ("STG", "REDG", "RED")))
        products = counts["FFMA"] + counts["FMUL"]
        blocks = " ".join(f"{name.removeprefix('BLOCK_').lower()} {value}" for name, value in self.blocks.items())
        return (
            f"{self.name:36}{blocks:32}{self.registers:>5}{self.spilled:>6}{len(self.instructions):>7}"
            f"{len(self.loop):>6}{memory:>9}{products:>7}"
        )


def compiled(kernel: Any, config: Any, constants: dict[str, Any], element: str, layout: str = "contiguous") -> Code:
    """The code of a kernel with these blocks.

    Args:
        kernel: as its module has it, tuned.
        config: one of its configurations.
        constants: the other constant arguments.
        element: "fp32", "bf16" or "fp16".
        layout: of the features, "contiguous" or "channels_last".
    """
    function = kernel.fn
    known = {**constants, **config.kwargs}
    known = {name: value for name, value in known.items() if name in function.arg_names}
    missing = [argument.name for argument in function.params if argument.is_constexpr and argument.name not in known]
    assert not missing, f"{function.__name__}: constants without a value: {missing}"
    kinds = dict.fromkeys(POINTERS, f"*{element}") | {"factor": "fp32", "lse": "*fp32", "steps": "*fp32"}
    kinds |= {"norm_scale": "*fp32", "norm_shift": "*fp32"}
    kinds |= {"grad_x": "*i64" if constants["EXACT"] else "*fp32"} if "EXACT" in constants else {}
    numbers = _numbers(layout, set(function.arg_names))
    # As a launch does: what is one is a constant, what 16 divides is known to be so.
    known |= {name: 1 for name in function.arg_names if name not in known and numbers.get(name) == 1}
    aligned = {
        (position,): [["tt.divisibility", 16]]
        for position, name in enumerate(function.arg_names)
        if name not in known and (name in POINTERS or numbers.get(name, 1) % 16 == 0)
    }
    signature = {name: "constexpr" if name in known else kinds.get(name, "i32") for name in function.arg_names}
    made = triton.compile(
        ASTSource(function, signature, known, aligned),
        target=GPUTarget("cuda", 90, 32),
        options={"num_warps": config.num_warps, **OPTIONS},
    )
    return _disassembled(function.__name__, {**config.kwargs, "warps": config.num_warps}, made.asm["cubin"])


def blocks(layout: str = "contiguous") -> Iterator[tuple[Any, Any, dict[str, Any]]]:
    """Every kernel with each of its configurations for a layout, and its other constants."""
    for kernel, constants in KERNELS.items():
        for config in kernel.configs:
            given = {**constants, **_numbers(layout, set(kernel.fn.arg_names))}
            rows = {"IN_ROWS": layout == "contiguous"} if "IN_ROWS" in constants else {}
            if kernel.fits(config, given):
                align = {"ALIGN": 16 if layout == "contiguous" else 1}
                yield kernel, config, {"WIDE": False, **align, **constants, **rows}


def _numbers(layout: str, names: set[str]) -> dict[str, int]:
    """Sizes and strides by the names of the arguments."""
    groups = 1 if names & {"logits", "query"} else GROUPS
    numbers = {
        "height": SIDE,
        "width": SIDE,
        "channels": CHANNELS if "weight" in names else CHANNELS // groups,
        "groups": groups,
        "depth": DEPTH,
        "pixels": AREA,
        "outputs": 16,
        "second_outputs": 16,
        "tune_pixels": 16384,
        "tune_images": groups,
    }
    for tensor, channels, side in (
        ("x", CHANNELS, SIDE), ("o", CHANNELS, SCALE * SIDE), ("p", 2 * GROUPS * SCALE**2, SIDE),
        ("g", 2 * GROUPS * SCALE**2, SIDE), ("q", DEPTH, SCALE * SIDE), ("k", DEPTH, SIDE),
    ):  # fmt: skip
        strides = (side**2, side, 1) if layout == "contiguous" else (1, side * channels, channels)
        numbers |= {f"stride_{tensor}{axis}": stride for axis, stride in zip("chw", strides, strict=True)}
        numbers |= {f"stride_{tensor}b": channels * side**2, f"stride_{tensor}p": strides[2]}
    for tensor in "ls":
        axes = {"b": 100 * AREA, "g": 100 * AREA, "t": 4 * AREA, "h": SIDE, "w": 1}
        numbers |= {f"stride_{tensor}{axis}": stride for axis, stride in axes.items()}
    return numbers | {"stride_l_sub_h": 2 * AREA, "stride_l_sub_w": AREA}


def _disassembled(name: str, chosen: dict[str, int], cubin: bytes) -> Code:
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        usage = _output("cuobjdump", "--dump-resource-usage", file.name)
        listing = _output("nvdisasm", "-c", file.name)
    instructions: list[str] = []
    labels: dict[str, int] = {}
    longest = range(0)
    for line in listing.splitlines():
        if match := LABEL.match(line.strip()):
            labels[match[1]] = len(instructions)
        elif match := INSTRUCTION.match(line):
            instructions.append(match[1])
            target = re.search(r"\.L_x_\d+", match[2]) if match[1] == "BRA" else None
            if target and target[0] in labels:
                body = range(labels[target[0]], len(instructions))
                longest = max(longest, body, key=len)
    registers, spilled = (int(re.search(rf"{what}:(\d+)", usage)[1]) for what in ("REG", "STACK"))  # type: ignore[index]
    loop = instructions[longest.start : longest.stop] if len(longest) > 1 else []
    return Code(name, chosen, registers, spilled, tuple(instructions), tuple(loop))


def _output(tool: str, *arguments: str) -> str:
    return subprocess.run([str(TOOLS / tool), *arguments], capture_output=True, text=True, check=True).stdout


def main(element: str = "float32", layout: str = "") -> None:
    """Prints a line for every kernel and block, by default of both layouts."""
    print(f"{'kernel':36}{'blocks':32}{'regs':>5}{'spill':>6}{'all':>7}{'loop':>6}{'ld/st':>9}{'mul':>7}")
    for name in [layout] if layout else ["contiguous", "channels_last"]:
        print(f"{element}, {name}")
        for kernel, config, constants in blocks(name):
            print(compiled(kernel, config, constants, ELEMENTS[element], name).line(), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
