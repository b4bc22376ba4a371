"""The run as airspeed velocity keeps its results: a benchmark a metric, its parameters the operator and the condition.

Three files, as asv 0.6 writes them: results/benchmarks.json (version 2), results/<machine>/machine.json (version 1) and
results/<machine>/<commit>-<environment>.json (version 2). In asv a failed case is null and a skipped one is NaN, which
is JSON to asv and to Python but to few others. Keep them apart from the results of an asv suite of your own:
benchmarks.json lists what is in here only.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from itertools import product
from statistics import median, quantiles

from upsampler_bench.case import PROBE
from upsampler_bench.errors import PlanError
from upsampler_bench.exports import _commit
from upsampler_bench.exports._figures import Figure, figures
from upsampler_bench.results import FAILED, Environment, MetricInfo, Run
from upsampler_bench.stats import interval_ranks

ABOUT = "airspeed velocity: results/ for asv compare and asv publish; needs --commit (results/**.json)"
KINDS = {"s": ("time", "seconds"), "B": ("memory", "bytes")}
STATS = ("ci_99_a", "ci_99_b", "q_25", "q_75", "number", "repeat")
COLUMNS = (
    "result",
    "params",
    "version",
    "started_at",
    "duration",
    *(f"stats_{name}" for name in STATS),
    "samples",
    "profile",
)
VERSION = "1"
Cells = Mapping[tuple[str, str], Figure | float | None]


def files(run: Run) -> dict[str, bytes]:
    """results/ as asv keeps it.

    Raises:
        PlanError: the run names no commit, by which asv files results.
    """
    commit = _commit.of(run)
    if commit is None:
        raise PlanError("asv files results by commit, and this run names none; --commit says which, e.g. --commit HEAD")
    machine, told = run.environment.slug, _told(run)
    where = f"results/{machine}/{commit.identity[:8]}-{_environment_name(run)}.json"
    return {
        "results/benchmarks.json": _json({"version": 2, **{_name(one): _benchmark(run, one) for one in told}}),
        f"results/{machine}/machine.json": _json({"version": 1, **_machine(run.environment)}),
        where: _json({"version": 2, **_results(run, commit, told)}),
    }


def _told(run: Run) -> list[MetricInfo]:
    """The metrics that some case has a figure of."""
    found = {one.info.name for one in figures(run)}
    return [info for info in run.metrics if info.name in found]


def _name(info: MetricInfo) -> str:
    return f"upsampler_bench.{info.name}"


def _params(run: Run) -> list[list[str]]:
    """The operators and the conditions, each as asv writes a parameter: its repr."""
    cases = [one.case for one in run.measurements if one.case.mode != PROBE]
    names, conditions = (case.upsampler for case in cases), (case.condition for case in cases)
    return [[repr(one) for one in dict.fromkeys(values)] for values in (names, conditions)]


def _benchmark(run: Run, info: MetricInfo) -> dict[str, object]:
    kind, unit = KINDS.get(info.unit, ("track", info.unit))
    return {
        "name": _name(info),
        "pretty_name": info.title,
        "type": kind,
        "unit": unit,
        "code": info.description,
        "params": _params(run),
        "param_names": ["upsampler", "condition"],
        "version": VERSION,
        "timeout": run.settings.step_limit,
    }


def _results(run: Run, commit: _commit.Commit, told: Sequence[MetricInfo]) -> dict[str, object]:
    """One commit's results; `date` is in milliseconds, as asv asks."""
    versions = run.environment.versions
    return {
        "commit_hash": commit.identity,
        "env_name": _environment_name(run),
        "date": round(1e3 * _commit.moment(commit.date, run.started).timestamp()),
        "params": {**_machine(run.environment), **_how(run)},
        "python": versions.get("python", ""),
        "requirements": {"torch": versions.get("torch", "")},
        "env_vars": {},
        "result_columns": list(COLUMNS),
        "results": {_name(info): _row(run, info) for info in told},
        "durations": {},
    }


def _row(run: Run, info: MetricInfo) -> list[object]:
    params, cells = _params(run), _cells(run, info)
    found = [cells[name, condition] for name, condition in product(*params)]
    stats = [_stats(one) if isinstance(one, Figure) and not info.is_single else None for one in found]
    samples = [_samples(one) if isinstance(one, Figure) and not info.is_single else None for one in found]
    values = [one.estimate.value if isinstance(one, Figure) else one for one in found]
    began = round(1e3 * _commit.moment(run.started).timestamp())
    by_name = [[one[name] if one else None for one in stats] if any(stats) else None for name in STATS]
    return [values, params, VERSION, began, None, *by_name, samples if any(samples) else None]


def _cells(run: Run, info: MetricInfo) -> Cells:
    """What asv keeps of each operator and condition: a figure, None where it failed, NaN where it was not measured."""
    names, conditions = _params(run)
    cells: dict[tuple[str, str], Figure | float | None] = dict.fromkeys(product(names, conditions), math.nan)
    for one in run.measurements:
        if one.case.mode == info.mode and one.status == FAILED:
            cells[repr(one.case.upsampler), repr(one.case.condition)] = None
    for figure in figures(run):
        if figure.info.name == info.name:
            cells[repr(figure.case.upsampler), repr(figure.case.condition)] = figure
    return cells


def _samples(one: Figure) -> list[float]:
    """A round's median each: only rounds are independent, which asv's test of two commits takes samples to be."""
    filled = [median(samples) for samples in one.reading.rounds if samples]
    return filled if len(filled) > 1 else list(one.reading.samples)


def _stats(one: Figure) -> dict[str, float | None]:
    """The figures beside a median; asv wants a 99 % interval, and none where too few rounds bound it."""
    ordered = sorted(_samples(one))
    ranks = interval_ranks(len(ordered), 0.99)
    low, high = (ordered[ranks[0]], ordered[ranks[1]]) if ranks else (-math.inf, math.inf)
    quarters = quantiles(ordered, n=4, method="inclusive") if len(ordered) > 1 else [ordered[0]] * 3
    found = (low, high, quarters[0], quarters[2], 1, len(ordered))
    return dict(zip(STATS, found, strict=True))


def _machine(where: Environment) -> dict[str, str]:
    return {
        "machine": where.slug,
        "arch": where.machine.get("architecture", ""),
        "cpu": where.device_name,
        "num_cpu": where.machine.get("cores", ""),
        "os": where.machine.get("system", ""),
        "ram": where.machine.get("memory", ""),
    }


def _how(run: Run) -> dict[str, str]:
    """What else changes a figure: asv draws a line of its own for each."""
    versions = run.environment.versions
    return {
        "python": versions.get("python", ""),
        "torch": versions.get("torch", ""),
        "threads": run.environment.machine.get("threads", str(run.settings.threads)),
        "compile": "yes" if run.settings.compile else "no",
    }


def _environment_name(run: Run) -> str:
    """What asv tells environments apart by, and the end of a file's name: under the 128 letters that asv leaves."""
    how = _how(run)
    said = f"py{how['python']}-torch{how['torch']}-{how['threads']}threads{'-compiled' * run.settings.compile}"
    return re.sub(r"[^A-Za-z0-9.+-]+", "-", said)[:120]


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=1) + "\n").encode()
