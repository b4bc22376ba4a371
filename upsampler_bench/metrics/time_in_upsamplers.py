"""The part of a model's forward that its upsamplers take."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from upsampler_bench import backends
from upsampler_bench.case import INFERENCE, Case
from upsampler_bench.device import Device
from upsampler_bench.metrics import MODEL
from upsampler_bench.metrics._timed import exposed_note
from upsampler_bench.results import MetricInfo, Reading
from upsampler_bench.stats import FEWEST
from upsampler_bench.workloads.workload import Workload
from upsamplers import Upsampler

INFO = MetricInfo(
    "time_in_upsamplers",
    "Time in upsamplers",
    "share",
    INFERENCE,
    place=12,
    description="The share of one forward of the model that is spent in its upsamplers.",
)
INFOS = (INFO,)
SUBJECT = MODEL
Span = tuple[object, object]


def applies(case: Case) -> bool:
    """Within torch: an engine's time is not split by module."""
    return not backends.is_engine(case.backend)


def measure(workload: Workload, device: Device) -> tuple[Reading, ...]:
    """Times forwards and the upsamplers within each of them; of a compiled model its eager form."""
    rounds = []
    with _timed_upsamplers(workload.module, device) as spans:

        def forward() -> None:
            spans.clear()
            begin = device.moment()
            workload.eager_forward()
            spans.append((begin, device.moment()))

        exposed = 0
        for _ in range(FEWEST):
            exposed += device.time(forward, 1).exposed  # of the calls it makes, the last one has its launches hidden
            *inside, whole = spans
            rounds.append((sum(device.seconds(*span) for span in inside) / device.seconds(*whole),))
    notes = [] if workload.is_eager else ["measured on the eager form"]
    notes += [exposed_note(exposed, FEWEST)] if exposed else []
    method = f"moments before and after each upsampler, {device.timing_method(captured=False)}"
    return (Reading(INFO.name, tuple(rounds), method, tuple(notes)),)


@contextmanager
def _timed_upsamplers(model: nn.Module, device: Device) -> Iterator[list[Span]]:
    """Collects when each upsampler of the model begins and ends; one inside another counts with the outer."""
    begins: list[object] = []
    spans: list[Span] = []

    def enter(*_: object) -> None:
        begins.append(device.moment())

    def leave(*_: object) -> None:
        begin = begins.pop()
        if not begins:
            spans.append((begin, device.moment()))

    upsamplers = [module for module in model.modules() if isinstance(module, Upsampler)]
    hooks = [module.register_forward_pre_hook(enter) for module in upsamplers]
    hooks += [module.register_forward_hook(leave) for module in upsamplers]
    try:
        yield spans
    finally:
        for hook in hooks:
            hook.remove()
