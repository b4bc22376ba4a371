"""One data point: a fresh process of one side times every case, interleaved with the yardstick."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from statistics import median

from upsampler_bench.case import TIMED, Case, Settings
from upsampler_bench.compare.samples import Point, Timing
from upsampler_bench.errors import BenchError
from upsampler_bench.results import Environment, Reading
from upsampler_bench.runner.process import HERE, Process, Side, follow
from upsampler_bench.runner.protocol import Message, Request

YARDSTICK, YARDSTICK_PLUGIN = "yardstick", "upsampler_bench.compare.yardstick"
# The most elements of an output for so many calls a round.
TURNS = ((2**20, 8), (2**23, 2))
LOST = ("failed", "skipped", "incomplete")


class SideError(BenchError, RuntimeError):
    """One side cannot be measured at all."""


@dataclass(frozen=True)
class Corner:
    """One side of a contest.

    Attributes:
        name: for messages, e.g. "base (1a2b3c4)".
        side: its interpreter and code.
        plugins: modules or files that its operators come from.
        path: where to look for these.
        renamed: what a case's operator is called on this side, where two operators are compared.
    """

    name: str
    side: Side = HERE
    plugins: tuple[str, ...] = ()
    path: tuple[str, ...] = ()
    renamed: dict[str, str] = field(default_factory=dict)

    def of(self, case: Case) -> Case:
        """The case as this side calls it."""
        return case.of(self.renamed.get(case.upsampler, case.upsampler))


def settings(rounds: int = 12, threads: int = 1, seed: int = 0, timeout: float = 120.0) -> Settings:
    """How a point is measured: few rounds, the same number for all; the spread between processes is what counts."""
    return Settings(
        baseline=YARDSTICK, metrics=("latency",), threads=threads, seed=seed, timeout=timeout,
        warmup_seconds=0.02, warmup_calls=5, max_time=1.0, rounds=rounds,
    )  # fmt: skip


def measure(cases: Sequence[Case], corner: Corner, arm: str, how: Settings) -> Point:
    """Times the cases, all of one group, in a process of their own.

    Raises:
        SideError: the process cannot measure anything.
    """
    metric = TIMED[cases[0].mode]
    ours = {corner.of(case).key: case.key for case in cases}
    yardstick = replace(cases[0], upsampler=YARDSTICK)
    asked = (*(corner.of(case) for case in cases), yardstick)
    how = replace(how, metrics=(metric,), turn=how.turn or _turn(cases[0]))
    request = Request(
        asked, cases[0].device, how, {case.key: [] for case in asked},
        plugins=(YARDSTICK_PLUGIN, *corner.plugins), path=corner.path,
    )  # fmt: skip
    load = _load()
    said = heard(Process(request, corner.side), corner.name)
    readings = {one.key: one.reading for one in said if one.reading and one.reading.metric == metric}
    lost = {ours[one.key]: one.text for one in said if one.kind in LOST and one.key in ours}
    against = readings.get(yardstick.key)
    if against is None and len(lost) == 1 and len(cases) > 1:  # one that takes the whole process down
        rest = [case for case in cases if case.key not in lost]
        point = measure(rest, corner, arm, how)
        return replace(point, lost={**point.lost, **lost})
    if against is None:
        raise SideError(f"{corner.name} cannot be measured: {_why(said)}")
    timings = {ours[key]: _timing(one, against) for key, one in readings.items() if key in ours}
    lost |= {key: "not timed" for key in ours.values() if key not in timings and key not in lost}
    where = next((one.environment for one in said if one.environment), None)
    return Point(arm, timings, lost, load, _words(where) if where else "")


def _turn(case: Case) -> int:
    """How many calls a round: the fastest of all is compared, so both sides must draw as often, whatever they take."""
    if case.model:
        return 1
    elements = case.batch * case.channels * case.height * case.width * case.scale**2
    return next((calls for most, calls in TURNS if elements <= most), 1)


def heard(process: Process, name: str) -> list[Message]:
    """All messages of a process, and a last one of the kind "failed" where it crashed or timed out.

    Raises:
        SideError: it cannot measure anything.
    """
    messages: list[Message] = []

    def receive(message: Message) -> None:
        if message.kind == "unusable":
            raise SideError(f"{name} cannot be measured: {message.text}")
        messages.append(message)

    ending = follow(process, receive, finish_call=False)
    if ending.code or ending.timeout or not messages:
        reason = f"{ending.reason(ending.last.step)}\n{ending.errors}".strip()
        messages.append(Message("failed", ending.last.key, text=reason))
    return messages


def _why(said: Sequence[Message]) -> str:
    reasons = [one.text for one in said if one.kind in LOST and one.text]
    return reasons[-1] if reasons else "it ended without a timing"


def _timing(reading: Reading, yardstick: Reading) -> Timing:
    pairs = [(ours, theirs) for ours, theirs in zip(reading.rounds, yardstick.rounds, strict=False) if ours and theirs]
    return Timing(
        tuple(median(ours) for ours, _ in pairs), tuple(median(theirs) for _, theirs in pairs), min(reading.samples)
    )


def _words(where: Environment) -> str:
    threads = where.machine.get("threads", "?")
    torch = where.versions.get("torch", "?")
    return f"{where.device_name}, torch {torch}, {threads} thread{'s' * (threads != '1')}"


def _load() -> float | None:
    with contextlib.suppress(OSError, AttributeError):
        return round(os.getloadavg()[0], 2)
    return None
