"""What a reader must know of single numbers, said once and referred to by a mark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from string import ascii_lowercase

from upsampler_bench.case import PROBE
from upsampler_bench.report.lines import Condition, Line
from upsampler_bench.results import MetricInfo, Run


def texts(run: Run, line: Line, info: MetricInfo) -> tuple[str, ...]:
    """The footnotes of one number: the reading's notes, and what was left uncounted."""
    if info.mode == PROBE:
        tried = line.read(info)
        return tried.notes if tried else ()
    found = line.find(info)
    if found is None:
        return ()
    reading = found[1]
    uncounted = reading.facts.get("uncounted")
    left_out = [f"not counted: {uncounted}"] if uncounted else []
    few = [] if info.is_single or reading.estimate.is_bounded else ["fewer than six rounds: too few for an interval"]
    return (*reading.notes, *few, *left_out)


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
