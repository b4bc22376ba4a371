"""What is measured: one metric (or a family that is read together) a file; the file's name is the metric's.

A metric has `INFOS`, its columns, and either `measure` (read once) or `readings` (made of calls timed in rounds). One
that is measured of bare operators only, or in models only, says so in `SUBJECT`; one that some cases do not have, in
`applies(case)`; one that is measured only where it is asked for by name has `ON_REQUEST`; one that takes long says how
long in `SECONDS`, or in `CALLS` of the step. Those of the mode "probe" test whether something works: see
`upsampler_bench.capabilities`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Protocol, TypeGuard, cast

from upsampler_bench import discovery
from upsampler_bench.case import Case
from upsampler_bench.device import Device, Timings
from upsampler_bench.errors import PlanError
from upsampler_bench.results import MetricInfo, Reading
from upsampler_bench.workloads.workload import Workload

METRICS, CAPABILITIES = "upsampler_bench.metrics", "upsampler_bench.capabilities"
OPERATOR, MODEL = "operator", "model"


class Metric(Protocol):
    """What every metric module has."""

    INFOS: tuple[MetricInfo, ...]


class Once(Metric, Protocol):
    """A metric that is read once."""

    def measure(self, workload: Workload, device: Device) -> tuple[Reading, ...]:
        """Reads it; raises what the operator raises."""


class Bound(Once, Protocol):
    """A lower bound of a timed metric, which is compared with it when that was measured."""

    def recheck(
        self, readings: Mapping[str, Reading], seconds: Mapping[str, float], workload: Workload, device: Device
    ) -> Mapping[str, Reading]:
        """The readings of a group by case, corrected or marked where `seconds` contradict them."""


class Timed(Metric, Protocol):
    """The metric of a mode whose calls are timed in interleaved rounds, all operators of a group together."""

    def readings(self, rounds: tuple[Timings, ...], facts: dict[str, float | str], method: str) -> tuple[Reading, ...]:
        """Makes readings of the timings; `facts` and `method` are of the first."""


def names() -> tuple[str, ...]:
    """The names of all metrics and capabilities."""
    return discovery.modules(METRICS) + discovery.modules(CAPABILITIES)


def get(name: str) -> Metric:
    """A metric or a capability by its module's name.

    Raises:
        PlanError: there is none.
    """
    if name not in names():
        raise PlanError(f"no metric or capability {name!r}; {discovery.nearest(name, names())}")
    folder = CAPABILITIES if name in discovery.modules(CAPABILITIES) else METRICS
    return cast(Metric, discovery.load(folder, name))


def is_timed(metric: Metric) -> TypeGuard[Timed]:
    """Whether the metric is timed in rounds."""
    return hasattr(metric, "readings")


def is_bound(metric: Metric) -> TypeGuard[Bound]:
    """Whether the metric is compared with the times that it bounds."""
    return hasattr(metric, "recheck")


def is_once(metric: Metric) -> TypeGuard[Once]:
    """Whether the metric is read once."""
    return hasattr(metric, "measure")


def for_case(case: Case, wanted: tuple[str, ...]) -> dict[str, Metric]:
    """The metrics of a case by name: those wanted, or all, except those of another mode or subject."""
    subject = MODEL if case.model else OPERATOR
    return {
        name: metric
        for name, metric in _loaded(wanted or _default())
        if metric.INFOS[0].mode == case.mode
        and getattr(metric, "SUBJECT", subject) == subject
        and (not hasattr(metric, "applies") or metric.applies(case))
    }


@cache
def _loaded(names: tuple[str, ...]) -> tuple[tuple[str, Metric], ...]:
    return tuple((name, get(name)) for name in names)


def infos(wanted: tuple[str, ...] = ()) -> tuple[MetricInfo, ...]:
    """The columns of these metrics, or of all, in the order in which reports show them."""
    columns = [info for name in wanted or _default() for info in get(name).INFOS]
    return tuple(sorted(columns, key=lambda info: info.place))


def _default() -> tuple[str, ...]:
    return tuple(name for name in names() if not getattr(get(name), "ON_REQUEST", False))
