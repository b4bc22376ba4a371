"""Where the time of each operator goes: a table of its operations or kernels, longest first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from upsampler_bench import units
from upsampler_bench.report.lines import Condition, Line
from upsampler_bench.report.parts import NOTHING, Cell, Column, Row, Table
from upsampler_bench.results import Part, Reading

METRICS = ("profile", "train_profile")
# Rows of a table; what is shorter is added up in one more.
LONGEST = 12
COLUMNS = (
    Column("within", "In", words=True),
    Column("category", "Kind", words=True),
    Column("calls", "Calls"),
    Column("time", "Time", "ms"),
    Column("share", "Share", "%"),
    Column("traffic", "Traffic", "MiB"),
    Column("bandwidth", "Bandwidth", "GB/s"),
    Column("multiply_adds", "Multiply-adds", "M"),
    Column("rate", "Rate", "G/s"),
    Column("live", "Live at the peak", "MiB"),
)


def tables(conditions: Sequence[Condition]) -> Iterator[Table]:
    """A table for each operator, mode and condition that was profiled."""
    for condition in conditions:
        for line, metric, reading in profiled(condition):
            total = f"{units.rough(1e3 * sum(part.seconds for part in reading.parts))} ms"
            mode = "training step" if metric == "train_profile" else "forward"
            copy = f"; a copy reaches {units.rough(rate / 1e9)} GB/s" if (rate := copy_rate(line, condition)) else ""
            title = f"{line.name}, one {mode}: {total}{copy} ({condition.words})"
            yield Table(title, COLUMNS, tuple(_rows(reading.parts)), subject="Operation")


def profiled(condition: Condition) -> Iterator[tuple[Line, str, Reading]]:
    """The operators' profiles: their line, the metric and the reading."""
    for line in condition.lines:
        for info in condition.metrics:
            reading = line.reading(info) if info.name in METRICS else None
            if reading is not None and reading.parts:
                yield line, info.name, reading


def copy_rate(line: Line, condition: Condition) -> float | None:
    """Bytes per second of a copy, which the roofline time of the same run was made of."""
    info = condition.run.metric("roofline_time")
    reading = info and line.reading(info)
    return float(reading.facts["copying"]) if reading and "copying" in reading.facts else None


def _rows(parts: Sequence[Part]) -> Iterator[Row]:
    total = sum(part.seconds for part in parts) or 1.0
    shown, others = parts[:LONGEST], parts[LONGEST:]
    for part in shown:
        yield _row(part.name, part, total)
    if others:
        rest = others[0]
        for part in others[1:]:
            rest = rest.plus(part)
        yield _row(f"{len(others)} others", replace(rest, category="", within=""), total)


def _row(name: str, part: Part, total: float) -> Row:
    mebibyte = units.unit("B").size
    return Row(
        name,
        (
            Cell(part.within or NOTHING),
            Cell(part.category or NOTHING),
            Cell(str(part.calls), part.calls),
            _number(1e3 * part.seconds),
            _number(100 * part.seconds / total),
            _number(part.traffic / mebibyte),
            _number(part.traffic / part.seconds / 1e9 if part.seconds else 0.0),
            _number(part.multiply_adds / 1e6),
            _number(part.multiply_adds / part.seconds / 1e9 if part.seconds else 0.0),
            _number(part.live / mebibyte),
        ),
    )


def _number(value: float) -> Cell:
    return Cell(units.rough(value), value) if value else Cell()
