"""A session of mode "quality" to a run: operators and seeds in parallel processes of one thread, each result kept."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import upsamplers
from upsampler_bench.case import RECONSTRUCTION, SIGNATURE, Case
from upsampler_bench.device import processor
from upsampler_bench.device.placement import ANYWHERE, Placement
from upsampler_bench.errors import BenchError, DeviceError
from upsampler_bench.quality import signature
from upsampler_bench.quality.progress import Progress
from upsampler_bench.quality.training import fashion
from upsampler_bench.results import COMPLETE, FAILED, INTERRUPTED, MEASURED, SKIPPED, Measurement, Origin, Run, Training
from upsampler_bench.runner import scheduler
from upsampler_bench.runner.pool import Interrupted, Pool
from upsampler_bench.runner.protocol import Message
from upsampler_bench.runner.scheduler import State
from upsampler_bench.runner.session import OUTSIDE, Session, retried

MEASURER = "upsampler_bench.quality.process:measure"
# Seconds on one core, by experience: of a signature, of a training step, of scoring a trained network, of the start of
# a process.
SIGNATURE_SECONDS, STEP_SECONDS, SCORE_SECONDS, START_SECONDS = 0.5, 0.06, 3.0, 3.0
# A guided operator takes so many times as long to train and to score.
GUIDED = 4
# A run on a slow machine takes at most so many times as long.
LONGER = 4
UNTRAINED = "guided by an image, for features of frozen backbones; trained only if named (-u {name}): it takes minutes"


@dataclass(frozen=True, slots=True)
class Job:
    """What one process does.

    Attributes:
        cases: several for signatures, one for a training.
        seed: of a training, and of the weights that a signature is of.
    """

    task: str
    seed: int
    cases: tuple[Case, ...]

    def seconds(self, steps: int) -> float:
        """How long each of its cases takes on one core, about."""
        if self.task == SIGNATURE:
            return SIGNATURE_SECONDS + START_SECONDS / len(self.cases)
        return START_SECONDS + (STEP_SECONDS * steps + SCORE_SECONDS) * (GUIDED if _is_guided(self.cases[0]) else 1)

    @property
    def words(self) -> str:
        """E.g. "shapes, seed 1"."""
        return self.task if self.task == SIGNATURE else f"{self.task}, seed {self.seed}"


def run(session: Session, progress: Progress) -> Run:
    """Measures the cases of a session, and writes the results as they arrive; see `runner.scheduler.run`."""
    return scheduler.run(session, progress, partial(_measure_jobs, progress=progress), signature.INFOS)


def expectation(session: Session) -> tuple[float, float]:
    """Seconds that what is left of a run will take: expected, and at most as long as no operator hangs."""
    rows = session.previous.measurements if session.previous else ()
    stored = {row.case: retried(row, session.settings) for row in rows}
    jobs = _missing(session, lambda case: stored.get(case) or Measurement(case, INTERRUPTED))
    seconds = sum(len(job.cases) * job.seconds(session.settings.steps) for job in jobs) / _workers()
    return seconds, LONGER * seconds


def _workers() -> int:
    return processor.threads(0)


def _jobs(session: Session, task: str, cases: Sequence[Case]) -> list[Job]:
    """All jobs of a task: of a training seed by seed, so that an interrupted run has all operators.

    The baseline comes first, then guided operators, the latest first: the slowest, so that no worker idles at the end.
    """
    settings = session.settings
    if task == SIGNATURE:
        shares = (tuple(cases[start :: _workers()]) for start in range(_workers()))
        return [Job(task, settings.seed, share) for share in shares if share]
    trained = [case for case in reversed(cases) if _is_trained(session, case)]
    trained.sort(key=lambda case: (case.upsampler != settings.baseline, not _is_guided(case)))
    return [Job(task, settings.seed + number, (case,)) for number in range(settings.seeds) for case in trained]


def _is_trained(session: Session, case: Case) -> bool:
    """Whether a case is trained: operators for features of frozen backbones only if they are named."""
    name, named = case.upsampler, session.plan.get("upsampler", ())
    is_known = name in upsamplers.names()  # a plug-in's are named
    return not is_known or not upsamplers.get(name).cls.guide_is_image or (isinstance(named, list) and name in named)


def _is_guided(case: Case) -> bool:
    """Whether its operator takes a guide; of a plug-in's it is not known here."""
    return case.upsampler in upsamplers.names() and upsamplers.get(case.upsampler).needs_guide


