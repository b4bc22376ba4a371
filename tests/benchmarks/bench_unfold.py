"""The reassembling operators beside themselves built on unfold, and convolving ones beside their convolutions alone.

    python tests/benchmarks/bench_unfold.py [rounds, 8] [operator ...]

"Built on unfold" is the published formulation in PyTorch's own operations: the windows of x, upsampled by repeating
pixels, are unfolded with dilation s (1.4 GB here), multiplied by the weights and summed; likewise the windows of keys,
and those of the guide that a2u filters.
Both forms of an operator share x, the guide and all parameters, and are held to be equal before they are timed. "Its
convolutions alone" are those that a forward calls, on the very inputs that they got.

One thread; pairs are timed interleaved in shuffled rounds, ratios taken within a round; the heap is kept (no page is
given back between calls). Peaks are bytes of live tensors beyond inputs and parameters, as multiples of the output's.
Exits 1 where a target is missed.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

# Its folder is not installed.
sys.path.insert(0, str(Path(__file__).parents[1] / "upsamplers"))
from live_storages import peak_bytes

import upsamplers
from upsampler_bench.device import processor
from upsampler_bench.device.environment import seconds_of_others
from upsampler_bench.stats import paired_ratio

BATCH, CHANNELS, SIDE, SCALE = 1, 256, 120, 2
OUTPUT_BYTES = 4 * BATCH * CHANNELS * (SCALE * SIDE) ** 2
REASSEMBLING = ("carafe", "a2u", "fade", "fade-lite", "sapa-b")
CONVOLVING = ("indexnet", "deconv", "pixel-shuffle")
MOST_OF_UNFOLD, MOST_OF_CONVOLUTIONS = 0.25, 1.10
MOST_FORWARD, MOST_BOTH = 2.5, 6.0
DISTURBED = 0.1
ROW = "{:14s} {:20s} {:>9s} {:>9s}  {:22s} {:>7s}  {}"
Call = Callable[[], object]


def unfolded(x: Tensor, kernel: int, scale: int) -> Tensor:
    """The windows around each output pixel's input pixel, (B, C, k², sH, sW); zero outside."""
    nearest = F.interpolate(x, scale_factor=float(scale), mode="nearest")  # (B, C, sH, sW)
    columns = F.unfold(nearest, kernel, dilation=scale, padding=scale * (kernel // 2))  # (B, C·k², sH·sW)
    return columns.view(*x.shape[:2], kernel**2, *nearest.shape[2:])


def reassemble(x: Tensor, weights: Tensor, kernel: int, *, groups: int = 1, scale: int = 2) -> Tensor:
    """`upsamplers.functional.reassemble` on unfold."""
    windows = unfolded(x, kernel, scale).unflatten(1, (groups, -1))  # (B, Z, C/Z, k², sH, sW)
    weights = weights.unflatten(1, (groups, 1, -1))  # (B, Z, 1, k², sH, sW)
    return (windows * weights).sum(3).flatten(1, 2)  # (B, C, sH, sW)


def local_affinity(query: Tensor, key: Tensor, kernel: int, *, scale: int = 2) -> Tensor:
    """`upsamplers.functional.affinity` on unfold."""
    return (query.unsqueeze(2) * unfolded(key, kernel, scale)).sum(1)  # (B, k², sH, sW)


def filtered_by_own(y: Tensor, filters: Tensor) -> tuple[Tensor, ...]:
    """`upsamplers.functional.image_filters` on unfold."""
    side, (tall, wide) = filters.shape[-1], y.shape[2:]
    windows = F.unfold(y, side, padding=side // 2 - 1, stride=2).view(*y.shape[:2], side**2, tall // 2, wide // 2)
    return tuple((windows * one.flatten(1)[:, None, :, None, None]).sum(2) for one in filters.unbind(1))


ON_UNFOLD = {"reassemble": reassemble, "local_affinity": local_affinity, "filtered_by_own": filtered_by_own}


@contextmanager
def on_unfold(module: nn.Module) -> Iterator[None]:
    """Within it the operator's file finds the forms on unfold under the names that it imported."""
    room = sys.modules[type(module).__module__]
    used = {name: form for name, form in ON_UNFOLD.items() if hasattr(room, name)}
    with patch.multiple(room, **used):
        yield


class Convolutions(TorchFunctionMode):
    """Notes every convolution that is called within it, with its arguments."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Callable[..., Tensor]] = []
        self.inputs: list[tuple[Tensor, Tensor]] = []

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function in (torch.conv2d, torch.conv_transpose2d):
            self.calls.append(partial(_convolved, function, args[2:], kwargs or {}))
            self.inputs.append((args[0].detach(), args[1].detach()))
        return function(*args, **(kwargs or {}))


def _convolved(function: Any, rest: Any, options: Any, x: Tensor, weight: Tensor) -> Tensor:
    out: Tensor = function(x, weight, *rest, **options)
    return out


@dataclass(frozen=True)
class Pair:
    """Two calls to be held against each other, and the most that the first may take of the second."""

    name: str
    direction: str
    ours: Call
    theirs: Call
    most: float


@dataclass(frozen=True)
class Subject:
    """An operator with its inputs, which take gradients; `gradient` is the output's."""

    name: str
    module: nn.Module
    inputs: tuple[Tensor, ...]
    gradient: Tensor

    def forward(self) -> Tensor:
        """One forward under inference mode."""
        with torch.inference_mode():
            return self.module(*self.inputs)  # type: ignore[no-any-return]

    def step(self) -> Tensor:
        """One forward and backward."""
        drop_gradients((*self.inputs, *self.module.parameters()))
        out: Tensor = self.module(*self.inputs)
        out.backward(self.gradient)
        return out

    def step_for_memory(self) -> tuple[Tensor, Tensor]:
        """One forward and backward that makes the output's gradient, as a network does."""
        drop_gradients((*self.inputs, *self.module.parameters()))
        out: Tensor = self.module(*self.inputs)
        gradient = torch.ones_like(out)
        out.backward(gradient)
        drop_gradients((*self.inputs, *self.module.parameters()))
        return out, gradient


def subject(name: str) -> Subject:
    """An operator on random features."""
    torch.manual_seed(0)
    module = upsamplers.create(name, CHANNELS, scale=SCALE)
    x = torch.randn(BATCH, CHANNELS, SIDE, SIDE)
    feature = torch.randn(BATCH, CHANNELS, SCALE * SIDE, SCALE * SIDE)
    guide = (module.make_guide(feature),) if module.needs_guide else ()
    return Subject(name, module, tuple(one.requires_grad_() for one in (x, *guide)), torch.randn_like(feature))


def drop_gradients(tensors: Iterable[Tensor]) -> None:
    """Frees the gradients of these."""
    for one in tensors:
        one.grad = None


def beside_unfold(one: Subject) -> tuple[Pair, Pair]:
    """Both directions of an operator, beside itself on unfold."""

    def patched(call: Call) -> object:
        with on_unfold(one.module):
            return call()

    with torch.inference_mode():
        torch.testing.assert_close(one.forward(), patched(one.forward), rtol=1e-4, atol=1e-5)
    return (
        Pair(one.name, "forward", one.forward, partial(patched, one.forward), MOST_OF_UNFOLD),
        Pair(one.name, "forward + backward", one.step, partial(patched, one.step), MOST_OF_UNFOLD),
    )


def beside_convolutions(one: Subject) -> tuple[Pair, Pair]:
    """Both directions of an operator, beside the convolutions that it calls."""
    with Convolutions() as noted, torch.no_grad():
        one.module(*one.inputs)
    leaves = [tuple(part.clone().requires_grad_() for part in parts) for parts in noted.inputs]
    gradients = [torch.randn_like(call(*parts).detach()) for call, parts in zip(noted.calls, leaves, strict=True)]

    def forward() -> list[Tensor]:
        with torch.inference_mode():
            return [call(*parts) for call, parts in zip(noted.calls, leaves, strict=True)]

    def step() -> list[Tensor]:
        drop_gradients(part for parts in leaves for part in parts)
        outs = [call(*parts) for call, parts in zip(noted.calls, leaves, strict=True)]
        torch.autograd.backward(outs, gradients)
        return outs

    return (
        Pair(one.name, "forward", one.forward, forward, MOST_OF_CONVOLUTIONS),
        Pair(one.name, "forward + backward", one.step, step, MOST_OF_CONVOLUTIONS),
    )


def seconds(call: Call) -> float:
    """The duration of one call, its result's release not included."""
    begun = time.perf_counter()
    kept = call()
    passed = time.perf_counter() - begun
    del kept
    return passed


def timed(pair: Pair, rounds: int) -> tuple[list[float], list[float]]:
    """Seconds of both calls, a pair a round, after one call of each that is not counted."""
    calls: dict[bool, list[float]] = {True: [], False: []}
    for number in range(rounds + 1):
        for is_ours in random.sample([True, False], 2):
            taken = seconds(pair.ours if is_ours else pair.theirs)
            calls[is_ours] += [taken] if number else []
    return calls[True], calls[False]


def told(pair: Pair, rounds: int) -> bool:
    """Prints a pair's row; whether the target is met."""
    ours, theirs = timed(pair, rounds)
    ratio = paired_ratio([[one] for one in ours], [[one] for one in theirs])
    assert ratio is not None
    cells = (f"{1e3 * median(ours):.1f}", f"{1e3 * median(theirs):.1f}")
    interval = f"{ratio.value:.3f} [{ratio.low:.3f}, {ratio.high:.3f}]"
    met = ratio.value <= pair.most
    print(ROW.format(pair.name, pair.direction, *cells, interval, f"{pair.most:.2f}", _verdict(met)), flush=True)
    return met


def told_peaks(one: Subject) -> bool:
    """Prints both peaks of an operator in outputs; whether they are within their bounds."""
    fine = True
    for direction, call, most in (
        ("peak forward", one.forward, MOST_FORWARD),
        ("peak fwd + backward", one.step_for_memory, MOST_BOTH),
    ):
        peak = peak_bytes(call) / OUTPUT_BYTES
        fine &= peak <= most
        print(ROW.format(one.name, direction, f"{peak:.2f}", "", "", f"{most:.2f}", _verdict(peak <= most)), flush=True)
    return fine


def _verdict(met: bool) -> str:
    return "met" if met else "MISSED"


def main(rounds: int, wanted: Sequence[str]) -> int:
    """Prints both tables; 1 where a target is missed, else 0."""
    processor.keep_heap()
    torch.set_num_threads(1)
    begun, others = time.perf_counter(), seconds_of_others()
    known, met = upsamplers.names(), []
    shape = (BATCH, CHANNELS, SIDE, SIDE)
    print(f"x {shape} float32, s={SCALE}, 1 thread, kept heap; {processor.name()}; {rounds} rounds")
    for names, other, make in (
        (REASSEMBLING, "unfold", beside_unfold),
        (CONVOLVING, "convs", beside_convolutions),
    ):
        print(ROW.format("", "", "ours ms", f"{other} ms", f"ours / {other}", "target", ""))
        for name in (one for one in names if one in known and one in (wanted or names)):
            one = subject(name)
            met += [told(pair, rounds) for pair in make(one)]
            met += [told_peaks(one)] if names is REASSEMBLING else []
    others = (seconds_of_others() - others) / (time.perf_counter() - begun)
    if others > DISTURBED:
        print(f"DISTURBED: other processes held {others:.1f} cores meanwhile; measure again on a quiet machine")
    return int(not all(met))


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 8, sys.argv[2:]))
