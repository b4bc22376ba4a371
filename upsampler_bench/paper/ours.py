# torch-free
"""Our numbers for the paper's figures, looked up in the runs by operator and model, or why there is none."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import TypeAlias

from upsampler_bench.case import INFERENCE, TORCH, Case
from upsampler_bench.paper import published
from upsampler_bench.results import MEASURED, Accuracy, Measurement, Reading, Run
from upsampler_bench.stats import Estimate

PAPER_CASE = Case("", INFERENCE)
BASELINE, LATENCY = "bilinear", "latency"
DEVICE = "RTX 3090"
ABSENT = "not in these runs"
# Where the mIoU stands that pictures show: SegFormer-B1 on ADE20K.
TABLE4, MIOU = "table4", "mIoU (%)"

# Measurements with their runs, in the order in which they are looked up.
Records: TypeAlias = tuple[tuple[Run, Measurement], ...]


@dataclass(frozen=True, slots=True)
class Number:
    """A number of ours, or why there is none.

    Attributes:
        name: the operator that it is of.
        value: for one image, in the metric's base unit.
        why: the reason if there is no value; else what the value lacks.
        extras: what common tools count in addition, for one image; None if it was not recorded.
    """

    name: str = ""
    value: float | None = None
    why: str = ""
    extras: float | None = None

    def scaled(self, factor: float) -> Number:
        """The number times a factor."""
        return self if self.value is None else Number(self.name, self.value * factor, self.why, self.extras)


def bare(runs: Sequence[Run]) -> Records:
    """The operators alone on the paper's feature, x2 of 1x256x120x120 in float32; those on torch first."""
    records = [
        (run, measurement)
        for run in runs
        for measurement in run.measurements
        if replace(measurement.case, upsampler="", device=PAPER_CASE.device, backend=PAPER_CASE.backend) == PAPER_CASE
    ]
    return tuple(sorted(records, key=lambda record: record[1].case.backend != TORCH))


def in_model(runs: Sequence[Run], model: str, image: tuple[int, int] | None = None) -> Records:
    """The operators in a model in float32, the smallest batch and torch first; `image`: (H, W) if it matters."""
    wanted = (model, INFERENCE, PAPER_CASE.dtype)
    records = [
        (run, measurement)
        for run in runs
        for measurement in run.measurements
        if (measurement.case.model, measurement.case.mode, measurement.case.dtype) == wanted
        and image in (None, (measurement.case.height, measurement.case.width))
    ]
    return tuple(sorted(records, key=lambda record: (record[1].case.batch, record[1].case.backend != TORCH)))


def added(runs: Sequence[Run]) -> tuple[str, ...]:
    """The operators that the runs' plans name, not by "*" alone, and the paper does not have: a user's own."""
    names: dict[str, None] = {}
    for run in runs:
        named = run.plan.get("upsampler")
        patterns = [one for one in named if one != "*"] if isinstance(named, list | tuple) else []
        for info in run.upsamplers:
            if any(info.name == one or fnmatchcase(info.name, str(one)) for one in patterns):
                names[info.name] = None
    return tuple(name for name in names if name not in published.operators())


def given(runs: Sequence[Run]) -> tuple[Accuracy, ...]:
    """What users trained, each figure once."""
    return tuple(dict.fromkeys(one for run in runs for info in run.upsamplers for one in info.accuracy))


def mious(runs: Sequence[Run]) -> dict[str, float]:
    """The mIoU of SegFormer-B1 on ADE20K in per cent, by operator: as a user gave it, else as published."""
    known = {name: float(row["miou"]) for name, row in published.segformer_b1_ade20k().items()}
    return known | given_mious(runs)


def given_mious(runs: Sequence[Run]) -> dict[str, float]:
    """Those that a user gave."""
    return {one.row: float(one.text) for one in given(runs) if (one.table, one.figure) == (TABLE4, MIOU)}


