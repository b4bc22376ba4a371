"""Measures the cases of one group in this process: builds, checks, reads, then times them in interleaved rounds."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from traceback import walk_tb
from typing import TypeVar

import torch

import upsamplers
from upsampler_bench import capabilities, metrics
from upsampler_bench.case import PROBE, Case, Settings
from upsampler_bench.device import OUT_OF_MEMORY_ERRORS, Device, Timings, processor
from upsampler_bench.device.environment import ConditionMonitor
from upsampler_bench.errors import BenchError
from upsampler_bench.results import INTERRUPTED, THROTTLED, Reading
from upsampler_bench.runner.interleaving import FAILED, WARMUP_SHARE, Subject, interleave, seconds_needed, warm_up
from upsampler_bench.runner.protocol import DEAD_DEVICE, Message, Request
from upsampler_bench.stats import estimate_rounds
from upsampler_bench.workloads import output_check, workload
from upsampler_bench.workloads.process_state import ProcessState
from upsampler_bench.workloads.workload import Workload

OUT_OF_MEMORY = "out of memory"
# Between two messages about the width of the interval (s).
ESTIMATE_SECONDS = 0.25
# A timing is marked as disturbed where other processes use more than this share of our cores.
DISTURBED_SHARE = 0.1
# Share of a group's time, where there is a budget, that building and checking may take.
PREPARING_SHARE = 0.5
# The shortest time limit of an operator (s).
LEAST_SECONDS = 1e-3
# Packages in which an author of an operator does not look for an error.
NOT_OWN = {"torch", "triton", "numpy", "upsamplers", "upsampler_bench", *sys.stdlib_module_names}
MEMORY_SIGNS = (
    "can't allocate memory",
    "not enough memory",
    "out of memory",
    "cannot allocate memory",
    "failed to allocate memory",
)
T = TypeVar("T")
Facts = dict[str, float | str]


@dataclass
class Group:
    """The cases of one group while they are measured, and where its messages go."""

    request: Request
    device: Device
    emit: Callable[[Message], None]
    interrupted: Callable[[], bool]
    clock: Callable[[], float] = time.monotonic
    workloads: dict[str, Workload] = field(default_factory=dict)
    first_calls: dict[str, float] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)
    bounds: dict[str, dict[str, Reading]] = field(default_factory=dict)
    _next_estimate: float = 0.0

    def measure(self) -> None:
        """Reads every missing metric of every case; a case that fails loses the rest of its own metrics only."""
        cases, settings = self.request.cases, self.request.settings
        shared = self._attempt(cases, "make inputs", self._make_inputs)
        if shared is None:
            return
        wanted = metrics.for_case(cases[0], settings.metrics)
        timed = next(((name, metric) for name, metric in wanted.items() if metrics.is_timed(metric)), None)
        begun, end = self.clock(), self.request.deadline
        # An operator that is built but never timed has no latency: part of the budget is kept for the timing.
        prepared_by = begun + PREPARING_SHARE * (end - begun) if timed else end
        # The baseline first, without which there is no ratio.
        in_order = sorted(cases, key=lambda case: case.upsampler != settings.baseline)
        for number, case in enumerate(in_order if end else cases):
            if end and number and self.clock() > prepared_by:
                self._give_up(case.key, "skipped", settings.used_up)
            elif not self.interrupted():
                self._attempt([case], "build", partial(self._prepare, case, shared))
        if timed and not all(timed[1].INFOS[0].name in self.request.done[key] for key in self.workloads):
            self._time(*timed)

    def _make_inputs(self) -> tuple[torch.Tensor, ...]:
        workload.wake(self.device.name)
        return workload.shared_inputs(self.request.cases[0], self.request.settings)

    def _prepare(self, case: Case, shared: tuple[torch.Tensor, ...]) -> None:
        """Builds a case, checks its output, and reads what is not timed."""
        built = workload.build(case, self.request.settings, shared)
        self._announce(case.key, "first call")
        begin = time.perf_counter()
        built.step()
        self.device.synchronize()
        self.first_calls[case.key] = time.perf_counter() - begin
        if not self.request.timed_only:
            self._announce(case.key, "output check")
            wrong = output_check.why_wrong(built)
            if wrong:
                self._give_up(case.key, "failed", wrong)
                if built.has_written_to_its_inputs():
                    workload.restore(shared, case, self.request.settings)
                return
            self._read_untimed(case, built)
        self.workloads[case.key] = built

    def _read_untimed(self, case: Case, built: Workload) -> None:
        case_metrics = metrics.for_case(case, self.request.settings.metrics)
        for index, (name, metric) in enumerate(case_metrics.items()):
            if not metrics.is_once(metric) or metric.INFOS[0].name in self.request.done[case.key]:
                continue
            if self.interrupted():
                return
            facts: Facts | None = {"share": index / len(case_metrics)} if case.mode == PROBE else None
            measure = partial(metric.measure, built, self.device)
            with ConditionMonitor(self.device.conditions) as monitor:
                readings = self._attempt([case], name, measure, costs_case=False, facts=facts) or ()
            if case.mode != PROBE and not metric.INFOS[0].exact:
                readings = tuple(_marked(reading, monitor) for reading in readings)
            self._emit_readings(case, readings)
            if readings and metrics.is_bound(metric):
                self.bounds.setdefault(name, {})[case.key] = readings[0]
        if case.mode == PROBE:
            self.emit(Message("probed", case.key))

    def _ended(self) -> str:
        """Why nothing more is timed; empty: nothing ends it."""
        if self.interrupted():
            return INTERRUPTED
        return self.request.settings.used_up if 0 < self.request.deadline < self.clock() else ""

    def _within_budget(self, count: int) -> Settings:
        """The settings by which so many operators are timed: their share of what a budget leaves limits their time."""
        settings = self.request.settings
        if not self.request.deadline:
            return settings
        share = (self.request.deadline - self.clock()) / (1 + WARMUP_SHARE) / max(1, count)
        return replace(settings, max_time=min(settings.max_time, max(share, LEAST_SECONDS)))

    def _time(self, name: str, timed: metrics.Timed) -> None:
        built = {key: one for key, one in self.workloads.items() if key not in self.failed}
        settings = self._within_budget(len(built))
        subjects = [Subject(one.case.upsampler, one.step, key) for key, one in built.items()]

        def take(subject: Subject, count: int) -> Timings | None:
            self._announce_timing(subject.key, name, subject, settings)
            return self._time_calls(subject, count)

        def prepare(subject: Subject) -> None:
            subject.call = self.device.captured(subject.call)
            warm_up(subject, take, settings)

        with ConditionMonitor(self.device.conditions) as monitor:
            for subject in subjects:
                subject.stop = self._ended()
                if subject.stop:
                    continue
                self._attempt([self.workloads[subject.key].case], name, partial(prepare, subject))
                if subject.key in self.failed:
                    subject.stop = FAILED
            finished = partial(self._finish, timed=timed, monitor=monitor)
            interleave(subjects, take, settings, self._ended, finished)
        self._tell_untimed(name, subjects)
        self.emit(Message("conditions", facts=dict(monitor.summary())))
        if not self._ended():
            self._recheck({one.key: estimate_rounds(one.by_round()).value for one in subjects if one.samples})

    def _time_calls(self, subject: Subject, count: int) -> Timings | None:
        timed = self.workloads[subject.key]
        timings = self._attempt([timed.case], "", lambda: self.device.time(subject.call, count))
        if self.device.kind == "cuda":
            timed.drop_gradients()  # the others need the memory
        return timings

    def _tell_untimed(self, name: str, subjects: Sequence[Subject]) -> None:
        """Says which operators the budget left no time for."""
        for subject in subjects:
            if not subject.samples and subject.stop == self.request.settings.used_up:
                self.emit(Message("incomplete", subject.key, text=f"no {name}: {subject.stop}"))

    def _recheck(self, seconds: Mapping[str, float]) -> None:
        """Sends the lower bounds again that the operators' times contradict."""
        for name, readings in self.bounds.items():
            metric, (first, *_) = metrics.get(name), self.workloads.values()
            if metrics.is_bound(metric):
                check = partial(metric.recheck, readings, seconds, first, self.device)
                for key, reading in (self._attempt([first.case], name, check, costs_case=False) or {}).items():
                    if reading != readings[key]:
                        self.emit(Message("reading", key, reading=reading))

    def _finish(self, subject: Subject, timed: metrics.Timed, monitor: ConditionMonitor) -> None:
        """Emits the readings of an operator that was timed to its end; the first also states why sampling ended."""
        if not subject.samples:
            return
        facts: Facts = {"stop": subject.stop}
        if not self.request.timed_only:
            facts["first_call"] = self.first_calls[subject.key]
        readings = timed.readings(tuple(subject.rounds), facts, self.device.timing_method())
        self._emit_readings(self.workloads[subject.key].case, [_marked(reading, monitor) for reading in readings])

    def _announce_timing(self, key: str, step: str, subject: Subject, settings: Settings) -> None:
        """Announces who is timed next, and now and then how precise its estimate is."""
        facts: Facts = {"rounds": len(subject.rounds), "samples": subject.count}
        now = self.clock()
        if subject.count:
            needed = seconds_needed(subject, settings)
            facts |= {"spent": subject.timed} | ({} if needed is None else {"needed": needed})
        if subject.count and now >= self._next_estimate:
            self._next_estimate = now + ESTIMATE_SECONDS
            estimate = estimate_rounds(subject.by_round())
            facts["value"] = estimate.value
            if estimate.is_bounded:
                facts["half_width"] = estimate.half_width
        self._announce(key, step, facts)

    def _announce(self, key: str, step: str, facts: Facts | None = None) -> None:
        """Says what is done next, so that a crash can be blamed on it."""
        self.emit(Message("at", key, step, facts=facts))

    def _emit_readings(self, case: Case, readings: Sequence[Reading]) -> None:
        """Sends the readings of a metric, the first one last: where it has arrived, none is missing."""
        for reading in reversed(readings):
            if all(map(math.isfinite, reading.samples)):
                self.emit(Message("reading", case.key, reading=reading))
            else:
                self.emit(Message("incomplete", case.key, text=f"no {reading.metric}: its value is not finite"))

    def _give_up(self, key: str, kind: str, reason: str) -> None:
        self.failed.add(key)
        self.emit(Message(kind, key, text=reason))

    def _attempt(
        self,
        cases: Sequence[Case],
        step: str,
        action: Callable[[], T],
        *,
        costs_case: bool = True,
        facts: Facts | None = None,
    ) -> T | None:
        """Returns what the action returns; whatever an operator raises becomes its row's reason, and the result None.

        Args:
            cases: that an exception costs.
            step: announced first; empty: nothing is announced.
            action: runs code of an operator.
            costs_case: False if `step` is a metric, and the rest of the case can still be measured.
            facts: announced with the step.
        """
        if step:
            self._announce(cases[0].key, step, facts)
        state = ProcessState()
        try:
            result = action()
            if not self._has_leaked(state, cases[0]):
                return result
        except Exception as problem:
            state.restore()
            refused = isinstance(problem, (upsamplers.UpsamplerError, BenchError))
            reason = str(problem) if refused or isinstance(problem, capabilities.No) else why(problem)
            if not costs_case:
                self._report_missing(cases[0], step, problem, reason)
            else:
                for case in cases:
                    self._give_up(case.key, "skipped" if refused else "failed", reason)
        if not self.device.is_alive():  # every later call here would fail alike: a fresh process continues
            os._exit(DEAD_DEVICE)
        self.device.release()  # after the exception, and with it what its frames hold, has been dropped
        return None

    def _has_leaked(self, state: ProcessState, case: Case) -> bool:
        """Puts back what a step left changed; an operator loses its row for that, a probe nothing."""
        changed = state.restore()
        if changed and case.mode != PROBE and case.key not in self.failed:
            self._give_up(case.key, "failed", f"wrong: changes {', '.join(changed)} (shared with other operators)")
        return bool(changed) and case.mode != PROBE

    def _report_missing(self, case: Case, step: str, problem: Exception, reason: str) -> None:
        """A metric could not be read; for a probe that is the answer."""
        metric = metrics.get(step)
        if capabilities.is_probe(metric):
            applies = not isinstance(problem, capabilities.NotApplicable)
            self._emit_readings(case, capabilities.refusal(metric, reason, applies=applies))
        else:
            self.emit(Message("incomplete", case.key, text=f"no {step}: {reason}"))


