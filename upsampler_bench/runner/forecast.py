"""How long a run takes: guessed from its cases at first, then from what its steps took so far."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from upsampler_bench import backends, metrics
from upsampler_bench.case import PROBE, TIMED, TORCH, TRAIN, Case, Settings
from upsampler_bench.runner.interleaving import OVER, USUAL_SAMPLES, WARMUP_SHARE
from upsampler_bench.runner.protocol import Message
from upsampler_bench.stats import FEWEST

# All constants are by experience. Seconds until a process of a group measures.
START_SECONDS = 4.0
# Seconds to build a case, and calls of it besides the timed ones: the first one, checks, memory and counts.
BUILDING_SECONDS, CALLS = 0.3, 5
# Seconds of a call for each element of its output, by the kind of device.
CALL_SECONDS = {"cpu": 2e-8, "cuda": 2e-10}
# How many times as long a training step takes, and a model as an operator alone on its image.
STEP, MODEL = 3.0, 12.0
# Upper bounds: preparation, probes and reports take up to LONGER times the guess, timing OVERHEAD times its calls.
LONGER, OVERHEAD = 3, 1.5
# What a device does; anything else is a step that prepares a case, by its name.
STARTING, WARMING, TIMING = "starting", "warming up", "timing"


def call_seconds(case: Case) -> float:
    """A guess of one call (s)."""
    elements = case.elements
    if case.guide_image:  # which is encoded at its own size
        tall, wide = map(int, case.guide_image.split("x"))
        elements = max(elements, case.batch * case.channels * tall * wide)
    seconds = CALL_SECONDS.get(case.device.partition(":")[0], CALL_SECONDS["cpu"]) * elements
    return seconds * (STEP if case.mode == TRAIN else 1.0) * (MODEL if case.model else 1.0)


def preparing_seconds(case: Case, settings: Settings, call: float) -> float:
    """A guess of all that a case takes beside its timing (s), from the seconds of one call; of a probe all it takes."""
    wanted = metrics.for_case(case, settings.metrics).values()
    known: float = sum(getattr(metric, "SECONDS", 0.0) for metric in wanted)
    if case.mode == PROBE:
        return known
    calls = CALLS + sum(getattr(metric, "CALLS", 0) for metric in wanted)
    return known + _building_seconds(case) + calls * call


def _building_seconds(case: Case) -> float:
    return BUILDING_SECONDS + float(getattr(backends.get(case.backend), "SECONDS", 0.0))


def warmup_seconds(settings: Settings, call: float) -> float:
    """A guess of a case's warm-up (s), from the seconds of one call."""
    full = max(settings.warmup_seconds, settings.warmup_calls * call)
    return min(full, WARMUP_SHARE * settings.max_time / settings.processes + call)


def again_seconds(case: Case, settings: Settings, call: float) -> float:
    """A guess of what a case takes beside its timed calls in each process but the first (s)."""
    return _building_seconds(case) + call + warmup_seconds(settings, call)


def timing_seconds(settings: Settings, call: float) -> float:
    """A guess of a case's timed calls (s), from the seconds of one call."""
    if settings.rounds:
        return settings.rounds * max(1, settings.turn) * call
    usual = min(settings.max_time, USUAL_SAMPLES * settings.min_samples * call)
    if settings.processes > 1:
        return max(usual, settings.processes * call)
    return max(usual, min(FEWEST, math.ceil(OVER * settings.max_time / call)) * call)


def is_timed(case: Case, settings: Settings) -> bool:
    """Whether a case is timed, and not only counted or probed."""
    return any(map(metrics.is_timed, metrics.for_case(case, settings.metrics).values()))


def expected(cases: Sequence[Case], settings: Settings) -> tuple[float, float]:
    """Seconds that measuring these cases takes: expected, and at most as long as no operator hangs."""
    timed = [case for case in cases if is_timed(case, settings)]
    calls = [call_seconds(case) for case in timed]
    preparing = START_SECONDS * len({case.group for case in cases})
    preparing += START_SECONDS * len({case.group for case in timed}) * (settings.processes - 1)
    preparing += sum(preparing_seconds(case, settings, call_seconds(case)) for case in cases)
    preparing += (settings.processes - 1) * sum(again_seconds(case, settings, call_seconds(case)) for case in timed)
    timing = sum(warmup_seconds(settings, call) + timing_seconds(settings, call) for call in calls)
    over = 1 if settings.processes > 1 else OVER + WARMUP_SHARE
    longest = OVERHEAD * len(calls) * over * settings.max_time
    return preparing + timing, LONGER * preparing + max(longest, LONGER * timing)


