"""Which scales work."""

from __future__ import annotations

from functools import partial

from upsampler_bench.capabilities import No, _probing
from upsampler_bench.case import PROBE
from upsampler_bench.device import Device
from upsampler_bench.results import MetricInfo, Reading
from upsampler_bench.workloads import output_check
from upsampler_bench.workloads.workload import Workload

TRIED = (1, 2, 3, 4)
SIZE = {"height": 5, "width": 4}
INFO = MetricInfo(
    "scales",
    "×s",
    "1",
    PROBE,
    lower_is_better=False,
    exact=True,
    place=207,
    description="The scales s that work, of 1 to 4 (counted in report.csv); with channels that s² divides where the "
    "operator wants them.",
)
INFOS = (INFO,)
METHOD = "one forward a scale: shape, dtype, every element written"
SECONDS = 0.3


def measure(workload: Workload, device: Device) -> tuple[Reading, ...]:
    """Tries each scale."""
    tried = {scale: _probing.attempt(partial(_why_not, workload, scale)) for scale in TRIED}
    working = [scale for scale, reason in tried.items() if not reason]
    refused = {scale: reason for scale, reason in tried.items() if reason}
    why = f"not ×{', ×'.join(map(str, refused))}: {next(iter(refused.values()))}" if refused else ""
    if not working:
        raise No(why)
    shown = "1–4" if working == list(TRIED) else " ".join(map(str, working))
    return (Reading(INFO.name, ((float(len(working)),),), METHOD, (why,) if why else (), {"shown": shown}),)


def _why_not(workload: Workload, scale: int) -> str | None:
    channels = workload.case.channels
    for fitting in (channels, channels * scale**2):
        reason = _probing.attempt(partial(_why_wrong, workload, scale, fitting))
        if not reason:
            return None
    return reason


def _why_wrong(workload: Workload, scale: int, channels: int) -> str | None:
    return output_check.why_wrong(_probing.variant(workload, scale=scale, channels=channels, **SIZE))
