"""The largest sizes that fit in words and for machines, and an estimate of them from a stored run."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from textwrap import wrap

from upsampler_bench import units
from upsampler_bench.case import INFERENCE, TRAIN, Case
from upsampler_bench.errors import PlanError
from upsampler_bench.results import Measurement, Run
from upsampler_bench.sizes import Capacity, Need

WIDTH = 80
GIB, MIB = 2.0**30, 2.0**20
PEAKS = {INFERENCE: "inference_memory", TRAIN: "train_memory"}
ITEM = {"float32": 4, "float16": 2, "bfloat16": 2, "float64": 8}
ESTIMATED = "estimate"
COUNTED = (
    "Counted: parameters, inputs (x, and the guide where one is taken) and the peak beyond both, which in training has "
    "all gradients. Not counted: what kernels and the allocator take beside tensors; leave some room."
)
ROUGH = (
    "Estimated from the stored peak at its own shape, scaled by area; a guide is taken to be as large as the encoder "
    "feature. Without --from sizes are counted."
)


def estimates(run: Run, memory: int) -> tuple[Capacity, ...]:
    """From each stored peak, scaled by area: sizes nobody counted.

    Raises:
        PlanError: the run has no memory figures.
    """
    found = [one for one in run.measurements if one.case.mode in PEAKS and not one.case.model and _peak(one)]
    if not found:
        raise PlanError("this run measured no memory; 'upsampler-bench run' does, and without --from sizes are counted")
    return tuple(_estimate(run, one, memory) for one in found)


def text(found: Sequence[Capacity], memory: int) -> str:
    """One table a condition, at most 80 columns wide."""
    groups: dict[str, list[Capacity]] = {}
    for one in found:
        groups.setdefault(_about(one.case), []).append(one)
    return "\n\n\n".join("\n".join(_lines(about, group, memory)) for about, group in groups.items())


def data(found: Sequence[Capacity], memory: int) -> list[dict[str, object]]:
    """For machines, in bytes."""
    return [
        {
            "upsampler": one.case.upsampler,
            "mode": one.case.mode,
            "memory": memory,
            "side": one.side or None,
            "condition": _about(one.case),
            **(
                {"parameters": one.need.parameters, "inputs": one.need.inputs, "peak": one.need.peak}
                if one.need
                else {}
            ),
            "total": one.need.total if one.need else None,
            "method": one.method,
            "confirmed": _confirmed(one),
            "reason": one.reason,
        }
        for one in found
    ]


def _about(case: Case) -> str:
    parts = (f"{case.batch}×{case.channels}×H×H", f"×{case.scale}", case.dtype, case.layout, case.device)
    return ", ".join(parts)


def _lines(about: str, found: Sequence[Capacity], memory: int) -> Iterator[str]:
    yield from wrap(f"Largest H = W whose step fits in {size(memory)}: {about}", WIDTH)
    yield ""
    names = dict.fromkeys(one.case.upsampler for one in found)
    by = {(one.case.upsampler, one.case.mode): one for one in found}
    width = max(len("upsampler"), *map(len, names))
    yield f"{'upsampler':{width}s}  {'inference':>9s}  {'needs':>10s}  {'training':>8s}  {'needs':>10s}"
    for name in names:
        cells = [_cells(by.get((name, mode))) for mode in PEAKS]
        yield f"{name:{width}s}  {cells[0][0]:>9s}  {cells[0][1]:>10s}  {cells[1][0]:>8s}  {cells[1][1]:>10s}".rstrip()
    yield ""
    yield from wrap(ROUGH if all(one.method == ESTIMATED for one in found) else COUNTED, WIDTH)
    yield from _how(found)
    yield from _troubles(found)


def _cells(one: Capacity | None) -> tuple[str, str]:
    if one is None:
        return "", ""
    return (f"{one.side:,}", size(one.need.total)) if one.need else ("–", "")


def _how(found: Sequence[Capacity]) -> Iterator[str]:
    if any("strips" in one.method for one in found):
        yield from wrap("Large sizes are counted on strips of their full width whose peaks grow alike.", WIDTH)
    taken = [one for one in found if one.confirmation and one.confirmation.measured is not None]
    if not taken:
        return
    exact = [one for one in taken if one.confirmation and one.confirmation.is_exact]
    if len(exact) == len(taken):
        sides = sorted({one.confirmation.side for one in taken if one.confirmation})
        span = f"{sides[0]}" if len(sides) == 1 else f"{sides[0]} to {sides[-1]}"
        said = (
            f"Confirmed by {len(taken)} real steps at H = {span}: what was measured is what was counted, to the byte."
        )
        yield from wrap(said, WIDTH)
        return
    yield "Confirmed by real steps, measured beside counted:"
    for one in taken:
        yield f"  {one.case.upsampler}, {one.case.mode}: {_deviation(one)}"


def _deviation(one: Capacity) -> str:
    taken = one.confirmation
    assert taken is not None
    assert taken.measured is not None
    off = taken.measured / taken.predicted - 1
    said = "equal" if taken.is_exact else f"{'+' if off > 0 else '−'}{units.rough(100 * abs(off))} %"
    return f"{size(taken.measured)} at H = {taken.side:,}, {said}"


def _troubles(found: Sequence[Capacity]) -> Iterator[str]:
    for one in found:
        why = one.reason or (one.confirmation.reason if one.confirmation else "")
        if why:
            where = f" at H = {one.confirmation.side:,}" if one.confirmation and not one.reason else ""
            yield from wrap(f"{one.case.upsampler}, {one.case.mode}{where}: {why}", WIDTH, subsequent_indent="  ")


def size(count: float) -> str:
    """Bytes as people read them."""
    unit, word = (GIB, "GiB") if count >= GIB else (MIB, "MiB")
    return f"{units.tick(count / unit)} {word}" if (count / unit).is_integer() else f"{count / unit:.2f} {word}"


def _confirmed(one: Capacity) -> dict[str, object] | None:
    taken = one.confirmation
    if taken is None:
        return None
    return {"side": taken.side, "counted": taken.predicted, "measured": taken.measured, "reason": taken.reason}


def _peak(one: Measurement) -> float | None:
    reading = one.reading(PEAKS[one.case.mode])
    return reading.samples[0] if reading and reading.samples else None


def _estimate(run: Run, one: Measurement, memory: int) -> Capacity:
    case, peak = one.case, _peak(one)
    assert peak is not None
    needs_guide = any(info.needs_guide for info in run.upsamplers if info.name == case.upsampler)
    x = case.batch * case.channels * case.height * case.width * ITEM[case.dtype]
    inputs = x * (1 + case.scale**2 * needs_guide)
    parameters = _parameters(run, case) * ITEM[case.dtype]
    room = memory - parameters
    side = math.isqrt(int(case.height * case.width * room / (inputs + peak))) if room > 0 else 0
    if not side:
        return Capacity(case, method=ESTIMATED, reason=f"its parameters alone need {size(parameters)}")
    share = side**2 / (case.height * case.width)
    need = Need(parameters, round(inputs * share), round(peak * share))
    return Capacity(replace(case, height=side, width=side), side, need, ESTIMATED)


def _parameters(run: Run, case: Case) -> int:
    """As the run counted them, in whichever mode; none where it did not."""
    counts = (one.reading("params_all") for one in run.measurements if one.case.upsampler == case.upsampler)
    return next((int(one.samples[0]) for one in counts if one and one.samples), 0)
