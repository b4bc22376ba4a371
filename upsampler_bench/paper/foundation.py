# torch-free
"""Published costs of upsamplers for foundation features beside ours: JAFAR's, AnyUp's and NAF's tables."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter

from upsampler_bench.case import INFERENCE, TIMED, TORCH, TRAIN
from upsampler_bench.paper import ours, published
from upsampler_bench.paper.ours import Records
from upsampler_bench.paper.parts import (
    DIFFERS,
    ELSEWHERE,
    REPRODUCED,
    PublishedCell,
    PublishedRow,
    PublishedTable,
    deviation,
)
from upsampler_bench.results import Run
from upsampler_bench.units import exact, rough

PARAMS, GFLOPS, FORWARD, TRAINING = "Parameters", "GFLOPs", "Forward (× jafar)", "Training (× jafar)"
FORWARD_PEAK, TRAINING_PEAK = "Forward peak (GB)", "Training peak (GB)"
FIGURES = (PARAMS, GFLOPS, FORWARD, TRAINING, FORWARD_PEAK, TRAINING_PEAK)
TIMES = {"forward_time": (FORWARD, INFERENCE), "forward_backward_step_time": (TRAINING, TRAIN)}
PEAKS = {
    "forward_peak_memory": (FORWARD_PEAK, INFERENCE, "inference_memory"),
    **dict.fromkeys(
        ("backward_peak_memory", "forward_backward_peak_memory", "forward_backward_step_peak_memory"),
        (TRAINING_PEAK, TRAIN, "train_memory"),
    ),
}
COMMON, DTYPE, DEVICE = "jafar", "float32", "A100"
RESIZED = "theirs resizes the image to the output first"
BYTES = {"GB": 1e9, "MiB": 2.0**20}
WIDTH = 128  # JAFAR's and AnyUp's queries and keys
ABOUT = (
    "GFLOPs are {per_flop}multiply-adds, with attention; where a cell differs, a note says what the published counter "
    "saw, and whether that comes out. Times are of an {device}, so their ratios to jafar under the same condition are "
    "compared; those of another device neither reproduce nor refute them. "
    "Peaks contain inputs, weights and output; theirs also what an allocator rounds up."
)


@dataclass(frozen=True, slots=True)
class Shape:
    """A condition: C channels, a feature of `side` x `side`, an output of `ratio` times that."""

    channels: int
    side: int
    ratio: int

    @property
    def keys(self) -> int:
        """Pixels of the feature."""
        return self.side**2

    @property
    def pixels(self) -> int:
        """Pixels of the output."""
        return (self.side * self.ratio) ** 2


def _jafar(at: Shape) -> int:
    once = at.keys * (at.channels * WIDTH + 7 * WIDTH**2)
    attention = at.pixels * at.keys * (WIDTH + at.channels)
    return at.pixels * (3 * WIDTH + 24 * WIDTH**2) + once + attention


def _jafar_and_unused(at: Shape) -> int:
    unused = at.pixels * at.keys * WIDTH + at.pixels * WIDTH**2 + at.keys * at.channels * WIDTH
    return _jafar(at) + unused + 3 * WIDTH * at.pixels


def _anyup_without_attention(at: Shape) -> int:
    return at.pixels * (3 * WIDTH + 24 * WIDTH**2) + at.keys * (25 * at.channels * WIDTH + 27 * WIDTH**2)


def _anyup_and_unused(at: Shape) -> int:
    unused = at.pixels * at.keys * WIDTH + at.pixels * WIDTH**2 + at.keys * WIDTH**2
    values = at.pixels * at.keys * at.channels
    return _anyup_without_attention(at) + values + unused + 3 * WIDTH * at.pixels


def _jbu_stack(at: Shape) -> int:
    pixels = sum(at.keys * 4**n for n in range(1, at.ratio.bit_length()))  # of all stages
    return int(pixels * (at.channels**2 + at.channels + 7_800))


Seen = tuple[Callable[[Shape], int], str]
# Why published parameter counts differ.
OTHER_COUNTS = {
    "jbu-stack": "theirs hold the four stages of ×16 at every ratio, and a layer norm of 2C before x",
    **dict.fromkeys(("jafar", "anyup"), "NAF's repository prints the same count as ours"),
}
ELEMENTWISE = 8_500  # an output pixel, of JAFAR and AnyUp
PTFLOPS: dict[str, Seen] = {
    "jafar": (_jafar_and_unused, "also a product that is computed and thrown away, and elementwise ones"),
    "anyup": (
        _anyup_and_unused,
        "values at all keys instead of a window's, a product that is thrown away, elementwise ones, but not the logits",
    ),
    "naf": (lambda at: at.pixels * (659_200 + 1_280), "convolutions and elementwise products, no attention"),
    "jbu-stack": (_jbu_stack, "the last convolution after every stage, of which one is used, and not the filtering"),
}
ANYUPS: dict[str, Seen] = {
    "jafar": (lambda at: _jafar(at) + ELEMENTWISE * at.pixels, "also elementwise operations"),
    "anyup": (
        lambda at: _anyup_without_attention(at) + ELEMENTWISE * at.pixels,
        "elementwise operations, and no attention",
    ),
}


@dataclass(frozen=True, slots=True)
class Source:
    """A published table.

    Attributes:
        file, table: where its figures are.
        per_flop: multiply-adds to one of what it prints as FLOPs.
        seen: by operator, the multiply-adds that its counter saw, and which they are.
        resized: the operator whose image it resized to the output's size within the time.
    """

    name: str
    title: str
    file: str
    table: str
    per_flop: float = 0.5
    seen: Mapping[str, Seen] | None = None
    resized: str = ""


SOURCES = (
    Source("jafar", "JAFAR (NeurIPS 2025), tables 12 and 13", "foundation_jafar", "12-13"),
    Source("anyup", "AnyUp (ICLR 2026), table 10", "foundation_anyup", "10", 1.0, ANYUPS),
    Source(
        "naf",
        "NAF (CVPR 2026), measurements of its repository",
        "foundation_naf",
        "37 rows",
        seen=PTFLOPS,
        resized="anyup",
    ),
)


def tables(runs: Sequence[Run]) -> list[PublishedTable]:
    """The published tables, each with a row for the conditions that were measured, on torch first."""
    bare = [(run, one) for run in runs for one in run.measurements if not one.case.model and one.case.dtype == DTYPE]
    records = tuple(sorted(bare, key=lambda record: record[1].case.backend != TORCH))
    return [table for source in SOURCES if (table := _table(source, records)) is not None]


def _table(source: Source, records: Records) -> PublishedTable | None:
    printed: dict[tuple[str, Shape], list[Mapping[str, str]]] = {}
    general: dict[str, Mapping[str, str]] = {}
    for row in published.rows(source.file):
        if row["table"] == source.table and row["channels"] and row["ratio"]:
            at = Shape(int(row["channels"]), int(row["lr_side"]), int(row["ratio"]))
            printed.setdefault((row["operator"], at), []).append(row)
        elif row["table"] == source.table and row["metric"] == "parameters":
            general[row["operator"]] = row  # its parameters
    rows = []
    for (operator, at), found in printed.items():
        if not _at(records, operator, at):
            continue
        own = [*([general[operator]] if operator in general else []), *found]
        times = {row["metric"]: row for row in printed.get((COMMON, at), ()) if row["metric"] in TIMES}
        cells = {cell.figure: cell for row in own if (cell := _cell(source, records, row, at, times))}
        rows.append(PublishedRow(f"{operator}, {at.channels}×{at.side}×{at.side}, ×{at.ratio}", tuple(cells.values())))
    figures = tuple(figure for figure in FIGURES if any(row.cell(figure) for row in rows))
    about = ABOUT.format(per_flop="" if source.per_flop == 1 else f"{1 / source.per_flop:g} × ", device=DEVICE)
    return PublishedTable(source.name, source.title, about, figures, tuple(rows)) if rows else None


def _cell(
    source: Source, records: Records, row: Mapping[str, str], at: Shape, common: Mapping[str, Mapping[str, str]]
) -> PublishedCell | None:
    """One published figure beside ours; None for jafar's own times, which are 1."""
    operator, metric, value, image = row["operator"], row["metric"], float(row["value"]), _image(row)
    absent = f"{ours.ABSENT}; --guide-image {image} measures it" if image else ours.ABSENT
    resized = RESIZED if image and operator == source.resized else ""
    if metric == "parameters":
        found, why = _number(records, operator, at, "params_all"), OTHER_COUNTS.get(operator, "")
        if row["unit"] == "M":
            text, places = f"{row['value']} M", len(row["value"].partition(".")[2])
            return _compared(PARAMS, value * 1e6, text, found, lambda one: f"{one / 1e6:.{places}f} M", why)
        return _compared(PARAMS, value, exact(value), found, exact, why)
    if metric == "gflops":
        return _gflops(source, operator, at, value, row["value"], _number(records, operator, at, "flops_mac"))
    if metric in TIMES and operator != COMMON and metric in common:
        figure, mode = TIMES[metric]
        theirs = value / float(common[metric]["value"])
        return _ratio(figure, theirs, _of(records, operator, at, mode, image), resized, absent)
    if metric in PEAKS:
        figure, mode, name = PEAKS[metric]
        theirs = value * BYTES[row["unit"]] / 1e9
        peak = _peak(_of(records, operator, at, mode, image), name)
        why = f"an allocator's, of another implementation{'; ' if resized else ''}{resized}"
        return _compared(figure, theirs, rough(theirs), peak, rough, why, absent)
    return None


