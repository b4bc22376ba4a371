"""Which operator to take under given limits: decided from stored runs, and every verdict with its reason."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from upsampler_bench.case import PROBE
from upsampler_bench.errors import PlanError
from upsampler_bench.paper import published
from upsampler_bench.recommend.limits import Limit
from upsampler_bench.report.lines import Condition, Line, conditions
from upsampler_bench.results import Run, UpsamplerInfo
from upsampler_bench.stats import Estimate

PASSES, BORDERLINE, UNKNOWN, FAILS = "passes", "borderline", "unknown", "fails"
# From the best to the worst; an operator gets the worst of its findings.
VERDICTS = (PASSES, BORDERLINE, UNKNOWN, FAILS)
MIOU, GUIDE = "miou", "guide"
# What may be chosen by, and the metric that it means.
ORDERS = {
    MIOU: "",
    "latency": "latency",
    "memory": "inference_memory",
    "train-latency": "train_latency",
    "train-memory": "train_memory",
    "params": "params_all",
    "gflops": "flops_mac",
}


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked of an operator.

    Attributes:
        limits: each the most of a metric.
        no_guide: one that takes a guide will not do.
        needs: names of capabilities.
        by: a key of ORDERS: what makes one that passes the best.
    """

    limits: tuple[Limit, ...] = ()
    no_guide: bool = False
    needs: tuple[str, ...] = ()
    by: str = MIOU


@dataclass(frozen=True, slots=True)
class Finding:
    """One limit, capability or the guide, and whether an operator keeps it.

    Attributes:
        about: the metric's name, the capability's, or "guide".
        verdict: one of VERDICTS.
        value: what the limit is held against, with its interval; None where there is none.
        limit: None for a capability or the guide.
        reason: why it is unknown, or why a capability is not there.
    """

    about: str
    verdict: str
    value: Estimate | None = None
    limit: Limit | None = None
    reason: str = ""

    @property
    def excess(self) -> float:
        """How far the limit is broken, as a share of it: 0.1 is 10 % above; infinite where no number says it."""
        if self.verdict in (PASSES, BORDERLINE):
            return 0.0
        return self.value.value / self.limit.most - 1 if self.value and self.limit else math.inf


@dataclass(frozen=True, slots=True)
class Candidate:
    """One operator under one condition.

    Attributes:
        miou: as published (SegFormer-B1 on ADE20K, Table 4); None where it is not.
        order: what it is chosen by, less is better; infinite where it is not known.
    """

    line: Line
    findings: tuple[Finding, ...]
    miou: float | None
    order: float

    @property
    def name(self) -> str:
        """The operator's."""
        return self.line.name

    @property
    def verdict(self) -> str:
        """The worst of its findings'."""
        return max((one.verdict for one in self.findings), key=VERDICTS.index, default=PASSES)

    @property
    def decisive(self) -> tuple[Finding, ...]:
        """The findings that its verdict comes from."""
        return tuple(one for one in self.findings if one.verdict == self.verdict)

    @property
    def miss(self) -> tuple[int, float]:
        """How far it fails: how often by no number, and by how much in all where a number says so."""
        excess = [one.excess for one in self.decisive]
        return sum(map(math.isinf, excess)), sum(one for one in excess if not math.isinf(one))


@dataclass(frozen=True, slots=True)
class Choice:
    """All operators under one condition, each group the best first.

    Attributes:
        run, condition: what was measured.
        probed: the run that tells what works; None where there is none.
    """

    run: Run
    condition: Condition
    wish: Wish
    candidates: tuple[Candidate, ...]
    probed: Run | None = None

    def of(self, verdict: str) -> tuple[Candidate, ...]:
        """Those with a verdict."""
        return tuple(one for one in self.candidates if one.verdict == verdict)

    @property
    def best(self) -> Candidate | None:
        """The first that surely passes; what it is chosen by may be unknown of all that do."""
        return next(iter(self.of(PASSES)), None)

    @property
    def nearest_miss(self) -> Candidate | None:
        """Of all that do not surely pass: a borderline one, an unknown one, else the one that fails by the least."""
        missed = [one for one in self.candidates if one.verdict != PASSES]
        return min(missed, key=lambda one: (VERDICTS.index(one.verdict), *one.miss), default=None)


