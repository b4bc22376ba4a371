"""What a report is made of: frozen plain data that every format renders and none computes; pictures in `pictures`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from upsampler_bench.paper.parts import PublishedTable
from upsampler_bench.report.pictures import Picture

NOTHING = "–"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    Attributes:
        name: stable, for machines: the metric's name, or that with "_ratio" or "_p90".
        title, unit: for people; the unit is what the cells' numbers are in ("ms", "MiB", "GFLOPs", "×", "").
        rank: where room is short the highest ranks are left out first.
        detail: only for formats that machines read.
        words: its cells are words, which stand in machines' formats too.
    """

    name: str
    title: str
    unit: str = ""
    rank: int = 0
    detail: bool = False
    words: bool = False

    @property
    def heading(self) -> str:
        """The title with its unit, e.g. 'Latency (ms)', unless the title says it."""
        return self.title if self.unit in self.title else f"{self.title} ({self.unit})"


@dataclass(frozen=True, slots=True)
class Cell:
    """A number in its column's unit, and as it is printed.

    Attributes:
        text: the number with the digits that its interval supports, or why there is none.
        value, low, high: the number and its 95 % interval, None where there is none (an exact number has no interval).
        interval: the interval as it is printed, e.g. "1.30–1.32"; empty where it is not to be printed.
        marks: of the footnotes that belong to it.
    """

    text: str = NOTHING
    value: float | None = None
    low: float | None = None
    high: float | None = None
    interval: str = ""
    marks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """One operator: a cell for each column, and where it did not get through, why."""

    name: str
    cells: tuple[Cell, ...]
    status: str = "measured"
    reason: str = ""
    baseline: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """All operators under one condition.

    Attributes:
        condition: its parts by name ("batch", "dtype", ...).
        compact: every cell is a word, so that all columns stand beside each other.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    condition: Mapping[str, str | int] = field(default_factory=dict)
    compact: bool = False

    @property
    def shown(self) -> tuple[int, ...]:
        """The places of the columns meant for people."""
        return tuple(place for place, one in enumerate(self.columns) if not one.detail)

    @property
    def troubled(self) -> tuple[Row, ...]:
        """The rows that say why they are not whole."""
        return tuple(row for row in self.rows if row.reason or row.status != "measured")


@dataclass(frozen=True, slots=True)
class Method:
    """How some columns (by title) were measured; `rows` names the operators where not all were measured so."""

    columns: tuple[str, ...]
    text: str
    rows: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OperatorFacts:
    """What is known of an operator besides its measurements, for whoever chooses one.

    Attributes:
        miou: published (SegFormer-B1 on ADE20K, per cent), a twin's its reference's; None where the paper gives none.
        capabilities: by metric name ("onnx_export", "deterministic", ...); None: tried, but the question did not apply.
            What is missing was not tried: neither is a no.
    """

    name: str
    needs_guide: bool
    paper: str
    miou: float | None
    capabilities: Mapping[str, bool | None]
    reference: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that is told, in the order in which it is told.

    Attributes:
        warning: that the run did not get to its end; empty where it did.
        facts: (title, text) pairs: device, versions, protocol, when.
        footnotes: (mark, text) pairs that cells refer to.
        legend: (title, text) pairs: what each column means, and the conventions.
        operators: what is known of each beside its measurements.
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