def _gflops(source: Source, operator: str, at: Shape, value: float, text: str, mac: float | None) -> PublishedCell:
    """Theirs as printed; ours in the same unit."""
    size, places, why = source.per_flop * 1e9, len(text.partition(".")[2]), ""
    if source.seen and operator in source.seen:
        count, what = source.seen[operator]
        seen = f"{count(at) / size:.{places}f}"
        why = f"its counter sees {what}, which gives {'the printed digits' if seen == text else seen}"
    return _compared(GFLOPS, value, text, None if mac is None else mac / size, lambda one: f"{one:.{places}f}", why)


def _compared(
    figure: str,
    theirs: float,
    text: str,
    value: float | None,
    shown: Callable[[float], str],
    why: str = "",
    absent: str = ours.ABSENT,
) -> PublishedCell:
    if value is None:
        return PublishedCell(figure, text, published_value=theirs, why=absent)
    is_same = shown(value) == shown(theirs)
    verdict = REPRODUCED if is_same else DIFFERS
    return PublishedCell(
        figure, text, shown(value), theirs, value, deviation(value, theirs), verdict, "" if is_same else why
    )


def _ratio(figure: str, theirs: float, records: Records, note: str, absent: str) -> PublishedCell:
    for run, measurement in sorted(records, key=lambda record: not _is_papers_device(record[0])):
        ratio = run.ratio(measurement.case, TIMED[measurement.case.mode], measurement.case.of(COMMON))
        if ratio is not None:
            why = "; ".join(filter(None, ("of another implementation", note)))
            cell = _compared(figure, theirs, rough(theirs), ratio.value, rough, why)
            if _is_papers_device(run):
                return cell
            why = "; ".join(filter(None, (f"{run.environment.device_name}, not an {DEVICE}", note)))
            return replace(cell, verdict=ELSEWHERE, why=why)
    return PublishedCell(figure, rough(theirs), published_value=theirs, why=absent)


