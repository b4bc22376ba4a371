"""A session to a run: groups, each in fresh processes; a failure affects its own row only; results are kept at once."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TypeVar

from upsampler_bench import capabilities, metrics
from upsampler_bench import plan as plans
from upsampler_bench.case import PROBE, TIMED, Case, Settings
from upsampler_bench.device.placement import Placement
from upsampler_bench.errors import BenchError, DeviceError, NothingMeasured
from upsampler_bench.results import (
    COMPLETE,
    FAILED,
    INTERRUPTED,
    MEASURED,
    SKIPPED,
    Environment,
    Measurement,
    MetricInfo,
    Origin,
    Reading,
    Run,
    Scene,
)
from upsampler_bench.runner.group import OUT_OF_MEMORY
from upsampler_bench.runner.pool import Interrupted, Pool
from upsampler_bench.runner.process import Ending
from upsampler_bench.runner.progress import ProgressListener
from upsampler_bench.runner.protocol import DEAD_DEVICE, Message, Request
from upsampler_bench.runner.session import NOT_YET, OUT_OF_MEMORY_BEFORE, Session, retried

T = TypeVar("T")
LOST = (FAILED, SKIPPED)
# Beyond the lifetime of the process that ended early (s): a busy machine starts the next one slowly.
LINGER_MARGIN = 5.0
# At most (s), of each process of the search.
MOST_LINGER = 30.0


def run(
    session: Session,
    listener: ProgressListener,
    measure: Callable[[State], str] | None = None,
    infos: Sequence[MetricInfo] = (),
) -> Run:
    """Measures the cases of a session, group by group, and writes the results as they arrive.

    Args:
        session: what to measure.
        listener: is called as it goes on.
        measure: measures everything and returns how that ended, in place of group by group.
        infos: the metrics that it reads; by default those of the session.

    Raises:
        OutputError: another run is writing into the same folder, or it cannot be written.
        NothingMeasured: no operator that was asked for has a single reading; nothing is written then.
        KeyboardInterrupt: interrupted before the first reading.
        BenchError: nothing can be measured at all (the measuring process cannot start, say).
    """
    with session.writer.locked():
        start = _start(session, tuple(infos) or metrics.infos(session.settings.metrics))
        return _run(State(start, session, listener), measure or _measure_groups)


def _run(state: State, measure: Callable[[State], str]) -> Run:
    session = state.session
    try:
        ended = measure(state)
        finished = replace(state.run, ended=ended, finished=now())
        _require_readings(finished, session)
    except BaseException as problem:
        has_results = any(row.has_results for row in state.run.measurements)
        session.writer.discard(partial=isinstance(problem, NothingMeasured) or not has_results)
        if isinstance(problem, BenchError) and session.writer.has_partial():
            hint = f"What was measured is in {session.writer.folder}; the same command with --resume continues."
            raise type(problem)(f"{problem}\n{hint}") from problem
        raise
    in_order = (finished.measurement(case) for case in session.cases)
    finished = replace(finished, measurements=tuple(measurement for measurement in in_order if measurement))
    session.writer.finish(finished)
    return finished


def now() -> str:
    """The time as stored runs hold it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _start(session: Session, infos: tuple[MetricInfo, ...]) -> Run:
    if session.previous is not None:
        measurements = tuple(retried(row, session.settings) for row in session.previous.measurements)
        before = session.previous.environment
        environment = replace(before, conditions=(*before.conditions, *session.control))
        return replace(
            session.previous, environment=environment, measurements=measurements, metrics=infos, ended=INTERRUPTED
        )
    unknown = Environment("", session.cases[0].device.partition(":")[0])
    return Run(unknown, session.settings, infos, session.upsamplers, (), session.plan, started=now())


def _require_readings(run: Run, session: Session) -> None:
    measured = {one.case.upsampler for one in run.measurements if one.has_results}
    if run.ended == INTERRUPTED:
        if not measured:
            raise KeyboardInterrupt("before the first reading; nothing was written")
        return
    requested = session.requested or [case.upsampler for case in session.cases]
    if measured.isdisjoint(requested):
        reasons: dict[str, dict[str, None]] = {}
        for one in run.measurements:
            if one.reason and one.case.upsampler in requested:
                reasons.setdefault(one.reason, {})[one.case.upsampler] = None
        lines = [f"{', '.join(names)}: {reason}" for reason, names in reasons.items()]
        raise NothingMeasured("\n".join(["nothing that was asked for could be measured", *lines]))