class _Ratio:
    """How many times as long as guessed something took so far."""

    def __init__(self) -> None:
        self._taken, self._guessed = 0.0, 0.0

    def add(self, taken: float, guessed: float) -> None:
        """Something took so long (s), and was guessed to take so long."""
        self._taken += taken
        self._guessed += guessed

    @property
    def value(self) -> float:
        """Of all that was added; 1 of nothing."""
        return self._taken / self._guessed if self._guessed else 1.0


@dataclass
class _Progress:
    """How far a case is.

    Attributes:
        processes: that began to measure it.
        preparing: seconds that this process took so far for all that comes before the warm-up.
        is_prepared, is_warm: in this process.
        is_over: measured, or lost.
        call: seconds of one call, once they are known.
        spent, needed: seconds of its timed calls, so far and in all processes; 0: not known yet.
    """

    case: Case
    is_timed: bool
    processes: int = 0
    preparing: float = 0.0
    is_prepared: bool = False
    is_warm: bool = False
    is_over: bool = False
    call: float = 0.0
    spent: float = 0.0
    needed: float = 0.0

    @property
    def operator(self) -> tuple[str, str]:
        """What it has in common with the same operator under other conditions."""
        return self.case.upsampler, self.case.backend

    def begin(self) -> None:
        """Is prepared from the beginning, in this process."""
        self.preparing, self.is_prepared, self.is_warm = 0.0, False, False


