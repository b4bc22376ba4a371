"""pytest-benchmark's JSON as a stored run: what this package put into it comes back whole, other benchmarks are rows.

The format is that of pytest-benchmark 3.1 and later: https://pytest-benchmark.readthedocs.io/en/latest/usage.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from upsampler_bench.case import INFERENCE, Case, Settings
from upsampler_bench.results import COMPLETE, SCHEMA, Measurement, MetricInfo

OURS = "upsampler_bench"
KEYS = frozenset({"benchmarks", "machine_info"})
# The version of the format that is written.
VERSION = "5.1.0"
LATENCY = MetricInfo(
    "latency", "Latency", "s", INFERENCE, relative=True, place=10, description="Median time of one call."
)
PLAN = {
    "name": "pytest-benchmark",
    "protocol": "timed by pytest-benchmark, one benchmark after the other, as each says; "
    "the interval of a median takes its samples for independent",
}
# A fact of a reading: over how many calls each of its samples is the mean.
CALLS = "calls_a_sample"
NO_SAMPLES = "stored without its samples: only the median is known"


def is_one(data: object) -> bool:
    """Whether plain data is what pytest-benchmark stores."""
    return isinstance(data, Mapping) and data.keys() >= KEYS


def without_samples(measurement: Measurement, metric: str) -> dict[str, Any]:
    """A measurement as plain data for `extra_info`; of one metric only how many samples each round has.

    Its samples are the benchmark's own, in order.
    """
    plain = asdict(measurement)
    for reading in plain["readings"]:
        if reading["metric"] == metric:
            reading["sizes"] = [len(one) for one in reading.pop("rounds")]
    return plain


def columns(case: Case) -> Iterator[tuple[str, object]]:
    """What of a case people look for in `extra_info`: shapes as BxCxHxW."""
    yield "upsampler", case.upsampler
    yield "shape", f"{case.batch}x{case.channels}x{case.height}x{case.width}"
    for name in ("scale", "dtype", "layout", "device", "mode"):
        yield name, getattr(case, name)


def as_stored(data: Mapping[str, Any]) -> dict[str, Any]:
    """What results.json would hold.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: it is not as pytest-benchmark stores it.
    """
    kept = data.get(OURS) or {}
    found = {_fullname(one): _measurement(one) for one in _told_apart(data["benchmarks"])}
    placed = [_placed(one, found) for one in kept.get("measurements", ())]
    metrics = list(kept.get("metrics", ()))
    if LATENCY.name not in [one["name"] for one in metrics]:
        metrics.append(asdict(LATENCY))
    when = str(data.get("datetime", ""))
    defaults = {
        "schema": SCHEMA,
        "environment": _environment(data),
        "settings": asdict(Settings()),
        "upsamplers": [],
        "plan": PLAN,
        "started": when,
        "finished": when,
        "ended": COMPLETE,
    }
    measurements = [*filter(None, placed), *found.values()]
    return {**defaults, **kept, "metrics": metrics, "measurements": measurements}


def _placed(kept: Mapping[str, Any], found: dict[str, dict[str, Any]]) -> Mapping[str, Any] | None:
    """The measurement that stands here; None where its benchmark was taken out of the file."""
    return found.pop(str(kept["benchmark"]), None) if "benchmark" in kept else kept


def _fullname(benchmark: Mapping[str, Any]) -> str:
    return str(benchmark.get("fullname") or benchmark["name"])


def _told_apart(benchmarks: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """The benchmarks; of those of one name and group each by its full name, which says its file too."""
    named = [(one["name"], one.get("group")) for one in benchmarks]
    for one, name in zip(benchmarks, named, strict=True):
        yield {**one, "name": _fullname(one)} if named.count(name) > 1 else one


def _measurement(benchmark: Mapping[str, Any]) -> dict[str, Any]:
    stats, extra = benchmark["stats"], benchmark.get("extra_info") or {}
    own = extra.get(OURS)
    if own is None:
        return {"case": asdict(_foreign_case(benchmark, extra)), "readings": [_foreign_reading(benchmark)]}
    readings = [_filled(one, stats) if "sizes" in one else one for one in own["readings"]]
    return {**own, "readings": readings}


def _filled(reading: Mapping[str, Any], stats: Mapping[str, Any]) -> dict[str, Any]:
    """The reading with the benchmark's samples, in its rounds where there are as many samples as those hold."""
    plain = {name: value for name, value in reading.items() if name != "sizes"}
    samples, sizes = stats.get("data"), reading["sizes"]
    if not samples:
        return {**plain, "rounds": [[stats["median"]]], "notes": [*reading["notes"], NO_SAMPLES]}
    if sum(sizes) != len(samples):
        return {**plain, "rounds": [samples]}
    rest = iter(samples)
    return {**plain, "rounds": [[next(rest) for _ in range(size)] for size in sizes]}


def _foreign_case(benchmark: Mapping[str, Any], extra: Mapping[str, Any]) -> Case:
    """Somebody's own benchmark as a row: by its name, in its group, of the shape that it says or of none."""
    batch, channels, height, width = _shape(extra.get("shape"))
    return Case(
        upsampler=str(extra.get("upsampler") or benchmark["name"]),
        batch=batch,
        channels=channels,
        height=height,
        width=width,
        scale=int(extra.get("scale", 2 if height else 1)),
        dtype=str(extra.get("dtype", "")),
        layout=str(extra.get("layout", "")),
        device=str(extra.get("device", "cpu")),
        model="" if height else str(benchmark.get("group") or "pytest-benchmark"),
    )


def _shape(said: object) -> tuple[int, int, int, int]:
    """B, C, H, W of "BxCxHxW", "CxHxW" or a list of as many; 1 and noughts where nobody said one."""
    parts = said.lower().split("x") if isinstance(said, str) else said if isinstance(said, Sequence) else ()
    try:
        sizes = [int(one) for one in parts]
    except (TypeError, ValueError):
        sizes = []
    if len(sizes) not in (3, 4):
        return 1, 0, 0, 0
    batch, channels, height, width = [1, *sizes][-4:]
    return batch, channels, height, width


def _foreign_reading(benchmark: Mapping[str, Any]) -> dict[str, Any]:
    """All samples as one round: they were taken one after the other, so no round pairs with another benchmark's."""
    stats, options = benchmark["stats"], benchmark.get("options") or {}
    samples, timer = stats.get("data"), options.get("timer", "its own timer")
    return {
        "metric": LATENCY.name,
        "rounds": [samples or [stats["median"]]],
        "method": f"pytest-benchmark: {timer}",
        "notes": [] if samples else [NO_SAMPLES],
        "facts": {CALLS: float(stats.get("iterations", 1))},
    }


def _environment(data: Mapping[str, Any]) -> dict[str, Any]:
    machine, commit = data["machine_info"], data.get("commit_info") or {}
    cpu = machine.get("cpu") or {}
    name = cpu.get("brand_raw") or cpu.get("brand") or machine.get("processor") or machine.get("node") or "unknown"
    system = f"{machine.get('system', '')} {machine.get('release', '')}".strip()
    versions = {"python": machine.get("python_version"), "pytest-benchmark": data.get("version")}
    if commit.get("id") not in (None, "unversioned"):
        versions |= {"commit": commit["id"], "commit_date": commit.get("time")}
    where = {"system": system, "architecture": machine.get("machine")}
    return {
        "device_name": str(name),
        "device_kind": "cpu",
        "versions": {key: str(value) for key, value in versions.items() if value},
        "machine": {key: str(value) for key, value in where.items() if value},
    }