class State:
    """A run under way; the threads of several devices share it, each behind its lock."""

    def __init__(self, run: Run, session: Session, listener: ProgressListener) -> None:
        self._run = run
        self._measurements = {measurement.case: measurement for measurement in run.measurements}
        self._is_written = True
        self.session, self.listener = session, listener
        self.pool = Pool(session.placements)
        self.lock = threading.RLock()
        timed = filter(metrics.is_timed, map(metrics.get, metrics.names()))
        # Their readings pair with the others' of one process.
        self.paired = {info.name for metric in timed for info in metric.INFOS}
        self.out_of_memory = [one.case for one in run.measurements if _is_out_of_memory(one)]

    @property
    def run(self) -> Run:
        """As it stands."""
        with self.lock:
            return replace(self._run, measurements=tuple(self._measurements.values()))

    @property
    def environment(self) -> Environment:
        """Of the run; without a device's name until the first process has sent it."""
        return self._run.environment

    @environment.setter
    def environment(self, environment: Environment) -> None:
        self._run = replace(self._run, environment=environment)

    def write_partial(self) -> None:
        """Writes the run as it stands, if it has results, and unless nothing is new or that was done a moment ago."""
        writer = self.session.writer
        if not self._is_written and self.environment.device_name and writer.is_due():
            run = self.run
            if any(row.has_results for row in run.measurements):
                writer.write_partial(run)
                self._is_written = True

    def measurement(self, case: Case) -> Measurement:
        """A case as it stands."""
        return self._measurements.get(case) or Measurement(case, INTERRUPTED, NOT_YET)

    def store(self, measurement: Measurement) -> None:
        """Replaces a case's measurement."""
        with self.lock:
            self._measurements[measurement.case] = measurement
            self._is_written = False
            if _is_out_of_memory(measurement):
                self.out_of_memory.append(measurement.case)

    def give_up(self, case: Case, status: str, reason: str) -> None:
        """Marks a case as lost; its readings stay."""
        with self.lock:
            self.store(replace(self.measurement(case), status=status, reason=reason))
            self.listener.lost(case, reason)

    def add_reason(self, case: Case, text: str) -> None:
        """Adds why something of a case could not be read, once."""
        before = self.measurement(case)
        reason = before.reason.removeprefix(NOT_YET)
        if text not in reason:
            self.store(replace(before, reason="; ".join(filter(None, [reason, text]))))

    def add_scenes(self, scenes: Sequence[Scene]) -> None:
        """Adds the scenes of a task that the run has none of yet."""
        known = {scene.task for scene in self._run.scenes}
        added = tuple(scene for scene in scenes if scene.task not in known)
        self._run = replace(self._run, scenes=(*self._run.scenes, *added))

    def add(self, case: Case, reading: Reading, origin: Origin) -> Reading:
        """Adds a reading of a device and returns it: a timed one follows those of earlier processes, others replace."""
        before = self.measurement(case)
        earlier = before.reading(reading.metric)
        is_timed = reading.metric in self.paired
        if earlier is not None and is_timed:
            reading = earlier.followed_by(reading)
        kept = tuple(other for other in before.readings if other.metric != reading.metric)
        origin = origin if is_timed or before.origin == Origin() else before.origin
        self.store(replace(before, readings=(*kept, reading), origin=origin))
        return reading

    def keep_processes(self, case: Case, count: int) -> None:
        """Removes what later processes timed: ratios pair the rounds of one process, so all cases are timed again."""
        before = self.measurement(case)
        kept = [reading for reading in before.readings if count or reading.metric not in self.paired]
        readings = (reading.of_first(count) if reading.metric in self.paired else reading for reading in kept)
        # What could not be read is tried again, and gives its reason again.
        status = before.status if kept == [*before.readings] else INTERRUPTED
        reason = NOT_YET if status == INTERRUPTED else before.reason
        self.store(replace(before, readings=tuple(readings), status=status, reason=reason))


