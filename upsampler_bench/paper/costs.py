# torch-free
"""The cost columns of Tables 4, 6, 8 and 9: what each upsampler adds to a model; the quality columns are quoted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from upsampler_bench.paper import ours, published
from upsampler_bench.paper.ours import BASELINE, Number, Records
from upsampler_bench.paper.parts import (
    Printed,
    PublishedCell,
    PublishedRow,
    PublishedTable,
    compared,
    gflops,
    ours_alone,
    params,
    quoted,
)
from upsampler_bench.results import Run

GFLOPS, PARAMS = "GFLOPs", "Params"
PAPER, MAC, WEIGHTS, EVERYTHING = "flops_paper", "flops_mac", "params_weights", "params_all"
SEGFORMER, SEGFORMER_TABLE, IMAGE = "segformer-b1", "segformer_b1_ade20k", (512, 512)
# Six stages on 256 + 2·1024 + 3·4096 input pixels; the bare operator is measured on 120 x 120.
STAGES, PIXELS, BARE_PIXELS = 6, 14_592, 14_400
DEEPER = "r101"
COUNTED = (
    "GFLOPs: flops_paper of one 512×512 image. What a row adds is its model's count minus that of bilinear's. The "
    "published count of bilinear itself, and so ours, includes what common tools also count: biases of convolutions, "
    "2 per element of a batch norm, 1 per element of a ReLU."
)
DERIVED = (
    f"These runs have no {SEGFORMER}, so what a row adds is derived from the bare operator: its flops_paper times "
    "14,592 / 14,400 input pixels, its parameters times six stages."
)
ROUNDING = (
    "GFLOPs are reproduced if they round to the printed digits, or to the additional digit that the authors print "
    "elsewhere."
)
COUNTING = (
    "Params: what a row adds are weights (parameters of two or more dimensions, without biases and norms), as the "
    "paper counts; of a baseline all parameters. They are reproduced if they round to the printed digits, or a "
    "note says how else they give these."
)
QUOTED = "All other figures need training and are quoted."
# The published costs of FADE are those of the gated operator.
COSTED_AS = {"fade": ("fade-gated", "fade")}
NOTES = {
    "fade-gated": "compared with fade-gated: the published costs include the gate, although the text says without gate",
    "fade": "ours is without gate (fade), as the text says; the published costs are of the gated one (fade-gated)",
    "indexnet": "the published costs are of the holistic index network, as ours",
    "deconv": "counted at its output, four times what it multiplies",
    **dict.fromkeys(("dysample", "dysample+", "dysample-s", "dysample-s+"), "grid_sample counted as 11 per element"),
}
PARAMS_NOTES = {
    "a2u": "the published 0.1M includes a downsampling branch that upsampling does not use",
    "indexnet": NOTES["indexnet"],
}


@dataclass(frozen=True, slots=True)
class ParamsTable:
    """A table whose only cost is the added parameters.

    Attributes:
        source: the file of the published figures.
        model: the model it is of.
        baselines: the operators that its first row may be counted with; they have no parameters.
        quality: its other figures, and their columns in the file.
        lacks: why the baseline's parameters are not those of our model.
        is_gated: whether FADE may be gated: a gate blends two features of as many channels.
    """

    name: str
    title: str
    source: str
    model: str
    baselines: tuple[str, ...]
    quality: Mapping[str, str]
    lacks: str
    is_gated: bool = True


IN_TABLE4 = {"mIoU (%)": "miou", "bIoU (%)": "biou"}
BOXES = {"AP": "ap", "AP50": "ap50", "AP75": "ap75", "AP small": "ap_s", "AP medium": "ap_m", "AP large": "ap_l"}
PARAMS_TABLES = (
    ParamsTable(
        "table6",
        "Table 6: Faster R-CNN on COCO",
        "faster_rcnn_coco",
        "fpn-r50",
        ("nearest", "bilinear"),
        BOXES,
        "our model is the backbone and its feature pyramid without the detection heads (RPN and boxes)",
    ),
    ParamsTable(
        "table8",
        "Table 8: Panoptic FPN on COCO",
        "panoptic_fpn_coco",
        "fpn-r50-panoptic",
        ("nearest", "bilinear"),
        {"PQ": "pq", "PQ things": "pq_th", "PQ stuff": "pq_st", "SQ": "sq", "RQ": "rq"},
        "our model is the semantic branch without the detection heads (RPN, boxes and masks)",
    ),
    ParamsTable(
        "table9",
        "Table 9: DepthFormer (Swin-T) on NYU Depth V2",
        "depthformer_nyuv2",
        "depthformer-swin-t",
        ("bilinear",),
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
        is_gated=False,
    ),
)


def table4(runs: Sequence[Run], added: Sequence[str]) -> PublishedTable | None:
    """Table 4, in SegFormer-B1 or derived from the bare operators; None if the runs have neither.

    The operators `added` have rows of their own.
    """
    records = ours.in_model(runs, SEGFORMER, IMAGE)
    rows = published.rows(SEGFORMER_TABLE)
    is_derived = not records
    if is_derived:
        names = {name for row in rows for name in COSTED_AS.get(row["upsampler"], (row["upsampler"],))} - {BASELINE}
        records = tuple(record for record in ours.bare(runs) if record[1].case.upsampler in {*names, *added})
        if not any(ours.reading(measurement, metric) for _, measurement in records for metric in (PAPER, WEIGHTS)):
            return None
    compared_rows = []
    for row in rows:
        costs = _model(records, row, is_derived) if row["upsampler"] == BASELINE else _added(records, row, is_derived)
        cells = (*costs, *(quoted(figure, row[column]) for figure, column in IN_TABLE4.items()))
        compared_rows.append(PublishedRow(row["upsampler"], cells))
    factor, stages, baselines = (PIXELS / BARE_PIXELS, STAGES, ()) if is_derived else (1.0, 1, (BASELINE,))
    for name in added:
        count = ours.number(records, (name,), PAPER, baselines).scaled(factor)
        weights = ours.number(records, (name,), WEIGHTS, baselines).scaled(stages)
        compared_rows.append(PublishedRow(name, (*_own(GFLOPS, count), *_own(PARAMS, weights))))
    about = f"{DERIVED if is_derived else COUNTED} {ROUNDING} {COUNTING} mIoU and bIoU need training and are quoted."
    figures = (GFLOPS, PARAMS, *IN_TABLE4)
    return PublishedTable("table4", "Table 4: SegFormer-B1 on ADE20K", about, figures, tuple(compared_rows))


def params_table(table: ParamsTable, runs: Sequence[Run], added: Sequence[str]) -> PublishedTable | None:
    """One of Tables 6, 8 and 9 with rows for the operators `added`, or None if its model is not in the runs."""
    records = ours.in_model(runs, table.model)
    if not records:
        return None
    rows = [
        PublishedRow(
            row_name(row),
            (_params(table, records, row), *(quoted(figure, row[column]) for figure, column in table.quality.items())),
        )
        for row in published.rows(table.source)
    ]
    weights = ((name, ours.number(records, (name,), WEIGHTS, table.baselines)) for name in added)
    rows += [PublishedRow(name, _own(PARAMS, cost)) for name, cost in weights]
    return PublishedTable(table.name, table.title, f"{COUNTING} {QUOTED}", (PARAMS, *table.quality), tuple(rows))


def row_name(row: Mapping[str, str]) -> str:
    """A row's operator, with its backbone if that is the deeper one."""
    return f"{row['upsampler']} (R101)" if row.get("backbone") == DEEPER else row["upsampler"]


