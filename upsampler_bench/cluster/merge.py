# torch-free
"""Stored runs of the shards of one plan, joined into one run; what cannot be compared is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from upsampler_bench.errors import ResultsError
from upsampler_bench.results import COMPLETE, INTERRUPTED, PARTIAL, Environment, Measurement, Run

# Of a message about differing values, in letters of each value.
SHOWN = 60


@dataclass(frozen=True, slots=True)
class Missing:
    """Conditions of the plan that no run has measured completely.

    Attributes:
        shard: whose they are, as "i/n"; empty: the runs are no shards.
        why: what is known of that shard's run.
    """

    shard: str
    conditions: tuple[str, ...]
    why: str


def merge(runs: Mapping[Path, Run]) -> tuple[Run, tuple[Missing, ...]]:
    """One run of all that these hold, and what is missing of their plan.

    Args:
        runs: by their folders, at least one: shards of one plan, or a merged run with shards that it lacks.

    Raises:
        ResultsError: two runs differ in plan, settings, versions or GPU model, or both measured a condition.
    """
    first = next(iter(runs))
    for folder, run in runs.items():
        if different := _different(runs[first], run):
            lines = [f"  {key}: {_shown(ours)} and {_shown(theirs)}" for key, (ours, theirs) in different.items()]
            hint = "'upsampler-bench report' puts both side by side instead."
            raise ResultsError("\n".join([f"{first} and {folder} cannot be merged. They differ in", *lines, hint]))
    chosen: dict[str, tuple[Path, list[Measurement]]] = {}
    for folder, run in runs.items():
        for condition, measurements in _by_condition(run).items():
            earlier = chosen.get(condition)
            if earlier is None or (not _is_complete(earlier[1]) and _done(measurements) >= _done(earlier[1])):
                chosen[condition] = folder, measurements
            elif _is_complete(earlier[1]) and _is_complete(measurements) and measurements != earlier[1]:
                raise ResultsError(
                    f"{earlier[0]} and {folder} both measured {condition}; leave one of them out: "
                    "a ratio is of one process"
                )
    known = next((_texts(run.plan["conditions"]) for run in runs.values() if "conditions" in run.plan), ())
    order = known or tuple(chosen)
    missing = _missing(order, chosen, runs)
    merged = replace(
        runs[first],
        environment=_environment([run.environment for run in runs.values()]),
        measurements=tuple(one for condition in order if condition in chosen for one in chosen[condition][1]),
        upsamplers=tuple({info.name: info for run in runs.values() for info in run.upsamplers}.values()),
        scenes=tuple(dict.fromkeys(scene for run in runs.values() for scene in run.scenes)),
        plan={key: value for key, value in runs[first].plan.items() if key != "shard"},
        started=min(run.started for run in runs.values()),
        finished=max(run.finished for run in runs.values()),
        ended=PARTIAL if missing else COMPLETE,
    )
    return merged, missing


def progress(run: Run) -> tuple[int, int]:
    """How many conditions of a shard, or of a merged run, are measured completely, and how many it has."""
    done = sum(map(_is_complete, _by_condition(run).values()))
    conditions = _texts(run.plan.get("conditions"))
    number, _, count = str(run.plan.get("shard", "1/1")).partition("/")
    return done, len(conditions[int(number) - 1 :: int(count)])


def _different(one: Run, other: Run) -> dict[str, tuple[object, object]]:
    """What keeps two runs from being one, with the values of both."""
    pairs = {
        key: (one.plan.get(key), other.plan.get(key)) for key in {*one.plan, *other.plan} - {"shard", "conditions"}
    }
    pairs |= {f"setting {key}": (value, asdict(other.settings)[key]) for key, value in asdict(one.settings).items()}
    ours, theirs = one.environment, other.environment
    versions = {*ours.versions, *theirs.versions}
    pairs |= {f"version of {key}": (ours.versions.get(key), theirs.versions.get(key)) for key in versions}
    pairs["GPU model" if ours.device_kind == "cuda" else "device"] = (ours.device_name, theirs.device_name)
    if "conditions" in one.plan and "conditions" in other.plan:
        pairs["conditions of the plan"] = (one.plan["conditions"], other.plan["conditions"])
    pairs["metrics"] = ([info.name for info in one.metrics], [info.name for info in other.metrics])
    return {key: pair for key, pair in sorted(pairs.items()) if pair[0] != pair[1]}


def _shown(value: object) -> str:
    text = str(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def _by_condition(run: Run) -> dict[str, list[Measurement]]:
    groups: dict[str, list[Measurement]] = {}
    for measurement in run.measurements:
        groups.setdefault(measurement.case.group, []).append(measurement)
    return groups


def _done(measurements: Sequence[Measurement]) -> int:
    return sum(measurement.status != INTERRUPTED for measurement in measurements)


def _is_complete(measurements: Sequence[Measurement]) -> bool:
    return _done(measurements) == len(measurements)


def _missing(
    order: Sequence[str], chosen: Mapping[str, tuple[Path, list[Measurement]]], runs: Mapping[Path, Run]
) -> tuple[Missing, ...]:
    """The conditions without a complete measurement, by the shard that they belong to."""
    shards = {str(run.plan["shard"]): (folder, run) for folder, run in runs.items() if run.plan.get("shard")}
    count = int(next(iter(shards)).partition("/")[2]) if shards else 0
    lacking: dict[str, list[str]] = {}
    for place, condition in enumerate(order):
        if condition not in chosen or not _is_complete(chosen[condition][1]):
            lacking.setdefault(f"{place % count + 1}/{count}" if count else "", []).append(condition)
    found = []
    for shard, conditions in lacking.items():
        folder, run = shards.get(shard, (None, None))
        why = f"{folder} is {run.ended}" if run else "there is no run of it" if shard else "not measured"
        found.append(Missing(shard, tuple(conditions), why))
    return tuple(found)


def _environment(environments: Sequence[Environment]) -> Environment:
    """The first one, with the conditions of all, and every value of what differs between their machines."""
    machine = {
        key: " or ".join(dict.fromkeys(one.machine[key] for one in environments if key in one.machine))
        for key in dict.fromkeys(key for one in environments for key in one.machine)
    }
    conditions = tuple(condition for one in environments for condition in one.conditions)
    return replace(environments[0], machine=machine, conditions=conditions)


def _texts(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, (list, tuple)) else ()
