"""How a run goes, shown meanwhile: a live display on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from upsampler_bench.case import INFERENCE, PROBE, TRAIN, Case
from upsampler_bench.runner.protocol import Message
from upsampler_bench.units import counted, minutes

REFRESH_SECONDS = 0.5
# Without a line for so long (s), the time left is printed; from this share of the work on it is an estimate.
QUIET_SECONDS, LEAST_SHARE = 20.0, 0.05
# Of a case's work, what is done when it is first timed; and the samples that most cases need.
PREPARED, USUAL_SAMPLES = 0.1, 60
DOING = {INFERENCE: "forward", TRAIN: "forward + backward", PROBE: "probing"}
# Of the text beside a bar, in letters.
WIDTH = 48
UNITS = ((1.0, "s"), (1e3, "ms"), (1e6, "µs"))


class ProgressListener(Protocol):
    """Is called while a run goes on."""

    def begin(self, cases: Sequence[Case], device: str = "") -> None:
        """A process of a group begins, on one of several devices."""

    def update(self, message: Message) -> None:
        """The measuring process sent a message."""

    def lost(self, case: Case, reason: str) -> None:
        """A case could not be measured."""


@contextmanager
def display(console: Console, total: int, devices: Sequence[str] = ()) -> Iterator[Plain | Live]:
    """Shows the progress of a run of so many cases in the way that fits the console, each of several devices apart."""
    if not console.is_terminal:
        yield Plain(console, total)
        return
    with _bar(console) as bar:
        yield Live(bar, total, devices)


@contextmanager
def steps(console: Console, total: int) -> Iterator[Callable[[str], None]]:
    """Shows on a terminal how many steps of a command are done, and the time left; is called when one begins."""
    if not console.is_terminal:
        yield lambda name: None
        return
    with _bar(console) as bar:
        task = bar.add_task("starting", total=total)
        begun: set[str] = set()

        def begin(name: str) -> None:
            bar.update(task, completed=len(begun), description=f"{name:24.24s}")
            begun.add(name)

        yield begin


def _bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        # A display that draws itself often would take time from what is measured.
        refresh_per_second=1 / REFRESH_SECONDS,
        transient=True,
    )


class Plain:
    """One line per finished or lost case, and now and then the time left: for logs and pipes."""

    def __init__(self, console: Console, total: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._total = total
        self._clock = clock
        self._begun = self._printed = clock()
        self._shares = Shares()
        self._finished: set[str] = set()
        self._names: dict[str, str] = {}
        self._refused: dict[str, list[str]] = {}

    def begin(self, cases: Sequence[Case], device: str = "") -> None:
        """Prints the group when its first process begins."""
        is_first = cases[0].key not in self._names
        self._names |= _labels(cases, device)
        on = f"{device}: " if device else ""
        if is_first:
            self._print(f"{on}{cases[0].condition}, {cases[0].mode}: {_extent(cases)}")

    def update(self, message: Message) -> None:
        """Prints finished timings, operators that are completely probed, and after a silence the time left."""
        self._shares.update(message)
        if self._clock() - self._printed > QUIET_SECONDS:
            self._print_time_left()
        reading = message.reading
        if message.kind == "probed":
            refused = ", ".join(self._refused.pop(message.key, ()))
            self._print_case(message.key, f"probed; no {refused}" if refused else "probed")
        elif reading is not None and "stop" in reading.facts:
            estimate = reading.estimate
            time = seconds(estimate.value)
            if estimate.is_bounded:
                time += f" ±{estimate.half_width:.1%}"
            self._print_case(message.key, f"{time}, {len(reading.samples)} samples, {reading.facts['stop']}")
        elif reading is not None and reading.notes and reading.samples == (0.0,):
            self._refused.setdefault(message.key, []).append(reading.metric)

    def lost(self, case: Case, reason: str) -> None:
        """Prints why a case could not be measured."""
        self._shares.finish(case.key)
        self._print_case(case.key, reason)

    def _print_time_left(self) -> None:
        share = self._shares.done / self._total
        left = (self._clock() - self._begun) * (1 / share - 1) if share else 0.0
        self._print(f"{share:.0%} done" + (f", about {minutes(left)} left" if share >= LEAST_SHARE else ""))

    def _print_case(self, key: str, text: str) -> None:
        self._finished.add(key)  # one that another's end cost its timing is measured again
        self._print(f"[{len(self._finished)}/{self._total}] {self._names.get(key, '')}: {text}")

    def _print(self, line: str) -> None:
        self._printed = self._clock()
        self._console.print(line, markup=False, highlight=False, soft_wrap=False)


class Shares:
    """How much of each case's work is done."""

    def __init__(self) -> None:
        self._by_case: dict[str, float] = {}

    @property
    def done(self) -> float:
        """The sum over all cases."""
        return sum(self._by_case.values())

    def of(self, keys: Iterable[str]) -> float:
        """The sum over these cases."""
        return sum(self._by_case.get(key, 0.0) for key in keys)

    def update(self, message: Message) -> None:
        """Takes in how far a case is."""
        if message.kind == "at" and (not message.facts or {"value", "share"} & set(message.facts)):
            self._by_case[message.key] = max(_share(message), self._by_case.get(message.key, 0.0))
        elif message.kind == "probed" or (message.reading is not None and "stop" in message.reading.facts):
            self.finish(message.key)

    def finish(self, key: str) -> None:
        """A case is measured or lost."""
        self._by_case[key] = 1.0


