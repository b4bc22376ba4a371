"""What a reader must know of single numbers: each text once, referred to by a mark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from string import ascii_lowercase

from upsampler_bench.case import PROBE
from upsampler_bench.report.lines import Condition, Line
from upsampler_bench.results import MetricInfo


def texts(line: Line, info: MetricInfo) -> tuple[str, ...]:
    """The footnotes of one number: the reading's notes, and what was not counted."""
    reading = line.reading(info)
    if info.mode == PROBE or reading is None:
        answer = line.answer(info)
        return answer.notes if answer else ()
    notes = list(reading.notes)
    if not info.is_single and not reading.estimate.is_bounded:
        notes.append("fewer than eight rounds: too few for an interval")
    if reading.facts.get("uncounted"):
        notes.append(f"not counted: {reading.facts['uncounted']}")
    return tuple(dict.fromkeys(notes))


def marks(found: Sequence[Condition]) -> dict[str, str]:
    """Each footnote's mark by its text, in reading order: a, b, ..., z, aa, ab, ..."""
    lines = [(condition, line) for condition in found for line in condition.lines]
    notes = [text for condition, line in lines for info in condition.run.metrics for text in texts(line, info)]
    return {text: _mark(place) for place, text in enumerate(dict.fromkeys(notes))}


def marks_of(line: Line, info: MetricInfo, marks: Mapping[str, str], *, beginning: str = "") -> tuple[str, ...]:
    """The marks of one number's footnotes, of those that begin with `beginning`."""
    return tuple(marks[text] for text in texts(line, info) if text.startswith(beginning))


def _mark(place: int) -> str:
    rest, last = divmod(place, len(ascii_lowercase))
    return (_mark(rest - 1) if rest else "") + ascii_lowercase[last]
