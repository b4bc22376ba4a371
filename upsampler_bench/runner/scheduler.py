"""Cases to a Run: a measuring process a group, whatever fails costs its own row, everything is kept as it comes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone

from upsampler_bench import capabilities, metrics
from upsampler_bench.case import PROBE, Case, Settings
from upsampler_bench.errors import BenchError, DeviceError
from upsampler_bench.results import (
    COMPLETE,
    FAILED,
    INTERRUPTED,
    MEASURED,
    SKIPPED,
    Environment,
    Measurement,
    Reading,
    Run,
)
from upsampler_bench.runner.group import OUT_OF_MEMORY
from upsampler_bench.runner.job import Job, ProgressListener
from upsampler_bench.runner.process import Ending, Process, follow
from upsampler_bench.runner.protocol import Message, Request

LOST = (FAILED, SKIPPED)
NOT_YET = "not measured yet"


class Interrupted(Exception):
    """The user ended the run; it keeps what was measured."""


def run(job: Job, listener: ProgressListener, keep: Callable[[Run], None]) -> Run:
    """Measures the cases, group by group.

    Args:
        job: what to measure.
        listener: hears how it goes.
        keep: called with the run as it stands, whenever something happened.

    Raises:
        BenchError: nothing can be measured at all (no such device, say).
    """
    state = _State(_start(job), job, listener, keep)
    groups = _groups(job.cases)
    try:
        for number, cases in enumerate(groups):
            _run_group(state, cases, sum(map(len, groups[number:])))
    except (Interrupted, KeyboardInterrupt):
        return replace(state.run, ended=INTERRUPTED, finished=now())
    return replace(state.run, ended=COMPLETE, finished=now())


def now() -> str:
    """The time as stored runs hold it."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def _start(job: Job) -> Run:
    infos = metrics.infos(job.settings.metrics)
    if job.previous is not None:
        return replace(job.previous, metrics=infos, ended=INTERRUPTED)
    device = job.cases[0].device
    nowhere = Environment("", device.partition(":")[0])
    return Run(nowhere, job.settings, infos, job.upsamplers, (), job.plan, started=now())


@dataclass
class _State:
    """A run under way."""

    run: Run
    job: Job
    listener: ProgressListener
    keep: Callable[[Run], None]

    def settle(self, measurement: Measurement) -> None:
        """Takes a case's newest state into the run."""
        self.run = self.run.with_measurement(measurement)

    def of(self, case: Case) -> Measurement:
        """A case as it stands."""
        return self.run.measurement(case) or Measurement(case, INTERRUPTED, NOT_YET)

    def lose(self, case: Case, status: str, reason: str) -> None:
        """A case is given up; what was read of it stays."""
        self.settle(replace(self.of(case), status=status, reason=reason))
        self.listener.lost(case, reason)

    def add(self, case: Case, reading: Reading) -> None:
        """A reading arrived."""
        self.drop(case, (reading.metric,))
        before = self.of(case)
        self.settle(replace(before, readings=(*before.readings, reading)))

    def drop(self, case: Case, metrics: Sequence[str]) -> None:
        """Forgets these readings of a case."""
        before = self.of(case)
        self.settle(replace(before, readings=tuple(one for one in before.readings if one.metric not in metrics)))


def _groups(cases: Sequence[Case]) -> list[list[Case]]:
    """Cases that are timed together; small shapes first, so that what runs out of memory does so late."""
    found: dict[str, list[Case]] = {}
    for case in cases:
        found.setdefault(case.group, []).append(case)
    return sorted(found.values(), key=lambda group: _elements(group[0]))


def _elements(case: Case) -> int:
    return case.batch * case.channels * case.height * case.width * case.scale**2


def _run_group(state: _State, cases: list[Case], cases_left: int) -> None:
    """Measures one group; a process that dies is followed by another without the case that killed it."""
    for case in cases:
        if reason := _too_large(state.run, case):
            state.lose(case, SKIPPED, reason)
    state.listener.begin(cases)
    while going := [case for case in cases if state.of(case).status not in LOST]:
        done = _done(state, going)
        settings = _within_budget(state, cases_left)
        left = [case for case in going if not _is_whole(case, done[case.key], settings)]
        if not left:
            break
        # What is whole is timed again beside the rest, for its ratios to pair; of a probe nothing pairs.
        going = left if going[0].mode == PROBE else going
        _forget_unpaired(state, going, done)
        if _run_process(state, going, settings, done):
            break
    for case in cases:
        found = state.of(case)
        if found.status == INTERRUPTED:
            state.settle(replace(found, status=MEASURED, reason=found.reason.removeprefix(NOT_YET)))
    state.listener.end(cases)