class Live:
    """A bar with the time left, and the current step; of several devices a line each."""

    def __init__(self, bar: Progress, total: int, devices: Sequence[str] = ()) -> None:
        self._bar = bar
        self._all = bar.add_task(f"{'all':{WIDTH}s}" if devices else "starting", total=total)
        self._lines = {name: bar.add_task(f"{name:{WIDTH}s}", total=None, start=False) for name in devices}
        self._names: dict[str, str] = {}
        self._shares = Shares()
        self._devices: dict[str, str] = {}
        self._groups: dict[str, list[str]] = {}

    def begin(self, cases: Sequence[Case], device: str = "") -> None:
        """Prints the group when its first process begins; a device's line begins again with each of its groups."""
        is_first = cases[0].key not in self._names
        self._names |= _labels(cases)
        self._devices |= dict.fromkeys((case.key for case in cases), device)
        on = f"{device}: " if device else ""
        line = f"{on}{cases[0].condition}, {DOING[cases[0].mode]}: {_extent(cases)}"
        if is_first:
            self._bar.console.print(line, markup=False, highlight=False)
        if device in self._lines:
            self._groups[device] = [case.key for case in cases]
            self._bar.reset(self._lines[device], total=len(cases))

    def update(self, message: Message) -> None:
        """Shows the current step, and the interval as it narrows."""
        self._shares.update(message)
        is_shown = message.kind == "at" and (not message.facts or {"value", "share"} & set(message.facts))
        doing = _doing(self._names.get(message.key, ""), message) if is_shown else None
        self._advance(message.key, doing)

    def lost(self, case: Case, reason: str) -> None:
        """Prints why a case could not be measured."""
        self._bar.console.print(f"{self._names[case.key]}: {reason}", markup=False, highlight=False)
        self._shares.finish(case.key)
        self._advance(case.key)

    def _advance(self, key: str, doing: str | None = None) -> None:
        device = self._devices.get(key, "")
        if device not in self._lines:
            self._bar.update(self._all, completed=self._shares.done, description=doing)
            return
        text = f"{f'{device} {doing}':{WIDTH}.{WIDTH}s}" if doing else None
        self._bar.update(self._lines[device], completed=self._shares.of(self._groups[device]), description=text)
        self._bar.update(self._all, completed=self._shares.done)


def _labels(cases: Sequence[Case], device: str = "") -> dict[str, str]:
    """What the cases of a group are called, by key; of several devices with the one that measures them."""
    backends = {case.backend for case in cases}
    return {case.key: f"{device} {case.label(backends)}".strip() for case in cases}


def _extent(cases: Sequence[Case]) -> str:
    """E.g. "12 operators", or "2 operators on torch, triton"."""
    backends = list(dict.fromkeys(case.backend for case in cases))
    operators = counted(len({case.upsampler for case in cases}), "operator")
    return f"{operators} on {', '.join(backends)}" if len(backends) > 1 else operators


def _share(message: Message) -> float:
    """About how much of a case's work is done: its samples are most of it."""
    facts = message.facts or {}
    if "share" in facts:
        return float(facts["share"])
    return PREPARED + (1 - PREPARED) * min(0.9, float(facts.get("samples", 0)) / USUAL_SAMPLES)


def _doing(name: str, message: Message) -> str:
    facts = message.facts or {}
    text = f"{name:14.14s} {message.step}"
    if "value" in facts:
        text += f" {facts['rounds']:>3} {seconds(float(facts['value']))} ±{float(facts['half_width']):.1%}"
    return f"{text:{WIDTH}.{WIDTH}s}"


def seconds(value: float) -> str:
    """A time as a person writes it: 12.3 ms."""
    factor, unit = next(((factor, unit) for factor, unit in UNITS if value * factor >= 1), UNITS[-1])
    return f"{value * factor:.3g} {unit}"
