# torch-free
"""Tables 5 to 9: the parameters that each upsampler adds to a detector or a depth model; all else is quoted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from upsampler_bench.paper import cells, published, sources
from upsampler_bench.paper.cells import DIFFERS, held, quoted
from upsampler_bench.paper.costs import COUNTING, PARAMS, added_params, candidates, whole_params
from upsampler_bench.paper.parts import PublishedCell, PublishedRow, PublishedTable
from upsampler_bench.paper.sources import Number, Records
from upsampler_bench.results import Run

NEAREST, BILINEAR = ("nearest", "bilinear"), ("bilinear",)
BOXES = {"AP": "ap", "AP50": "ap50", "AP75": "ap75", "AP small": "ap_s", "AP medium": "ap_m", "AP large": "ap_l"}
DEEPER, DEPTH = "r101", "depthformer_nyuv2"
NOT_R101 = "no model has a ResNet-101"
SAME = "ours is of ResNet-50: what the stages add does not depend on the backbone"
QUOTED = "All other figures need training and are quoted."


@dataclass(frozen=True, slots=True)
class _Paper:
    """A table with added parameters.

    Attributes:
        source: the published file.
        model: the model it is of.
        baselines: the operators that its first row may be counted with.
        quality: its other figures, and their columns in the file.
        lacks: why the baseline's parameters are not those of our model.
    """

    name: str
    title: str
    source: str
    model: str
    baselines: tuple[str, ...]
    quality: Mapping[str, str]
    lacks: str


TABLES = (
    _Paper(
        "table6",
        "Table 6: Faster R-CNN on COCO",
        "faster_rcnn_coco",
        "fpn-r50",
        NEAREST,
        BOXES,
        "our model is the backbone and its feature pyramid without the detection heads (RPN and boxes)",
    ),
    _Paper(
        "table8",
        "Table 8: Panoptic FPN on COCO",
        "panoptic_fpn_coco",
        "fpn-r50-panoptic",
        NEAREST,
        {"PQ": "pq", "PQ things": "pq_th", "PQ stuff": "pq_st", "SQ": "sq", "RQ": "rq"},
        "our model is the semantic branch without the detection heads (RPN, boxes and masks)",
    ),
    _Paper(
        "table9",
        "Table 9: DepthFormer (Swin-T) on NYU Depth V2",
        DEPTH,
        "depthformer-swin-t",
        BILINEAR,
        {
            "δ < 1.25": "delta1",
            "δ < 1.25²": "delta2",
            "δ < 1.25³": "delta3",
            "Abs Rel": "abs_rel",
            "RMS": "rms",
            "log10": "log10",
            "RMS (log)": "rms_log",
            "Sq Rel": "sq_rel",
        },
        "our model is without the HAHI neck",
    ),
)


def tables(runs: Sequence[Run]) -> list[PublishedTable]:
    """Those whose model is in the runs, in the paper's order; what can only be quoted stands beside its own model."""
    made = [_table(one, records) for one in TABLES if (records := sources.in_model(runs, one.model))]
    if sources.in_model(runs, "maskformer-swin-b"):
        made.append(_table5())
    if sources.in_model(runs, "fpn-r50"):
        made.append(_table7())
    return sorted(made, key=lambda one: one.name)


def _table(paper: _Paper, records: Records) -> PublishedTable:
    rows = tuple(_row(paper, records, row) for row in published.rows(paper.source))
    return PublishedTable(paper.name, paper.title, f"{COUNTING} {QUOTED}", (PARAMS, *paper.quality), rows)


def _row(paper: _Paper, records: Records, row: Mapping[str, str]) -> PublishedRow:
    quality = (quoted(figure, row[key]) for figure, key in paper.quality.items())
    return PublishedRow(_named(row), (_params(paper, records, row), *quality))


def _params(paper: _Paper, records: Records, row: Mapping[str, str]) -> PublishedCell:
    name, is_deeper = row["upsampler"], row.get("backbone") == DEEPER
    is_baseline = name == paper.baselines[0]
    printed = cells.params(row["params_k"], adds=not is_baseline)
    if is_baseline and is_deeper:
        return held(PARAMS, printed, Number(why=NOT_R101), DIFFERS, ())
    if is_baseline:
        return whole_params(paper.baselines, printed, records, paper.lacks)
    # A gate blends two features of as many channels: only the pyramids of 256 have such.
    names = (name,) if paper.source == DEPTH else candidates(name)
    return added_params(names, printed, records, paper.baselines, SAME if is_deeper else "")


def _table5() -> PublishedTable:
    figure, words = "mIoU (%)", {"swin-b": "Swin-B", "swin-l": "Swin-L"}
    rows = tuple(
        PublishedRow(f"{row['upsampler']} ({words[row['backbone']]})", (quoted(figure, row["miou"]),))
        for row in published.rows("maskformer_ade20k")
    )
    return PublishedTable(
        "table5", "Table 5: MaskFormer on ADE20K", "mIoU needs training and is quoted.", (figure,), rows
    )


def _table7() -> PublishedTable:
    """Boxes and masks of one model in one row."""
    found: dict[str, list[PublishedCell]] = {}
    for row in published.rows("mask_rcnn_coco"):
        cells = found.setdefault(_named(row), [])
        cells += [quoted(f"{row['task']} {figure}", row[key]) for figure, key in BOXES.items()]
    figures = tuple(f"{task} {figure}" for task in ("box", "mask") for figure in BOXES)
    about = "AP of boxes and masks needs training and is quoted; the added parameters are those of Table 6."
    rows = tuple(PublishedRow(name, tuple(cells)) for name, cells in found.items())
    return PublishedTable("table7", "Table 7: Mask R-CNN on COCO", about, figures, rows)


def _named(row: Mapping[str, str]) -> str:
    return f"{row['upsampler']} (R101)" if row.get("backbone") == DEEPER else row["upsampler"]
