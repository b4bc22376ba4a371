# torch-free
"""Tables 1 to 3: the published quality of each step from the naive design to DySample, beside what the step costs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from upsampler_bench import units
from upsampler_bench.paper import published, sources
from upsampler_bench.paper.cells import alone, quoted
from upsampler_bench.paper.costs import WEIGHTS
from upsampler_bench.paper.parts import PublishedCell, PublishedRow, PublishedTable
from upsampler_bench.paper.published import Ablation
from upsampler_bench.paper.sources import Records
from upsampler_bench.paper.speed import FIGURE, likest, over_bilinear, shown, timed
from upsampler_bench.results import Run

TITLES = {
    1: "Table 1: the initial sampling position",
    2: "Table 2: the static scope factor",
    3: "Table 3: the dynamic scope and the groups",
}
MIOU, AP, GFLOPS, COUNT = "mIoU (%)", "AP", "GFLOPs", "Weights"
ABOUT = (
    "Each row is dysample with these options. mIoU (SegFormer-B1 on ADE20K) and AP (Faster R-CNN on COCO) need "
    "training and are quoted. The costs are ours alone, of ×2 on a 256×120×120 feature: the paper prints none for "
    "these steps. GFLOPs are flops_paper."
)


def tables(runs: Sequence[Run]) -> Iterator[PublishedTable]:
    """Those of the three tables that a run was made for: one of their variants was measured by its options."""
    for number in TITLES:
        rows = [one for one in published.ablation() if one.table == number]
        made = [_row(runs, one) for one in rows]
        if any(run_for(runs, one.upsampler) for one in rows):
            own = [
                figure
                for figure in (FIGURE, GFLOPS, COUNT)
                if any(figure == cell.figure for row in made for cell in row.cells)
            ]
            yield PublishedTable(f"table{number}", TITLES[number], _about(runs), (MIOU, AP, *own), tuple(made))


def run_for(runs: Sequence[Run], name: str) -> bool:
    """Whether an operator was measured on the paper's feature."""
    return any(one.case.upsampler == name and one.readings for _, one in sources.bare(runs))


def _row(runs: Sequence[Run], row: Ablation) -> PublishedRow:
    groups = f"{row.groups} group{'s' * (row.groups > 1)}"
    scope = f"{'dynamic' if row.dynamic else 'static'} {row.scope_factor:g}"
    quality = (quoted(figure, text) for figure, text in ((MIOU, row.miou), (AP, row.ap)) if text)
    return PublishedRow(f"{row.initial_position}, {scope}, {groups}", (*quality, *_costs(runs, _names(row))))


def _names(row: Ablation) -> tuple[str, ...]:
    return tuple(name for name in (row.upsampler, row.registered) if name)


def _variants() -> set[str]:
    return {name for row in published.ablation() for name in _names(row)}


def _costs(runs: Sequence[Run], names: Sequence[str]) -> Iterator[PublishedCell]:
    yield from _latency(likest(_fullest(timed(runs, _variants()))), names)
    records = sources.bare(runs)
    flops = sources.number(records, names, "flops_paper").value
    if flops is not None:
        yield alone(GFLOPS, units.short(flops / 1e9), flops / 1e9)
    weights = sources.number(records, names, WEIGHTS).value
    if weights is not None:
        yield alone(COUNT, f"{weights:,.0f}", weights)


def _fullest(records: Records) -> Records:
    """Those of the runs that time most steps: one that times dysample alone would leave the others without a number."""
    steps = Counter(id(run) for run, _ in records)
    most = max(steps.values(), default=0)
    return tuple((run, one) for run, one in records if steps[id(run)] == most)


def _latency(records: Records, names: Sequence[str]) -> Iterator[PublishedCell]:
    found = (over_bilinear(run, one) for name in names for run, one in records if one.case.upsampler == name)
    ratio = next((one for one in found if one), None)
    if ratio:
        yield alone(FIGURE, shown(ratio), ratio.value)


def _about(runs: Sequence[Run]) -> str:
    records = likest(timed(runs, _variants()))
    return f"{ABOUT} Latency: on {records[0][0].environment.device_name}." if records else ABOUT
