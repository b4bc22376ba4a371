"""Measures the cases of one group in this process: builds, verifies, reads, then times them in interleaved rounds."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import torch

import upsamplers
from upsampler_bench import capabilities, metrics
from upsampler_bench.case import PROBE, Case
from upsampler_bench.device import OUT_OF_MEMORY_ERRORS, Device, Timings
from upsampler_bench.device.environment import ConditionMonitor
from upsampler_bench.errors import BenchError
from upsampler_bench.results import Reading
from upsampler_bench.runner.interleaving import FAILED, INTERRUPTED, Subject, interleave, warm_up
from upsampler_bench.runner.protocol import Message, Request
from upsampler_bench.stats import estimate_rounds
from upsampler_bench.workloads import output_check, workload
from upsampler_bench.workloads.workload import Workload

OUT_OF_MEMORY = "out of memory"
ESTIMATE_SECONDS = 0.25
DISTURBED_SHARE = 0.1
DEAD_DEVICE = 70
MEMORY_SIGNS = ("can't allocate memory", "not enough memory", "out of memory", "cannot allocate memory")


@dataclass
class Group:
    """One group at work: what is alive of it, and where its messages go."""

    request: Request
    device: Device
    emit: Callable[[Message], None]
    interrupted: Callable[[], bool]
    workloads: dict[str, Workload] = field(default_factory=dict)
    first_calls: dict[str, float] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)
    _next_estimate: float = 0.0

    def measure(self) -> None:
        """Reads every metric of every case that is not done; a case that fails loses the rest of its own only."""
        shared: list[tuple[torch.Tensor, ...]] = []
        with self._guard(*self.request.cases, step="make inputs"):
            workload.wake(self.device.name)
            shared.append(workload.shared_inputs(self.request.cases[0], self.request.settings))
        for case in self.request.cases if shared else ():
            if not self.interrupted():
                self._prepare(case, shared[0])
        wanted = metrics.for_case(self.request.cases[0], self.request.settings.metrics)
        for name, metric in wanted.items():
            if metrics.is_timed(metric) and not self._is_done(metric):
                self._time(name, metric)

    def _prepare(self, case: Case, shared: tuple[torch.Tensor, ...]) -> None:
        with self._guard(case, step="build"):
            built = workload.build(case, self.request.settings, shared)
            self._at(case.key, "first call")
            begun = time.perf_counter()
            built.step()
            self.device.synchronize()
            self.first_calls[case.key] = time.perf_counter() - begun
            self._at(case.key, "verify")
            wrong = output_check.why_wrong(built)
            if wrong:
                self._give_up(case.key, "failed", wrong)
                if built.has_written_to_its_inputs():
                    workload.restore(shared, case, self.request.settings)
                return
            self._read_once(case, built)
            self.workloads[case.key] = built

    def _read_once(self, case: Case, built: Workload) -> None:
        wanted = metrics.for_case(case, self.request.settings.metrics)
        for place, (name, metric) in enumerate(wanted.items()):
            if not metrics.is_once(metric) or metric.INFOS[0].name in self.request.done[case.key]:
                continue
            if self.interrupted():
                return
            facts: dict[str, float | str] = {"share": place / len(wanted)}
            with self._guard(case, step=name, fatal=False, facts=facts if case.mode == PROBE else None):
                self._read(case, *metric.measure(built, self.device))
        if case.mode == PROBE:
            self.emit(Message("probed", case.key))

    def _time(self, name: str, metric: metrics.Timed) -> None:
        alive = {key: one for key, one in self.workloads.items() if key not in self.failed}
        subjects = {key: Subject(one.case.upsampler, metric.call(one)) for key, one in alive.items()}
        keys = {id(subject): key for key, subject in subjects.items()}

        def take(subject: Subject, count: int) -> Timings | None:
            key = keys[id(subject)]
            self._tell(key, name, subject)
            with self._guard(self.workloads[key].case):
                return self.device.time(subject.call, count)
            return None

        with ConditionMonitor(self.device.conditions) as monitor:

            def finished(subject: Subject) -> None:
                self._finish(keys[id(subject)], subject, metric, monitor)

            for key, subject in subjects.items():
                if self.interrupted():
                    subject.stop = INTERRUPTED
                    continue
                with self._guard(self.workloads[key].case, step=name):
                    subject.call = self.device.captured(subject.call)
                    warm_up(subject, take, self.request.settings)
                subject.stop = FAILED if key in self.failed else subject.stop
            interleave(list(subjects.values()), take, self.request.settings, self.interrupted, finished)
        self.emit(Message("conditions", facts=dict(monitor.summary())))

    def _is_done(self, metric: metrics.Timed) -> bool:
        return all(metric.INFOS[0].name in self.request.done[key] for key in self.workloads)

    def _finish(self, key: str, subject: Subject, metric: metrics.Timed, monitor: ConditionMonitor) -> None:
        if not subject.samples:
            return
        facts: dict[str, float | str] = {"stop": subject.stop, "first_call": self.first_calls[key]}
        for reading in metric.readings(tuple(subject.rounds), facts, self.device.timing_method()):
            self.emit(Message("reading", key, reading=_marked(reading, monitor)))

    def _tell(self, key: str, step: str, subject: Subject) -> None:
        """Says who is timed next, and every now and then how far its estimate is."""
        facts: dict[str, float | str] = {"rounds": len(subject.rounds), "samples": subject.count}
        now = time.monotonic()
        if subject.count and now >= self._next_estimate:
            self._next_estimate = now + ESTIMATE_SECONDS
            found = estimate_rounds(subject.by_round())
            facts |= {"value": found.value, "half_width": min(found.half_width, 9.99)}
        self.emit(Message("at", key, step, facts=facts))

    def _at(self, key: str, step: str, facts: dict[str, float | str] | None = None) -> None:
        self.emit(Message("at", key, step, facts=facts))

    def _read(self, case: Case, *readings: Reading) -> None:
        for reading in readings:
            self.emit(Message("reading", case.key, reading=reading))

    def _miss(self, case: Case, step: str, problem: Exception, reason: str) -> None:
        """A metric could not be read; of a probe that is the answer."""
        metric = metrics.get(step)
        if capabilities.is_probe(metric):
            applies = not isinstance(problem, capabilities.NotApplicable)
            self._read(case, *capabilities.refusal(metric, reason, applies=applies))
        else:
            self.emit(Message("incomplete", case.key, text=f"no {step}: {reason}"))

    def _give_up(self, key: str, kind: str, reason: str) -> None:
        self.failed.add(key)
        self.emit(Message(kind, key, text=reason))

    @contextmanager
    def _guard(
        self, *cases: Case, step: str = "", fatal: bool = True, facts: dict[str, float | str] | None = None
    ) -> Iterator[None]:
        """The one place where whatever an operator raises becomes its row's reason.

        Args:
            cases: that it costs.
            step: about to be done.
            fatal: False where `step` is a metric, and the rest of the case can still be measured.
            facts: told with the step.
        """
        if step:
            self._at(cases[0].key, step, facts)
        try:
            yield
            return
        except Exception as problem:
            refused = isinstance(problem, (upsamplers.UpsamplerError, BenchError))
            reason = str(problem) if refused or isinstance(problem, capabilities.No) else why(problem)
            for case in cases:
                if fatal:
                    self._give_up(case.key, "skipped" if refused else "failed", reason)
                else:
                    self._miss(case, step, problem, reason)
        if not self.device.is_alive():  # every later call here would fail alike: a fresh process goes on
            os._exit(DEAD_DEVICE)
        self.device.release()  # not before the problem, and with it what its frames hold, is forgotten


def why(problem: Exception) -> str:
    """An exception as a row's reason: one line, and the same words for every way of running out of memory."""
    text = " ".join(str(problem).split())
    if isinstance(problem, OUT_OF_MEMORY_ERRORS) or any(one in text.lower() for one in MEMORY_SIGNS):
        return f"{OUT_OF_MEMORY}: {text[:160]}" if text else OUT_OF_MEMORY
    return f"{type(problem).__name__}: {text[:240]}"


def _marked(reading: Reading, monitor: ConditionMonitor) -> Reading:
    """The reading with a note of what disturbed it."""
    notes = list(reading.notes)
    if monitor.throttled:
        notes.append(f"throttled during the run: {', '.join(sorted(monitor.throttled))}")
    if monitor.others > DISTURBED_SHARE * (os.cpu_count() or 1):
        notes.append("disturbed: other processes were busy while this was timed")
    return replace(reading, notes=tuple(notes))
