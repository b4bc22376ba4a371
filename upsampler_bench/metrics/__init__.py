"""What is measured: one metric (or a family read in one go) a file; the file's name is the metric's.

A module is a metric by having `INFOS` and either `measure` (read once) or `call` and `readings` (timed in rounds).
One that is read of bare operators only, or of models only, says so in `KINDS`.
One of the mode "probe" tries whether something works: it raises where it does not, and what it raises is the reason.
"""

from __future__ import annotations

from typing import Protocol, TypeGuard, cast

from upsampler_bench import discovery
from upsampler_bench.case import PROBE, Case
from upsampler_bench.device import Call, Device, Timings
from upsampler_bench.results import MetricInfo, Reading
from upsampler_bench.workloads.workload import Workload

METRICS, CAPABILITIES = FOLDERS = "upsampler_bench.metrics", "upsampler_bench.capabilities"
COUNTED = ("bool", "1")
OPERATOR, MODEL = "operator", "model"


class Metric(Protocol):
    """What every metric module has."""

    INFOS: tuple[MetricInfo, ...]


class Once(Metric, Protocol):
    """A metric that is read in one go."""

    def measure(self, workload: Workload, device: Device) -> tuple[Reading, ...]:
        """Reads it; raises what the operator raises."""


class Probe(Once, Protocol):
    """A capability: `measure` tries it, and raises No, or whatever the operator raises, where it is not there.

    Attributes:
        METHOD: how it is tried.
        SECONDS: that trying it takes, about.
    """

    METHOD: str
    SECONDS: float


class No(Exception):
    """A capability was tried and is not there; the message says why."""


class NotApplicable(No):
    """A capability cannot be tried here; the message says what it would need."""


class Timed(Metric, Protocol):
    """A metric whose calls are timed in interleaved rounds, all operators of a group together."""

    def call(self, workload: Workload) -> Call:
        """What is timed."""

    def readings(self, rounds: tuple[Timings, ...], facts: dict[str, float | str], method: str) -> tuple[Reading, ...]:
        """Makes readings of the timings."""


def names() -> tuple[str, ...]:
    """The names of all metrics and capabilities."""
    return tuple(name for folder in FOLDERS for name in discovery.modules(folder))


def get(name: str) -> Metric:
    """A metric by its module's name.

    Raises:
        PlanError: there is none.
    """
    folder = CAPABILITIES if name in discovery.modules(CAPABILITIES) else METRICS
    return cast(Metric, discovery.load(folder, name))


def is_timed(metric: Metric) -> TypeGuard[Timed]:
    """Whether the metric is timed in rounds."""
    return hasattr(metric, "call")


def is_once(metric: Metric) -> TypeGuard[Once]:
    """Whether the metric is read in one go."""
    return hasattr(metric, "measure")


def for_case(case: Case, wanted: tuple[str, ...]) -> dict[str, Metric]:
    """The metrics of a case, by name: those wanted, or all, as far as they are of its mode and of its kind."""
    found = {name: get(name) for name in wanted or names()}
    kind = MODEL if case.model else OPERATOR
    return {name: one for name, one in found.items() if one.INFOS[0].mode == case.mode and kind in kinds(one)}


def kinds(metric: Metric) -> tuple[str, ...]:
    """What a metric is read of: bare operators, models, or both (where its module does not say)."""
    return cast(tuple[str, ...], getattr(metric, "KINDS", (OPERATOR, MODEL)))


def is_probe(metric: Metric) -> TypeGuard[Probe]:
    """Whether the metric is a capability that is tried."""
    return metric.INFOS[0].mode == PROBE


def refusal(probe: Probe, reason: str, *, applies: bool = True) -> tuple[Reading, ...]:
    """The readings of a capability that is not there: 0 where it is counted ("no" is 0), else none; and why.

    Args:
        probe: the capability.
        reason: why it is not there.
        applies: False where it could not be tried at all.
    """
    no = {info.name: ((0.0,),) if applies and info.unit in COUNTED else () for info in probe.INFOS}
    return tuple(Reading(name, rounds, probe.METHOD, (reason,)) for name, rounds in no.items())


def infos(wanted: tuple[str, ...] = ()) -> tuple[MetricInfo, ...]:
    """What the columns of these metrics are, in the order in which reports show them."""
    found = [info for name in wanted or names() for info in get(name).INFOS]
    return tuple(sorted(found, key=lambda info: info.place))
