"""What works, tested: one capability a file, a metric of the mode "probe" (see `upsampler_bench.metrics`)."""

from __future__ import annotations

from typing import Protocol, TypeGuard

from upsampler_bench.case import PROBE
from upsampler_bench.metrics import Metric, Once
from upsampler_bench.results import Reading


class Probe(Once, Protocol):
    """A capability: `measure` tests it, and raises No, or whatever the operator raises, where it is missing.

    Attributes:
        METHOD: how it is tested.
        SECONDS: about how long the test takes.
    """

    METHOD: str
    SECONDS: float


class No(Exception):
    """A capability was tested and is missing; the message says why."""


class NotApplicable(No):
    """A capability cannot be tested here; the message says what it requires."""


def is_probe(metric: Metric) -> TypeGuard[Probe]:
    """Whether the metric is a capability."""
    return metric.INFOS[0].mode == PROBE


def refusal(probe: Probe, reason: str, *, applies: bool = True) -> tuple[Reading, ...]:
    """The readings of a missing capability, with the reason as a note: 0 for yes/no and counts, no sample for times.

    Args:
        probe: the capability.
        reason: why it is missing.
        applies: False if it could not be tested at all: then there is no sample.
    """
    zero = {info.name: applies and info.unit in ("bool", "1") for info in probe.INFOS}
    return tuple(Reading(name, ((0.0,),) if zero[name] else (), probe.METHOD, (reason,)) for name in zero)
