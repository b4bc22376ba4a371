"""Which operator to use under given limits: decided from stored runs, with the reason for each operator.

A subpackage, not a file: `limits` is also what `compare` reads budgets with, and `text` prints.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from upsampler_bench.case import PROBE, SHAPES
from upsampler_bench.errors import PlanError
from upsampler_bench.quality.choice import PUBLISHED, mious
from upsampler_bench.recommend.limits import QUANTITIES, Limit
from upsampler_bench.report.lines import Condition, Line, conditions
from upsampler_bench.results import INTERRUPTED, MEASURED, Measurement, Run, UpsamplerInfo
from upsampler_bench.stats import Estimate

PASSES, BORDERLINE, UNKNOWN, FAILS = "passes", "borderline", "unknown", "fails"
# From best to worst; an operator gets the worst result of its checks.
RESULTS = (PASSES, BORDERLINE, UNKNOWN, FAILS)
MIOU, GUIDE, RUN = "miou", "guide", "run"
# What is taken from a run.
COSTS, CAPABILITIES, QUALITY = "Costs", "Capabilities", "mIoU"
# The metric behind each key of --by; an mIoU is none.
ORDERS = {MIOU: "", **{name: quantity.metric for name, quantity in QUANTITIES.items()}}


def judge(low: float, high: float, limit: float) -> str:
    """Compares an interval with a limit: passes within it, fails beyond it, else borderline.

    The rule of the command and of the page (docs/decisions/0016-choosing.md).
    """
    if high <= limit:
        return PASSES
    return FAILS if low > limit else BORDERLINE


@dataclass(frozen=True, slots=True)
class Criteria:
    """What an operator must meet.

    Attributes:
        limits: the largest value of each limited metric.
        no_guide: operators that take a guide fail.
        needs: names of capabilities.
        by: a key of ORDERS: what the best of those that pass is chosen by.
        backend: the only one that operators are chosen on; empty: any.
        quality: where the mIoU is from: see `quality.choice`.
    """

    limits: tuple[Limit, ...] = ()
    no_guide: bool = False
    needs: tuple[str, ...] = ()
    by: str = MIOU
    backend: str = ""
    quality: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one limit, one capability or the guide for one operator.

    Attributes:
        about: the metric's name, the capability's, "guide", or "run": whether the operator ran at all.
        result: one of RESULTS.
        value: what was compared with the limit; None where there is none.
        limit: of a metric alone.
        reason: why it is unknown, or why a capability is missing, or why the operator did not run.
    """

    about: str
    result: str
    value: Estimate | None = None
    limit: Limit | None = None
    reason: str = ""

    @property
    def excess(self) -> float:
        """How far the value is beyond the limit, as a share of it: 0.1 is 10 %; infinite where there is no value."""
        if self.result in (PASSES, BORDERLINE):
            return 0.0
        return self.value.value / self.limit.most - 1 if self.value and self.limit else math.inf


@dataclass(frozen=True, slots=True)
class Candidate:
    """One operator under one condition.

    Attributes:
        miou: in per cent, from the recommendation's source, or None.
        order: what it is chosen by, less is better; infinite where it is unknown.
    """

    line: Line
    checks: tuple[Check, ...]
    miou: float | None
    order: float

    @property
    def name(self) -> str:
        """The operator's name, with its backend where the run has several."""
        return self.line.name

    @property
    def result(self) -> str:
        """The worst result of its checks."""
        return max((check.result for check in self.checks), key=RESULTS.index, default=PASSES)

    @property
    def decisive(self) -> tuple[Check, ...]:
        """The checks with that result."""
        return tuple(check for check in self.checks if check.result == self.result)

    @property
    def miss(self) -> tuple[int, float]:
        """How far it is from passing: the number of checks without a value, then the sum of the others' excess."""
        excess = [check.excess for check in self.decisive]
        return sum(map(math.isinf, excess)), sum(share for share in excess if math.isfinite(share))


@dataclass(frozen=True, slots=True)
class Source:
    """A run behind the figures: what was taken from it, where it is stored (empty: not known), its device and date."""

    about: str
    file: str
    device: str
    date: str


