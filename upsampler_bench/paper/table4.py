# torch-free
"""Table 4: what each upsampler adds to SegFormer-B1, counted in the model, or worked out from the bare operator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from upsampler_bench.paper import cells, published, sources
from upsampler_bench.paper.cells import DIFFERS, REPRODUCED, Printed, held, quoted
from upsampler_bench.paper.costs import COUNTING, GATED, WEIGHTS, added_params, candidates, whole_params
from upsampler_bench.paper.parts import PublishedCell, PublishedRow, PublishedTable
from upsampler_bench.paper.sources import Number, Records
from upsampler_bench.results import Run

GFLOPS = "GFLOPs"
QUALITY = {"mIoU (%)": "miou", "bIoU (%)": "biou"}
MODEL, IMAGE, BASELINE = "segformer-b1", (512, 512), "bilinear"
PAPER, MAC = "flops_paper", "flops_mac"
# Six stages on 256 + 2·1024 + 3·4096 input pixels; the bare operator is measured on 120 x 120.
STAGES, PIXELS, BARE_PIXELS = 6, 14_592, 14_400
COUNTED = (
    "GFLOPs: flops_paper of one 512×512 image; a row's addition is its model's count minus bilinear's. bilinear's own "
    "figure holds, as the published one does, what common tools count besides: biases of convolutions, 2 an element of "
    "a batch norm, 1 of a ReLU."
)
WORKED_OUT = (
    f"No {MODEL} is in these runs: what a row adds is worked out from the bare operator, its flops_paper times 14,592 "
    "of 14,400 input pixels, its parameters times six stages."
)
ROUNDING = (
    "GFLOPs are reproduced that round to the printed digits, or to the digit more that the authors print elsewhere."
)
QUOTED = "mIoU and bIoU need training and are quoted."
INDEXNET = "the published costs are of the holistic index network, as ours"
A2U = "the published 0.1M also holds a downsampling branch that upsampling does not use"


@dataclass(frozen=True, slots=True)
class _Source:
    """Where the costs stand: in the model, or with the bare operators and then scaled to it."""

    records: Records
    whole: bool

    def flops(self, names: Sequence[str], metric: str, base: str) -> Number:
        """What an operator multiplies in the model, counted by one metric, over the baseline counted by another."""
        if not self.whole:
            return _scaled(sources.number(self.records, names, metric), PIXELS / BARE_PIXELS)
        if metric == base:
            return sources.added(self.records, names, metric, (BASELINE,))
        own = sources.number(self.records, names, metric)
        under = sources.number(self.records, (BASELINE,), base)
        if own.value is None or under.value is None:
            return Number(own.name, None, own.why or under.why)
        return Number(own.name, own.value - under.value)


def table(runs: Sequence[Run]) -> PublishedTable | None:
    """Table 4, or None where no run holds any of it."""
    source = _source(runs)
    if source is None:
        return None
    rows = tuple(_row(source, row) for row in published.rows("segformer_b1_ade20k"))
    about = " ".join([COUNTED if source.whole else WORKED_OUT, ROUNDING, COUNTING, QUOTED])
    return PublishedTable("table4", "Table 4: SegFormer-B1 on ADE20K", about, (GFLOPS, "Params", *QUALITY), rows)


def _source(runs: Sequence[Run]) -> _Source | None:
    in_model = sources.in_model(runs, MODEL, IMAGE)
    if in_model:
        return _Source(in_model, whole=True)
    names = {name for row in published.rows("segformer_b1_ade20k") for name in candidates(row["upsampler"])}
    alone = tuple((run, one) for run, one in sources.bare(runs) if one.case.upsampler in names - {BASELINE})
    counted = (sources.reading(one, metric) for _, one in alone for metric in (PAPER, WEIGHTS))
    return _Source(alone, whole=False) if any(counted) else None


def _row(source: _Source, row: Mapping[str, str]) -> PublishedRow:
    make = _whole if row["upsampler"] == BASELINE else _added
    return PublishedRow(
        row["upsampler"], (*make(source, row), *(quoted(figure, row[key]) for figure, key in QUALITY.items()))
    )


def _whole(source: _Source, row: Mapping[str, str]) -> tuple[PublishedCell, PublishedCell]:
    """The model with bilinear interpolation in it: absolute."""
    flops = cells.gflops(row["gflops"], adds=False)
    counts = cells.params(row["params_k"], adds=False)
    if not source.whole:
        gone = Number(why=f"no {MODEL} in these runs")
        return held(GFLOPS, flops, gone, DIFFERS, ()), held("Params", counts, gone, DIFFERS, ())
    ours, why = _as_published(sources.number(source.records, (BASELINE,), PAPER))
    costs = _flops_cell(BASELINE, flops, ours, why)
    return costs, whole_params((BASELINE,), counts, source.records, "")


def _as_published(ours: Number) -> tuple[Number, str]:
    """The baseline's count with what common tools count besides, and what it is without."""
    if ours.value is None:
        return ours, ""
    if ours.extras is None:
        return ours, "without biases, batch norms and ReLUs, which this run did not count"
    without = ours.value / 1e9
    return _scaled(ours, 1 + ours.extras / ours.value), f"{without:.2f} without biases, batch norms and ReLUs"


