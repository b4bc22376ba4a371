"""Whether a training step repeats bit by bit."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from upsampler_bench.capabilities import No, _probing
from upsampler_bench.case import TRAIN
from upsampler_bench.device import Device
from upsampler_bench.results import Reading
from upsampler_bench.workloads.workload import Workload

INFO = _probing.info(
    "deterministic",
    "same bits",
    208,
    "Forward and backward repeat bit by bit, and torch.use_deterministic_algorithms(True) refuses nothing in them.",
)
INFOS = (INFO,)
REPEATS = 4
METHOD = f"{REPEATS + 1} forwards and backwards on two or more threads"
SECONDS = 0.1
# A matter of the environment that a process is started in, not of the operator.
ENVIRONMENT = "CUBLAS_WORKSPACE_CONFIG"


def measure(workload: Workload, device: Device) -> tuple[Reading, ...]:
    """Repeats a training step, and then takes it under deterministic algorithms."""
    built = _probing.variant(workload, mode=TRAIN)
    built.module.train()
    # cuDNN's own choice of algorithms is no matter of the operator.
    library = torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)
    with _two_threads(), torch.random.fork_rng(), library:
        first = _step(built)
        for _ in range(REPEATS):
            again = _step(built)
            changed = [name for name, one in first.items() if not torch.equal(one, again[name])]
            if changed:
                raise No(f"{', '.join(changed)} changed from run to run")
        refused = _refused(built)
    if refused:
        raise No(refused)
    return _probing.yes(INFO, METHOD)


def _step(built: Workload) -> dict[str, Tensor]:
    """Output and gradients; dropout drops the same every time."""
    torch.manual_seed(0)
    return _probing.outcome(built, parameters=True)


def _refused(built: Workload) -> str:
    """What deterministic algorithms refuse; asked for as warnings, which come one for each operation."""
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            _step(built)
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
    texts = [str(one.message) for one in said if "determinis" in str(one.message)]
    found = dict.fromkeys(text.partition(", but you set")[0] for text in texts if ENVIRONMENT not in text)
    return "; ".join(found)


@contextmanager
def _two_threads() -> Iterator[None]:
    """What depends on the order in which threads come would not show on one."""
    before = torch.get_num_threads()
    torch.set_num_threads(max(2, before))
    try:
        yield
    finally:
        torch.set_num_threads(before)