class Forecast:
    """Follows a run, and says how long what is left of it takes."""

    def __init__(
        self,
        cases: Sequence[Case],
        settings: Settings,
        *,
        devices: int = 1,
        after: float = 0.0,
        limit: float = float("inf"),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begins with guesses.

        Args:
            cases: that are to be measured.
            settings: how.
            devices: that share the work.
            after: seconds of what the command does when all is measured, such as drawing.
            limit: when measuring ends at the latest, on the clock.
            clock: in seconds.
        """
        self._settings, self._devices, self._after, self._limit, self._clock = settings, devices, after, limit, clock
        self._begun = clock()
        self._cases = {case.key: _Progress(case, is_timed(case, settings)) for case in cases}
        self._alike: defaultdict[tuple[str, str], list[_Progress]] = defaultdict(list)
        for progress in self._cases.values():
            self._alike[progress.operator].append(progress)
        self._waiting = {case.group for case in cases}
        self._device_of: dict[str, str] = {}
        # By device: since when it is doing what, of which case.
        self._doing: dict[str, tuple[float, str, str]] = {}
        # Operators that were lost under a condition, and in which mode operators were timed under one.
        self._lost: set[tuple[str, str]] = set()
        self._timed: set[tuple[tuple[str, str], str]] = set()
        self._starts, self._calls, self._overhead = _Ratio(), _Ratio(), _Ratio()
        self._preparing: defaultdict[str, _Ratio] = defaultdict(_Ratio)  # by backend: some compile

    def begin(self, cases: Sequence[Case], device: str = "") -> None:
        """A process of a group begins on a device; what the last one of the group before left out is not measured."""
        for key in [key for key, other in self._device_of.items() if other == device]:
            if not self._further_processes(self._cases[key]):
                self.finish(key)
            del self._device_of[key]
        self._waiting.discard(cases[0].group)
        for progress in [self._cases[case.key] for case in cases if case.key in self._cases]:
            self._device_of[progress.case.key] = device
            progress.begin()
            progress.processes += 1
        self._doing[device] = (self._clock(), STARTING, "")

    def update(self, message: Message) -> None:
        """Takes in what a process does now, and how long what it did before took."""
        if message.key not in self._device_of:
            return
        progress, facts, reading = self._cases[message.key], message.facts or {}, message.reading
        if message.kind == "at" and message.step != "make inputs":
            doing = message.step
            if "samples" in facts:
                doing = TIMING if facts["rounds"] or progress.is_warm else WARMING
            self._switch(self._device_of[message.key], doing, progress)
        if facts.get("spent"):
            self._spend(progress, float(facts["spent"]), float(facts.get("needed", 0.0)), int(facts["samples"]))
        if reading is not None and reading.metric == TIMED.get(progress.case.mode) and reading.samples:
            spent = sum(reading.samples)
            needed = spent * self._settings.processes / len(reading.by_process)
            self._spend(progress, spent, needed, len(reading.samples))
        if message.kind == "probed" or (reading is not None and "stop" in reading.facts):
            self.finish(message.key)

    def finish(self, key: str, *, lost: bool = False) -> None:
        """A case is measured, or lost."""
        progress = self._cases.get(key)
        if progress is None or progress.is_over:
            return
        progress.is_over = True
        if lost:
            self._lost.add(progress.operator)

    def left(self) -> float:
        """Seconds that the command will still take."""
        now, starting = self._clock(), START_SECONDS * self._starts.value
        left = [progress for progress in self._cases.values() if not progress.is_over]
        processes: dict[str, int] = {}
        for progress in left:
            group = progress.case.group
            processes[group] = max(processes.get(group, 0), self._further_processes(progress))
        work = starting * (len(self._waiting) + sum(processes.values()))
        work += sum(self._preparing_left(progress) + self._timing_left(progress) for progress in left)
        for begun, doing, key in self._doing.values():
            # What is going on now was not subtracted yet.
            if doing == STARTING:
                work += max(0.0, starting - (now - begun))
            elif doing not in (TIMING, WARMING) and not self._cases[key].is_over:
                work -= min(now - begun, self._preparing_left(self._cases[key]))
        busy = min(self._devices, max(1, len(processes)))
        return max(0.0, min(work / busy, self._limit - now)) + self._after

    def share(self) -> float:
        """Of the command's time, what is over, from 0 to 1."""
        passed = self._clock() - self._begun
        return passed / (passed + self.left()) if passed else 0.0

    def _switch(self, device: str, doing: str, progress: _Progress) -> None:
        """A device does something from now on; accounts for what it did before."""
        now = self._clock()
        begun, was, key = self._doing[device]
        self._doing[device] = (now, doing, progress.case.key)
        taken, before = now - begun, self._cases.get(key, progress)
        if was == STARTING:
            self._starts.add(taken, START_SECONDS)
        elif was == TIMING:
            before.spent += taken  # until it is known how long the calls themselves took
            self._overhead.add(taken, taken)
        elif was == WARMING:
            before.call, before.is_warm = taken, before is not progress or doing == TIMING
        else:
            self._prepare(before, was, taken, is_over=before is not progress or doing == WARMING)
        if doing == "build":  # perhaps again, after another case has ended its process
            progress.begin()

    def _prepare(self, progress: _Progress, step: str, taken: float, *, is_over: bool) -> None:
        """A step before the warm-up took so long."""
        progress.preparing += taken
        guess = call_seconds(progress.case)
        if step == "first call" and not progress.spent:
            # That of plain PyTorch on a CPU is nearly as quick as the others; the rest may compile.
            is_plain = progress.case.backend == TORCH and progress.case.device == "cpu"
            progress.call = taken if is_plain else min(taken, guess)
            self._calls.add(progress.call, guess)
        if is_over and not progress.is_prepared:
            progress.is_prepared = True
            self._preparing[progress.case.backend].add(progress.preparing, self._preparing_guess(progress))

    def _spend(self, progress: _Progress, spent: float, needed: float, samples: int) -> None:
        """So many samples of a case have taken so long."""
        self._overhead.add(0.0, spent - progress.spent)
        self._timed.add((progress.operator, progress.case.mode))
        progress.spent, progress.needed, progress.call = spent, needed, spent / samples

    def _call(self, progress: _Progress) -> float:
        """Seconds of one call: as measured, or as the same operator's under the likest condition, or as all others'."""
        if progress.call:
            return progress.call
        guess = call_seconds(progress.case)
        alike = [other for other in self._alike[progress.operator] if other.call]
        if not alike:
            return guess * self._calls.value
        likest = max(alike, key=lambda other: (other.case.mode == progress.case.mode, other.case.elements))
        return likest.call * guess / call_seconds(likest.case)

    def _preparing_guess(self, progress: _Progress) -> float:
        """Seconds of all that comes before the warm-up in this process, or in the first."""
        if progress.processes > 1:
            return _building_seconds(progress.case) + self._call(progress)
        return preparing_seconds(progress.case, self._settings, self._call(progress))

    def _preparing_left(self, progress: _Progress) -> float:
        if progress.is_prepared:
            return 0.0
        guess = self._preparing_guess(progress) * self._preparing[progress.case.backend].value
        return max(0.0, guess - progress.preparing)

    def _further_processes(self, progress: _Progress) -> int:
        """How many processes will time a case after its first, or after the one that does."""
        return max(0, self._settings.processes - max(1, progress.processes)) if self._is_to_time(progress) else 0

    def _is_to_time(self, progress: _Progress) -> bool:
        """Whether a case will be timed: what was lost under one condition is taken to be lost under others."""
        was_timed = (progress.operator, progress.case.mode) in self._timed
        return progress.is_timed and (was_timed or progress.operator not in self._lost)

    def _timing_left(self, progress: _Progress) -> float:
        if not self._is_to_time(progress):
            return 0.0
        call, settings = self._call(progress), self._settings
        warming = 0.0 if progress.is_warm else warmup_seconds(settings, call)
        needed = progress.needed or timing_seconds(settings, call)
        again = self._further_processes(progress) * again_seconds(progress.case, settings, call)
        # Timing takes longer than the timed calls.
        return warming + again + max(0.0, needed - progress.spent) * max(1.0, self._overhead.value)
