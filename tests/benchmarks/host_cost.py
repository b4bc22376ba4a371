"""Host time of a call of every operator on Triton, beside torch's own bilinear interpolation, without a GPU.

Kernels are compiled and launched on a driver that takes every launch and does nothing (tests/upsamplers/idle_gpu.py):
what remains is Python, allocation, and torch's own operations on a feature of 4x4 pixels. Run without TRITON_INTERPRET.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F

import upsamplers

sys.path.insert(0, str(Path(__file__).parents[1] / "upsamplers"))
import idle_gpu

CHANNELS, SIDE, CALLS, ROUNDS = 64, 4, 50, 20


def host_time(call: Callable[[], object]) -> float:
    """The median of rounds of the mean time of a call, in microseconds."""
    means = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for _ in range(CALLS):
            call()
        means.append((time.perf_counter() - start) / CALLS)
    return statistics.median(means) * 1e6


def main() -> None:
    """Prints a line for every operator."""
    torch.set_num_threads(1)
    idle_gpu.activate()
    idle_gpu.keep_first_blocks()
    x = torch.zeros(1, CHANNELS, SIDE, SIDE)
    with torch.inference_mode():
        own = host_time(lambda: F.interpolate(x, scale_factor=2.0, mode="bilinear"))
        print(f"{'F.interpolate':16}{own:8.1f} us")
        for name in upsamplers.names():
            if "triton" in upsamplers.get(name).cls.backends:
                print(line(name, own), flush=True)


def line(name: str, own: float) -> str:
    """An operator's host time, in microseconds and over that of F.interpolate, and its kernels."""
    up = upsamplers.create(name, CHANNELS).eval()
    side = max(SIDE, up.least_size)
    inputs = up.example_inputs(1, side, side)
    for _ in range(3):
        up(*inputs)
    idle_gpu.launches.clear()
    up(*inputs)
    kernels = len(idle_gpu.launches)
    cost = host_time(lambda: up(*inputs))
    return f"{name:16}{cost:8.1f} us {cost / own:5.1f} x, {kernels} kernels"


if __name__ == "__main__":
    main()