def _forget_unpaired(state: _State, cases: Sequence[Case], done: dict[str, list[str]]) -> None:
    """Drops timings that another process will take again: ratios pair rounds of one process."""
    timed = _timed(state.run)
    for case in cases:
        state.drop(case, [one.metric for one in state.of(case).readings if one.metric in timed - {*done[case.key]}])


def _run_process(state: _State, cases: list[Case], settings: Settings, done: dict[str, list[str]]) -> bool:
    """Measures in one process until it ends, dies or goes silent; then blames the case it was at.

    Returns:
        Whether it got to its end.

    Raises:
        Interrupted: the user said so, once what the process still had to tell was heard.
        BenchError: the process could not begin to measure.
    """
    job, by_key = state.job, {case.key: case for case in cases}
    request = Request(
        tuple(cases), cases[0].device, settings, done, plugins=job.plugins, specs=job.specs, path=tuple(sys.path)
    )
    ending = follow(Process(request), lambda message: _take(state, by_key, message))
    if ending.interrupted:
        raise Interrupted
    if ending.last.kind == "start":
        error = ending.errors.rpartition("\n")[2]
        raise BenchError(f"the measuring process could not start: {error or ending.reason()}")
    blamed = by_key.get(ending.last.key)
    if blamed is not None and state.of(blamed).status not in LOST:
        _blame(state, blamed, ending)
    return ending.last.kind == "end"


def _blame(state: _State, case: Case, ending: Ending) -> None:
    """A process died of this case: it costs a probe what was just tried, any other case all that was still to come."""
    step = ending.last.step
    metric = metrics.get(step) if step in metrics.names() else None
    if metric is None or not capabilities.is_probe(metric):
        state.lose(case, FAILED, ending.reason(step))
    elif state.of(case).reading(metric.INFOS[0].name) is None:
        for reading in capabilities.refusal(metric, ending.reason()):
            _take(state, {case.key: case}, Message("reading", case.key, reading=reading))


def _take(state: _State, cases: dict[str, Case], message: Message) -> None:
    """Acts on what the measuring process said."""
    if message.kind == "unusable":
        raise DeviceError(message.text)
    if message.environment is not None and not state.run.environment.device_name:
        state.run = replace(state.run, environment=message.environment)
    elif message.kind == "conditions" and message.facts:
        environment = state.run.environment
        environment = replace(environment, conditions=(*environment.conditions, message.facts))
        state.run = replace(state.run, environment=environment)
    elif message.reading is not None:
        state.add(cases[message.key], message.reading)
    elif message.kind in LOST:
        state.lose(cases[message.key], message.kind, message.text)
    elif message.kind == "probed":
        state.settle(replace(state.of(cases[message.key]), status=MEASURED, reason=""))
    elif message.kind == "incomplete":
        before = state.of(cases[message.key])
        reasons = [one for one in (before.reason.removeprefix(NOT_YET), message.text) if one]
        state.settle(replace(before, reason="; ".join(reasons)))
    state.keep(state.run)
    state.listener.hear(message)


def _done(state: _State, cases: Sequence[Case]) -> dict[str, list[str]]:
    """By case, the metrics read before; a timed one only where the whole group has it, since ratios are paired."""
    found = {
        case.key: [one.metric for one in state.of(case).readings if one.facts.get("stop") != INTERRUPTED]
        for case in cases
    }
    timed = _timed(state.run)
    shared = set.intersection(*map(set, found.values()))
    return {key: [name for name in names if name not in timed or name in shared] for key, names in found.items()}


def _timed(run: Run) -> set[str]:
    """The metrics whose readings pair with the others' of one process."""
    return {info.name for info in run.metrics if not info.exact and info.mode != PROBE}


def _is_whole(case: Case, done: Sequence[str], settings: Settings) -> bool:
    wanted = metrics.for_case(case, settings.metrics)
    return all(metric.INFOS[0].name in done for metric in wanted.values())


def _too_large(run: Run, case: Case) -> str | None:
    """Why there is no point in trying, where a smaller size already ran out of memory."""
    for one in run.measurements:
        smaller = one.case.upsampler == case.upsampler and _elements(one.case) < _elements(case)
        alike = (one.case.mode, one.case.dtype, one.case.model) == (case.mode, case.dtype, case.model)
        if smaller and alike and one.status == FAILED and OUT_OF_MEMORY in one.reason:
            return f"ran out of memory at the smaller {one.case.condition}"
    return None


def _within_budget(state: _State, cases_left: int) -> Settings:
    """The settings of a group: its share of what is left of the budget caps each operator's time."""
    settings = state.job.settings
    if not settings.budget:
        return settings
    timed = {info.name for info in state.run.metrics if info.relative}
    spent = sum(sum(one.samples) for _, one in state.run.readings() if one.metric in timed)
    left = max(0.0, settings.budget - spent)
    return replace(settings, max_time=min(settings.max_time, left / max(1, cases_left)))
