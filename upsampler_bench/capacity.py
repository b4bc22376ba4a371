"""The largest square input whose step fits in a given memory: counted without memory, then confirmed by a real step."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import torch

from upsampler_bench import device as devices
from upsampler_bench import unallocated
from upsampler_bench.case import Case, Settings
from upsampler_bench.device import OUT_OF_MEMORY_ERRORS, Device
from upsampler_bench.errors import DeviceError
from upsampler_bench.sizes import Capacity, Confirmation, Need
from upsampler_bench.workloads.workload import make

START, MOST_STEPS = 64, 12
# Up to this side a CPU's blocks are counted in full; beyond it on strips.
FULL, ROUGH, SURE = 256, 8, 32
# The sizes above the largest that are tried too, where trying one takes less than this.
BEYOND, QUICK = 3, 0.3
# Elements of x (B, C, H, W) in a step that confirms on a CPU: about a second for a slow operator.
CONFIRMED = 256 * 96**2
TRIES = 4


def place(name: str) -> tuple[str, Device | None]:
    """The device to count for, and the device itself where it is here.

    A GPU that is not here can be counted for: what fits on it can be asked on a laptop.

    Raises:
        DeviceError: there is no device of that name anywhere.
    """
    try:
        found = devices.resolve(name)
    except DeviceError:
        kind, _, index = name.partition(":")
        if kind != "cuda" or not (index.isdigit() or name == kind):
            raise
        return f"cuda:{index or 0}", None
    return found, devices.create(found, Settings(cache="warm"))


def largest(case: Case, memory: int, device: Device | None) -> Capacity:
    """The largest H = W of a case that fits in these bytes, and, given its device, confirmed there.

    Whatever an operator raises is the reason why it has no size.
    """
    try:
        found = _found(case, memory)
        return _confirmed(found, memory, device) if device and found.need else found
    except Exception as problem:
        return Capacity(case, reason=_words(problem))


def _found(case: Case, memory: int) -> Capacity:
    search = _Search(case, memory)
    side = search.run()
    if not side:
        return Capacity(case, reason=search.why_not())
    return Capacity(search.at(side), side, search.known[side], search.method(side))


@dataclass
class _Search:
    """Looks for the largest side that fits; what a side needs grows with its area, but for the steps of blocks.

    Attributes:
        known: what sides need, each counted once.
        strips: of those not counted in full, the heights of the strips that were.
    """

    case: Case
    memory: int
    known: dict[int, Need] = field(default_factory=dict)
    strips: dict[int, tuple[int, ...]] = field(default_factory=dict)
    _took: float = 0.0

    def run(self) -> int:
        """The largest side found to fit; 0: none."""
        side = self._next(START, self._need(START))
        for _ in range(2):
            if side > FULL and self.case.device == "cpu":
                side = self._next(side, self._on_strips(side, ROUGH)[0])
        for _ in range(MOST_STEPS):
            if not side or side in self.known:
                break
            side = self._next(side, self._need(side))
        return self._beyond(self._below(max(side, 1)))

    def at(self, side: int) -> Case:
        """The case at a side."""
        return replace(self.case, height=side, width=side)

    def method(self, side: int) -> str:
        """How a side's need was counted."""
        heights = self.strips.get(side)
        return f"counted on strips of {', '.join(map(str, heights))} rows, extended" if heights else "counted"

    def why_not(self) -> str:
        """Why no side fits."""
        least = min(self.known)
        return f"{least}×{least} needs {self.known[least].total:,} bytes"

    def _next(self, side: int, found: Need) -> int:
        room = self.memory - found.parameters
        return math.isqrt(side * side * room // (found.inputs + found.peak)) if room > 0 else 0

    def _fits(self, side: int) -> bool:
        return self._need(side).total <= self.memory

    def _below(self, side: int) -> int:
        """The first side downwards that fits, tried one by one and then in growing steps; 0: none."""
        step = 1
        while side > 0 and not self._fits(side):
            side, step = side - (step + 1) // 2, step + 1
        return max(side, 0)

    def _beyond(self, side: int) -> int:
        """Upwards, where counting is quick: over a gap too, where blocks of another height need less."""
        tried = side
        while side and tried < side + BEYOND and self._took < QUICK:
            tried += 1
            side = tried if self._fits(tried) else side
        return side

    def _need(self, side: int) -> Need:
        if side not in self.known:
            begun = time.monotonic()
            self.known[side] = self._counted(side)
            self._took = time.monotonic() - begun
        return self.known[side]

    def _counted(self, side: int) -> Need:
        """In full, or, as soon as three strips in a row grow alike, extended from them."""
        rows = SURE
        while self.case.device == "cpu" and side > FULL and 4 * rows < side:
            found, alike = self._on_strips(side, rows)
            if alike:
                self.strips[side] = (rows, 2 * rows, 4 * rows)
                return found
            rows *= 2
        return unallocated.need(self.at(side))

    def _on_strips(self, side: int, rows: int) -> tuple[Need, bool]:
        """Extended from strips of rows, twice and four times as many; and whether they grew alike, to the byte."""
        low, middle, high = (unallocated.need(replace(self.at(side), height=factor * rows)) for factor in (1, 2, 4))
        left = side - 4 * rows
        inputs, peak = (high.inputs - middle.inputs, high.peak - middle.peak)
        alike = peak == 2 * (middle.peak - low.peak) and inputs == 2 * (middle.inputs - low.inputs)
        more = Need(high.parameters, high.inputs + inputs * left // (2 * rows), high.peak + peak * left // (2 * rows))
        return more, alike


def _confirmed(found: Capacity, memory: int, device: Device) -> Capacity:
    """Takes a real step: on a CPU of a size that takes about a second, on a GPU of the size itself.

    Where a GPU takes more than was counted (its libraries' workspaces, its allocator's rounding), the size is lowered
    to one that was seen to fit.
    """
    if device.kind == "cpu":
        side = min(found.side, math.isqrt(max(1, CONFIRMED // (found.case.batch * found.case.channels))))
        return replace(found, confirmation=_taken(found.case, side, device))
    for side in _sides(found, memory, device):
        taken = _taken(found.case, side, device)
        found = replace(found, confirmation=taken)
        if taken.measured is not None and taken.measured <= memory:
            case = replace(found.case, height=side, width=side)
            return replace(found, case=case, side=side, need=unallocated.need(case))
    return found


def _sides(found: Capacity, memory: int, device: Device) -> Iterator[int]:
    """The side found, and then ever smaller ones."""
    for share in range(TRIES):
        device.release()
        yield max(1, found.side * (100 - 2 * share**2) // 100)


def _taken(case: Case, side: int, device: Device) -> Confirmation:
    """One real step, held against its prediction."""
    case = replace(case, height=side, width=side)
    predicted = unallocated.need(case).total
    try:
        work = unallocated.assembled(case, make(case, Settings()), torch.device(case.device))
        peak = device.peak(work.step_for_memory).peak
        return Confirmation(side, predicted, unallocated.held(work, peak).total)
    except OUT_OF_MEMORY_ERRORS:
        return Confirmation(side, predicted, reason="out of memory")
    except RuntimeError as problem:
        return Confirmation(side, predicted, reason=_words(problem))


def _words(problem: Exception) -> str:
    text = " ".join(str(problem).split())
    named = type(problem).__module__.startswith("upsamplers")
    return text if named else f"{type(problem).__name__}: {text[:160]}"
