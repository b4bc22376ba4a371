"""What a reader must know of single numbers, said once and referred to by a mark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from string import ascii_lowercase

from upsampler_bench.case import PROBE, Case
from upsampler_bench.report.lines import Condition, Line
from upsampler_bench.report.numbers import noisy
from upsampler_bench.results import MetricInfo, Reading, Run
from upsampler_bench.stats import paired_ratio


def texts(run: Run, line: Line, info: MetricInfo) -> tuple[str, ...]:
    """The footnotes of one number: the reading's notes, what was left uncounted, a twin's ratio to its reference."""
    if info.mode == PROBE:
        tried = line.read(info)
        return tried.notes if tried else ()
    found = line.find(info)
    if found is None:
        return ()
    measurement, reading = found
    uncounted = reading.facts.get("uncounted")
    left_out = [f"not counted: {uncounted}"] if uncounted else []
    few = [] if info.is_single or reading.estimate.is_bounded else ["fewer than six rounds: too few for an interval"]
    return (*reading.notes, *few, *left_out, *_twin(run, measurement.case, info, reading))


def marks(told: Sequence[tuple[Run, tuple[Condition, ...]]]) -> dict[str, str]:
    """Each footnote's mark by its text, in reading order of these runs: a, b, ..., z, aa, ab, ..."""
    lines = [(run, line) for run, found in told for condition in found for line in condition.lines]
    said = dict.fromkeys(text for run, line in lines for info in run.metrics for text in texts(run, line, info))
    return {text: _mark(place) for place, text in enumerate(said)}


def marks_of(said: tuple[str, ...], known: Mapping[str, str]) -> tuple[str, ...]:
    """The marks of these footnotes."""
    return tuple(known[text] for text in dict.fromkeys(said))


def _mark(place: int) -> str:
    rest, last = divmod(place, len(ascii_lowercase))
    return (_mark(rest - 1) if rest else "") + ascii_lowercase[last]


def _twin(run: Run, case: Case, info: MetricInfo, reading: Reading) -> tuple[str, ...]:
    reference = next((one.reference for one in run.upsamplers if one.name == case.upsampler), "")
    measurement = run.measurement(case.of(reference)) if reference and info.relative else None
    theirs = measurement.reading(info.name) if measurement else None
    if theirs is None or theirs.method != reading.method or not any(theirs.samples):
        return ()
    ratio = paired_ratio(reading.rounds, theirs.rounds)
    if ratio is None:
        return ()
    value, interval = noisy(ratio)
    return (f"{value} ({interval}) times its reference {reference}, paired by round",)
