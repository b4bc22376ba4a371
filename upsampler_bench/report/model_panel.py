"""The panel of operators in a model, as the paper's Fig. 8: what each adds to the baseline, and the published mIoU."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from upsampler_bench import units
from upsampler_bench.case import Case
from upsampler_bench.paper import published
from upsampler_bench.report import charts
from upsampler_bench.report.added import added, signed
from upsampler_bench.report.conditions import FLOPS, PARAMS, Scene, estimate, squashed
from upsampler_bench.report.lines import Line
from upsampler_bench.report.parts import NOTHING
from upsampler_bench.report.pictures import Bar, BarChart, Panel
from upsampler_bench.results import MetricInfo

# The model of Table 4 and Fig. 8, and the bare feature whose upsampling Fig. 8 times.
MODEL, ALONE = "segformer-b1", {"batch": 1, "channels": 256, "height": 120, "width": 120, "scale": 2, "model": ""}
SPEED = ("latency",)
COSTS = (("train_memory",), ("train_latency",), FLOPS, PARAMS)
OTHERS = (SPEED, ("inference_memory",), *COSTS)


def panel(scene: Scene, scenes: Sequence[Scene]) -> Panel | None:
    """Additions over the baseline; as the plain panel where that was not measured, None where nothing was."""
    base, name = scene.baseline, scene.run.settings.baseline
    made = tuple(_charts(scene, base, scenes)) if base else ()
    if not made:
        return charts.panel(scene.run, scene.condition, scene.slug)
    title = f"Upsamplers in {scene.condition.case.model} on {scene.device}"
    return Panel(title, scene.condition.words, name, made, " ".join(_caption(made, name)), scene.slug)


def _charts(scene: Scene, base: Line, scenes: Sequence[Scene]) -> Iterator[BarChart]:
    is_papers = scene.condition.case.model == MODEL
    bare = _bare(scene, scenes) if is_papers else None
    if bare:
        yield bare
    for names in (*(() if bare else (SPEED,)), *COSTS) if is_papers else OTHERS:
        info = scene.first(names)
        if info and base.find(info):
            yield _additions(scene, base, info)
    if is_papers and any(line.name in published.segformer_b1_ade20k() for line in scene.condition.lines):
        yield _quality(scene)


def _additions(scene: Scene, base: Line, info: MetricInfo) -> BarChart:
    bars = tuple(_bar(line, base, info) for line in scene.condition.lines)
    log = squashed([bar.value for bar in bars if bar.value is not None])
    over = f"{units.unit(info.unit).name} added to {base.name}".strip()
    return BarChart(info.name, f"+ {info.title}", f"{over}{', log scale' if log else ''}", bars, log=log)


def _bar(line: Line, base: Line, info: MetricInfo) -> Bar:
    more = added(line, base, info)
    if more is None:
        return Bar(line.name, None, line.why_not(info) or NOTHING)
    if line.name == base.name:
        own = estimate(line, info)
        return Bar(line.name, 0.0, units.short(own.value) if own else NOTHING)
    if not more.is_bounded:
        return Bar(line.name, more.value, signed(more.value))
    return Bar(line.name, more.value, signed(more.value), more.low, more.high)


def _bare(scene: Scene, scenes: Sequence[Scene]) -> BarChart | None:
    """The latency of the operators alone, where these runs hold it: what the paper's figure shows."""
    wanted = _alike(scene, replace(scene.condition.case, **ALONE))  # type: ignore[arg-type]
    found = [one for one in scenes if _alike(one, one.condition.case) == wanted and one.first(SPEED)]
    found.sort(key=lambda one: one.run is not scene.run)
    info = found[0].first(SPEED) if found else None
    if info is None:
        return None
    chart = charts.chart(found[0].run, found[0].condition, info)
    bars = {bar.name: bar for bar in chart.bars}
    names = [line.name for line in scene.condition.lines]
    kept = tuple(bars.get(name, Bar(name, None, "not measured")) for name in names)
    return replace(chart, title=f"{info.title} of the operator alone", bars=kept)


def _alike(scene: Scene, case: Case) -> tuple[object, ...]:
    return scene.device, scene.condition.how, replace(case, upsampler="", mode="")


def _quality(scene: Scene) -> BarChart:
    known = published.segformer_b1_ade20k()
    bars = tuple(
        Bar(line.name, known[line.name].miou, f"{known[line.name].miou:.2f}")
        if line.name in known
        else Bar(line.name, None, "not published")
        for line in scene.condition.lines
    )
    base = known.get(scene.run.settings.baseline)
    return BarChart("miou", "mIoU, published", "%", bars, base.miou if base else None, dots=True)


def _caption(made: Sequence[BarChart], baseline: str) -> Iterator[str]:
    yield f"+: added to {baseline}, beside which its own total stands; {signed(-1)[0]}: less than {baseline}."
    if any(chart.baseline for chart in made):
        yield f"Dashed: {baseline}."
    if any("alone" in chart.title for chart in made):
        yield "Latency of the operator alone: ×2 of a 256×120×120 feature, as in Fig. 8 of the DySample paper."
    if any(bar.low is not None for chart in made for bar in chart.bars):
        yield "Whiskers: 95 % interval of the median; of an addition, over rounds of the difference within each."
    if any(chart.name == "miou" for chart in made):
        yield "mIoU: as published in Table 4 (SegFormer-B1 on ADE20K), not measured here; its axis does not start at 0."
