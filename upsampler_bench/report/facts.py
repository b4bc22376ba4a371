"""Under what circumstances a run was made, and what its words mean: device, versions, protocol, methods, legend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from upsampler_bench.case import PROBE, Settings
from upsampler_bench.report.lines import Condition
from upsampler_bench.report.parts import Method
from upsampler_bench.report.tables import present
from upsampler_bench.results import COMPLETE, Environment, MetricInfo, Run

ENDINGS = {
    "interrupted": "The run was interrupted: what had been measured by then is shown.",
    "partial": "The run did not get to its end: what had been measured by then is shown.",
}
SCALES = {
    "s": "1 ms = 0.001 s",
    "B": "1 MiB = 1,048,576 bytes",
    "MAC": "GFLOPs: 10⁹ multiply-adds, each counted once",
}

PROBING = "each capability was tried on the operator, with drawn inputs and weights as if trained; not read from a list"
RATIO = "median over rounds of the operator's time divided by {}'s in the same round, with its 95 % interval"


def warning(run: Run) -> str:
    """That the run is not whole; empty where it is."""
    return "" if run.ended == COMPLETE else ENDINGS.get(run.ended, f"The run ended as {run.ended!r}.")


def title(runs: Sequence[Run]) -> str:
    """Of a report over these runs."""
    devices = list(dict.fromkeys(run.environment.device_name for run in runs))
    return f"Feature upsamplers on {' and '.join(devices)}"


def labels(runs: Sequence[Run]) -> tuple[str, ...]:
    """What tells runs apart, in as few words as it takes: device, version, plan, when; empty for one."""
    told = [_identity(run) for run in runs]
    chosen: list[int] = []
    for place in range(len(told[0]) if told else 0):
        if len(set(_picked(told, chosen))) == len(runs):
            break
        if len({one[place] for one in told}) > 1:
            chosen.append(place)
    said = _picked(told, chosen)
    numbered = [f"{text} ({number})".strip() for number, text in enumerate(said, 1)]
    return tuple(text if said.count(text) == 1 else other for text, other in zip(said, numbered, strict=True))


def _identity(run: Run) -> tuple[str, ...]:
    version = f"torch {run.environment.versions.get('torch', '?')}"
    return run.environment.device_name, version, str(run.plan.get("name") or _subjects(run)), run.started


def all_facts(named: Sequence[str], told: Sequence[tuple[Run, tuple[Condition, ...]]]) -> tuple[tuple[str, str], ...]:
    """The circumstances of all runs: what they share once, the rest with the run's label."""
    each = [facts(run, found) for run, found in told]
    shared = set.intersection(*map(set, each)) if each else set()
    pairs = [
        (title if (title, text) in shared or not label else f"{title}, {label}", text)
        for label, one in zip(named, each, strict=True)
        for title, text in one
    ]
    return tuple(dict.fromkeys(pairs))


def _picked(told: Sequence[tuple[str, ...]], places: Sequence[int]) -> list[str]:
    return [", ".join(one[place] for place in places) for one in told]


def _subjects(run: Run) -> str:
    """What was measured, in a word or two."""
    told = (one.case.model or ("capabilities" if one.case.mode == PROBE else "operators") for one in run.measurements)
    return ", ".join(dict.fromkeys(told)) or "nothing"


def facts(run: Run, found: tuple[Condition, ...]) -> tuple[tuple[str, str], ...]:
    """Title and text of all circumstances that the run recorded."""
    where, threads = run.environment, run.settings.threads
    # Of what another instrument timed, our settings say nothing.
    foreign = str(run.plan.get("protocol", ""))
    timed = [one for one in found if one.case.mode != PROBE]
    stated = [
        ("Device", f"{where.device_name} ({where.device_kind})"),
        ("Input (B×C×H×W)", "; ".join(dict.fromkeys(one.words for one in found))),
        ("Versions", _pairs(where.versions)),
        ("Machine", _pairs(where.machine)),
        ("CPU threads", "" if foreign else str(threads) if threads else "as many as the process may use"),
        ("Protocol", (foreign or protocol(run.settings, where)) if timed or not found else ""),
        ("Probing", PROBING if len(timed) < len(found) else ""),
        *((f"Conditions, {one.get('at', 'during')}", _pairs({**one, "at": ""})) for one in where.conditions),
        ("When", _when(run)),
    ]
    return tuple((title, text) for title, text in stated if text)