def _measure_groups(state: State) -> str:
    """Measures all groups and returns how that ended; small shapes first, so that memory runs out late."""
    waiting = deque(plans.conditions(state.session.cases))
    try:
        state.pool.each(lambda placement: _measure_on(state, placement, waiting))
    except (Interrupted, KeyboardInterrupt):
        return INTERRUPTED
    return COMPLETE


def _measure_on(state: State, placement: Placement, waiting: deque[tuple[Case, ...]]) -> None:
    """Measures on one device what waits, until nothing does: a group is never shared by devices.

    Further processes follow when each group has had one: so they differ in what changes slowly, too.
    """
    groups: list[tuple[Case, ...]] = []
    for cases in taken(waiting):
        groups.append(cases)
        _measure_group(state, placement, cases, len(cases) + sum(map(len, tuple(waiting))), timed_only=False)
    for _ in range(1, state.session.settings.processes):
        for place, cases in enumerate(groups):
            _measure_group(state, placement, cases, sum(map(len, groups[place:])), timed_only=True)


def taken(waiting: deque[T]) -> Iterator[T]:
    """Takes one after the other of what waits, as the threads of other devices do."""
    with contextlib.suppress(IndexError):
        while True:
            yield waiting.popleft()


def _measure_group(
    state: State, placement: Placement, cases: Sequence[Case], cases_left: int, *, timed_only: bool
) -> None:
    """Measures one group in one process; one that dies is followed by another without the case that killed it."""
    if state.pool.is_interrupted:
        raise Interrupted
    with state.lock:
        state.listener.begin(cases, placement.name)
        for case in () if timed_only else cases:
            state.store(state.measurement(case))  # what ends here unfinished is seen to be
            if reason := _too_large(state, case):
                state.give_up(case, SKIPPED, reason)
    while going := _incomplete(state, cases, timed_only=timed_only):
        deadline = _deadline(state, cases, cases_left)
        if 0 < deadline <= time.monotonic():  # before the first process, or after one that a case has ended
            _skip(state, going)
            break
        if _run_process(state, placement, going, deadline, timed_only=timed_only):
            break
    _settle(state, cases)


def _settle(state: State, cases: Sequence[Case]) -> None:
    """Marks what of a group was measured and not lost as measured."""
    for measurement in map(state.measurement, cases):
        if measurement.status == INTERRUPTED:
            reason = measurement.reason.removeprefix(NOT_YET)
            state.store(replace(measurement, status=MEASURED, reason=reason))


def _incomplete(state: State, cases: Sequence[Case], *, timed_only: bool) -> list[Case]:
    """The cases that a further process must measure: all that are not lost, if one of them needs it; probes apart."""
    going = [case for case in cases if state.measurement(case).status not in LOST]
    settings = state.session.settings
    if timed_only:
        return going if _timed_processes(state, going) < settings.processes else []
    done = _done(state, going)
    missing = [
        case
        for case in going
        if state.measurement(case).status != MEASURED and not _is_complete(case, done[case.key], settings)
    ]
    # What of a measured case could not be read is not tried again. Complete cases are timed again with the rest, for
    # their ratios to pair; probes have no ratios.
    return missing if not missing or going[0].mode == PROBE else going


def _skip(state: State, cases: Sequence[Case]) -> None:
    """Gives up those of the cases that the budget left no time for."""
    for case in cases:
        if state.measurement(case).status == INTERRUPTED:
            state.give_up(case, SKIPPED, state.session.settings.used_up)