def _own(figure: str, cost: Number) -> tuple[PublishedCell, ...]:
    """What an operator adds that the paper does not have; nothing if that was not measured."""
    if cost.value is None:
        return ()
    size = 1e9 if figure == GFLOPS else 1e6 if abs(cost.value) >= 1e5 else 1e3
    text = Printed(cost.value, size, 1, adds=True).format_finer(cost.value)
    return (ours_alone(figure, text, cost.value / 1e9 if figure == GFLOPS else cost.value),)


def _model(records: Records, row: Mapping[str, str], is_derived: bool) -> tuple[PublishedCell, PublishedCell]:
    """GFLOPs and parameters of the whole model with bilinear interpolation."""
    printed, printed_params = gflops(row["gflops"], adds=False), params(row["params_k"], adds=False)
    if is_derived:
        absent = Number(why=f"no {SEGFORMER} in these runs")
        return compared(GFLOPS, printed, absent), compared(PARAMS, printed_params, absent)
    count, note = ours.number(records, (BASELINE,), PAPER), ""
    if count.value is not None and count.extras is None:
        note = "without biases, batch norms and ReLUs, which this run did not count"
    elif count.value is not None and count.extras is not None:
        note = f"{count.value / 1e9:.2f} without biases, batch norms and ReLUs"
        count = count.scaled(1 + count.extras / count.value)
    return _gflops(BASELINE, printed, count, note), _model_params((BASELINE,), printed_params, records, "")


