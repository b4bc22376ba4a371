# torch-free
"""The paper's tables and figures of which the runs measured something, in the paper's order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from upsampler_bench import units
from upsampler_bench.case import AUTO, TORCH
from upsampler_bench.paper import costs, foundation, ours, published
from upsampler_bench.paper.costs import BOXES, GFLOPS, IN_TABLE4, PAPER, PARAMS_TABLES, WEIGHTS, row_name
from upsampler_bench.paper.ours import BASELINE, DEVICE, LATENCY, MIOU, TABLE4, Records
from upsampler_bench.paper.parts import (
    DIFFERS,
    ELSEWHERE,
    MISSING,
    REPRODUCED,
    TRAINING,
    PublishedCell,
    PublishedRow,
    PublishedTable,
    deviation,
    ours_alone,
    quoted,
)
from upsampler_bench.paper.published import Ablation, Latency
from upsampler_bench.results import Accuracy, Measurement, Run

RATIO, AP, COUNT = "Latency (× bilinear)", "AP", "Weights"
# What the text rounds to, and what can be read off the figure, in ms.
ROUNDED, READ_OFF = 0.05, 0.1
FIG1 = (
    "Absolute times are not comparable across devices, so ratios to bilinear are compared: the published latency on "
    "one {device} over bilinear's {baseline:g} ms, and ours over bilinear's in the same rounds, with its 95 % "
    "interval. A ratio is reproduced if our interval overlaps what the published milliseconds allow: ±{rounded:g} ms "
    "by rounding where the text states them ({stated}), ±{read_off:g} ms where they are read off the figure. Ratios of "
    "another device neither reproduce nor refute it. The paper has no figure for indexnet and a2u."
)
ABLATION = (
    "Each row is dysample with these options. mIoU (SegFormer-B1 on ADE20K) and AP (Faster R-CNN on COCO) need "
    "training and are quoted. The costs are ours alone, for ×2 on a 256×120×120 feature: the paper prints none for "
    "these steps. GFLOPs are flops_paper."
)
ABLATIONS = {
    1: "Table 1: the initial sampling position",
    2: "Table 2: the static scope factor",
    3: "Table 3: the dynamic scope and the groups",
}
IN_TABLE7 = tuple(f"{task} {figure}" for task in ("box", "mask") for figure in BOXES)
# The figures of each table that need training, which a user may give for an operator.
NEED_TRAINING = {
    TABLE4: tuple(IN_TABLE4),
    "table5": (MIOU,),
    "table7": IN_TABLE7,
    **{table.name: tuple(table.quality) for table in PARAMS_TABLES},
}
GIVEN = "trained by the user, not measured here"


# The backends that run the operators as PyTorch programs.
COMPARED = {TORCH, AUTO, "triton"}


def tables(runs: Sequence[Run]) -> tuple[PublishedTable, ...]:
    """The paper's tables of which a run measured something; empty if none did, as at any other shape.

    Bare operators on the paper's feature are compared with Fig. 1 and Table 4, variants of dysample with Tables 1 to 3,
    each model with its own tables; what upsamples foundation features with the tables of JAFAR, AnyUp and NAF.
    Operators that a run names besides the paper's have rows of their own, and what a user trained its cells. A run that
    compares PyTorch with engines or compilers has no such tables: it is about these.
    """
    runs = [run for run in runs if len(run.backends) == 1 or {*run.backends} <= COMPARED]
    added, given = ours.added(runs), ours.given(runs)
    found = [
        _fig1(runs, added),
        *(_ablation(runs, number, title) for number, title in ABLATIONS.items()),
        costs.table4(runs, added),
        *(costs.params_table(table, runs, added) for table in PARAMS_TABLES),
        _table5() if ours.in_model(runs, "maskformer-swin-b") or any(one.table == "table5" for one in given) else None,
        _table7() if ours.in_model(runs, "fpn-r50") else None,
    ]
    papers = sorted((_with_given(table, given) for table in found if table), key=lambda table: table.name)
    return (*papers, *foundation.tables(runs))


def summary(tables: Sequence[PublishedTable]) -> str:
    """How many cells have each verdict: '24 of 26 comparable cells are reproduced. Differ: 2. ...'."""
    verdicts = (REPRODUCED, DIFFERS, MISSING, ELSEWHERE, TRAINING)
    counts = (sum(table.count(verdict) for table in tables) for verdict in verdicts)
    reproduced, differs, missing, elsewhere, training = counts
    comparable = reproduced + differs + missing
    parts = [f"{reproduced} of {comparable} comparable cells are reproduced."] if comparable else []
    rest = {"Differ": differs, "Not measured": missing, "Times of another device": elsewhere, "Need training": training}
    return " ".join([*parts, *(f"{name}: {count}." for name, count in rest.items() if count)])


def _with_given(table: PublishedTable, given: Sequence[Accuracy]) -> PublishedTable:
    """The table with what a user trained: beside the published figure, or in a row that the paper does not have."""
    rows = {row.name: row for row in table.rows}
    for one in given:
        if one.table == table.name:
            row = rows.get(one.row) or PublishedRow(one.row, ())
            cell = row.cell(one.figure) or PublishedCell(one.figure, "", verdict="")
            cell = replace(cell, ours=one.text, our_value=float(one.text), why=GIVEN)
            others = (other for other in row.cells if other.figure != one.figure)
            rows[one.row] = PublishedRow(one.row, (*others, cell))
    return replace(table, rows=tuple(rows.values()))


def _fig1(runs: Sequence[Run], added: Sequence[str]) -> PublishedTable | None:
    known = published.latency_rtx3090()
    records = ours.timed(runs, known)
    if not records:
        return None
    run, backend = records[0][0], records[0][1].case.backend
    # The baseline is 1 by definition.
    rows = [PublishedRow(name, (_latency(records, name, known),)) for name in known if name != BASELINE]
    for name in added:
        own = next((one for one in run.measurements if one.case == records[0][1].case.of(name)), None)
        ratio = ours.ratio_to_baseline(run, own)
        rows.append(PublishedRow(name, (ours_alone(RATIO, units.with_interval(ratio), ratio.value),) if ratio else ()))
    about = FIG1.format(
        device=DEVICE,
        baseline=known[BASELINE].ms,
        rounded=ROUNDED,
        read_off=READ_OFF,
        stated=", ".join(name for name, latency in known.items() if latency.source == "text"),
    )
    how = [run.environment.device_name]
    how += [f"backend {backend}"] if backend != TORCH else []
    how += ["CUDA graph"] if run.settings.cuda_graph else []
    title = "Fig. 1: latency of ×2 on a 256×120×120 feature"
    return PublishedTable("fig1", title, f"{about} Ours: {', '.join(how)}.", (RATIO,), tuple(rows))


def _latency(records: Records, name: str, known: Mapping[str, Latency]) -> PublishedCell:
    run, latency, base = records[0][0], known[name], known[BASELINE]
    theirs = round(latency.ms / base.ms, 4)
    printed = f"{theirs:.1f} ({latency.ms:.1f} ms)"
    measurement = next((one for _, one in records if one.case.upsampler == name), None)
    ratio = ours.ratio_to_baseline(run, measurement)
    if ratio is None:
        return PublishedCell(RATIO, printed, published_value=theirs, why=_no_ratio(run, measurement))
    error = ROUNDED if latency.source == "text" else READ_OFF
    least, most = (latency.ms - error) / (base.ms + ROUNDED), (latency.ms + error) / (base.ms - ROUNDED)
    low, high = (ratio.low, ratio.high) if ratio.is_bounded else (ratio.value, ratio.value)
    is_same = low <= most and high >= least
    verdict, why = (REPRODUCED, "") if is_same else (DIFFERS, "outside the reading error and our interval")
    if not ours.is_papers_device(run):
        verdict, why = ELSEWHERE, f"{run.environment.device_name}, not the paper's {DEVICE}"
    off = deviation(ratio.value, theirs)
    return PublishedCell(RATIO, printed, units.with_interval(ratio), theirs, ratio.value, off, verdict, why)


def _no_ratio(run: Run, measurement: Measurement | None) -> str:
    if measurement is None or not ours.reading(measurement, LATENCY):
        return ours.missing(measurement, LATENCY)
    base = run.measurement(run.baseline_of(measurement.case, BASELINE))
    if ours.reading(base, LATENCY):
        return f"timed by another method than {BASELINE}, so no ratio"
    return f"no ratio: {BASELINE} {ours.missing(base, LATENCY)}"


def _ablation(runs: Sequence[Run], number: int, title: str) -> PublishedTable | None:
    """One of Tables 1 to 3, or None if no variant of it was measured by its options."""
    steps = published.ablation()
    rows = [row for row in steps if row.table == number]
    records = ours.bare(runs)
    measured = {measurement.case.upsampler for _, measurement in records if measurement.readings}
    if measured.isdisjoint(row.upsampler for row in rows):
        return None
    timed = ours.timed(runs, {name for row in steps for name in (row.upsampler, row.registered) if name}, most=True)
    compared = tuple(_step(row, records, timed) for row in rows)
    figures = (MIOU, AP, *(figure for figure in (RATIO, GFLOPS, COUNT) if any(row.cell(figure) for row in compared)))
    about = f"{ABLATION} Latency: on {timed[0][0].environment.device_name}." if timed else ABLATION
    return PublishedTable(f"table{number}", title, about, figures, compared)


def _step(row: Ablation, records: Records, timed: Records) -> PublishedRow:
    """One step from the naive design to DySample: its published quality, and its costs."""
    names = [name for name in (row.upsampler, row.registered) if name]
    cells = [quoted(figure, text) for figure, text in ((MIOU, row.miou), (AP, row.ap)) if text]
    ratios = [
        ours.ratio_to_baseline(run, measurement)
        for name in names
        for run, measurement in timed
        if measurement.case.upsampler == name
    ]
    ratio = next((ratio for ratio in ratios if ratio), None)
    if ratio:
        cells.append(ours_alone(RATIO, units.with_interval(ratio), ratio.value))
    flops = ours.number(records, names, PAPER).value
    if flops is not None:
        cells.append(ours_alone(GFLOPS, units.short(flops / 1e9), flops / 1e9))
    weights = ours.number(records, names, WEIGHTS).value
    if weights is not None:
        cells.append(ours_alone(COUNT, f"{weights:,.0f}", weights))
    scope = f"{'dynamic' if row.dynamic else 'static'} {row.scope_factor:g}"
    groups = "1 group" if row.groups == 1 else f"{row.groups} groups"
    return PublishedRow(f"{row.initial_position}, {scope}, {groups}", tuple(cells))


def _table5() -> PublishedTable:
    backbones = {"swin-b": "Swin-B", "swin-l": "Swin-L"}
    rows = tuple(
        PublishedRow(f"{row['upsampler']} ({backbones[row['backbone']]})", (quoted(MIOU, row["miou"]),))
        for row in published.rows("maskformer_ade20k")
    )
    about = "mIoU needs training and is quoted."
    return PublishedTable("table5", "Table 5: MaskFormer on ADE20K", about, (MIOU,), rows)


def _table7() -> PublishedTable:
    """Boxes and masks of one model in one row."""
    cells: dict[str, list[PublishedCell]] = {}
    for row in published.rows("mask_rcnn_coco"):
        for figure, column in BOXES.items():
            cells.setdefault(row_name(row), []).append(quoted(f"{row['task']} {figure}", row[column]))
    about = "AP of boxes and masks needs training and is quoted. The added parameters are those of Table 6."
    rows = tuple(PublishedRow(name, tuple(quality)) for name, quality in cells.items())
    return PublishedTable("table7", "Table 7: Mask R-CNN on COCO", about, IN_TABLE7, rows)
