# torch-free
"""Fig. 1: how many times bilinear's latency each upsampler takes, on the paper's device and on ours."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from upsampler_bench import units
from upsampler_bench.paper import cells, published, sources
from upsampler_bench.paper.cells import DIFFERS, MISSING, REPRODUCED
from upsampler_bench.paper.parts import PublishedCell, PublishedRow, PublishedTable
from upsampler_bench.paper.published import Latency
from upsampler_bench.paper.sources import Records
from upsampler_bench.results import Measurement, Run
from upsampler_bench.stats import Estimate, paired_ratio

BASELINE, LATENCY = "bilinear", "latency"
FIGURE = "Latency (× bilinear)"
DEVICE, MARK = "RTX 3090", "3090"
# What the text rounds to, and what can be read off the figure, in ms.
ROUNDED, READ_OFF = 0.05, 0.1


def table(runs: Sequence[Run]) -> PublishedTable | None:
    """Fig. 1, or None where no run timed any of its operators on the paper's feature."""
    known = published.latency_rtx3090()
    records = likest(timed(runs, known))
    if not records:
        return None
    run = records[0][0]
    # The baseline is 1 by definition: it tells nothing.
    rows = tuple(PublishedRow(name, (_cell(run, records, name, known),)) for name in known if name != BASELINE)
    about = f"{_about(known)} Ours: {run.environment.device_name}{_conditions(run)}."
    return PublishedTable("fig1", "Fig. 1: latency of ×2 on a 256×120×120 feature", about, (FIGURE,), rows)


def timed(runs: Sequence[Run], names: Iterable[str]) -> Records:
    """The operators of these names (besides bilinear) in the runs that timed any of them."""
    wanted = set(names) - {BASELINE}
    records = [(run, one) for run, one in sources.bare(runs) if one.case.upsampler in wanted]
    able = [run for run, one in records if sources.reading(one, LATENCY)]
    return tuple((run, one) for run, one in records if any(run is other for other in able))


def likest(records: Records) -> Records:
    """Those of the one run that is most like the paper's: on its device, else on a GPU, and eager."""
    if not records:
        return ()
    best = min((run for run, _ in records), key=_unlike)
    return tuple((run, one) for run, one in records if run is best)


def over_bilinear(run: Run, one: Measurement | None) -> Estimate | None:
    """An operator's latency over bilinear's in the same rounds, or None where one is missing or timed otherwise."""
    base = run.measurement(one.case.of(BASELINE)) if one else None
    mine, theirs = sources.reading(one, LATENCY), sources.reading(base, LATENCY)
    if not (mine and theirs and mine.method == theirs.method and all(theirs.samples)):
        return None
    return paired_ratio(mine.rounds, theirs.rounds)


def shown(one: Estimate) -> str:
    """A ratio with its interval, where it has one."""
    if not one.is_bounded:
        return units.rough(one.value)
    if one.low == one.high:
        return units.exact(one.value)
    text, interval = units.noisy(one)
    return f"{text} ({interval})"


def _unlike(run: Run) -> tuple[bool, bool, bool]:
    where, how = run.environment, run.settings
    return MARK not in where.device_name, where.device_kind == "cpu", how.compile or how.cuda_graph


def _cell(run: Run, records: Records, name: str, known: dict[str, Latency]) -> PublishedCell:
    theirs, base = known[name], known[BASELINE]
    published_ratio = round(theirs.ms / base.ms, 4)
    text = f"{published_ratio:.1f} ({theirs.ms:.1f} ms)"
    one = next((one for _, one in records if one.case.upsampler == name), None)
    ratio = over_bilinear(run, one)
    if ratio is None:
        return PublishedCell(FIGURE, text, published_value=published_ratio, verdict=MISSING, why=_why_not(run, one))
    agrees = _agrees(ratio, theirs, base)
    off = cells.deviation(ratio.value, published_ratio)
    why = _why(run, agrees)
    verdict = REPRODUCED if agrees else DIFFERS
    return PublishedCell(FIGURE, text, shown(ratio), published_ratio, ratio.value, off, verdict, why)


def _agrees(ours: Estimate, theirs: Latency, base: Latency) -> bool:
    """Whether our interval meets what the published milliseconds leave open."""
    error = ROUNDED if theirs.source == "text" else READ_OFF
    least, most = (theirs.ms - error) / (base.ms + ROUNDED), (theirs.ms + error) / (base.ms - ROUNDED)
    low, high = (ours.low, ours.high) if ours.is_bounded else (ours.value, ours.value)
    return low <= most and high >= least


def _why(run: Run, agrees: bool) -> str:
    device = run.environment.device_name
    if MARK in device:
        return "" if agrees else "beyond the reading error and our interval"
    return f"another device: {device}, not the paper's {DEVICE}{', where the ratio is the same' * agrees}"


def _why_not(run: Run, one: Measurement | None) -> str:
    if not sources.reading(one, LATENCY):
        return sources.missing(one, LATENCY)
    assert one is not None
    base = run.measurement(one.case.of(BASELINE))
    if sources.reading(base, LATENCY):
        return f"timed otherwise than {BASELINE}, so no ratio"
    return f"no ratio: {BASELINE} {sources.missing(base, LATENCY)}"


def _about(known: dict[str, Latency]) -> str:
    said = ", ".join(name for name, one in known.items() if one.source == "text")
    return (
        f"Milliseconds on another device are other milliseconds, so ratios are held against each other: the published "
        f"latency on one {DEVICE} over bilinear's {known[BASELINE].ms:g} ms there, and ours over bilinear's in the "
        f"same rounds, with its 95 % interval. Reproduced: our interval meets what the published milliseconds leave "
        f"open, ±{ROUNDED:g} ms by rounding where the text states them ({said}), ±{READ_OFF:g} ms where they are "
        "read off the figure. On another device a ratio that differs refutes nothing. No figure is published for "
        "indexnet and a2u."
    )


def _conditions(run: Run) -> str:
    how = run.settings
    said = [text for is_so, text in ((how.compile, "compiled"), (how.cuda_graph, "CUDA graph")) if is_so]
    return "".join(f", {one}" for one in said)