def choose(runs: Sequence[Run], wish: Wish, keep: Sequence[str] = ()) -> tuple[Choice, ...]:
    """One choice for each condition that was measured.

    Args:
        runs: measured ones and those in which capabilities were tried; one may be both.
        wish: what is asked.
        keep: parts of a condition, e.g. "256x120x120" or "bfloat16"; only conditions that have all of them are told.

    Raises:
        PlanError: nothing was measured, or under no such condition.
    """
    found = [(run, one) for run in runs for one in conditions(run)]
    if not found:
        raise PlanError("no run among these measured an operator; 'upsampler-bench run' does")
    kept = [(run, one) for run, one in found if all(_is_under(one, part) for part in keep)]
    if not kept:
        there = "; ".join(dict.fromkeys(one.words for _, one in found))
        raise PlanError(f"nothing was measured under {' '.join(keep)}; there are: {there}")
    return tuple(_choice(run, one, wish, _probed(runs, run)) for run, one in kept)


def _is_under(condition: Condition, part: str) -> bool:
    case = condition.case
    shape = f"{case.channels}x{case.height}x{case.width}"
    return part in (shape, case.dtype, case.layout, case.device, case.device.partition(":")[0], case.model)


def _probed(runs: Sequence[Run], run: Run) -> Run | None:
    """The last run that tried capabilities on the same device, else on the same kind of device."""
    tried = [one for one in runs if any(probe.case.mode == PROBE for probe in one.measurements)]
    same = [one for one in tried if one.environment.device_name == run.environment.device_name]
    alike = [one for one in tried if one.environment.device_kind == run.environment.device_kind]
    return next(iter([*reversed(same), *reversed(alike)]), None)


def _choice(run: Run, condition: Condition, wish: Wish, probed: Run | None) -> Choice:
    quality = {name: row.miou for name, row in published.segformer_b1_ade20k().items()}
    infos = {one.name: one for one in run.upsamplers}
    found = []
    for line in condition.lines:
        findings = (
            *(_held(run, line, limit) for limit in wish.limits),
            *(_guide(infos.get(line.name)) for _ in range(wish.no_guide)),
            *(_tried(probed, line.name, name) for name in wish.needs),
        )
        miou = quality.get(line.name)
        found.append(Candidate(line, findings, miou, _order(run, line, wish.by, miou)))
    found.sort(key=lambda one: (one.order, read(run, one.line, "latency", math.inf)))
    return Choice(run, condition, wish, tuple(found), probed)


def read(run: Run, line: Line, metric: str, default: float) -> float:
    """A metric's value on a line, in its base unit."""
    info = run.metric(metric)
    found = line.find(info) if info else None
    return found[1].estimate.value if found else default


def ratio(run: Run, line: Line, metric: str) -> Estimate | None:
    """A metric's ratio to the baseline's on a line; None where there is none."""
    info = run.metric(metric)
    found = line.find(info) if info else None
    return run.ratio(found[0].case, metric) if found else None


def _order(run: Run, line: Line, by: str, miou: float | None) -> float:
    if by == MIOU:
        return math.inf if miou is None else -miou
    return read(run, line, ORDERS[by], math.inf)


def _held(run: Run, line: Line, limit: Limit) -> Finding:
    """A limit held against the whole interval: only what lies below it surely passes."""
    info = run.metric(limit.metric)
    found = line.find(info) if info else None
    if not info or not found:
        why = (info and line.why_not(info) and line.reason) or "not measured"
        return Finding(limit.metric, UNKNOWN, None, limit, why)
    value = run.ratio(found[0].case, limit.metric) if limit.relative else found[1].estimate
    if value is None:
        return Finding(limit.metric, UNKNOWN, None, limit, f"no {run.settings.baseline or 'baseline'} to compare with")
    if value.high <= limit.most:
        return Finding(limit.metric, PASSES, value, limit)
    return Finding(limit.metric, FAILS if value.low > limit.most else BORDERLINE, value, limit)


def _guide(info: UpsamplerInfo | None) -> Finding:
    if info is None:
        return Finding(GUIDE, UNKNOWN, reason="the run does not say")
    return Finding(GUIDE, FAILS if info.needs_guide else PASSES, reason="takes a guide" if info.needs_guide else "")


def _tried(probed: Run | None, operator: str, capability: str) -> Finding:
    """A capability's 0 is no; without a value it could not be tried."""
    measurements = probed.measurements if probed else ()
    for one in measurements:
        if one.case.upsampler != operator or one.case.mode != PROBE:
            continue
        reading = one.reading(capability)
        if reading is None and one.reason:
            return Finding(capability, UNKNOWN, reason=one.reason)
        if reading is not None:
            said = reading.notes[0] if reading.notes else ""
            verdict = (PASSES if reading.samples[0] else FAILS) if reading.samples else UNKNOWN
            return Finding(capability, verdict, reason="" if verdict == PASSES else said)
    return Finding(capability, UNKNOWN, reason="not probed")
