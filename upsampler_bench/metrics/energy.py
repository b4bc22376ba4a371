"""Energy of one forward, beyond what the idle device uses, and the device's power meanwhile.

The counters of drivers and processors are updated every 1 to 100 ms, so energy is read over seconds: idle first, then
while calls follow one another, which find their inputs in the cache where these fit.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from upsampler_bench.case import INFERENCE
from upsampler_bench.device import Device, EnergyCounter
from upsampler_bench.errors import DeviceError
from upsampler_bench.results import MetricInfo, Reading
from upsampler_bench.workloads.workload import Workload

# Of an idle and of a busy window (s), of which the slowest counters' step is 5 %.
WINDOW = 2.0
# Before each window, until clocks and power are steady (s).
SETTLING = 0.5
# Between two waits for the device, of about so long (s), it is idle for some microseconds.
BURST = 0.1
ENERGY = MetricInfo(
    "energy",
    "Energy",
    "J",
    INFERENCE,
    relative=True,
    place=14,
    description="Energy of one forward beyond the idle power measured before; on a GPU without the host's.",
)
POWER = MetricInfo(
    "power",
    "Mean power",
    "W",
    INFERENCE,
    place=15,
    description="Mean power of the device while forwards follow one another, idle power included.",
)
IDLE = MetricInfo(
    "idle_power",
    "Idle power",
    "W",
    INFERENCE,
    place=16,
    description="Mean power of the device before, while nothing was submitted to it.",
)
INFOS = (ENERGY, POWER, IDLE)
ON_REQUEST = True
# Of one case, for the run's expectation.
SECONDS = 2 * (SETTLING + WINDOW)


@dataclass(frozen=True, slots=True)
class Window:
    """What the device used in a span of time: seconds, joules (idle or not), and the calls made meanwhile."""

    seconds: float
    joules: float
    calls: int

    @property
    def watts(self) -> float:
        """Mean power."""
        return self.joules / self.seconds


def measure(workload: Workload, device: Device) -> tuple[Reading, ...]:
    """Reads the counter over an idle and over a busy window; without a counter the reading says why it is empty."""
    try:
        counter = device.energy_counter()
        counter.joules()
    except DeviceError as problem:
        return (Reading(ENERGY.name, (), "no counter", notes=(str(problem),)),)
    call = device.captured(workload.step)
    device.synchronize()
    time.sleep(SETTLING)
    idle = _window(counter, _rest)
    _repeat(call, device, SETTLING)
    busy = _window(counter, partial(_repeat, call, device, WINDOW))
    joules = (busy.joules - idle.watts * busy.seconds) / busy.calls
    method = f"{counter.method}, over {WINDOW:g} s of back-to-back calls"
    if joules > 0:
        energy = Reading(ENERGY.name, ((joules,),), method)
    else:
        energy = Reading(ENERGY.name, (), method, notes=("the calls did not exceed idle power",))
    power = Reading(POWER.name, ((busy.watts,),), method)
    return energy, power, Reading(IDLE.name, ((idle.watts,),), f"{counter.method}, over {WINDOW:g} s")


def _window(counter: EnergyCounter, action: Callable[[], int]) -> Window:
    """What is used during an action, which returns how many calls it made."""
    begun, before = time.perf_counter(), counter.joules()
    calls = action()
    return Window(time.perf_counter() - begun, counter.joules() - before, calls)


def _rest() -> int:
    time.sleep(WINDOW)
    return 0


def _repeat(call: Callable[[], object], device: Device, seconds: float) -> int:
    """Calls for at least so many seconds, in bursts, so that a slow device does not get seconds of work ahead."""
    calls, burst = 0, 1
    begun = now = time.perf_counter()
    while now < begun + seconds:
        for _ in range(burst):
            call()
        device.synchronize()
        calls, before, now = calls + burst, now, time.perf_counter()
        burst = max(1, int(burst * BURST / (now - before)))
    return calls
