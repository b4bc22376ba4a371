"""How a run of mode "quality" goes: a bar on a terminal, plain lines elsewhere, both with the time left."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress as Bar

from upsampler_bench.case import Case
from upsampler_bench.quality.tasks import SCORES
from upsampler_bench.results import FAILED, SKIPPED, Training
from upsampler_bench.runner.progress import bar_on
from upsampler_bench.runner.protocol import Message
from upsampler_bench.units import short, time_text, unit


class Progress:
    """Prints a line for each thing that is done, and on a terminal moves a bar."""

    def __init__(self, console: Console, bar: Bar) -> None:
        self._console = console
        self._bar = bar
        self._task = bar.add_task("", total=1.0, count="", left="")
        self._work: dict[tuple[str, str], float] = {}
        self._shares: dict[tuple[str, str], float] = {}
        self._count = 0
        self._started = time.monotonic()

    def expect(self, work: Sequence[tuple[str, Case, float]]) -> None:
        """Sets all that is to be done: what, of which case, and how long it takes in any unit."""
        self._work = {(words, case.key): seconds for words, case, seconds in work}
        self._started = time.monotonic()

    def message(self, words: str, case: Case, message: Message) -> None:
        """A measuring process sent a message about this work."""
        if message.kind == "at":
            self._advance(words, case, float((message.facts or {}).get("share", 0.0)))
        elif message.training is not None:
            self._finish(words, case, _result(message.training))
        elif message.kind in (FAILED, SKIPPED):
            self._finish(words, case, f"{message.kind}: {message.text}")
        elif message.reading is not None and self._shares.get((words, case.key), 0.0) < 1.0:
            self._count += 1
            self._advance(words, case, 1.0)

    def note(self, text: str) -> None:
        """Prints what a user must know before it begins; nothing if it is empty."""
        if text:
            self._print(text)

    def begin(self, cases: Sequence[Case], device: str = "") -> None:
        """Not called: a run of quality has no groups."""

    def update(self, message: Message) -> None:
        """Not called: a run of quality has no groups."""

    def lost(self, case: Case, reason: str) -> None:
        """Prints why a case could not be measured."""
        self._print(f"{case.upsampler}: {reason}")

    def _finish(self, words: str, case: Case, result: str) -> None:
        self._count += 1
        self._advance(words, case, 1.0)
        is_last = self._count == len(self._work)
        ending = f"; {self._left()}" if self._bar.disable and not is_last else ""
        self._print(f"[{self._count}/{len(self._work)}] {case.upsampler}, {words}: {result}{ending}")

    def _advance(self, words: str, case: Case, share: float) -> None:
        self._shares[words, case.key] = max(share, self._shares.get((words, case.key), 0.0))
        doing = f"{case.upsampler:14.14s} {words}"
        done, total = self._done(), sum(self._work.values())
        count, left = f"{done / total:.0%}", self._left()
        self._bar.update(self._task, completed=done, total=total, description=doing, count=count, left=left)

    def _done(self) -> float:
        return sum(self._work.get(key, 0.0) * share for key, share in self._shares.items())

    def _left(self) -> str:
        """The time left, if the rest goes on as fast."""
        done, total = self._done(), sum(self._work.values())
        seconds = (time.monotonic() - self._started) * (total / done - 1) if done else total
        return f"about {time_text(seconds)} left"

    def _print(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


def _result(training: Training) -> str:
    """E.g. "mIoU 80.2 %, 31 s", or why there is none."""
    if training.failure:
        return f"failed: {training.failure}"
    score = SCORES[training.task][0]
    value = training.scores[score.name] / unit(score.unit).size
    return f"{score.title} {short(value)} {unit(score.unit).name}, {training.seconds:.0f} s"


@contextmanager
def display(console: Console) -> Iterator[Progress]:
    """Shows the progress of a run in the way that fits the console."""
    with bar_on(console) as bar:
        yield Progress(console, bar)
