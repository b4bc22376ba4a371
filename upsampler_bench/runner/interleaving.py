"""The interleaved protocol: in each round every operator is timed a few times, in a new random order."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from upsampler_bench.case import Settings
from upsampler_bench.device import Call, Timings
from upsampler_bench.stats import FEWEST, estimate_rounds, interval_ranks, paired_ratio
from upsampler_bench.units import counted

# A turn takes about so long (s), and no more than so many calls.
TURN_SECONDS, TURN_CALLS = 0.05, 8
# An interval that narrowed by less than a tenth while the rounds doubled is no longer improving.
NO_BETTER = 0.9
# The share of the time limit that warm-up may take; how many times the limit a slow operator gets in a single process.
WARMUP_SHARE, OVER = 1 / 6, 2
# Samples that an operator needs until it is precise enough, as a multiple of `min_samples`, by experience.
USUAL_SAMPLES = 1.4
# Likewise, where its interval is often no longer improving.
NOT_IMPROVING = 8
FAILED = "failed"


@dataclass
class Subject:
    """One operator on its way through the rounds.

    Attributes:
        key: its case's.
        spent: seconds of its calls that count towards its time limit.
        warming: those of them that its warm-up took.
    """

    name: str
    call: Call
    key: str = ""
    rounds: list[Timings] = field(default_factory=list)
    spent: float = 0.0
    warming: float = 0.0
    turn: int = 1
    stop: str = ""
    count: int = 0
    next_look: int = 0
    width: float = math.inf

    @property
    def timed(self) -> float:
        """Seconds of its timed calls."""
        return self.spent - self.warming

    @property
    def samples(self) -> list[float]:
        """Device seconds of all calls so far."""
        return [sample for timings in self.rounds for sample in timings.device]

    def by_round(self) -> list[tuple[float, ...]]:
        """Device seconds, one tuple per round."""
        return [timings.device for timings in self.rounds]


# Times so many calls of a subject; None if a call failed.
TimeCalls = Callable[[Subject, int], Timings | None]


def warm_up(subject: Subject, time_calls: TimeCalls, settings: Settings) -> None:
    """Calls until both the time and the number of calls are reached, and sets how many calls make a turn.

    Args:
        subject: its `turn` is set, or its `stop` if a call failed.
        time_calls: times some calls of a subject; None if they failed.
        settings: how long.
    """
    spent, calls, fastest = 0.0, 0, float("inf")
    while spent < settings.warmup_seconds or calls < settings.warmup_calls:
        timings = time_calls(subject, 1)
        if timings is None:
            subject.stop = FAILED
            return
        seconds = _total(timings)
        spent, calls, fastest = spent + seconds, calls + 1, min(fastest, seconds)
        if spent * settings.processes > settings.max_time * WARMUP_SHARE:
            break
    if settings.processes > 1:  # so that several, each of which warms up, take about as long as one
        subject.spent = subject.warming = spent
    subject.turn = settings.turn or max(1, min(TURN_CALLS, int(TURN_SECONDS / max(fastest, 1e-9))))


def interleave(
    subjects: Sequence[Subject],
    time_calls: TimeCalls,
    settings: Settings,
    ended: Callable[[], str],
    finished: Callable[[Subject], None],
) -> None:
    """Times the subjects in rounds until each has a reason to stop; the baseline continues as long as any other.

    Args:
        subjects: warmed up; their rounds are filled in place.
        time_calls: times some calls of a subject; None if they failed.
        settings: the stopping rule, the baseline's name and the seed of the order.
        ended: asked before each turn; a reason ends the rounds with what is there.
        finished: called with each subject when its last sample is in: the baseline after all others.
    """
    order = random.Random(settings.seed)
    baseline = next((subject for subject in subjects if subject.name == settings.baseline), None)
    while going := [subject for subject in subjects if not subject.stop]:
        turns = going[:]
        if baseline is not None and baseline not in going and baseline.stop != FAILED:
            turns.append(baseline)
        order.shuffle(turns)
        for subject in turns:
            if ended():
                break
            _turn(subject, time_calls)
        for subject in [subject for subject in going if subject.stop != FAILED]:
            paired = baseline if baseline is not None and baseline.stop != FAILED else None
            subject.stop = ended() or why_stop(subject, paired, settings) or ""
            if subject.stop and subject is not baseline:
                finished(subject)
    if baseline is not None and baseline.stop != FAILED:
        finished(baseline)


def _turn(subject: Subject, time_calls: TimeCalls) -> None:
    timings = time_calls(subject, subject.turn)
    if timings is None:
        subject.stop = FAILED
        return
    subject.rounds.append(timings)
    subject.count += len(timings.device)
    subject.spent += _total(timings)
    if len(subject.rounds) == FEWEST:
        subject.width = estimate_rounds(subject.by_round()).half_width


def why_stop(subject: Subject, baseline: Subject | None, settings: Settings) -> str | None:
    """Why this subject needs no more samples, or None; looks again once there are a tenth more of them.

    With several processes, each assumes that the others take as many samples, rounds and seconds as it does: those of
    all are its own, `settings.processes` times.
    """
    processes = settings.processes
    rounds, count = processes * len(subject.rounds), processes * subject.count
    if settings.rounds:
        return counted(settings.rounds, "round") if rounds >= settings.rounds else None
    if count >= max(settings.min_samples, subject.next_look):
        subject.next_look = math.ceil(1.1 * count)
        width = subject.width = _width(subject.by_round(), baseline)
        if width <= settings.target_ci * math.sqrt(processes):
            return f"within {settings.target_ci:.1%}"
        half = subject.by_round()[: len(subject.rounds) // 2]
        if count >= 4 * settings.min_samples and width > NO_BETTER * _width(half, baseline):
            return "no longer improving"
    # The interval of a single process needs eight rounds: a slow operator may take twice as long to reach them.
    limit = settings.max_time / processes
    enough = processes > 1 or interval_ranks(rounds) or subject.spent >= OVER * limit
    return f"time limit of {settings.max_time:.3g} s" if subject.spent >= limit and enough else None


def seconds_needed(subject: Subject, settings: Settings) -> float | None:
    """About how long the timed calls of a subject take in this process; None before its interval is known."""
    processes = settings.processes
    if settings.rounds:
        return subject.timed / len(subject.rounds) * settings.rounds / processes if subject.rounds else None
    if not math.isfinite(subject.width):
        return None
    fewest = settings.min_samples / processes
    precise = subject.count * (subject.width / max(settings.target_ci, 1e-9)) ** 2 / processes
    samples = max(fewest, min(precise, max(NOT_IMPROVING * fewest, 2 * subject.count)))
    return min(subject.timed / subject.count * samples, settings.max_time / processes - subject.warming)


def _width(rounds: list[tuple[float, ...]], baseline: Subject | None) -> float:
    """The wider of the relative half intervals: of the median, and of the ratio to the baseline."""
    own = estimate_rounds(rounds).half_width if len(rounds) > 1 else math.inf
    ratio = baseline and paired_ratio(rounds, baseline.by_round())
    return max(own, ratio.half_width) if ratio else own


def _total(timings: Timings) -> float:
    return sum(timings.wall) + sum(timings.device)
