# torch-free
"""The paper's tables with ours beside them, as plain data that every format renders."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PublishedCell:
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
class PublishedRow:
    """One row of a published table: a cell for each of its figures that the paper gives."""

    name: str
    cells: tuple[PublishedCell, ...]


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
    rows: tuple[PublishedRow, ...]

    def count(self, verdict: str) -> int:
        """How many of its cells have this verdict."""
        return sum(cell.verdict == verdict for row in self.rows for cell in row.cells)
