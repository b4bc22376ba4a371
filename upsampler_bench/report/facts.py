"""How runs were made and what their columns mean: device, versions, protocol, methods, legend."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from upsampler_bench.case import PROBE, QUALITY, TIMED, TORCH, Settings
from upsampler_bench.report import quality
from upsampler_bench.report.lines import Condition
from upsampler_bench.report.naming import distinguish
from upsampler_bench.report.parts import Method
from upsampler_bench.report.tables import LAUNCH, shows_throughput
from upsampler_bench.results import COMPLETE, CONTROL, INTERRUPTED, PARTIAL, MetricInfo, Origin, Run
from upsampler_bench.units import counted

# So many readings of one moment are printed one by one.
FEW = 4
WARNINGS = {
    INTERRUPTED: "The run was interrupted; results so far are shown.",
    PARTIAL: "The run is incomplete; results so far are shown.",
}
UNITS = {
    "s": "1 ms = 0.001 s",
    "B": "1 MiB = 1,048,576 bytes",
    "MAC": "1 GFLOP = 10⁹ multiply-adds, each counted once",
}
SUBJECTS = {PROBE: "capabilities", QUALITY: "quality"}
PROBING = "Each capability is tested on the operator, with random inputs and weights as after training."
MEDIAN = "Median over rounds of each round's median; of several processes, the geometric mean of theirs."
RATIO = "The same of the operator's time divided by that of {} in the same round."
INTERVALS = (
    "95 %. Between processes: Student's t over the logarithms, so that it contains what differs from one process to "
    "the next. Within one process: order statistics over its rounds; another process may differ by more."
)
SPEEDUP = "Median over rounds of the operator's time on backend torch divided by its time on this backend."
THROUGHPUT = "Batch divided by the time of one call; a device that waits for the host between calls reaches less."
BOUND_BY = "The host, if submitting one call takes it longer than the device needs for it; else the device."
CACHES = {"cold": "L2 cache flushed before each call", "warm": "L2 cache left warm"}
HEAPS = {"keep": "heap kept between calls (mallopt)", "default": "heap as glibc leaves it"}


def warning(run: Run) -> str:
    """That the run is incomplete; empty where it is not."""
    return "" if run.ended == COMPLETE else WARNINGS.get(run.ended, f"The run ended as {run.ended!r}.")


def title(runs: Sequence[Run]) -> str:
    """Of a report over these runs."""
    devices = dict.fromkeys(run.environment.device_name for run in runs)
    return f"Feature upsamplers on {' and '.join(devices)}"


def labels(runs: Sequence[Run]) -> tuple[str, ...]:
    """What tells runs apart, in as few words as it takes: device, version, plan, start; empty for a single run."""
    identities = [
        (
            run.environment.device_name,
            f"torch {run.environment.versions.get('torch', '?')}",
            subject(run),
            run.started,
        )
        for run in runs
    ]
    return tuple(", ".join(parts) for parts in distinguish(identities))


def subject(run: Run) -> str:
    """What was measured: the plan's name, else the models, "operators" or "capabilities"."""
    if run.plan.get("name"):
        return str(run.plan["name"])
    cases = [measurement.case for measurement in run.measurements]
    kinds = [case.model or SUBJECTS.get(case.mode, "operators") for case in cases]
    return ", ".join(dict.fromkeys(kinds)) or "nothing"


def all_facts(labels: Sequence[str], by_run: Sequence[tuple[Run, Sequence[Condition]]]) -> tuple[tuple[str, str], ...]:
    """The facts of all runs: those that all share once, the others with their run's label."""
    each = [facts(run, found) for run, found in by_run]
    shared = set.intersection(*map(set, each)) if each else set()
    pairs = []
    for label, stated in zip(labels, each, strict=True):
        for title, text in stated:
            is_common = not label or (title, text) in shared
            pairs.append((title if is_common else f"{title}, {label}", text))
    return tuple(dict.fromkeys(pairs))


def facts(run: Run, found: Sequence[Condition]) -> tuple[tuple[str, str], ...]:
    """Title and text of everything that the run recorded of how it was made."""
    where, settings = run.environment, run.settings
    is_timed = not found or any(condition.case.mode in TIMED for condition in found)
    threads = str(settings.threads or "as many as the process may use")
    stated = [
        ("Device", f"{where.device_name} ({where.device_kind})"),
        ("Input (B×C×H×W)", "; ".join(dict.fromkeys(condition.words for condition in found))),
        ("Versions", _pairs(where.versions)),
        ("Machine", _pairs(where.machine)),
        ("CPU threads", threads),
        ("Protocol", protocol(run) if is_timed else ""),
        ("Sampling", sampling(settings) if is_timed else ""),
        ("Probing", PROBING if any(condition.is_probed for condition in found) else ""),
        *quality.facts(run),
        ("Devices", _origins(run)),
        *((f"Conditions, {moment}", text) for moment, text in _conditions(where.conditions)),
        ("When", " to ".join(moment for moment in (run.started, run.finished) if moment)),
    ]
    return tuple((title, text) for title, text in stated if text)


def tested(run: Run) -> tuple[str, str]:
    """Title and text of a run whose capabilities are taken in."""
    where = run.environment
    when = run.started.partition("T")[0]
    return "Capabilities", f"tested on {where.device_name} on {when}, torch {where.versions.get('torch', '?')}"


