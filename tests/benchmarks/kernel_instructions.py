"""What Triton compiles the kernels to, without a GPU: registers, spills and instructions for every choice of blocks.

    python tests/benchmarks/kernel_instructions.py [--dtype bfloat16] [--layout channels_last] [--first] [kernel ...]

Every operator runs forward and backward on tensors without memory, at the paper's shape, 256x120x120, times two. Each
kind of launch is compiled for compute capability 9.0, as a GPU would specialise it, with all its blocks; the tools that
come with triton take the machine code apart. Run without TRITON_INTERPRET.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import torch
import triton

import upsamplers
from upsamplers.functional._triton.launch import OPTIONS, Tuned

sys.path.insert(0, str(Path(__file__).parents[1] / "upsamplers"))
import idle_gpu

CHANNELS, SIDE = 256, 120
DTYPES = ("float32", "bfloat16", "float16")
LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
TOOLS = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
INSTRUCTION = re.compile(r"^\s*/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\d+\s+)?([A-Z0-9_]+)(.*);")
LABEL = re.compile(r"^(\.L_x_\d+):")


class Launch(NamedTuple):
    """One kind of launch: a kernel with the arguments of an operator."""

    name: str
    arguments: tuple[Any, ...]
    constants: dict[str, Any]


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
            f"{self.name:36} {blocks:44}{self.registers:>5}{self.spilled:>6}{len(self.instructions):>7}"
            f"{len(self.loop):>6}{memory:>9}{products:>7}"
        )


def recorded(dtype: str, layout: str) -> list[Launch]:
    """The launches of all operators in inference and training, one of each kind."""
    found: dict[Any, Launch] = {}

    def record(kernel: Tuned, grid: Any, arguments: tuple[Any, ...], constants: dict[str, Any]) -> None:
        tensors = [value for value in arguments if isinstance(value, torch.Tensor)]
        apart = tuple(value.detach() if isinstance(value, torch.Tensor) else value for value in arguments)
        kind = (kernel, *(tensor.dtype for tensor in tensors), *constants.items())
        found.setdefault(kind, Launch(kernel.fn.__name__, apart, constants))

    run, Tuned.run = Tuned.run, record  # type: ignore[method-assign]
    try:
        for name in upsamplers.names():
            if "triton" in upsamplers.get(name).cls.backends:
                run_operator(name, getattr(torch, dtype), LAYOUTS[layout])
    finally:
        Tuned.run = run  # type: ignore[method-assign]
    return [*found.values()]


def run_operator(name: str, dtype: torch.dtype, layout: torch.memory_format) -> None:
    """Forward without gradients, then forward and backward, on the meta device."""
    with torch.device("meta"):
        up = upsamplers.create(name, CHANNELS).to(dtype)
        inputs = [value.contiguous(memory_format=layout) for value in up.example_inputs(1, SIDE, SIDE, dtype=dtype)]
    with torch.inference_mode():
        up.eval()(*inputs)
    out = up.train()(*(value.requires_grad_(value.is_floating_point()) for value in inputs))
    out.backward(torch.empty_like(out))


def compiled(launch: Launch, index: int) -> Code | None:
    """The code of a launch with the kernel's configuration of this index; None where that cannot run it."""
    kernel = idle_gpu.kernels()[launch.name]
    config = kernel.configs[index]
    named = kernel._named(launch.arguments, launch.constants)
    if not kernel.fits(config, named):
        return None
    derived = kernel._derive(named | config.kwargs)
    made = kernel.fn.warmup(
        *launch.arguments, grid=(1,), **launch.constants, **config.all_kwargs(), **derived, **OPTIONS
    )
    return disassembled(launch.name, {**config.kwargs, "warps": config.num_warps}, made.asm["cubin"])


def disassembled(name: str, chosen: dict[str, int], cubin: bytes) -> Code:
    """Machine code taken apart."""
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


def chosen_launches(dtype: str, layout: str, first: bool, names: list[str]) -> list[tuple[Launch, int]]:
    """Each launch with the number of each configuration.

    Args:
        dtype, layout: of the features.
        first: takes one kind of launch of each kernel, that of the first operator in the list.
        names: parts of the names of kernels; empty: all.
    """
    chosen: dict[Any, Launch] = {}
    for position, launch in enumerate(recorded(dtype, layout)):
        if not names or any(part in launch.name for part in names):
            chosen.setdefault(launch.name if first else position, launch)
    known = idle_gpu.kernels()
    return [(launch, index) for launch in chosen.values() for index in range(len(known[launch.name].configs))]


def codes(dtype: str, layout: str, first: bool, names: list[str]) -> Iterator[tuple[Launch, Code]]:
    """What is compiled, by as many processes as there are cores."""
    work = chosen_launches(dtype, layout, first, names)
    with ProcessPoolExecutor(os.cpu_count(), get_context("spawn"), idle_gpu.activate) as pool:
        for (launch, _), code in zip(work, pool.map(compiled, *zip(*work, strict=True)), strict=True):
            if code is not None:
                yield launch, code


def main() -> None:
    """Prints a line for every kind of launch and choice of blocks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kernels", nargs="*", help="Parts of the names of kernels; by default all.")
    parser.add_argument("--dtype", choices=DTYPES, default="float32", help="Of the features and the weights.")
    parser.add_argument("--layout", choices=LAYOUTS, default="contiguous", help="Of the features.")
    parser.add_argument("--first", action="store_true", help="One kind of launch of each kernel.")
    options = parser.parse_args()
    idle_gpu.activate()
    print(f"{'kernel':37}{'blocks':44}{'regs':>5}{'spill':>6}{'all':>7}{'loop':>6}{'ld/st':>9}{'mul':>7}")
    before = None
    for launch, code in codes(options.dtype, options.layout, options.first, options.kernels):
        if launch.constants != before:
            print(" ".join(f"{name}={value}" for name, value in launch.constants.items()))
            before = launch.constants
        print(code.line(), flush=True)


if __name__ == "__main__":
    main()
