"""How a run goes, told while it goes: a live display on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from upsampler_bench.case import INFERENCE, PROBE, TRAIN, Case
from upsampler_bench.runner.protocol import Message

REFRESH_SECONDS = 0.5
PREPARED, USUAL_SAMPLES = 0.1, 60
DOING = {INFERENCE: "forward", TRAIN: "forward + backward", PROBE: "probing"}
UNITS = ((1.0, "s"), (1e3, "ms"), (1e6, "µs"))


def listener(console: Console, total: int) -> Plain | Live:
    """The listener_ that fits the console, for a run of so many cases; use it as a context."""
    return Live(console, total) if console.is_terminal else Plain(console, total)


class Plain:
    """A line a finished case and a line a lost one: for logs and pipes."""

    def __init__(self, console: Console, total: int) -> None:
        self._console = console
        self._total = total
        self._count = 0
        self._refused: dict[str, list[str]] = {}

    def __enter__(self) -> Plain:
        """Begins."""
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        """Ends."""

    def begin(self, cases: Sequence[Case]) -> None:
        """Says what comes."""
        self._say(f"{cases[0].condition}, {cases[0].mode}: {len(cases)} operators")

    def hear(self, message: Message) -> None:
        """Tells each finished timing, and each operator of which all was tried."""
        reading, name = message.reading, message.key.partition("/")[0]
        if message.kind == "probed":
            refused = ", ".join(self._refused.pop(message.key, ()))
            self._tell(name, f"probed; no {refused}" if refused else "probed")
        elif reading is not None and "stop" in reading.facts:
            now = reading.estimate
            text = (
                f"{seconds(now.value)} ±{now.half_width:.1%}, {len(reading.samples)} samples, {reading.facts['stop']}"
            )
            self._tell(name, text)
        elif reading is not None and reading.notes and reading.samples == (0.0,):
            self._refused.setdefault(message.key, []).append(reading.metric)

    def lost(self, case: Case, reason: str) -> None:
        """Tells a case that is no more."""
        self._tell(case.upsampler, reason)

    def end(self, cases: Sequence[Case]) -> None:
        """Nothing to add."""

    def _tell(self, name: str, what: str) -> None:
        self._count += 1
        self._say(f"[{self._count}/{self._total}] {name}: {what}")

    def _say(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=False)


class Live:
    """A bar with the time left, and below it what is being done just now."""

    def __init__(self, console: Console, total: int) -> None:
        self._bar = Progress(
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
        self._task = self._bar.add_task("starting", total=total)
        self._shares: dict[str, float] = {}

    def __enter__(self) -> Live:
        """Shows the display."""
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        """Takes the display away."""
        self._bar.stop()

    def begin(self, cases: Sequence[Case]) -> None:
        """Names the group."""
        line = f"{cases[0].condition}, {DOING[cases[0].mode]}: {len(cases)} operators"
        self._bar.console.print(line, markup=False, highlight=False)

    def hear(self, message: Message) -> None:
        """Shows what is being done, and the interval as it narrows."""
        if message.kind == "at" and (not message.facts or {"value", "share"} & set(message.facts)):
            self._advance(message.key, _share(message), _doing(message))
        elif message.kind == "probed" or (message.reading is not None and "stop" in message.reading.facts):
            self._advance(message.key, 1.0)

    def lost(self, case: Case, reason: str) -> None:
        """Tells a case that is no more."""
        self._bar.console.print(f"{case.upsampler}: {reason}", markup=False, highlight=False)
        self._advance(case.key, 1.0)

    def end(self, cases: Sequence[Case]) -> None:
        """Nothing to add."""

    def _advance(self, key: str, share: float, doing: str | None = None) -> None:
        self._shares[key] = max(share, self._shares.get(key, 0.0))
        self._bar.update(self._task, completed=sum(self._shares.values()), description=doing)


def _share(message: Message) -> float:
    """About how much of a case's work is behind it: its samples are most of it, and most need about so many."""
    if message.facts and "share" in message.facts:
        return float(message.facts["share"])
    return PREPARED + (1 - PREPARED) * min(0.9, float((message.facts or {}).get("samples", 0)) / USUAL_SAMPLES)


def _doing(message: Message) -> str:
    name, facts = message.key.partition("/")[0], message.facts or {}
    text = f"{name:14.14s} {message.step}"
    if "value" in facts:
        value, width = float(facts["value"]), float(facts["half_width"])
        text += f" {facts['rounds']:>3} {seconds(value)} ±{width:.1%}"
    return f"{text:48.48s}"


def seconds(value: float) -> str:
    """A time as a person writes it: 12.3 ms."""
    factor, unit = next(((one, name) for one, name in UNITS if value * one >= 1), UNITS[-1])
    return f"{value * factor:.3g} {unit}"