def _run_process(state: State, placement: Placement, cases: list[Case], deadline: float, *, timed_only: bool) -> bool:
    """Measures in one process until it ends, crashes or times out; then blames the case it was at.

    Returns:
        Whether it measured everything.

    Raises:
        Interrupted: the user pressed Ctrl-C; what the process had measured is kept.
        BenchError: the process could not begin to measure.
    """
    by_key = {case.key: case for case in cases}
    finished = _timed_processes(state, cases)
    for case in cases:
        state.keep_processes(case, finished)
    request = state.session.request(cases, _done(state, cases))
    request = replace(request, timed_only=timed_only, deadline=deadline)
    begun, built, origin = time.monotonic(), {}, Origin()

    def receive(message: Message) -> None:
        nonlocal origin
        if message.kind == "at":
            built[message.key] = by_key[message.key]
        if message.environment is not None:
            origin = message.environment.origin
        with state.lock:
            _receive(state, by_key, message, origin)

    ending = state.pool.follow(placement, request, receive)
    if ending.last.kind == "start":
        return _not_started(state, cases, ending)
    blamed = by_key.get(ending.last.key)
    others = [case for key, case in built.items() if case is not blamed]
    has_time = not deadline or time.monotonic() < deadline
    has_crashed = ending.last.kind != "end" and not ending.stopped and not ending.is_explained
    is_lost = blamed is None or state.measurement(blamed).status in LOST
    if blamed is not None and not is_lost and others and has_time and blamed.mode != PROBE and has_crashed:
        request = replace(request, linger=min(time.monotonic() - begun + LINGER_MARGIN, MOST_LINGER))
        blamed, ending = _culprit(state.pool, placement, request, blamed, others, ending)
    # A culprit found among the others may have failed before its timer or thread ended the process.
    if blamed is not None and state.measurement(blamed).status not in LOST:
        with state.lock:
            _blame(state, blamed, ending, origin)
    return ending.last.kind == "end"


def _not_started(state: State, cases: Sequence[Case], ending: Ending) -> bool:
    """Skips what the budget ended before it began; whatever else keeps a process from starting ends the run."""
    if ending.stopped != state.session.settings.used_up:
        raise BenchError(ending.why_not_started())
    _skip(state, cases)
    return False