@dataclass(frozen=True, slots=True)
class Recommendation:
    """All operators under one condition, best first.

    Attributes:
        sources: the runs that its figures are from; that of the costs first.
        quality: where their mIoU is from: see `quality.choice`.
    """

    run: Run
    condition: Condition
    criteria: Criteria
    candidates: tuple[Candidate, ...]
    sources: tuple[Source, ...] = ()
    quality: str = PUBLISHED

    def with_result(self, result: str) -> tuple[Candidate, ...]:
        """The candidates with this result."""
        return tuple(candidate for candidate in self.candidates if candidate.result == result)

    @property
    def best(self) -> Candidate | None:
        """The first that passes."""
        return next(iter(self.with_result(PASSES)), None)

    @property
    def nearest_miss(self) -> Candidate | None:
        """Of those that do not pass: a borderline one, an unknown one, else the one nearest to its limits."""
        missed = [candidate for candidate in self.candidates if candidate.result != PASSES]
        return min(missed, key=lambda candidate: (RESULTS.index(candidate.result), *candidate.miss), default=None)


def recommend(
    runs: Sequence[Run], criteria: Criteria, keep: Sequence[str] = (), files: Sequence[str] = ()
) -> tuple[Recommendation, ...]:
    """One recommendation per measured condition.

    Args:
        runs: runs with measurements, and runs in which capabilities were tested; one run may be both.
        criteria: what an operator must meet.
        keep: parts of a condition, e.g. "256x120x120" or "bfloat16"; only conditions with all of them count.
        files: where each run is stored.

    Raises:
        PlanError: nothing was measured, or nothing under such a condition.
    """
    measured = [(run, condition) for run in runs for condition in conditions(run)]
    if not measured:
        raise PlanError("these runs contain no measured operator; 'upsampler-bench run' measures them")
    kept = [(run, condition) for run, condition in measured if has_parts(condition, keep)]
    if not kept:
        available = "; ".join(dict.fromkeys(condition.words for _, condition in measured))
        raise PlanError(f"nothing was measured under {' '.join(keep)}; there are: {available}")
    if criteria.backend:
        kept = [(run, condition) for run, condition in kept if _lines(condition, criteria.backend)]
    if not kept:
        available = ", ".join(dict.fromkeys(backend for run, _ in measured for backend in run.backends))
        raise PlanError(f"nothing was measured on backend {criteria.backend}; there are: {available}")
    quality, known = mious(runs, criteria.quality)
    ranking = [run for run in runs if quality == SHAPES and any(row.trainings for row in run.measurements)]
    file_of = {id(run): file for run, file in zip(runs, files, strict=False)}
    recommendations = []
    for run, condition in kept:
        probed = _probed(runs, run)
        candidates = []
        for line in _lines(condition, criteria.backend):
            miou = known.get(line.operator)
            checks = tuple(_checks(run, line, criteria, probed))
            candidates.append(Candidate(line, checks, miou, _order(run, line, criteria.by, miou)))
        candidates.sort(key=lambda one: (one.order, value_of(run, one.line, "latency", math.inf)))
        uses = [(COSTS, run)]
        uses += [(CAPABILITIES, probed)] if criteria.needs and probed else []
        uses += [(QUALITY, ranked) for ranked in ranking]
        sources = tuple(_source(about, used, file_of.get(id(used), "")) for about, used in uses)
        recommendations.append(Recommendation(run, condition, criteria, tuple(candidates), sources, quality))
    return tuple(recommendations)


def _source(about: str, run: Run, file: str) -> Source:
    return Source(about, file, run.environment.device_name, run.started.partition("T")[0])


def _lines(condition: Condition, backend: str) -> list[Line]:
    return [line for line in condition.lines if backend in ("", line.backend)]


def has_parts(condition: Condition, parts: Sequence[str]) -> bool:
    """Whether a condition has all of these parts, e.g. "256x120x120" or "bfloat16"."""
    case = condition.case
    kind = case.device.partition(":")[0]
    shape = f"{case.channels}x{case.height}x{case.width}"
    return {*parts} <= {shape, case.dtype, case.layout, case.device, kind, case.model}


