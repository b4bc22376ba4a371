"""Where the time of each operator goes, in a model that of each stage too, and what is alive at its peak of memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from upsampler_bench import units
from upsampler_bench.report.lines import Condition, Line
from upsampler_bench.report.parts import NOTHING, Cell, Column, Row, Table, Trace
from upsampler_bench.results import Live, Part, Reading

METRICS = ("profile", "train_profile")
STEPS = {"profile": "forward", "train_profile": "training step"}
# Rows of a table; what is shorter is added up in one more.
LONGEST, MOST_LIVE = 12, 8
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
)
STAGE_COLUMNS = (Column("time", "Time", "ms"), Column("share", "Share", "%"))
LIVE_COLUMNS = (
    Column("within", "In", words=True),
    Column("live", "Live at the peak", "MiB"),
    Column("share", "Share", "%"),
)
# What is in no submodule of a model: its loss and optimiser, and the time between operations.
OUTSIDE = "outside of submodules"


def tables(conditions: Sequence[Condition]) -> Iterator[Table]:
    """The tables of each operator, mode and condition that was profiled."""
    for condition in conditions:
        for line, metric, reading in profiled(condition):
            name, where = f"{line.name}, one {STEPS[metric]}", condition.words
            copy = f"; a copy reaches {units.rough(rate / 1e9)} GB/s" if (rate := copy_rate(line, condition)) else ""
            yield Table(
                f"{name}: {_times(reading)}{copy} ({where})", COLUMNS, tuple(_rows(reading.parts)), subject="Operation"
            )
            if "upsamplers" in reading.facts:
                upsamplers = str(reading.facts["upsamplers"]).split()
                yield Table(
                    f"{name}, by stage ({where})",
                    STAGE_COLUMNS,
                    tuple(_stages(reading.parts, upsamplers)),
                    subject="Stage",
                )
            if reading.live:
                yield Table(
                    f"{name}: tensors at the peak of memory ({where})",
                    LIVE_COLUMNS,
                    tuple(_live(reading.live)),
                    subject="Made by",
                )


def traces(conditions: Sequence[Condition]) -> Iterator[Trace]:
    """The steps of everything that was profiled."""
    for condition in conditions:
        where = f" ({condition.words})" if len(conditions) > 1 else ""
        for line, metric, reading in profiled(condition):
            if reading.spans:
                yield Trace(f"{line.name}, {STEPS[metric]}{where}", reading.spans)


def _times(reading: Reading) -> str:
    """The sum of a profile's parts, and what the same step took without the profiler."""
    total = f"{units.rough(1e3 * sum(part.seconds for part in reading.parts))} ms"
    unrecorded = reading.facts.get("unrecorded")
    return f"{total}, without the profiler {units.rough(1e3 * float(unrecorded))} ms" if unrecorded else total


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
        yield _row(units.counted(len(others), "other"), replace(rest, category="", within=""), total)


def _row(name: str, part: Part, total: float) -> Row:
    mebibyte = units.unit("B").size
    return Row(
        name,
        (
            Cell(part.within or NOTHING),
            Cell(part.category or NOTHING),
            Cell(str(part.calls), part.calls) if part.calls else Cell(),
            _number(1e3 * part.seconds),
            _number(100 * part.seconds / total),
            _number(part.traffic / mebibyte),
            _number(part.traffic / part.seconds / 1e9 if part.seconds else 0.0),
            _number(part.multiply_adds / 1e6),
            _number(part.multiply_adds / part.seconds / 1e9 if part.seconds else 0.0),
        ),
    )


def _stages(parts: Sequence[Part], upsamplers: Sequence[str]) -> Iterator[Row]:
    """Time by upsampler, and of all else by submodule of the model, longest first."""
    seconds: Counter[str] = Counter()
    for part in parts:
        inside = (path for path in upsamplers if f"{part.within}.".startswith(f"{path}."))
        seconds[next(inside, part.within.partition(".")[0] or OUTSIDE)] += part.seconds  # type: ignore[assignment]
    total = sum(seconds.values()) or 1.0
    for name, time in seconds.most_common():
        others = " without upsamplers" if any(path.startswith(f"{name}.") for path in upsamplers) else ""
        yield Row(f"{name}{others}", (_number(1e3 * time), _number(100 * time / total)))


def _live(live: Sequence[Live]) -> Iterator[Row]:
    total, mebibyte = sum(one.bytes for one in live) or 1, units.unit("B").size
    shown, others = live[:MOST_LIVE], live[MOST_LIVE:]
    rows = [(one.name, one.within, one.bytes) for one in shown]
    if others:
        rows.append((units.counted(len(others), "other"), "", sum(one.bytes for one in others)))
    for name, within, size in rows:
        yield Row(name, (Cell(within or NOTHING), _number(size / mebibyte), _number(100 * size / total)))


def _number(value: float) -> Cell:
    return Cell(units.rough(value), value) if value else Cell()
