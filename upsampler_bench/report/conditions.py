"""What pictures are drawn from: a condition of a run, and the numbers of its lines in the units that people read."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from upsampler_bench import units
from upsampler_bench.report.lines import Condition, Line
from upsampler_bench.report.tables import present
from upsampler_bench.results import MetricInfo, Run
from upsampler_bench.stats import Estimate

FLOPS, PARAMS = ("flops_paper", "flops_mac"), ("params_weights", "params_all")
# An axis is logarithmic where more than a quarter of the values would be shorter than a fifteenth of the longest.
SHORT, MANY = 1 / 15, 1 / 4


@dataclass(frozen=True, slots=True)
class Scene:
    """One condition of one run.

    Attributes:
        label: which run this is, where another run has the same condition; else empty.
        slug: what its files' names end in.
    """

    run: Run
    condition: Condition
    label: str = ""
    slug: str = ""

    @property
    def device(self) -> str:
        """What it was measured on."""
        return self.run.environment.device_name

    @property
    def baseline(self) -> Line | None:
        """The line of the operator that all are held against."""
        return self.condition.line(self.run.settings.baseline)

    def first(self, names: Sequence[str]) -> MetricInfo | None:
        """The first of these metrics that was measured here."""
        found = {info.name: info for info in present(self.run, self.condition)}
        return next((found[name] for name in names if name in found), None)


def estimate(line: Line | None, info: MetricInfo | None) -> Estimate | None:
    """A line's number in the metric's unit for people, or None where there is none."""
    found = line.find(info) if line and info else None
    return units.convert(found[1].estimate, units.unit(info.unit)) if found and info else None


def squashed(values: Sequence[float]) -> bool:
    """Whether the largest value is so far beyond others that a linear axis would flatten them."""
    positive = [one for one in values if one > 0]
    if not positive or min(values) < 0:
        return False
    return sum(one < SHORT * max(positive) for one in positive) > MANY * len(positive)


def unit_and_scale(info: MetricInfo, log: bool) -> str:
    """What stands at an axis, e.g. 'Latency (ms, log scale)'."""
    inside = ", ".join(one for one in (units.unit(info.unit).name, "log scale" if log else "") if one)
    return f"{info.title} ({inside})" if inside else info.title


def missing(condition: Condition, infos: Sequence[MetricInfo], drawn: Collection[str]) -> list[str]:
    """A sentence that names the operators that are not drawn, each with its status; none where all are."""
    left = [line for line in condition.lines if line.name not in drawn]
    said = [f"{line.name} ({_why(line, infos)})" for line in left]
    return [f"Not measured: {', '.join(said)}."] if said else []


def _why(line: Line, infos: Sequence[MetricInfo]) -> str:
    lacking = (info for info in infos if not line.find(info))
    return next((why for info in lacking if (why := line.why_not(info))), "no reading")
