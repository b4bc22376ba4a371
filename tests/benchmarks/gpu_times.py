"""Device and host time of every operator on both backends on an NVIDIA GPU, and of every choice of blocks.

    python tests/benchmarks/gpu_times.py [operator ...] [--backend triton] [--quick] [--blocks]

At 256x120x120, times two: inference and a training pass (forward and backward), float32 and bfloat16, batch 1 and 16.
First all kernels are compiled by as many processes as there are cores. Device time is between two events with the L2
cache flushed by a write and a read, and with the launches hidden behind a spin of the device: the median of 15.
Host time is that of submitting a call to an idle device.
"""

from __future__ import annotations

import argparse
import importlib
import os
import pkgutil
import statistics
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from functools import partial
from multiprocessing import get_context
from typing import Any, NamedTuple

import torch

import upsamplers
from upsamplers.functional import _triton

CHANNELS, SIDE = 256, 120
ROUNDS = 15
# Milliseconds that each choice of blocks is timed for.
TUNING_MS = 8
FLUSHED = 128 * 2**20
# Cycles of the device's clock that a spin of a second takes, about.
CYCLES = 1.8e9
# Larger batches of these do not fit, or take long in the torch form and tell nothing new.
SINGLE = (
    "jbu", "jbu-stack", "lda-aqu", "sapa-d", "resfu", "freqfusion", "indexnet", "deconv", "pixel-shuffle", "jafar",
    "anyup", "naf", "uplift",
)  # fmt: skip
# Of a process that compiles: its context and its tensors.
COMPILING_BYTES = 2**30


class Case(NamedTuple):
    """One line of the table."""

    operator: str
    backend: str
    mode: str
    dtype: str
    batch: int


def cases(operators: list[str]) -> Iterator[Case]:
    """What is measured; training and the larger batch in float32 alone."""
    for operator in operators:
        for backend in upsamplers.get(operator).cls.backends:
            for mode, dtype, batch in (
                ("inference", "float32", 1),
                ("inference", "bfloat16", 1),
                ("training", "float32", 1),
                ("inference", "float32", 16),
            ):
                if batch == 1 or operator not in SINGLE:
                    yield Case(operator, backend, mode, dtype, batch)


def call_of(case: Case) -> Callable[[], Any]:
    """What is timed."""
    torch.manual_seed(0)
    dtype = getattr(torch, case.dtype)
    module = upsamplers.create(case.operator, CHANNELS, backend=case.backend).to("cuda", dtype)
    inputs = module.example_inputs(case.batch, SIDE, SIDE, device="cuda", dtype=dtype)
    if case.mode == "inference":
        module.eval()

        def forward() -> Any:
            with torch.inference_mode():
                return module(*inputs)

        return forward
    inputs = tuple(value.requires_grad_(value.is_floating_point()) for value in inputs)
    leaves = [value for value in (*inputs, *module.parameters()) if value.requires_grad]
    grad = torch.randn_like(module(*inputs))
    return lambda: torch.autograd.grad(module(*inputs), leaves, grad)


def times(call: Callable[[], Any]) -> tuple[float, float]:
    """Device and host time of a call in microseconds."""
    for _ in range(3):
        call()
    torch.cuda.synchronize()
    host = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        call()
        host.append(time.perf_counter() - start)
        torch.cuda.synchronize()
    flush = torch.empty(FLUSHED // 4, device="cuda")
    device = []
    spin = int(CYCLES * max(2 * statistics.median(host), 3e-4))
    for _ in range(ROUNDS):
        flush.zero_()
        flush.sum()
        torch.cuda._sleep(spin)
        first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        first.record()
        call()
        last.record()
        torch.cuda.synchronize()
        device.append(first.elapsed_time(last) * 1000)
    return statistics.median(device), statistics.median(host) * 1e6


def kernels() -> dict[str, Any]:
    """Every kernel with blocks to choose from, by its name."""
    names = (f"{_triton.__name__}.{module.name}" for module in pkgutil.iter_modules(_triton.__path__))
    modules = map(importlib.import_module, names)
    members = (member for module in modules for member in vars(module).items())
    return {name: kernel for name, kernel in members if hasattr(kernel, "configs") and hasattr(kernel, "fits")}


def compile_case(case: Case) -> None:
    """Compiles every kernel of a case with all its blocks, in a process of its own, without timing.

    What cannot be compiled here, for lack of memory say, is compiled when it is timed.
    """
    from triton.runtime import driver

    driver.active.get_benchmarker = lambda: lambda call, quantiles=None: (call(), [1.0, 1.0, 1.0])[1]
    for kernel in kernels().values():
        kernel._tuner.cache_results = False
    with suppress(Exception):
        call_of(case)()
        torch.cuda.synchronize()


def print_blocks(known: dict[str, Any]) -> None:
    """The times of the blocks that were chosen between since the last call."""
    for name, kernel in kernels().items():
        timings = getattr(kernel._tuner, "configs_timings", None)
        if timings and known.get(name) is not timings:
            known[name] = timings
            for config, values in sorted(timings.items(), key=lambda item: item[1][0]):
                chosen = " ".join(f"{key}={value}" for key, value in config.kwargs.items())
                print(f"    {name} {chosen} warps={config.num_warps}: {1000 * values[0]:.1f} us", flush=True)


def main() -> None:
    """Prints a line for every case, and at the end those that failed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("operators", nargs="*", default=upsamplers.names())
    parser.add_argument("--blocks", action="store_true", help="print the time of every choice of blocks")
    parser.add_argument("--backend", choices=("torch", "triton"), help="only this one")
    parser.add_argument("--quick", action="store_true", help="float32 and batch 1 alone")
    options = parser.parse_args()
    from triton.runtime import driver
    from triton.testing import do_bench

    driver.active.get_benchmarker = lambda: partial(do_bench, warmup=2, rep=TUNING_MS)
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    todo = [case for case in cases(list(options.operators)) if options.backend in (None, case.backend)]
    if options.quick:
        todo = [case for case in todo if case.dtype == "float32" and case.batch == 1]
    fused = [case for case in todo if case.backend == "triton" and case.batch == 1]
    start = time.perf_counter()
    workers = min(len(fused), (os.cpu_count() or 2) - 2, torch.cuda.mem_get_info()[0] // COMPILING_BYTES)
    with ProcessPoolExecutor(max(1, workers), get_context("spawn")) as pool:
        deque(pool.map(compile_case, fused), maxlen=0)
    failed = []
    print(f"compiled in {time.perf_counter() - start:.0f} s; device time and host time in us", flush=True)
    known: dict[str, Any] = {}
    for case in todo:
        try:
            device, host = times(call_of(case))
        except Exception as problem:
            failed.append(f"{' '.join(map(str, case))}: {type(problem).__name__}: {problem}")
            continue
        name = f"{case.operator:15}{case.backend:8}{case.mode:10}{case.dtype:9}{case.batch:>3}"
        print(f"{name}{device:10.1f}{host:9.1f}", flush=True)
        if options.blocks:
            print_blocks(known)
        torch.cuda.empty_cache()
    print(*failed, sep="\n")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