def protocol(run: Run) -> str:
    """In which order a run measures, and how a call is executed."""
    settings, where = run.settings, run.environment
    execution = [f"backend{'s' if len(run.backends) > 1 else ''} {' and '.join(run.backends)}"]
    if where.device_kind == "cuda":
        execution.append(CACHES.get(settings.cache, settings.cache))
        if settings.cuda_graph:
            execution.append("replay of a captured CUDA graph")
    else:
        execution.append(HEAPS.get(settings.malloc, settings.malloc))
    return (
        f"Operators with the same input are timed interleaved, in rounds of random order (seed {settings.seed}). "
        f"Warm-up: {settings.warmup_seconds:g} s and {settings.warmup_calls} calls, at most a sixth of the time limit. "
        f"Execution: {', '.join(execution)}."
    )


def sampling(settings: Settings) -> str:
    """When a run ends sampling an operator."""
    shared, each, width = "", "", f"{100 * settings.target_ci:g}"
    if settings.processes > 1:
        shared, each = f", shared by {settings.processes} processes", " of each process"
        width = f"{100 * settings.target_ci * math.sqrt(settings.processes):.2g}"
    if settings.rounds:
        return f"{counted(settings.rounds, 'round')}{shared}."
    less = f", or less to keep the budget of {settings.budget:g} s" if settings.budget else ""
    return (
        f"At least {settings.min_samples} samples, until the 95 % interval of the median{each} is within "
        f"±{width} %, for at most {settings.max_time:g} s per operator{shared}{less}."
    )


def methods(found: Sequence[Condition]) -> tuple[Method, ...]:
    """How the columns were measured; columns measured alike are one entry."""
    titles: dict[str, list[str]] = {}
    for info in _metrics(found):
        readings = [line.reading(info) for condition in found for line in condition.lines]
        for text in dict.fromkeys(reading.method for reading in readings if reading):
            titles.setdefault(text, []).append(info.title)
    return tuple(Method(tuple(columns), text) for text, columns in titles.items())


def legend(found: Sequence[Condition]) -> tuple[tuple[str, str], ...]:
    """What each column means, and the conventions that all share."""
    metrics = _metrics(found)
    meanings = [(info.title, info.description) for info in metrics if info.description]
    measured = [info for info in metrics if info.mode in TIMED]
    units = [text for unit, text in UNITS.items() if any(info.unit == unit for info in measured)]
    if units:
        meanings.append(("Units", "; ".join(units)))
    if not all(info.exact for info in measured):
        meanings += [("Timed numbers", MEDIAN), ("Intervals", INTERVALS)]
    baseline, backends = (found[0].run.settings.baseline, found[0].run.backends) if found else ("", ())
    if baseline and any(info.relative for info in metrics):
        where = " on torch" if len(backends) > 1 and TORCH in backends else ""
        meanings.append((f"/ {baseline}", RATIO.format(f"{baseline}{where}")))
        if where:
            meanings.append(("speed-up over torch", SPEEDUP))
    if any(map(shows_throughput, found)):
        meanings.append(("Throughput", THROUGHPUT))
    if any(info.name in LAUNCH.values() for info in metrics):
        meanings.append(("Bound by", BOUND_BY))
    return tuple(meanings)


def _metrics(found: Sequence[Condition]) -> list[MetricInfo]:
    """The metrics of one run that any of its conditions has, in the run's order."""
    present = [info for condition in found for info in condition.metrics]
    return [info for info in found[0].run.metrics if info in present] if found else []


def _origins(run: Run) -> str:
    """The devices that shared the work, where there were several."""
    origins = dict.fromkeys(one.origin for one in run.measurements if one.origin != Origin())
    hosts: dict[str, list[str]] = {}
    for origin in origins:
        hosts.setdefault(origin.host, []).append(origin.device)
    listed = "; ".join(f"{host}: {', '.join(devices)}" for host, devices in hosts.items())
    return f"{len(origins)}. {listed}" if len(origins) > 1 else ""


def _conditions(stated: Sequence[Mapping[str, float | str]]) -> Iterator[tuple[str, str]]:
    """The readings of each moment; of a moment with many, the range of each reading."""
    moments: dict[str, list[Mapping[str, float | str]]] = {}
    for one in stated:
        moments.setdefault(str(one.get("at", "during")), []).append(one)
    for moment, readings in moments.items():
        if moment == CONTROL or len(readings) <= FEW:
            yield from ((moment, _pairs({**one, "at": ""})) for one in readings)
            continue
        names = [name for name in dict.fromkeys(name for one in readings for name in one) if name != "at"]
        yield moment, _pairs({name: _range([one[name] for one in readings if name in one]) for name in names})


def _range(values: Sequence[float | str]) -> str:
    numbers = [value for value in values if not isinstance(value, str)]
    if len(numbers) < len(values):
        return " or ".join(dict.fromkeys(map(str, values)))
    low, high = min(numbers), max(numbers)
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def _pairs(values: Mapping[str, object]) -> str:
    texts = {name: f"{value:g}" if isinstance(value, float) else str(value) for name, value in values.items()}
    # A text that has its name in it is not given it twice: "libc glibc 2.36".
    return ", ".join(text if name in text else f"{name} {text}" for name, text in texts.items() if text)
