"""What pytest-benchmark derives of a benchmark's samples, by its own rules (`pytest_benchmark.stats.Stats`)."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean, median, stdev


def summary(samples: Sequence[float]) -> dict[str, object]:
    """The "stats" of a benchmark, samples included; at least one sample, in seconds."""
    ordered, count, total = sorted(samples), len(samples), sum(samples)
    centre, spread = mean(ordered), stdev(ordered) if count > 1 else 0.0
    low, high = _quarter(ordered), _quarter([-one for one in reversed(ordered)])
    q1, q3 = low, -high
    near = [one for one in ordered if q1 - 1.5 * (q3 - q1) <= one <= q3 + 1.5 * (q3 - q1)]
    apart = sum(abs(one - centre) > spread for one in ordered)
    return {
        "min": ordered[0],
        "max": ordered[-1],
        "mean": centre,
        "stddev": spread,
        "rounds": count,
        "median": median(ordered),
        "iqr": q3 - q1,
        "q1": q1,
        "q3": q3,
        "iqr_outliers": count - len(near),
        "stddev_outliers": apart,
        "outliers": f"{apart};{count - len(near)}",
        "ld15iqr": near[0],
        "hd15iqr": near[-1],
        "ops": count / total if total else 0,
        "total": total,
        "data": list(samples),
        "iterations": 1,
    }


def _quarter(ordered: Sequence[float]) -> float:
    """The lower quartile of sorted samples: of an odd count by its method 3, of an even one the lower half's median."""
    count, whole = len(ordered), len(ordered) // 4
    if count == 1:
        return ordered[0]
    if count % 4 == 1:
        return 0.25 * ordered[whole - 1] + 0.75 * ordered[whole]
    if count % 4 == 3:
        return 0.75 * ordered[whole] + 0.25 * ordered[whole + 1]
    return median(ordered[: count // 2])