def _culprit(
    pool: Pool, placement: Placement, request: Request, suspect: Case, others: list[Case], ending: Ending
) -> tuple[Case, Ending]:
    """Which case ended a process: the one it was at, if that ends one alone too; else one of the others, by halves.

    Args:
        pool, placement: where it ran.
        request: the process's, with the time for which it lived.
        suspect: the case it was at.
        others: that it had built: a timer or a thread of theirs may have ended it.
        ending: how it ended.
    """
    if _try(pool, placement, request, [suspect]).last.kind != "end":
        return suspect, ending
    while others:
        half = others[: (len(others) + 1) // 2]
        tried = _try(pool, placement, request, half)
        if tried.last.kind == "end":
            others = others[len(half) :]
        elif len(half) == 1:
            return half[0], tried
        else:
            others = half
    return suspect, ending


def _try(pool: Pool, placement: Placement, request: Request, cases: list[Case]) -> Ending:
    """How a process with these cases alone ends, each timed a few times only."""
    settings = replace(request.settings, rounds=1, turn=1, warmup_calls=1, warmup_seconds=0.0)
    nothing: dict[str, list[str]] = {case.key: [] for case in cases}
    quick = replace(request, cases=tuple(cases), settings=settings, done=nothing)
    return pool.follow(placement, quick, lambda message: None)


def _blame(state: State, case: Case, ending: Ending, origin: Origin) -> None:
    """A process died of this case: a probe loses what was just tried, any other case all that was still to come."""
    step = ending.last.step
    metric = metrics.get(step) if step in metrics.names() else None
    is_used_up = ending.stopped == state.session.settings.used_up  # the budget, which is not the case's fault
    if metric is None or not capabilities.is_probe(metric):
        status = SKIPPED if is_used_up else FAILED
        said = state.measurement(case).reason.removeprefix(NOT_YET) if ending.code == DEAD_DEVICE else ""
        state.give_up(case, status, said or ending.reason(step))
    elif state.measurement(case).reading(metric.INFOS[0].name) is None:
        for reading in capabilities.refusal(metric, ending.reason(), applies=not is_used_up):
            _receive(state, {case.key: case}, Message("reading", case.key, reading=reading), origin)


def _receive(state: State, cases: dict[str, Case], message: Message, origin: Origin) -> None:
    """Takes a message of the measuring process of a device into the run."""
    if message.kind == "unusable":
        raise DeviceError(message.text)
    if message.environment is not None and not state.environment.device_name:
        control = state.session.control
        conditions = (*message.environment.conditions, *control)
        state.environment = replace(message.environment, conditions=conditions)
    elif message.kind == "conditions" and message.facts:
        facts = {**message.facts, "device": origin.device} if state.session.placements else message.facts
        conditions = (*state.environment.conditions, facts)
        state.environment = replace(state.environment, conditions=conditions)
    elif message.reading is not None:
        message = replace(message, reading=state.add(cases[message.key], message.reading, origin))
    elif message.kind in LOST:
        state.give_up(cases[message.key], message.kind, message.text)
    elif message.kind == "probed":
        state.store(replace(state.measurement(cases[message.key]), status=MEASURED, reason=""))
    elif message.kind == "incomplete":
        state.add_reason(cases[message.key], message.text)
    state.write_partial()
    state.listener.update(_of_all_processes(state, cases, message))


def _of_all_processes(state: State, cases: dict[str, Case], message: Message) -> Message:
    """The message with the samples of earlier processes added; only the last process's says why sampling ended."""
    facts, processes = message.facts or {}, state.session.settings.processes
    if message.kind == "at" and "samples" in facts:
        case = cases[message.key]
        earlier = state.measurement(case).reading(TIMED[case.mode]) or Reading("", (), "")
        spent = sum(earlier.samples)
        of_one = spent / len(earlier.by_process) if spent else float(facts.get("needed", 0.0))
        summed = {
            "rounds": int(facts["rounds"]) and int(facts["rounds"]) + len(earlier.rounds),  # 0: warming up
            "samples": int(facts["samples"]) + len(earlier.samples),
            "spent": float(facts.get("spent", 0.0)) + spent,
            "needed": processes * of_one,
        }
        return replace(message, facts={**facts, **summed})
    if message.reading and len(message.reading.by_process) < processes:
        shown = {name: fact for name, fact in message.reading.facts.items() if name != "stop"}
        return replace(message, reading=replace(message.reading, facts=shown))
    return message


def _done(state: State, cases: Sequence[Case]) -> dict[str, list[str]]:
    """By case, the metrics read before; timed ones only if every process timed all cases, since ratios are paired."""
    are_timed = _timed_processes(state, cases) >= state.session.settings.processes
    return {
        case.key: [
            reading.metric
            for reading in state.measurement(case).readings
            if are_timed or reading.metric not in state.paired
        ]
        for case in cases
    }


def _timed_processes(state: State, cases: Sequence[Case]) -> int:
    """How many processes have timed all of these cases; where nothing is timed, as many as there are to be."""
    settings = state.session.settings
    counts = [settings.processes]
    for case in cases:
        for metric in filter(metrics.is_timed, metrics.for_case(case, settings.metrics).values()):
            reading = state.measurement(case).reading(metric.INFOS[0].name)
            is_interrupted = reading is not None and reading.facts.get("stop") == INTERRUPTED
            counts.append(len(reading.by_process) - is_interrupted if reading else 0)
    return min(counts)


def _is_complete(case: Case, done: Sequence[str], settings: Settings) -> bool:
    return all(metric.INFOS[0].name in done for metric in metrics.for_case(case, settings.metrics).values())


def _too_large(state: State, case: Case) -> str | None:
    """Why there is no point in trying, if a smaller size already ran out of memory."""
    for smaller in state.out_of_memory:
        same = replace(
            smaller, batch=case.batch, channels=case.channels, height=case.height, width=case.width, scale=case.scale,
            layout=case.layout,
        )  # fmt: skip
        if same == case and smaller.elements < case.elements:
            return f"{OUT_OF_MEMORY_BEFORE} {smaller.condition}"
    return None


def _is_out_of_memory(measurement: Measurement) -> bool:
    return measurement.status == FAILED and OUT_OF_MEMORY in measurement.reason


def _deadline(state: State, cases: Sequence[Case], cases_left: int) -> float:
    """When a group is to be measured, on the clock of `time.monotonic`: after its share of what the budget leaves."""
    end = state.session.deadline
    if not end:
        return 0.0
    now, at_once = time.monotonic(), len(state.pool.placements)
    return min(end, now + (end - now) * at_once * len(cases) / cases_left)
