"""Whether a training step repeats bit by bit."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from upsampler_bench.capabilities import No, _probing
from upsampler_bench.case import TRAIN
from upsampler_bench.device import Device
from upsampler_bench.results import Reading
from upsampler_bench.workloads.output_check import deterministic_algorithms
from upsampler_bench.workloads.workload import Workload

INFO = _probing.info(
    "deterministic",
    "same bits",
    208,
    "Forward and backward repeat bit by bit, and torch.use_deterministic_algorithms(True) accepts all of their "
    "operations.",
)
INFOS = (INFO,)
REPEATS = 4
METHOD = f"{REPEATS + 1} forwards and backwards on two or more threads"
SECONDS = 0.1
# A warning about it concerns the environment that a process is started in, not the operator.
ENVIRONMENT = "CUBLAS_WORKSPACE_CONFIG"


def measure(workload: Workload, device: Device) -> tuple[Reading, ...]:
    """Repeats a training step, and then takes it under deterministic algorithms."""
    built = _probing.variant(workload, mode=TRAIN)
    built.module.train()
    # Which algorithm cuDNN chooses does not depend on the operator.
    cudnn = torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)
    threads = torch.get_num_threads()
    torch.set_num_threads(max(2, threads))  # on one thread, results that depend on the order of threads always repeat
    try:
        with torch.random.fork_rng(), cudnn:
            first = _step(built)
            for _ in range(REPEATS):
                again = _step(built)
                if changed := [name for name, value in first.items() if not torch.equal(value, again[name])]:
                    raise No(f"{', '.join(changed)} changed from run to run")
            if refused := _refused(built):
                raise No(refused)
    finally:
        torch.set_num_threads(threads)
    return _probing.yes(INFO, METHOD)


def _step(built: Workload) -> dict[str, Tensor]:
    """Output and gradients; dropout drops the same every time."""
    torch.manual_seed(0)
    return _probing.outcome(built, parameters=True)


def _refused(built: Workload) -> str:
    """What deterministic algorithms refuse, as warnings, of which there is one for each operation."""
    with deterministic_algorithms(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        _step(built)
    texts = [str(warning.message) for warning in caught]
    texts = [text for text in texts if "determinis" in text and ENVIRONMENT not in text]
    return "; ".join(dict.fromkeys(text.partition(", but you set")[0] for text in texts))
