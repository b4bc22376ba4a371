"""How fast the device under test moves bytes and multiplies: what a floor is counted in.

Measured with the run's own threads and clock, in the process that times the operators, once: they and their floor saw
the same machine. Each mode is measured in a process of its own, so a run holds the rates twice; where they differ, so
much did the machine.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F

from upsampler_bench.device import Call, Device

# Each of the two buffers of the copy: far beyond the last-level cache. A GPU keeps written lines in a larger one.
CUDA_BUFFER, BUFFER = 2**29, 2**27
# A product grows until one call takes so long; then the fastest call within the time for each counts.
LONG_ENOUGH, SPENT, FEWEST, MOST = 0.002, 0.06, 1, 10
LARGEST_SIDE, LARGEST_IMAGE, FEATURES = 8192, 512, 256
# On a GPU each size costs a search among algorithms, and small ones are far from the best rate.
LEAST_IMAGE, LEAST_IMAGE_CUDA = 16, 128
HALVES = (torch.float16, torch.bfloat16)


@dataclass(frozen=True, slots=True)
class Rates:
    """The best that the device was seen to do.

    Attributes:
        copying: bytes a second, read and written ones together.
        multiplying: multiply-adds a second.
    """

    copying: float
    multiplying: float


_measured: dict[tuple[str, str, torch.dtype], Rates] = {}


def measured(device: Device, dtype: torch.dtype) -> Rates:
    """The rates of this process; measured at the first call, in a third of a second."""
    key = (device.name, device.timing_method(), dtype)
    if key not in _measured:
        with torch.inference_mode():
            _measured[key] = Rates(_copying(device), _multiplying(device, dtype))
        device.release()
    return _measured[key]


def _copying(device: Device) -> float:
    size = CUDA_BUFFER if device.kind == "cuda" else BUFFER
    source = torch.zeros(size, dtype=torch.uint8, device=device.name)
    target = torch.empty_like(source)
    return 2 * size / _fastest(device, lambda: target.copy_(source))


def _multiplying(device: Device, dtype: torch.dtype) -> float:
    """The best of matrix products and convolutions; for half precision also of float32, which can stand in for it."""
    kinds = (dtype, torch.float32) if dtype in HALVES else (dtype,)
    return max(
        rate
        for one in kinds
        for make in (_matrices, _convolutions)
        for rate in _growing(device, make(one, device.name))
    )


def _growing(device: Device, products: Iterator[tuple[int, Call]]) -> tuple[float, ...]:
    """The rates of larger and larger products, up to one that takes long enough; none where the device has no such."""
    rates: list[float] = []
    with contextlib.suppress(RuntimeError):
        for macs, call in products:
            seconds = _fastest(device, call)
            rates.append(macs / seconds)
            if seconds > LONG_ENOUGH:
                break
    return tuple(rates)


def _fastest(device: Device, call: Call) -> float:
    """Seconds of the fastest of as many calls as fit, after one that is not counted."""
    device.time(call, 1)
    one = min(device.time(call, 1).device)
    more = int(SPENT / max(one, SPENT / MOST))
    return min(one, *device.time(call, max(more, FEWEST)).device)


def _matrices(dtype: torch.dtype, place: str) -> Iterator[tuple[int, Call]]:
    draw = _drawing(dtype, place)
    for side in _doubled(256, LARGEST_SIDE):
        yield side**3, partial(torch.matmul, draw(side, side), draw(side, side))


def _convolutions(dtype: torch.dtype, place: str) -> Iterator[tuple[int, Call]]:
    draw = _drawing(dtype, place)
    weight = draw(FEATURES, FEATURES, 3, 3)
    for side in _doubled(LEAST_IMAGE_CUDA if place.startswith("cuda") else LEAST_IMAGE, LARGEST_IMAGE):
        yield weight.numel() * side**2, partial(F.conv2d, draw(1, FEATURES, side, side), weight, padding=1)


def _doubled(size: int, largest: int) -> Iterator[int]:
    while size <= largest:
        yield size
        size *= 2


def _drawing(dtype: torch.dtype, place: str) -> Callable[..., torch.Tensor]:
    """Makes tensors of numbers as features hold; the generator that everyone draws from stays as it is."""
    generator = torch.Generator(place).manual_seed(0)
    return lambda *shape: torch.randn(*shape, generator=generator, device=place).to(dtype)