def why(problem: Exception) -> str:
    """An exception as a row's reason: one line, and the same words for every way of running out of memory."""
    text = " ".join(str(problem).split())
    if isinstance(problem, OUT_OF_MEMORY_ERRORS) or any(sign in text.lower() for sign in MEMORY_SIGNS):
        return f"{OUT_OF_MEMORY}: {text[:160]}" if text else OUT_OF_MEMORY
    return f"{type(problem).__name__}: {text[:240]}{_where(problem)}"


def _where(problem: Exception) -> str:
    """The last line of the operator's own file that an exception came through, as " (my_file.py:12)"."""
    lines = [
        f" ({Path(frame.f_code.co_filename).name}:{line})"
        for frame, line in walk_tb(problem.__traceback__)
        if str(frame.f_globals.get("__name__")).partition(".")[0] not in NOT_OWN
    ]
    return lines[-1] if lines else ""


def _marked(reading: Reading, monitor: ConditionMonitor) -> Reading:
    """The reading with a note of what disturbed it."""
    notes = list(reading.notes)
    if throttled := monitor.throttled:
        notes.append(f"{THROTTLED}: {throttled}")
    if monitor.others > DISTURBED_SHARE * len(processor.cores()):
        notes.append("disturbed: other processes were busy while this was timed")
    return replace(reading, notes=tuple(notes))
