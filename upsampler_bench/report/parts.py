"""What a report is made of: frozen plain data that every format renders and none computes; pictures in `pictures`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

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
class Held:
    """One published figure held against ours.

    Attributes:
        figure: what it is, with its unit, e.g. "GFLOPs"; one of its table's `figures`.
        published, ours: as they are printed, e.g. "+34.4" and "+34.43"; `ours` is empty where there is none.
        published_value, our_value: the numbers themselves, in the figure's unit.
        deviation: ours beside the published one, as printed, e.g. "+0.1 %"; empty where there is none of ours.
        verdict: "reproduced", "differs", "needs training", or "not measured"; empty where the paper prints no figure
            (`published` is empty) and ours stands alone.
        why: of "differs" and "not measured" the reason; else what a reader must know of how it was published.
    """

    figure: str
    published: str
    ours: str = ""
    published_value: float | None = None
    our_value: float | None = None
    deviation: str = ""
    verdict: str = "not measured"
    why: str = ""


@dataclass(frozen=True, slots=True)
class HeldRow:
    """One row of a published table: a cell for each of its figures that the paper gives."""

    name: str
    cells: tuple[Held, ...]


@dataclass(frozen=True, slots=True)
class PublishedTable:
    """A table or figure of the paper, each of its figures held against ours.

    Attributes:
        name: stable, e.g. "table4".
        title: e.g. "Table 4: SegFormer-B1 on ADE20K".
        about: how its figures are counted here, in sentences.
        figures: the columns, in order.
    """

    name: str
    title: str
    about: str
    figures: tuple[str, ...]
    rows: tuple[HeldRow, ...]

    def count(self, verdict: str) -> int:
        """How many of its cells have this verdict."""
        return sum(cell.verdict == verdict for row in self.rows for cell in row.cells)


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