def _is_papers_device(run: Run) -> bool:
    return re.search(rf"\b{DEVICE}\b", run.environment.device_name) is not None


def _peak(records: Records, metric: str) -> float | None:
    """Peak memory with inputs and weights, in GB."""
    for run, measurement in records:
        peak = ours.reading(measurement, metric)
        params = ours.reading(run.measurement(replace(measurement.case, mode=INFERENCE)), "params_all")
        if peak and params:
            case = measurement.case
            image = case.guide_image or f"{case.scale * case.height}x{case.scale * case.width}"
            tall, wide = map(int, image.split("x"))
            inputs = case.channels * case.height * case.width + 3 * tall * wide
            return (peak.estimate.value + 4 * (inputs + params.estimate.value)) / 1e9
    return None


def _number(records: Records, operator: str, at: Shape, metric: str) -> float | None:
    """An exact metric, with an image of the output's size."""
    for _, measurement in _of(records, operator, at):
        if found := ours.reading(measurement, metric):
            return found.estimate.value
    return None


def _of(records: Records, operator: str, at: Shape, mode: str = INFERENCE, image: str = "") -> Records:
    """An operator at a published shape, in a mode and with an image of this size."""
    found = _at(records, operator, at)
    return tuple((run, one) for run, one in found if (one.case.mode, one.case.guide_image) == (mode, image))


def _at(records: Records, operator: str, at: Shape) -> Records:
    shape = attrgetter("upsampler", "batch", "channels", "height", "width", "scale")
    wanted = (operator, 1, at.channels, at.side, at.side, at.ratio)
    return tuple((run, one) for run, one in records if shape(one.case) == wanted)


def _image(row: Mapping[str, str]) -> str:
    """As cases state it: empty for the output's size."""
    side = row["image_side"]
    return "" if side in ("", row["output_side"]) else f"{side}x{side}"
