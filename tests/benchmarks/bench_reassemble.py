"""What reassembly costs beside bilinear upsampling and beside unfold-and-multiply, on the CPU.

    python tests/benchmarks/bench_reassemble.py [rounds]

Everything is timed interleaved in shuffled rounds, and ratios are taken within a round, so that a machine that slows
down slows both sides. The heap is kept (no page is given back between calls) so that page faults are not timed.
"""

from __future__ import annotations

import ctypes
import random
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1] / "upsamplers")]
from live_storages import peak_bytes  # noqa: E402

import upsamplers  # noqa: E402
from upsamplers.functional.reassemble import reassemble  # noqa: E402

BATCH, CHANNELS, SIDE, SCALE, KERNEL = 1, 256, 120, 2, 5
OUTPUT_BYTES = 4 * BATCH * CHANNELS * (SCALE * SIDE) ** 2
M_MMAP_MAX, M_TRIM_THRESHOLD, M_TOP_PAD = -4, -1, -2


def keep_heap() -> None:
    """Has glibc serve every size from a heap that it does not shrink."""
    libc = ctypes.CDLL("libc.so.6")
    for option, value in ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, 2**31 - 4097), (M_TOP_PAD, 256 << 20)):
        libc.mallopt(option, value)


def bilinear(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=SCALE, mode="bilinear", align_corners=False)


def unfold_and_multiply(x: Tensor, weights: Tensor) -> Tensor:
    windows = F.unfold(x, KERNEL, padding=KERNEL // 2).view(BATCH, CHANNELS, KERNEL**2, SIDE, 1, SIDE, 1)
    products = windows * weights.view(BATCH, 1, KERNEL**2, SIDE, SCALE, SIDE, SCALE)
    return products.sum(2).view(BATCH, CHANNELS, SCALE * SIDE, SCALE * SIDE)


def compare(runs: dict[str, Callable[[], float]], base: str, rounds: int) -> None:
    """Prints the median time of each run and the median over the rounds of its ratio to the base."""
    for run in runs.values():
        run()
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name in random.sample(list(runs), len(runs)):
            times[name].append(runs[name]())
    for name, samples in times.items():
        ratio = statistics.median(a / b for a, b in zip(samples, times[base], strict=True))
        print(f"  {name:34s} {statistics.median(samples) * 1e3:9.2f} ms   {ratio:6.3f} x {base}")


def seconds(run: Callable[[], object]) -> Callable[[], float]:
    """The duration of one call, its result's release not included."""

    def timed() -> float:
        start = time.perf_counter()
        kept = run()
        passed = time.perf_counter() - start
        del kept
        return passed

    return timed


def seconds_backward(run: Callable[[], Tensor], grad: Tensor) -> Callable[[], float]:
    """The duration of one backward pass, the forward pass before it not included."""

    def timed() -> float:
        out = run()
        start = time.perf_counter()
        out.backward(grad)
        return time.perf_counter() - start

    return timed


def step(run: Callable[[], Tensor]) -> list[Tensor | None]:
    """One forward and backward pass; the result holds everything it made."""
    out = run()
    grad = torch.ones_like(out)
    out.backward(grad)
    return [out, grad]


def main(rounds: int) -> None:
    """Prints times, ratios and peaks."""
    keep_heap()
    torch.set_num_threads(2)
    x = torch.randn(BATCH, CHANNELS, SIDE, SIDE)
    last = x.to(memory_format=torch.channels_last)
    weights = torch.randn(BATCH, KERNEL**2, SCALE * SIDE, SCALE * SIDE).softmax(1)
    carafe = upsamplers.create("carafe", CHANNELS)
    print(f"inference, x {tuple(x.shape)} float32, s={SCALE}, k={KERNEL}, {torch.get_num_threads()} threads")
    with torch.inference_mode():
        runs = {
            "bilinear": lambda: bilinear(x),
            "reassemble": lambda: reassemble(x, weights, KERNEL, scale=SCALE),
            "reassemble, channels_last": lambda: reassemble(last, weights, KERNEL, scale=SCALE),
            "reassemble, bfloat16": lambda: reassemble(x.bfloat16(), weights, KERNEL, scale=SCALE),
            "carafe": lambda: carafe(x),
        }
        compare({name: seconds(run) for name, run in runs.items()}, "bilinear", rounds)
        pair = {"unfold and multiply": lambda: unfold_and_multiply(x, weights), "reassemble": runs["reassemble"]}
        compare({name: seconds(run) for name, run in pair.items()}, "unfold and multiply", max(3, rounds // 5))
        for name in ("reassemble", "carafe"):
            print(f"  peak of {name}: {peak_bytes(runs[name]) / OUTPUT_BYTES:.2f} x the output")
    train_x, train_weights = x.clone().requires_grad_(), weights.clone().requires_grad_()
    trained = {
        "reassemble": lambda: reassemble(train_x, train_weights, KERNEL, scale=SCALE),
        "carafe": lambda: carafe(train_x),
    }
    grad = torch.randn(BATCH, CHANNELS, SCALE * SIDE, SCALE * SIDE)
    print("training; peaks with the output, its gradient and all gradients")
    for name, run in trained.items():
        pair_of = {f"{name} forward": seconds(run), f"{name} backward": seconds_backward(run, grad)}
        compare(pair_of, f"{name} forward", rounds)
        for leaf in (train_x, train_weights, *carafe.parameters()):
            leaf.grad = None
        print(f"  peak of {name}: {peak_bytes(lambda run=run: step(run)) / OUTPUT_BYTES:.2f} x the output")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