def _missing(session: Session, measurement: Callable[[Case], Measurement]) -> Iterator[Job]:
    """The jobs that an earlier run has not done, or whose process was killed from outside; of each case its results."""
    signed = {info.name for info in signature.INFOS}
    for task in session.settings.tasks:
        if task == SIGNATURE:
            lost = (FAILED, SKIPPED)
            unsigned = [case for case in session.cases if not _has(measurement(case), signed)]
            yield from _jobs(session, task, [case for case in unsigned if measurement(case).status not in lost])
            continue
        for job in _jobs(session, task, session.cases):
            done = {(one.task, one.seed) for one in _own(measurement(job.cases[0]))}
            if (task, job.seed) not in done:
                yield job


def _own(measurement: Measurement) -> tuple[Training, ...]:
    """The trainings that ended by themselves: those killed from outside are done again."""
    return tuple(one for one in measurement.trainings if not any(sign in one.failure for sign in OUTSIDE))


def _has(measurement: Measurement, metrics: set[str]) -> bool:
    return bool(metrics & {reading.metric for reading in measurement.readings})


def _measure_jobs(state: State, progress: Progress) -> str:
    """Does what is missing and returns how that ended."""
    for before in map(state.measurement, state.session.cases):
        state.store(replace(before, trainings=_own(before)))
    jobs, settings = list(_missing(state.session, state.measurement)), state.session.settings
    if any(job.task == RECONSTRUCTION for job in jobs):
        # Read here too, so that missing files are reported once and at once.
        images = fashion.load(Path(settings.data) if settings.data else None, settings.size)
        progress.note(images.note)
    progress.expect([(job.words, case, job.seconds(settings.steps)) for job in jobs for case in job.cases])
    pool, waiting = Pool((ANYWHERE,) * _workers(), finish_call=False), deque(jobs)

    def work(placement: Placement) -> None:
        for job in scheduler.taken(waiting):
            if not pool.is_interrupted:
                _do(state, pool, placement, job, progress)

    ended = COMPLETE
    try:
        pool.each(work)
    except (Interrupted, KeyboardInterrupt):
        ended = INTERRUPTED
    _conclude(state)
    return ended


def _do(state: State, pool: Pool, placement: Placement, job: Job, progress: Progress) -> None:
    """Does a job in a process; one that dies is followed by another without the case that it was at."""
    settings = replace(state.session.settings, tasks=(job.task,), seed=job.seed)

    def receive(message: Message) -> None:
        with state.lock:
            _receive(state, job, message, progress)

    left = job.cases
    while left:
        request = replace(state.session.request(left, {}), settings=settings, measurer=MEASURER)
        ending = pool.follow(placement, request, receive)
        if ending.last.kind == "end":
            return
        if ending.last.kind == "start":
            raise BenchError(ending.why_not_started())
        receive(Message(FAILED, ending.last.key, text=ending.cause()))
        left = left[[case.key for case in left].index(ending.last.key) + 1 :]


def _conclude(state: State) -> None:
    """Gives each case its status: by what it has, or why it has nothing."""
    for case in state.session.cases:
        measurement = state.measurement(case)
        if measurement.status == INTERRUPTED and measurement.has_results:
            state.store(replace(measurement, status=MEASURED, reason=""))
        elif measurement.status == INTERRUPTED and measurement.trainings:
            reasons = dict.fromkeys(f"{one.task}: {one.failure}" for one in measurement.trainings)
            state.store(replace(measurement, status=FAILED, reason="; ".join(reasons)))
        elif measurement.status == INTERRUPTED and not _is_trained(state.session, case):
            reason = UNTRAINED.format(name=case.upsampler)
            state.store(replace(measurement, status=SKIPPED, reason=reason))


def _receive(state: State, job: Job, message: Message, progress: Progress) -> None:
    """Takes a message of a measuring process into the run."""
    if message.kind == "unusable":
        raise DeviceError(message.text)
    case = next((case for case in job.cases if case.key == message.key), None)
    if message.environment is not None and not state.environment.device_name:
        state.environment = message.environment
    elif case is not None and message.reading is not None:
        state.add(case, message.reading, Origin())
    elif case is not None and message.training is not None:
        _add_training(state, case, message.training)
        state.add_scenes(message.scenes)
    elif case is not None and message.kind in (FAILED, SKIPPED):
        if job.task == SIGNATURE:
            before = state.measurement(case)
            state.store(replace(before, status=message.kind, reason=message.text))
        else:
            settings = state.session.settings
            failed = Training(job.task, job.seed, settings.steps, settings.size, failure=message.text)
            _add_training(state, case, failed)
    state.write_partial()
    if case is not None:
        progress.message(job.words, case, message)


def _add_training(state: State, case: Case, training: Training) -> None:
    """Adds a training; predictions are kept of the first seed alone, so that all that are shown are of one."""
    if training.seed != state.session.settings.seed:
        training = replace(training, predictions=())
    before = state.measurement(case)
    state.store(replace(before, trainings=(*before.trainings, training)))
