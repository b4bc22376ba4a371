"""How a run goes, shown meanwhile: a live display on a terminal, plain lines elsewhere."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from upsampler_bench.case import Case
from upsampler_bench.runner.forecast import Forecast
from upsampler_bench.runner.protocol import Message
from upsampler_bench.stats import Estimate
from upsampler_bench.units import counted, time_text

REFRESH_SECONDS, LEFT_REFRESH_SECONDS = 0.5, 2.0
# Lines with the time left are so far apart (s).
LEFT_SECONDS = 20.0
# Widths of the text beside a bar and of the bar, in characters.
WIDTH, BAR = 40, 14
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
def display(
    console: Console, total: int, forecast: Forecast, devices: Sequence[str] = ()
) -> Iterator[Plain | Live]:  # fmt: skip
    """Shows the progress of a run of so many cases in the way that fits the console, each of several devices apart."""
    if not console.is_terminal:
        yield Plain(console, total, forecast)
        return
    with bar_on(console) as bar:
        yield Live(bar, total, forecast, devices)


@contextmanager
def steps(console: Console, total: int) -> Iterator[Callable[[str], None]]:
    """Shows how many steps of a command are done, and the time left; is called when one begins.

    A bar on a terminal, elsewhere a line every 20 s.
    """
    begun: set[str] = set()
    start = said = time.monotonic()
    with bar_on(console) as bar:
        task = bar.add_task("starting", total=total, count=f"0/{total}", left="")

        def begin(name: str) -> None:
            nonlocal said
            done, now = len(begun), time.monotonic()
            left = f"about {time_text((now - start) / done * (total - done))} left" if done else ""
            begun.add(name)
            bar.update(task, completed=done, description=f"{name:24.24s}", count=f"{done}/{total}", left=left)
            if bar.disable and now - said >= LEFT_SECONDS:
                said = now
                line = "; ".join(filter(None, [f"[{done}/{total}] {name}", left]))
                console.print(line, markup=False, highlight=False)

        yield begin


def bar_on(console: Console) -> Progress:
    """A bar with fields for what is counted and for the time left; it is drawn on a terminal only."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=BAR),
        TextColumn("{task.fields[count]}"),
        TextColumn("{task.fields[left]}"),
        console=console,
        # A display that draws itself often would take time from what is measured.
        refresh_per_second=1 / REFRESH_SECONDS,
        transient=True,
        disable=not console.is_terminal,
    )