def _probed(runs: Sequence[Run], run: Run) -> Run | None:
    """The last run that tested capabilities on the same device, else on the same kind of device."""
    probed = [one for one in reversed(runs) if any(probe.case.mode == PROBE for probe in one.measurements)]
    same = [one for one in probed if one.environment.device_name == run.environment.device_name]
    alike = [one for one in probed if one.environment.device_kind == run.environment.device_kind]
    return next(iter([*same, *alike]), None)


def value_of(run: Run, line: Line, metric: str, default: float) -> float:
    """A metric's value on a line, in its base unit."""
    info = run.metric(metric)
    reading = line.reading(info) if info else None
    return reading.estimate.value if reading else default


def _order(run: Run, line: Line, by: str, miou: float | None) -> float:
    if by == MIOU:
        return math.inf if miou is None else -miou
    return value_of(run, line, ORDERS[by], math.inf)


def _checks(run: Run, line: Line, criteria: Criteria, probed: Run | None) -> Iterator[Check]:
    latency = run.metric("latency")
    if not (line.reading(latency) if latency else any(one.readings for one in line.measurements)):
        yield _check_run(run, line.measurements[0])
    for limit in criteria.limits:
        yield _check_limit(run, line, limit)
    if criteria.no_guide:
        yield _check_guide(next((info for info in run.upsamplers if info.name == line.operator), None))
    for capability in criteria.needs:
        yield _check_capability(probed, line.operator, capability)


def _check_run(run: Run, measurement: Measurement) -> Check:
    """An operator that did not run cannot be chosen; of one that a budget or Ctrl-C left out nothing is known."""
    is_left_out = measurement.status == INTERRUPTED or run.settings.used_up in measurement.reason
    result = UNKNOWN if is_left_out or measurement.status == MEASURED else FAILS
    return Check(RUN, result, reason=f"not measured: {measurement.reason}".removesuffix(": "))


def _check_limit(run: Run, line: Line, limit: Limit) -> Check:
    info = run.metric(limit.metric)
    usable = line.find(info) if info else None
    if not info or not usable:
        reason = (info and line.why_not(info) and line.reason) or "not measured"
        return Check(limit.metric, UNKNOWN, None, limit, reason)
    measurement, reading = usable
    value = run.ratio(measurement.case, limit.metric) if limit.relative else reading.estimate
    if value is None:
        return Check(limit.metric, UNKNOWN, None, limit, f"no {run.settings.baseline or 'baseline'} to compare with")
    return Check(limit.metric, judge(value.low, value.high, limit.most), value, limit)


def _check_guide(info: UpsamplerInfo | None) -> Check:
    if info is None:
        return Check(GUIDE, UNKNOWN, reason="not recorded in the run")
    return Check(GUIDE, FAILS, reason="takes a guide") if info.needs_guide else Check(GUIDE, PASSES)


def _check_capability(probed: Run | None, operator: str, capability: str) -> Check:
    """What the tests of an operator found; where they differ, a no outweighs a yes, as on the page."""
    tests = [
        _tested(measurement, capability)
        for measurement in (probed.measurements if probed else ())
        if measurement.case.upsampler == operator and measurement.case.mode == PROBE
    ]
    not_tested = Check(capability, UNKNOWN, reason="not tested")
    return max(tests, key=lambda check: (UNKNOWN, PASSES, FAILS).index(check.result), default=not_tested)


def _tested(measurement: Measurement, capability: str) -> Check:
    """A capability's 0 is no; without a value it could not be tested."""
    reading = measurement.reading(capability)
    if reading is None:
        return Check(capability, UNKNOWN, reason=measurement.reason or "not tested")
    note = reading.notes[0] if reading.notes else ""
    if not reading.samples:
        return Check(capability, UNKNOWN, reason=note)
    return Check(capability, PASSES) if reading.samples[0] else Check(capability, FAILS, reason=note)
