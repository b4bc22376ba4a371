"""The interleaved protocol: in each round every operator is timed a few times, in an order shuffled anew."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from upsampler_bench.case import Settings
from upsampler_bench.device import Call, Timings
from upsampler_bench.stats import estimate_rounds, interval_ranks, paired_ratio

TURN_SECONDS = 0.05
TURN_CALLS = 8
NO_BETTER = 0.9
WARMUP_SHARE, OVER = 1 / 6, 1.5
FAILED, INTERRUPTED = "failed", "interrupted"


@dataclass
class Subject:
    """One operator on its way through the rounds."""

    name: str
    call: Call
    rounds: list[Timings] = field(default_factory=list)
    spent: float = 0.0
    turn: int = 1
    stop: str = ""
    count: int = 0
    next_look: int = 0

    @property
    def samples(self) -> list[float]:
        """Device seconds of all calls so far."""
        return [sample for one in self.rounds for sample in one.device]

    def by_round(self) -> list[tuple[float, ...]]:
        """Device seconds, a tuple a round."""
        return [one.device for one in self.rounds]


Take = Callable[[Subject, int], Timings | None]


def warm_up(subject: Subject, take: Take, settings: Settings) -> None:
    """Calls until both the time and the number of calls are reached, and learns how many calls make a turn.

    Args:
        subject: its `turn` is set, or its `stop` where a call failed.
        take: times some calls of a subject; None where they failed.
        settings: how long.
    """
    spent, calls, fastest = 0.0, 0, float("inf")
    while spent < settings.warmup_seconds or calls < settings.warmup_calls:
        taken = take(subject, 1)
        if taken is None:
            subject.stop = FAILED
            return
        spent, calls, fastest = spent + _total(taken), calls + 1, min(fastest, _total(taken))
        if spent > settings.max_time * WARMUP_SHARE:
            break
    subject.turn = settings.turn or max(1, min(TURN_CALLS, int(TURN_SECONDS / max(fastest, 1e-9))))


def interleave(
    subjects: Sequence[Subject],
    take: Take,
    settings: Settings,
    interrupted: Callable[[], bool],
    finished: Callable[[Subject], None],
) -> None:
    """Times the subjects in rounds until each has a reason to stop; the baseline goes on as long as anyone does.

    Args:
        subjects: warmed up; their rounds are filled in place.
        take: times some calls of a subject; None where they failed.
        settings: the stopping rule, the baseline's name and the seed of the order.
        interrupted: asked before each turn; True ends the rounds with what is there.
        finished: called with each subject when its last sample is in: the baseline after all others.
    """
    order = random.Random(settings.seed)
    baseline = next((one for one in subjects if one.name == settings.baseline), None)
    while going := [one for one in subjects if not one.stop]:
        with_baseline = baseline is not None and baseline not in going and baseline.stop != FAILED
        turns = [*going, baseline] if baseline and with_baseline else going[:]
        order.shuffle(turns)
        for subject in turns:
            if interrupted():
                break
            _turn(subject, take)
        for subject in (one for one in going if one.stop != FAILED):
            subject.stop = INTERRUPTED if interrupted() else why_stop(subject, baseline, settings) or ""
            if subject.stop and subject is not baseline:
                finished(subject)
    if baseline is not None and baseline.stop != FAILED:
        finished(baseline)


def _turn(subject: Subject, take: Take) -> None:
    taken = take(subject, subject.turn)
    if taken is None:
        subject.stop = FAILED
        return
    subject.rounds.append(taken)
    subject.count += len(taken.device)
    subject.spent += _total(taken)


def why_stop(subject: Subject, baseline: Subject | None, settings: Settings) -> str | None:
    """Why this subject needs no more samples, or None; looks anew only when there are a tenth more of them."""
    if settings.rounds:
        return f"{settings.rounds} rounds" if len(subject.rounds) >= settings.rounds else None
    if subject.count >= max(settings.min_samples, subject.next_look):
        subject.next_look = math.ceil(1.1 * subject.count)
        width = _width(subject.by_round(), baseline)
        if width <= settings.target_ci:
            return f"within {settings.target_ci:.1%}"
        half = subject.by_round()[: len(subject.rounds) // 2]
        if subject.count >= 4 * settings.min_samples and width > NO_BETTER * _width(half, baseline):
            return "no longer improving"
    # A slow operator may take half as long again to reach the rounds that an interval needs.
    enough = interval_ranks(len(subject.rounds)) or subject.spent >= OVER * settings.max_time
    return f"time limit of {settings.max_time:g} s" if subject.spent >= settings.max_time and enough else None


def _width(rounds: list[tuple[float, ...]], baseline: Subject | None) -> float:
    """The wider of the relative half intervals: of the median, and of the ratio to the baseline."""
    own = estimate_rounds(rounds).half_width if len(rounds) > 1 else math.inf
    ratio = baseline and paired_ratio(rounds, baseline.by_round())
    return max(own, ratio.half_width) if ratio else own


def _total(timings: Timings) -> float:
    return sum(timings.wall) + sum(timings.device)