class Plain:
    """One line per finished or lost case, and now and then the time left: for logs and pipes."""

    def __init__(
        self, console: Console, total: int, forecast: Forecast, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._console = console
        self._total = total
        self._forecast = forecast
        self._clock = clock
        self._next_left = clock() + LEFT_SECONDS
        self._finished: set[str] = set()
        self._names: dict[str, str] = {}
        self._refused: dict[str, list[str]] = {}

    def begin(self, cases: Sequence[Case], device: str = "") -> None:
        """Prints the group when its first process begins."""
        self._forecast.begin(cases, device)
        if cases[0].key not in self._names:
            self._print(_heading(cases, device))
        self._names |= _labels(cases, device)

    def update(self, message: Message) -> None:
        """Prints finished timings, operators that are completely probed, and now and then the time left."""
        self._forecast.update(message)
        if self._clock() >= self._next_left:
            self._next_left = self._clock() + LEFT_SECONDS
            self._print(f"{self._forecast.share():.0%} done, about {time_text(self._forecast.left())} left")
        reading = message.reading
        if message.kind == "probed":
            refused = ", ".join(self._refused.pop(message.key, ()))
            self._print_case(message.key, f"probed; no {refused}" if refused else "probed")
        elif reading is not None and "stop" in reading.facts:
            time = with_interval(reading.estimate)
            self._print_case(message.key, f"{time}, {len(reading.samples)} samples, {reading.facts['stop']}")
        elif reading is not None and reading.notes and reading.samples == (0.0,):
            self._refused.setdefault(message.key, []).append(reading.metric)

    def lost(self, case: Case, reason: str) -> None:
        """Prints why a case could not be measured."""
        self._forecast.finish(case.key, lost=True)
        self._print_case(case.key, reason)

    def _print_case(self, key: str, text: str) -> None:
        self._finished.add(key)  # one that another's end cost its timing is measured again
        self._print(f"[{len(self._finished)}/{self._total}] {self._names.get(key, '')}: {text}")

    def _print(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False)


class Live:
    """A bar with the time left, and the current step; of several devices a line each."""

    def __init__(self, bar: Progress, total: int, forecast: Forecast, devices: Sequence[str] = ()) -> None:
        self._bar = bar
        self._total = total
        self._forecast = forecast
        first = f"{'all' if devices else 'starting':{WIDTH}s}"
        self._all = bar.add_task(first, total=1.0, count=f"0/{total}", left="")
        self._lines = {
            name: bar.add_task(f"{name:{WIDTH}s}", total=None, start=False, count="", left="") for name in devices
        }
        self._names: dict[str, str] = {}
        self._finished: set[str] = set()
        self._devices: dict[str, str] = {}
        self._groups: dict[str, list[str]] = {}
        self._next_left = 0.0

    def begin(self, cases: Sequence[Case], device: str = "") -> None:
        """Prints the group when its first process begins; a device's line begins again with each of its groups."""
        self._forecast.begin(cases, device)
        if cases[0].key not in self._names:
            self._bar.console.print(_heading(cases, device), markup=False, highlight=False)
        self._names |= _labels(cases)
        self._devices |= dict.fromkeys((case.key for case in cases), device)
        if device in self._lines:
            self._groups[device] = [case.key for case in cases]
            self._bar.reset(self._lines[device], total=len(cases))

    def update(self, message: Message) -> None:
        """Shows the current step, and the interval as it narrows."""
        self._forecast.update(message)
        if message.kind == "probed" or (message.reading is not None and "stop" in message.reading.facts):
            self._finished.add(message.key)
        is_shown = message.kind == "at" and (not message.facts or {"value", "share"} & set(message.facts))
        self._advance(message.key, _doing(self._names.get(message.key, ""), message) if is_shown else None)

    def lost(self, case: Case, reason: str) -> None:
        """Prints why a case could not be measured."""
        self._bar.console.print(f"{self._names[case.key]}: {reason}", markup=False, highlight=False)
        self._forecast.finish(case.key, lost=True)
        self._finished.add(case.key)
        self._advance(case.key)

    def _advance(self, key: str, doing: str | None = None) -> None:
        device = self._devices.get(key, "")
        if device in self._lines:
            text = f"{f'{device} {doing}':{WIDTH}.{WIDTH}s}" if doing else None
            group = self._groups[device]
            done = len(self._finished.intersection(group))
            self._bar.update(self._lines[device], completed=done, description=text, count=f"{done}/{len(group)}")
            doing = None
        self._bar.update(self._all, description=doing, count=f"{len(self._finished)}/{self._total}")
        if time.monotonic() >= self._next_left:
            self._next_left = time.monotonic() + LEFT_REFRESH_SECONDS
            left = f"about {time_text(self._forecast.left())} left"
            self._bar.update(self._all, completed=self._forecast.share(), left=left)


def _labels(cases: Sequence[Case], device: str = "") -> dict[str, str]:
    """What the cases of a group are called, by key; of several devices with the one that measures them."""
    backends = {case.backend for case in cases}
    return {case.key: f"{device} {case.label(backends)}".strip() for case in cases}


def _heading(cases: Sequence[Case], device: str) -> str:
    """The group that begins, e.g. "1x64x24x24/x2/float32/contiguous/cuda:0, train: 2 operators on torch, triton"."""
    backends = list(dict.fromkeys(case.backend for case in cases))
    operators = counted(len({case.upsampler for case in cases}), "operator")
    on_backends = f" on {', '.join(backends)}" if len(backends) > 1 else ""
    on_device = f"{device}: " if device else ""
    return f"{on_device}{cases[0].condition}, {cases[0].mode}: {operators}{on_backends}"


def _doing(name: str, message: Message) -> str:
    facts = message.facts or {}
    text = f"{name:14.14s} {message.step}"
    if "value" in facts:
        half_width = _half_width(float(facts.get("half_width", math.inf)))
        text += f" {seconds(float(facts['value']))}{half_width} #{facts['rounds']}"
    return f"{text:{WIDTH}.{WIDTH}s}"


def seconds(value: float) -> str:
    """A time as a person writes it: 12.3 ms."""
    factor, unit = next(((factor, unit) for factor, unit in UNITS if value * factor >= 1), UNITS[-1])
    return f"{value * factor:.3g} {unit}"


def with_interval(estimate: Estimate) -> str:
    """A time and half its interval, unless that is unknown or as wide as the time is long: 12.3 ms ±2.0%."""
    return seconds(estimate.value) + _half_width(estimate.half_width)


def _half_width(relative: float) -> str:
    return f" ±{relative:.1%}" if relative < 1 else ""
