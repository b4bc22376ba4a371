"""What a report consists of: plain data that every format renders. Its pictures are in `pictures`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from upsampler_bench import units
from upsampler_bench.paper.parts import PublishedTable
from upsampler_bench.quality.choice import PHRASES, PUBLISHED
from upsampler_bench.report.pictures import Picture
from upsampler_bench.results import Span

NOTHING = "–"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    Attributes:
        name: stable, for machines: the metric's name, or that with "_ratio" or "_p95".
        title, unit: for people; the unit is that of the cells' numbers ("ms", "MiB", "GFLOPs", "×", "").
        rank: where space is short, the columns of the lowest ranks come first.
        detail: only for formats that machines read.
        words: its cells are words, which formats that machines read contain too.
    """

    name: str
    title: str
    unit: str = ""
    rank: int = 0
    detail: bool = False
    words: bool = False

    @property
    def heading(self) -> str:
        """The title with its unit, e.g. 'Latency (ms)'."""
        return units.heading(self.title, self.unit)


@dataclass(frozen=True, slots=True)
class Cell:
    """A number in its column's unit, and as it is printed.

    Attributes:
        text: the number with the digits that its interval supports, or why there is none.
        value, low, high: the number and its 95 % interval, or None (an exact number has no interval).
        interval: the interval as it is printed, e.g. "1.30–1.32"; empty: it is not printed.
        marks: the marks of its footnotes.
        sampled: the range of the samples, where they are too few for an interval.
    """

    text: str = NOTHING
    value: float | None = None
    low: float | None = None
    high: float | None = None
    interval: str = ""
    marks: tuple[str, ...] = ()
    sampled: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One operator on one backend: a cell for each column, and the reason if it was skipped or failed.

    Attributes:
        name: for people: the operator, with its backend where the run has several.
        operator, backend: for formats that machines read; empty in tables of something else.
    """

    name: str
    cells: tuple[Cell, ...]
    status: str = "measured"
    reason: str = ""
    baseline: bool = False
    operator: str = ""
    backend: str = ""

    @property
    def explanation(self) -> str:
        """The status with its reason, e.g. 'failed: out of memory'."""
        return f"{self.status}: {self.reason}" if self.reason else self.status


@dataclass(frozen=True, slots=True)
class Table:
    """All operators under one condition.

    Attributes:
        condition: its parts by name ("batch", "dtype", ...).
        compact: every cell is a short word, so that all columns fit next to each other.
        subject: what a row is, the heading of the first column.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    condition: Mapping[str, str | int] = field(default_factory=dict)
    compact: bool = False
    subject: str = "Upsampler"

    @property
    def shown(self) -> tuple[int, ...]:
        """The places of the columns meant for people."""
        return tuple(place for place, column in enumerate(self.columns) if not column.detail)

    @property
    def incomplete(self) -> tuple[Row, ...]:
        """The rows that state why numbers are missing."""
        return tuple(row for row in self.rows if row.reason or row.status != "measured")


@dataclass(frozen=True, slots=True)
class Method:
    """How some columns (by title) were measured."""

    columns: tuple[str, ...]
    text: str

    @property
    def words(self) -> tuple[str, str]:
        """The columns and the method as title and text, like a fact."""
        return ", ".join(self.columns), self.text


@dataclass(frozen=True, slots=True)
class OperatorFacts:
    """What is known of an operator besides its measurements.

    Attributes:
        name: of its rows: the operator, with its backend where the run has several.
        miou: in per cent, measured or published as the report says, or None.
        capabilities: by metric name ("onnx_export", "deterministic", ...). None: tested, but it does not apply.
            A missing one was not tested. Neither is a no.
    """

    name: str
    needs_guide: bool
    paper: str
    miou: float | None
    capabilities: Mapping[str, bool | None]


@dataclass(frozen=True, slots=True)
class Trace:
    """Some steps of one operator as they took place."""

    title: str
    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """A report's parts, each in the order in which it is shown.

    Attributes:
        facts: (title, text) pairs: device, versions, protocol, when.
        footnotes: (mark, text) pairs that cells refer to.
        legend: (title, text) pairs: what each column means, and the conventions.
        warning: that a run is incomplete, or empty.
        operators: what is known of each besides its measurements.
        miou: what their mIoU is, in words, and whether "measured" or "published".
        profiles: where the time goes, a table or several for each operator that was profiled.
        traces: the steps that were profiled, as they took place.
    """

    title: str
    facts: tuple[tuple[str, str], ...] = ()
    tables: tuple[Table, ...] = ()
    published: tuple[PublishedTable, ...] = ()
    pictures: tuple[Picture, ...] = ()
    methods: tuple[Method, ...] = ()
    footnotes: tuple[tuple[str, str], ...] = ()
    legend: tuple[tuple[str, str], ...] = ()
    warning: str = ""
    operators: tuple[OperatorFacts, ...] = ()
    miou: tuple[str, str] = PHRASES[PUBLISHED]
    profiles: tuple[Table, ...] = ()
    traces: tuple[Trace, ...] = ()