def _added(source: _Source, row: Mapping[str, str]) -> tuple[PublishedCell, PublishedCell]:
    name = row["upsampler"]
    flops, counts = cells.gflops(row["gflops"], adds=True), cells.params(row["params_k"], adds=True)
    ours = source.flops(candidates(name), PAPER, PAPER)
    baselines = (BASELINE,) if source.whole else ()
    quirk = {"a2u": A2U, "indexnet": INDEXNET}.get(name, "")
    stages = 1 if source.whole else STAGES
    costs = _flops_cell(name, flops, ours, _quirk(source, name, ours))
    return costs, added_params(candidates(name), counts, source.records, baselines, quirk, stages)


def _flops_cell(name: str, printed: Printed, ours: Number, quirk: str) -> PublishedCell:
    if ours.value is None:
        return held(GFLOPS, printed, ours, DIFFERS, ())
    finer = _finer(name, printed, ours.value)
    if printed.rounds_to(ours.value):
        return held(GFLOPS, printed, ours, REPRODUCED, (quirk,))
    rounded = f"rounds to {printed.says(ours.value)}"
    if finer:
        again = f"{rounded}; the authors print {finer} elsewhere, which is ours, and was rounded once more for Table 4"
        return held(GFLOPS, printed, ours, REPRODUCED, (again, quirk))
    return held(GFLOPS, printed, ours, DIFFERS, (rounded, quirk))


def _finer(name: str, printed: Printed, ours: float) -> str:
    """The figure with a digit more, where ours rounds to it; else empty."""
    text = published.finer_gflops().get(name, "")
    finer = cells.gflops(text, adds=printed.adds) if text else None
    return finer.text if finer and finer.rounds_to(ours) else ""


def _quirk(source: _Source, name: str, ours: Number) -> str:
    """What is odd in how the published figure was counted, with the honest number where one was counted."""
    if ours.name in GATED or name == "indexnet":
        return GATED.get(ours.name, INDEXNET)
    said = {"deconv": "counted at its output, four times what it multiplies"}
    said |= dict.fromkeys(("dysample", "dysample+", "dysample-s", "dysample-s+"), "grid_sample counted 11 an element")
    if name not in said:
        return ""
    honest = source.flops((name,), MAC, PAPER).value
    return said[name] + (f"; its multiplications (flops_mac) are {honest / 1e9:.3g} G" if honest else "")


def _scaled(one: Number, factor: float) -> Number:
    return Number(one.name, None if one.value is None else one.value * factor, one.why, one.extras)
