"""Where each operator spends its time: the kinds of work as shares of one bar."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from upsampler_bench import units
from upsampler_bench.report.lines import Condition
from upsampler_bench.report.pictures import Bar, BarChart, Panel
from upsampler_bench.report.pictures._numbers import subtitle
from upsampler_bench.report.profiles import METRICS, profiled

PLACE = 6
# What moves nothing comes last.
IDLE = ("views", "between operations")
TITLES = {"profile": "One forward", "train_profile": "One training step"}


def pictures(conditions: Sequence[Condition]) -> Iterator[Panel]:
    """A panel for each condition under which something was profiled: a chart for each mode."""
    for condition in conditions:
        sums: dict[str, dict[str, Counter[str]]] = {metric: {} for metric in METRICS}
        for line, metric, reading in profiled(condition):
            counter = sums[metric].setdefault(line.name, Counter())
            for part in reading.parts:
                counter[part.category] += part.seconds  # type: ignore[assignment]
        charted = {metric: by_name for metric, by_name in sums.items() if by_name}
        if charted:
            yield _panel(condition, charted)


def _panel(condition: Condition, charted: dict[str, dict[str, Counter[str]]]) -> Panel:
    names = [line.name for line in condition.lines if any(line.name in by_name for by_name in charted.values())]
    totals: Counter[str] = Counter()
    for by_name in charted.values():
        for counter in by_name.values():
            for kind, seconds in counter.items():
                totals[kind] += seconds / sum(counter.values())  # type: ignore[assignment]
    kinds = sorted(totals, key=lambda kind: (kind in IDLE, -totals[kind]))
    charts = [
        BarChart(metric, TITLES[metric], "% of the time", tuple(_bar(name, by_name.get(name), kinds) for name in names))
        for metric, by_name in charted.items()
    ]
    return Panel(
        title=f"Where the time goes on {condition.device}",
        subtitle=subtitle(condition),
        baseline=condition.run.settings.baseline,
        charts=tuple(charts),
        caption="Number: the sum of all parts. Views: operations that move nothing.",
        slug=condition.slug,
        name="profile",
        legend=tuple(kinds),
    )


def _bar(name: str, seconds: Counter[str] | None, kinds: Sequence[str]) -> Bar:
    if not seconds:
        return Bar(name, None, "not profiled")
    total = sum(seconds.values())
    segments = tuple((kind, 100 * seconds[kind] / total) for kind in kinds if seconds[kind])
    return Bar(name, 100.0, f"{units.short(1e3 * total)} ms", segments=segments)
