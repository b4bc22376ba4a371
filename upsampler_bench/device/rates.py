"""How fast the device copies and multiplies: the rates of the roofline time.

They are measured once, in the process that times the operators and with its threads and clock, so that operators and
roofline see the same machine.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F

from upsampler_bench.device import Call, Device

# Bytes of each of the two buffers of the copy, far beyond the last-level cache; a GPU's keeps written lines longer.
CUDA_BUFFER, BUFFER = 2**29, 2**27
# Products grow until one call takes LONG_ENOUGH seconds; LONGER where they are measured again. Of each the fastest call
# counts, of at most MOST_CALLS and about SECONDS.
LONG_ENOUGH, LONGER, SECONDS, MOST_CALLS = 0.002, 0.1, 0.06, 10
LARGEST_SIDE, LARGEST_IMAGE, FEATURES = 8192, 512, 256
# On a GPU each size costs a search among algorithms, and small sizes are far from the best rate.
SMALLEST_IMAGE, SMALLEST_IMAGE_CUDA = 16, 128
HALF_PRECISION = (torch.float16, torch.bfloat16)


@dataclass(frozen=True, slots=True)
class Rates:
    """The best rates that were measured.

    Attributes:
        copying: bytes per second, read and written bytes together.
        multiplying: multiply-adds per second.
    """

    copying: float
    multiplying: float


_measured: dict[tuple[str, str, torch.dtype], Rates] = {}


def measured(device: Device, dtype: torch.dtype) -> Rates:
    """The rates of this process; measured at the first call, in a third of a second."""
    key = (device.name, device.timing_method(), dtype)
    if key not in _measured:
        _measured[key] = _measure(device, dtype, LONG_ENOUGH)
    return _measured[key]


def measured_again(device: Device, dtype: torch.dtype) -> Rates:
    """The better of this process's rates and those measured now; in about a second.

    On busy cores the threads of a small product wait for each other longer than they multiply: larger ones show more.
    """
    before, now = measured(device, dtype), _measure(device, dtype, LONGER)
    best = Rates(max(before.copying, now.copying), max(before.multiplying, now.multiplying))
    _measured[device.name, device.timing_method(), dtype] = best
    return best


def _measure(device: Device, dtype: torch.dtype, long_enough: float) -> Rates:
    with torch.inference_mode():
        rates = Rates(_copying(device), _multiplying(device, dtype, long_enough))
    device.release()
    return rates


def _copying(device: Device) -> float:
    size = CUDA_BUFFER if device.kind == "cuda" else BUFFER
    source = torch.zeros(size, dtype=torch.uint8, device=device.name)
    target = torch.empty_like(source)
    return 2 * size / _fastest(device, lambda: target.copy_(source))


def _multiplying(device: Device, dtype: torch.dtype, long_enough: float) -> float:
    """The best of matrix products and convolutions; for half precision also of float32, which can replace it."""
    rates: list[float] = []
    for kind in (dtype, torch.float32) if dtype in HALF_PRECISION else (dtype,):
        for products in (_matrices, _convolutions):
            with contextlib.suppress(RuntimeError):  # no such product on this device
                for macs, call in products(kind, device.name):
                    seconds = _fastest(device, call)
                    rates.append(macs / seconds)
                    if seconds > long_enough:
                        break
    return max(rates)


def _fastest(device: Device, call: Call) -> float:
    """Seconds of the fastest of several calls, after one that is not counted."""
    device.time(call, 1)
    first = min(device.time(call, 1).device)
    more = int(SECONDS / max(first, SECONDS / MOST_CALLS))
    return min(first, *device.time(call, max(more, 1)).device)


def _matrices(dtype: torch.dtype, device: str) -> Iterator[tuple[int, Call]]:
    draw = _drawing(dtype, device)
    side = 256
    while side <= LARGEST_SIDE:
        yield side**3, partial(torch.matmul, draw(side, side), draw(side, side))
        side *= 2


def _convolutions(dtype: torch.dtype, device: str) -> Iterator[tuple[int, Call]]:
    draw = _drawing(dtype, device)
    weight = draw(FEATURES, FEATURES, 3, 3)
    side = SMALLEST_IMAGE_CUDA if device.startswith("cuda") else SMALLEST_IMAGE
    while side <= LARGEST_IMAGE:
        yield weight.numel() * side**2, partial(F.conv2d, draw(1, FEATURES, side, side), weight, padding=1)
        side *= 2


def _drawing(dtype: torch.dtype, device: str) -> Callable[..., torch.Tensor]:
    """Draws normal numbers without changing the global random state."""
    generator = torch.Generator(device).manual_seed(0)
    return lambda *shape: torch.randn(*shape, generator=generator, device=device).to(dtype)