def protocol(one: Settings, where: Environment) -> str:
    """How a run measures, in words."""
    own = _cuda(one) if where.device_kind == "cuda" else _cpu(one)
    return "; ".join(
        [
            f"operators of one input timed interleaved in rounds, each in an order shuffled anew (seed {one.seed})",
            f"warm-up of at least {one.warmup_seconds:g} s and {one.warmup_calls} calls",
            f"at least {one.min_samples} samples, until the 95 % interval of the median is within "
            f"±{100 * one.target_ci:g} %, for at most {one.max_time:g} s of calls an operator",
            *own,
            "under torch.compile" if one.compile else "eager",
        ]
    )


def methods(run: Run, found: tuple[Condition, ...]) -> tuple[Method, ...]:
    """How the columns were measured, those measured alike together; which rows, where a column has several methods."""
    used = [info for info in run.metrics if any(info in present(run, one) for one in found)]
    titles: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for info in used:
        for alike in _methods(info, found):
            titles.setdefault(alike, []).append(info.title)
    return tuple(Method(tuple(columns), text, rows) for (text, rows), columns in titles.items())


def legend(run: Run, found: tuple[Condition, ...]) -> tuple[tuple[str, str], ...]:
    """What each column means, and the conventions that all share."""
    used = [info for info in run.metrics if any(info in present(run, one) for one in found)]
    meanings = [(info.title, info.description) for info in used if info.description]
    timed = [info for info in used if info.mode != PROBE]
    units = [text for unit, text in SCALES.items() if any(info.unit == unit for info in timed)]
    shared = [("Units", "; ".join(units))] if units else []
    if any(not info.exact for info in timed):
        shared.append(
            ("Timed numbers", "median over rounds of each round's median; intervals are 95 %, by order statistics")
        )
    if any(info.relative for info in used):
        base = run.settings.baseline
        shared.append((f"/ {base}", RATIO.format(base)))
    return (*meanings, *shared)


def _methods(info: MetricInfo, found: tuple[Condition, ...]) -> list[tuple[str, tuple[str, ...]]]:
    """Each method of a column with the rows that it is for; no rows where it is for all."""
    rows: dict[str, list[str]] = {}
    for condition, line in ((one, line) for one in found for line in one.lines):
        reading = line.find(info)
        if reading:
            label = line.name if len(found) == 1 else f"{line.name} ({condition.words})"
            rows.setdefault(reading[1].method, []).append(label)
    return [(text, () if len(rows) == 1 else tuple(names)) for text, names in rows.items()]


def _cuda(one: Settings) -> list[str]:
    caches = {"cold": "L2 cache flushed before each call", "warm": "L2 cache left warm"}
    graph = ["replay of a captured CUDA graph"] if one.cuda_graph else []
    return [caches.get(one.cache, one.cache), *graph]


def _cpu(one: Settings) -> list[str]:
    heaps = {"keep": "heap kept between calls (mallopt)", "default": "heap as glibc leaves it"}
    return [heaps.get(one.malloc, one.malloc)]


def _when(run: Run) -> str:
    return " to ".join(one for one in (run.started, run.finished) if one)


def _pairs(given: Mapping[str, object]) -> str:
    said = {name: f"{one:g}" if isinstance(one, float) else str(one) for name, one in given.items()}
    return ", ".join(f"{name} {text}" for name, text in said.items() if text)