def timed(runs: Sequence[Run], names: Collection[str], *, most: bool = False) -> Records:
    """The bare operators of these names in the run, on the backend, most like the paper's.

    On its device, else on a GPU; on torch, and not as a CUDA graph.

    `most` considers only the runs with most of these operators, so that few of them lack a number.
    """
    candidates = []
    for run in runs:
        records = [record for record in bare([run]) if record[1].case.upsampler in {*names} - {BASELINE}]
        for backend in run.backends:
            on_backend = tuple(record for record in records if record[1].case.backend == backend)
            if any(reading(measurement, LATENCY) for _, measurement in on_backend):
                candidates.append(on_backend)
    if most:
        longest = max(map(len, candidates), default=0)
        candidates = [records for records in candidates if len(records) == longest]
    return min(candidates, key=lambda records: _difference(*records[0]), default=())


def is_papers_device(run: Run) -> bool:
    """Whether a run was measured on the paper's device."""
    return run.environment.device_name.endswith(DEVICE)


def ratio_to_baseline(run: Run, measurement: Measurement | None) -> Estimate | None:
    """An operator's latency over bilinear's in the same rounds; None if one is missing or timed by another method."""
    if measurement is None or reading(measurement, LATENCY) is None:
        return None
    base = run.baseline_of(measurement.case, BASELINE)
    return run.ratio(measurement.case, LATENCY, base) if reading(run.measurement(base), LATENCY) else None


def number(
    records: Records, names: Sequence[str], metric: str, baselines: Sequence[str] = (), base_metric: str = ""
) -> Number:
    """A metric of the first of these operators that has it.

    The first of the baselines that was measured in the same model is subtracted, by `base_metric` if it is given.
    """
    numbers = []
    for name in names:
        for run, measurement in records:
            if measurement.case.upsampler != name:
                continue
            own = _number(run, measurement, metric)
            if baselines:
                own = _minus(own, _base(run, measurement.case, base_metric or metric, baselines), baselines[0])
            if own.value is not None:
                return own
            numbers.append(own)
    return numbers[0] if numbers else Number(why=ABSENT)


def reading(measurement: Measurement | None, metric: str) -> Reading | None:
    """A reading with a finite value, or None."""
    found = measurement.reading(metric) if measurement else None
    return found if found and found.is_usable else None


def missing(measurement: Measurement | None, metric: str) -> str:
    """Why there is no such reading."""
    if measurement is None:
        return ABSENT
    if measurement.status != MEASURED:
        return " ".join(f"{measurement.status}: {measurement.reason}".split()).removesuffix(":")
    return f"no {metric} in these runs"


def _difference(run: Run, measurement: Measurement) -> tuple[bool, bool, bool]:
    """How a record differs from the paper's, the most important first; less is more alike."""
    otherwise = measurement.case.backend != TORCH or run.settings.cuda_graph
    return not is_papers_device(run), run.environment.device_kind == "cpu", otherwise


def _number(run: Run, measurement: Measurement, metric: str) -> Number:
    name, found = measurement.case.upsampler, reading(measurement, metric)
    if found is None:
        return Number(name, None, missing(measurement, metric))
    # Every image of a batch is multiplied; parameters exist once.
    info = run.metric(metric)
    images = measurement.case.batch if info and info.unit == "MAC" else 1
    extras, uncounted = found.facts.get("extras"), found.facts.get("uncounted")
    has_extras = isinstance(extras, int | float) and math.isfinite(extras)
    return Number(
        name,
        found.estimate.value / images,
        f"not counted: {uncounted}" if uncounted else "",
        float(extras) / images if extras is not None and has_extras else None,
    )


def _base(run: Run, case: Case, metric: str, baselines: Sequence[str]) -> Number:
    measurements = (run.measurement(run.baseline_of(case, name)) for name in baselines)
    numbers = [_number(run, measurement, metric) for measurement in measurements if measurement]
    return next((base for base in numbers if base.value is not None), numbers[0] if numbers else Number(why=ABSENT))


def _minus(own: Number, base: Number, baseline: str) -> Number:
    if own.value is None:
        return own
    if base.value is None:
        return replace(own, value=None, why=f"no baseline to subtract: {baseline} {base.why}")
    return replace(own, value=own.value - base.value)
