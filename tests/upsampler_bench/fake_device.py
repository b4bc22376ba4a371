"""A device with a clock of its own: whatever is called takes the time that the test says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import cycle

from upsampler_bench.case import Settings
from upsampler_bench.device import Call, Peak, Step, Timings
from upsampler_bench.device.tensor_memory import LiveStorages


class FakeDevice:
    """Runs what it is given on the CPU, and says that each call took the next of its durations."""

    name = "cpu"
    kind = "fake"

    def __init__(self, durations: tuple[float, ...] = (0.010, 0.0101, 0.0099), *, asynchronous: bool = False) -> None:
        self._durations: Iterator[float] = cycle(durations)
        self._asynchronous = asynchronous
        self.now = 0.0
        self.calls = 0

    def prepare(self, settings: Settings) -> None: ...

    def time(self, call: Call, count: int) -> Timings:
        taken = []
        for _ in range(count):
            call()
            taken.append(next(self._durations))
        self.calls += count
        self.now += sum(taken)
        if not self._asynchronous:
            return Timings(tuple(taken))
        return Timings(tuple(taken), (2 * taken[0],), (1.5 * taken[0],))

    def timing_method(self, *, captured: bool = True) -> str:
        return "fake clock"

    def peak(self, step: Step) -> Peak:
        with LiveStorages() as storages:
            step(storages.mark)
        return Peak(storages.peak, storages.marked, storages.allocations, "live storages")

    def captured(self, call: Call) -> Call:
        return call

    def synchronize(self) -> None: ...

    def is_alive(self) -> bool:
        return True

    def release(self) -> None: ...

    def describe(self) -> tuple[str, Mapping[str, str], Mapping[str, str]]:
        return "Fake 1000", {"driver": "1.0"}, {"heap": "fake heap"}

    def moment(self) -> float:
        return self.now

    def seconds(self, begin: float, end: float) -> float:
        return end - begin

    def identity(self) -> tuple[str, str]:
        return "fake:0", "FAKE-1000"

    def conditions(self) -> Mapping[str, float | str]:
        return {"load_1min": 0.0}
