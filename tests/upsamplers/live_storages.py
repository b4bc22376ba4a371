"""The most bytes of tensors that a call makes and that are alive at the same time."""

from __future__ import annotations

from collections.abc import Callable

from upsampler_bench.device.tensor_memory import LiveStorages


def peak_bytes(run: Callable[[], object]) -> int:
    """Peak bytes of storages made during a call, its result included; what it was given does not count."""
    with LiveStorages() as live:
        kept = run()
    del kept
    return live.peak
