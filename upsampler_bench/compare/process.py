"""What one fresh process of a side measures: times (a sample), or deterministic metrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from statistics import median

from upsampler_bench.case import TIMED, Case, Settings
from upsampler_bench.compare.samples import HEAD, Sample, Timing
from upsampler_bench.errors import BenchError
from upsampler_bench.metrics import infos
from upsampler_bench.results import FAILED, Environment, Measurement, Reading, Run
from upsampler_bench.runner import process as runner
from upsampler_bench.runner.protocol import Message, Request

# The most elements of an output for so many calls per round.
CALLS_PER_ROUND = ((2**20, 8), (2**23, 2))
NOT_MEASURED = ("failed", "skipped", "incomplete")
PROFILES = ("profile", "train_profile")
DETERMINISTIC = ("flops", "params", "memory", "train_memory")


class SideError(BenchError, RuntimeError):
    """A side cannot be measured at all."""


@dataclass(frozen=True)
class Side:
    """One side of a comparison.

    Attributes:
        name: for messages, e.g. "base (1a2b3c4)".
        code: its interpreter and modules.
        plugins: modules or files that its operators come from.
        path: where to look for these.
        renamed: what an operator of the base is called on this side, if two operators are compared.
    """

    name: str
    code: runner.Side = runner.HERE
    plugins: tuple[str, ...] = ()
    path: tuple[str, ...] = ()
    renamed: dict[str, str] = field(default_factory=dict)

    def case(self, case: Case) -> Case:
        """The case as this side calls it."""
        return case.of(self.renamed.get(case.upsampler, case.upsampler))


def settings(rounds: int = 12, threads: int = 1, seed: int = 0, timeout: float = 120.0) -> Settings:
    """How a sample is measured: few rounds, equally many for all; the spread between processes is what counts."""
    return Settings(
        baseline="", metrics=("latency",), threads=threads, seed=seed, timeout=timeout,
        warmup_seconds=0.02, warmup_calls=5, max_time=1.0, rounds=rounds,
    )  # fmt: skip


def measure(cases: Sequence[Case], side: Side, name: str, how: Settings) -> Sample:
    """Times the cases, all of one group, in a process of their own.

    Args:
        cases: as the base calls them.
        side: whose code.
        name: BASE, HEAD or CONTROL.
        how: the settings.

    Raises:
        SideError: the process cannot measure anything.
    """
    metric = TIMED[cases[0].mode]
    keys = {side.case(case).key: case.key for case in cases}
    how = replace(how, metrics=(metric,), turn=how.turn or _calls_per_round(cases[0]))
    messages = _messages([*map(side.case, cases)], side, how)
    timings, lost, machine = {}, {}, ""
    for message in messages:
        if message.reading and message.reading.metric == metric:
            timings[keys[message.key]] = _timing(message.reading)
        elif message.kind in NOT_MEASURED and message.key in keys:
            lost[keys[message.key]] = message.text
        elif message.environment and not machine:
            machine = _describe(message.environment)
    left = [case for case in cases if case.key not in lost]
    if lost and any(case.key not in timings for case in left):  # after a crash
        sample = measure(left, side, name, how)
        return replace(sample, lost={**sample.lost, **lost})
    # A head that times nothing is a regression, which is reported; without a base there is nothing to compare with.
    if not timings and (not lost or name != HEAD):
        reasons = [message.text for message in messages if message.kind in NOT_MEASURED and message.text]
        raise SideError(f"{side.name} cannot be measured: {next(iter(reasons), 'it ended without a timing')}")
    not_timed = {key: "not timed" for key in keys.values() if key not in timings}
    return Sample(name, timings, {**not_timed, **lost}, machine)


def count(cases: Sequence[Case], side: Side, how: Settings) -> dict[str, dict[str, float]]:
    """The deterministic metrics (multiply-adds, parameters, bytes) by case, as the base calls it, and metric."""
    keys = {side.case(case).key: case.key for case in cases}
    deterministic = {info.name for info in infos(DETERMINISTIC) if info.exact}
    how = replace(how, metrics=DETERMINISTIC)
    counts: dict[str, dict[str, float]] = {key: {} for key in keys.values()}
    failed = set()
    for message in _messages([*map(side.case, cases)], side, how):
        reading = message.reading
        if reading and reading.samples and message.key in keys and reading.metric in deterministic:
            counts[keys[message.key]][reading.metric] = reading.samples[0]
        elif message.kind in NOT_MEASURED and message.key in keys:
            failed.add(keys[message.key])
    # After a crash: those that its process did not come to.
    if failed and (left := [case for case in cases if not counts[case.key] and case.key not in failed]):
        counts.update(count(left, side, how))
    return counts


def profile(cases: Sequence[Case], side: Side, how: Settings) -> Run:
    """The profiles of cases of one group, each as the base calls it, and rows with a reason for what has none.

    Raises:
        SideError: the process cannot measure anything.
    """
    by_key = {side.case(case).key: case for case in cases}
    how = replace(how, metrics=PROFILES)
    measured = {}
    for message in _messages([*map(side.case, cases)], side, how):
        case = by_key.get(message.key)
        if case and message.reading and message.reading.metric in PROFILES:
            measured[case] = Measurement(case, readings=(message.reading,))
        elif case and message.kind in NOT_MEASURED and message.text and case not in measured:
            measured[case] = Measurement(case, FAILED, message.text)
    if any(row.reason for row in measured.values()) and (left := [case for case in cases if case not in measured]):
        measured |= {row.case: row for row in profile(left, side, how).measurements}  # after a crash
    return Run(Environment("", cases[0].device.partition(":")[0]), how, infos(PROFILES), (), tuple(measured.values()))


def _messages(cases: Sequence[Case], side: Side, how: Settings) -> list[Message]:
    """All messages of a process, and a last one of the kind "failed" if it crashed or timed out.

    Raises:
        SideError: it cannot measure anything.
    """
    nothing: dict[str, list[str]] = {case.key: [] for case in cases}
    request = Request(tuple(cases), cases[0].device, how, nothing, plugins=side.plugins, path=side.path)
    messages: list[Message] = []

    def receive(message: Message) -> None:
        if message.kind == "unusable":
            raise SideError(f"{side.name} cannot be measured: {message.text}")
        messages.append(message)

    ending = runner.follow(runner.Process(request, side.code), receive, finish_call=False)
    if ending.last.kind == "start":
        raise SideError(f"{side.name} cannot be measured: {ending.why_not_started()}")
    if ending.code or ending.stopped or not messages:
        reason = f"{ending.reason(ending.last.step)}\n{ending.errors}".strip()
        messages.append(Message("failed", ending.last.key, text=reason))
    return messages


def _calls_per_round(case: Case) -> int:
    """The fastest call is compared, so both sides must make equally many calls, however long one takes."""
    if case.model:
        return 1
    return next((calls for most, calls in CALLS_PER_ROUND if case.elements <= most), 1)


def _timing(reading: Reading) -> Timing:
    return Timing(tuple(median(calls) for calls in reading.rounds if calls), min(reading.samples))


def _describe(environment: Environment) -> str:
    threads = environment.machine.get("threads", "?")
    noun = "thread" if threads == "1" else "threads"
    return f"{environment.device_name}, torch {environment.versions.get('torch', '?')}, {threads} {noun}"
