# torch-free
"""Where our numbers for the paper's figures stand in the runs, by operator and model, or why there is none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from upsampler_bench.case import INFERENCE, Case
from upsampler_bench.results import MEASURED, Measurement, Reading, Run

PAPER_CASE = Case("", INFERENCE)
ABSENT = "not in these runs"

# Measurements of one place, each with its run, in the order in which they are asked.
Records: TypeAlias = tuple[tuple[Run, Measurement], ...]


@dataclass(frozen=True, slots=True)
class Number:
    """A number of ours, or why there is none.

    Attributes:
        name: the operator that it is of.
        value: of one image, in the metric's base unit.
        why: the reason where there is no value; else what is missing in it.
        extras: what common tools count besides, of one image; None where it was not recorded.
    """

    name: str = ""
    value: float | None = None
    why: str = ""
    extras: float | None = None


def bare(runs: Sequence[Run]) -> Records:
    """The operators alone on the paper's feature: x2 of 1x256x120x120 in float32."""
    return tuple(
        (run, one)
        for run in runs
        for one in run.measurements
        if replace(one.case, upsampler="", device=PAPER_CASE.device) == PAPER_CASE
    )


def in_model(runs: Sequence[Run], model: str, image: tuple[int, int] | None = None) -> Records:
    """The models of a model in float32, those of the smallest batch first.

    Args:
        runs: where they are looked for.
        model: its name.
        image: (H, W) where what is asked for depends on it.
    """
    found = [
        (run, one)
        for run in runs
        for one in run.measurements
        if (one.case.model, one.case.mode, one.case.dtype) == (model, INFERENCE, PAPER_CASE.dtype)
        and image in (None, (one.case.height, one.case.width))
    ]
    return tuple(sorted(found, key=lambda record: record[1].case.batch))


def number(records: Records, names: Sequence[str], metric: str) -> Number:
    """A metric of the first of these operators that has it."""
    return _first([_own(run, one, metric) for name in names for run, one in records if one.case.upsampler == name])


def added(records: Records, names: Sequence[str], metric: str, baselines: Sequence[str]) -> Number:
    """What the first of these operators adds to a metric of the model with the first of these baselines.

    Without baselines it is the operator's own metric: a bare one adds to nothing.
    """
    if not baselines:
        return number(records, names, metric)
    found = [
        _over(_own(run, one, metric), _base(run, one.case, metric, baselines), baselines)
        for name in names
        for run, one in records
        if one.case.upsampler == name
    ]
    return _first(found)


def reading(one: Measurement | None, metric: str) -> Reading | None:
    """A reading with a finite value, or None."""
    found = one.reading(metric) if one else None
    return found if found and found.is_usable else None


def missing(one: Measurement | None, metric: str) -> str:
    """Why there is no such reading."""
    if one is None:
        return ABSENT
    if one.status != MEASURED:
        return " ".join(f"{one.status}: {one.reason}".split()).removesuffix(":")
    return f"no {metric} in these runs"


def _first(found: Sequence[Number]) -> Number:
    """The first with a value, else the first reason."""
    return next((one for one in found if one.value is not None), found[0] if found else Number(why=ABSENT))


def _own(run: Run, one: Measurement, metric: str) -> Number:
    read = reading(one, metric)
    if read is None:
        return Number(one.case.upsampler, None, missing(one, metric))
    # What is multiplied is so for every image of a batch; parameters are there once.
    info = run.metric(metric)
    images = one.case.batch if info and info.unit == "MAC" else 1
    extras, uncounted = read.facts.get("extras"), read.facts.get("uncounted")
    return Number(
        one.case.upsampler,
        read.estimate.value / images,
        f"not counted: {uncounted}" if uncounted else "",
        extras / images if isinstance(extras, int | float) and math.isfinite(extras) else None,
    )


def _base(run: Run, case: Case, metric: str, baselines: Sequence[str]) -> Number:
    found = (run.measurement(case.of(name)) for name in baselines)
    return _first([_own(run, one, metric) for one in found if one])


def _over(own: Number, base: Number, baselines: Sequence[str]) -> Number:
    if own.value is None:
        return own
    if base.value is None:
        return replace(own, value=None, why=f"nothing to add to: {baselines[0]} {base.why}")
    return replace(own, value=own.value - base.value)
