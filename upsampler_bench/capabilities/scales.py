"""Which scales work."""

from __future__ import annotations

from functools import partial

import upsamplers
from upsampler_bench.capabilities import No, _probing
from upsampler_bench.case import PROBE
from upsampler_bench.device import Device
from upsampler_bench.results import MetricInfo, Reading
from upsampler_bench.workloads import output_check
from upsampler_bench.workloads.workload import Workload

TESTED = (1, 2, 3, 4)
SIZE = (5, 4)
INFO = MetricInfo(
    "scales",
    "×s",
    "1",
    PROBE,
    lower_is_better=False,
    exact=True,
    place=207,
    description="The scales s that work, of 1 to 4 (their number in report.csv); channels are divisible by s² for an "
    "operator that requires it.",
)
INFOS = (INFO,)
METHOD = "one forward a scale: shape, dtype, every element written"
SECONDS = 0.3


def measure(workload: Workload, device: Device) -> tuple[Reading, ...]:
    """Runs and checks one forward at each scale."""
    reasons = {scale: reason for scale in TESTED if (reason := _why_not(workload, scale))}
    note = f"not ×{', ×'.join(map(str, reasons))}: {next(iter(reasons.values()))}" if reasons else ""
    working = [scale for scale in TESTED if scale not in reasons]
    if not working:
        raise No(note)
    shown = " ".join(map(str, working)) if reasons else "1–4"
    notes = (note,) if note else ()
    return (Reading(INFO.name, ((float(len(working)),),), METHOD, notes, {"shown": shown}),)


def _why_not(workload: Workload, scale: int) -> str | None:
    """Why neither the case's channels nor s² times as many work at a scale, or None."""
    channels = workload.case.channels
    return _probing.attempt(partial(_why_wrong, workload, scale, channels)) and _probing.attempt(
        partial(_why_wrong, workload, scale, channels * scale**2)
    )


def _why_wrong(workload: Workload, scale: int, channels: int) -> str | None:
    least = upsamplers.get(workload.case.upsampler).cls.least_size
    height, width = (max(side, least) for side in SIZE)
    return output_check.why_wrong(
        _probing.variant(workload, scale=scale, channels=channels, height=height, width=width)
    )