def _added(records: Records, row: Mapping[str, str], is_derived: bool) -> tuple[PublishedCell, PublishedCell]:
    """GFLOPs and parameters that an operator adds."""
    name = row["upsampler"]
    names, baselines = COSTED_AS.get(name, (name,)), () if is_derived else (BASELINE,)
    factor = PIXELS / BARE_PIXELS if is_derived else 1.0
    count = ours.number(records, names, PAPER, baselines).scaled(factor)
    note = NOTES.get(count.name, "")
    if name == "deconv" or name.startswith("dysample"):
        multiplied = ours.number(records, names, MAC, baselines, PAPER).scaled(factor).value
        note = NOTES[name] + (f"; its multiplications (flops_mac) are {multiplied / 1e9:.3g} G" if multiplied else "")
    return (
        _gflops(name, gflops(row["gflops"], adds=True), count, note),
        _added_params(
            names,
            params(row["params_k"], adds=True),
            records,
            baselines,
            note=PARAMS_NOTES.get(name, ""),
            stages=STAGES if is_derived else 1,
        ),
    )


def _gflops(name: str, printed: Printed, count: Number, note: str) -> PublishedCell:
    if count.value is None:
        return compared(GFLOPS, printed, count)
    if printed.rounds_to(count.value):
        return compared(GFLOPS, printed, count, reproduced=True, notes=(note,))
    rounded = f"rounds to {printed.format(count.value)}"
    text = published.finer_gflops().get(name, "")
    finer = gflops(text, adds=printed.adds) if text else None
    if finer and finer.rounds_to(count.value):
        rounded += f"; the authors print {finer.text} elsewhere, as ours, and rounded that again for Table 4"
        return compared(GFLOPS, printed, count, reproduced=True, notes=(rounded, note))
    return compared(GFLOPS, printed, count, notes=(rounded, note))


def _params(table: ParamsTable, records: Records, row: Mapping[str, str]) -> PublishedCell:
    name, is_deeper = row["upsampler"], row.get("backbone") == DEEPER
    is_baseline = name == table.baselines[0]
    printed = params(row["params_k"], adds=not is_baseline)
    if is_baseline and is_deeper:
        return compared(PARAMS, printed, Number(why="no model has a ResNet-101"))
    if is_baseline:
        return _model_params(table.baselines, printed, records, table.lacks)
    names = COSTED_AS.get(name, (name,)) if table.is_gated else (name,)
    note = "ours is of ResNet-50: what the stages add does not depend on the backbone" if is_deeper else ""
    return _added_params(names, printed, records, table.baselines, note=note)


def _added_params(
    names: Sequence[str],
    printed: Printed,
    records: Records,
    baselines: Sequence[str],
    *,
    note: str = "",
    stages: int = 1,
) -> PublishedCell:
    """The parameters that a row adds; `stages` is how many times the records' operator is in the model."""
    weights = ours.number(records, names, WEIGHTS, baselines).scaled(stages)
    everything = ours.number(records, names, EVERYTHING, baselines).scaled(stages)
    if weights.value is None:
        return compared(PARAMS, printed, weights)
    is_same, notes = printed.rounds_to(weights.value), []
    if not is_same:
        is_cut = printed.cuts_to(weights.value)
        notes.append(f"rounds to {printed.format(weights.value)}{', cut off as the paper prints it' if is_cut else ''}")
        with_biases = everything.value is not None and printed.rounds_to(everything.value)
        if with_biases:
            notes.append(f"with biases and norms ({everything.value:,.0f}) it is the printed figure")
        is_same = is_cut or with_biases
    if len(names) > 1:
        notes.append(NOTES.get(weights.name, ""))
    return compared(PARAMS, printed, weights, reproduced=is_same, notes=(*notes, note))


def _model_params(names: Sequence[str], printed: Printed, records: Records, lacks: str) -> PublishedCell:
    """All parameters of the model with one of these baselines; `lacks` is what our model is without."""
    count = ours.number(records, names, EVERYTHING)
    if count.value is None:
        return compared(PARAMS, printed, count)
    is_same = printed.rounds_to(count.value)
    instead = f"with {count.name}, which has no parameters either" if count.name != names[0] else ""
    why = "" if is_same else lacks or f"rounds to {printed.format(count.value)}"
    return compared(PARAMS, printed, count, reproduced=is_same, notes=(instead, why))
