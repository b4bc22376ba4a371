"""A choice in words, at most 80 columns wide, and as plain data for machines."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from textwrap import wrap

from upsampler_bench import units
from upsampler_bench.recommend import (
    BORDERLINE,
    FAILS,
    GUIDE,
    MIOU,
    ORDERS,
    PASSES,
    UNKNOWN,
    Candidate,
    Choice,
    Finding,
    Wish,
    ratio,
    read,
)
from upsampler_bench.recommend.limits import Limit
from upsampler_bench.results import Run
from upsampler_bench.stats import Estimate

WIDTH, NAME = 80, 15
SOURCE = "SegFormer-B1 on ADE20K, Table 4"
PEAK = "Memory is the peak beyond parameters and inputs."
FIRST = ("latency", "inference_memory")
UNITS = {"inference_memory": ("MiB", 2.0**20), "train_memory": ("MiB", 2.0**20), "flops_mac": ("GFLOPs", 1e9)}
UNITS |= {"latency": ("ms", 1e-3), "train_latency": ("ms", 1e-3), "params_all": ("", 1.0)}
WORDS = {
    "latency": "latency",
    "train_latency": "training time",
    "inference_memory": "memory",
    "train_memory": "training memory",
    "params_all": "parameters",
    "flops_mac": "multiply-adds",
}
HEADS = {"train_latency": "train", "train_memory": "train mem.", "inference_memory": "memory", "params_all": "params"}
HEADS |= {"flops_mac": "MACs"}


def text(choices: Sequence[Choice]) -> str:
    """All choices, one below the other."""
    return "\n\n\n".join("\n".join(line.rstrip() for line in _lines(one)) for one in choices)


def data(choices: Sequence[Choice]) -> list[dict[str, object]]:
    """All choices for machines: base units, bytes and seconds."""
    return [_data(one) for one in choices]


def _lines(choice: Choice) -> Iterator[str]:
    yield from wrap(f"{choice.run.environment.device_name}: {choice.condition.words}", WIDTH)
    yield from _hanging("Asked: ", _asked(choice))
    yield ""
    yield from wrap(_verdict(choice), WIDTH)
    passing = choice.of(PASSES)
    published = [one for one in passing if one.miou is not None or choice.wish.by != MIOU]
    rest = [one for one in passing if one not in published]
    if passing:
        yield from ("", *_table(choice, published or rest))
    if published and rest:
        yield from ("", "Pass too, without a published mIoU:", *_table(choice, rest))
    for title, verdict in (("Borderline, the limit lies within the interval", BORDERLINE), ("Fail", FAILS)):
        if found := choice.of(verdict):
            yield from ("", f"{title}:", *_reasons(choice, found))
    yield from _unknown(choice)
    if any("memory" in limit.metric for limit in choice.wish.limits):
        yield from ("", PEAK)


def _asked(choice: Choice) -> str:
    wish = choice.wish
    said = [f"{WORDS[one.metric]} at most {_most(one, choice.run)}" for one in wish.limits]
    said += ["no guide"] if wish.no_guide else []
    return ", ".join([*said, *wish.needs]) or "nothing, every operator will do"


def _verdict(choice: Choice) -> str:
    best = choice.best
    if best is None:
        return _nothing(choice)
    count = len(choice.of(PASSES))
    among = f"the best of {count} that pass" if count > 1 else "the only one that passes"
    if choice.wish.by == MIOU and best.miou is not None:
        return f"Take {best.name}: {best.miou:.2f} mIoU as published ({SOURCE}), {among}."
    if math.isinf(best.order):
        why = "a published mIoU" if choice.wish.by == MIOU else f"a measured {choice.wish.by}"
        return f"Take {best.name}: none that passes has {why}; it is the fastest."
    return f"Take {best.name}: the least {choice.wish.by.replace('-', ' ')}, {among}."


def _nothing(choice: Choice) -> str:
    miss = choice.nearest_miss
    unsure = choice.of(BORDERLINE) or choice.of(UNKNOWN)
    said = "Nothing surely passes." if unsure else "Nothing passes."
    if miss is None:
        return said
    return f"{said} The nearest miss is {miss.name}: {_why(choice.run, miss)}."


def _reasons(choice: Choice, found: Sequence[Candidate]) -> Iterator[str]:
    for one in sorted(found, key=lambda one: one.miss):
        yield from _hanging(f"  {one.name:{NAME}s} ", _why(choice.run, one))


def _why(run: Run, one: Candidate) -> str:
    return "; ".join(_finding(run, finding) for finding in one.decisive)


def _finding(run: Run, finding: Finding) -> str:
    limit, value = finding.limit, finding.value
    about = WORDS.get(finding.about, finding.about)
    if limit is None or value is None:
        if finding.about == GUIDE:
            return finding.reason
        said = "no " * (finding.verdict == FAILS) + about
        return f"{said} ({finding.reason})" if finding.reason else said
    if finding.verdict == BORDERLINE:
        low, high = (_finely(one, limit) for one in (value.low, value.high))
        return f"{about} {low} to {high}, limit {_most(limit, run)}"
    return f"{about} {_amount(value.value, limit)}, {_above(finding.excess)}"


def _above(excess: float) -> str:
    if excess < 1:
        return f"{units.rough(100 * excess)} % above"
    return f"{units.rough(1 + excess)} times the limit"


def _unknown(choice: Choice) -> Iterator[str]:
    found = choice.of(UNKNOWN)
    if not found:
        return
    yield from ("", "Unknown:")
    said: dict[str, list[str]] = {}
    for one in found:
        said.setdefault(_why(choice.run, one), []).append(one.name)
    for why, names in said.items():
        yield from _hanging("  ", f"{', '.join(names)}: {why}")
    missing = {finding.about: finding.limit for one in found for finding in one.decisive}
    tried = [name for name, limit in missing.items() if limit is None and name != GUIDE]
    if tried:
        yield f"What tries it: upsampler-bench capabilities {' '.join(f'--metrics {name}' for name in tried)}"
    if any(limit for limit in missing.values()):
        yield "What measures it: upsampler-bench run"


def _table(choice: Choice, found: Sequence[Candidate]) -> list[str]:
    """As many columns as fit: what is limited and chosen by first."""
    columns = [("", [one.name for one in found])]
    if any(one.miou is not None for one in found):
        columns.append(("mIoU", [units.fixed(one.miou, 2) if one.miou is not None else "" for one in found]))
    for metric in _metrics(choice.wish):
        more = list(_columns(choice.run, metric, found))
        if _width([*columns, *more]) <= WIDTH:
            columns += more
    widths = [max(len(cell) for cell in (head, *cells)) for head, cells in columns]
    rows = zip(*((head, *cells) for head, cells in columns), strict=True)
    return ["  ".join(_aligned(row, widths)) for row in rows]


def _aligned(row: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    for place, (cell, width) in enumerate(zip(row, widths, strict=True)):
        yield f"{cell:>{width}s}" if place else f"{cell:{width}s}"


def _width(columns: Sequence[tuple[str, list[str]]]) -> int:
    return sum(max(len(cell) for cell in (head, *cells)) + 2 for head, cells in columns) - 2


def _metrics(wish: Wish) -> tuple[str, ...]:
    asked = [one.metric for one in wish.limits]
    return tuple(dict.fromkeys([*asked, *filter(None, [ORDERS[wish.by]]), *FIRST]))


def _columns(run: Run, metric: str, found: Sequence[Candidate]) -> Iterator[tuple[str, list[str]]]:
    """A metric's column, and beside a relative one its ratio with the interval."""
    unit, scale = UNITS[metric]
    values = [read(run, one.line, metric, math.nan) for one in found]
    if all(math.isnan(value) for value in values):
        return
    head = HEADS.get(metric, WORDS[metric])
    shown = ["" if math.isnan(value) else units.short(value / scale) for value in values]
    yield (f"{head} {unit}".strip(), shown)
    info = run.metric(metric)
    if info and info.relative and run.settings.baseline:
        ratios = [ratio(run, one.line, metric) for one in found]
        yield f"/ {run.settings.baseline}", [_interval(one) for one in ratios]


def _interval(one: Estimate | None) -> str:
    if one is None:
        return ""
    if not one.is_bounded or one.low == one.high:
        return "1×" if one.low == one.high == 1 else f"{units.rough(one.value)}×"
    value, interval = units.noisy(one)
    return f"{value} ({interval})×"


def _number(value: float, limit: Limit) -> str:
    return units.short(value if limit.relative else value / UNITS[limit.metric][1])


def _finely(value: float, limit: Limit) -> str:
    """With four digits, so that it is seen on which side of a limit it lies."""
    number = value if limit.relative else value / UNITS[limit.metric][1]
    return units.fixed(number, units.decimals(number)) + "×" * limit.relative


def _amount(value: float, limit: Limit) -> str:
    if limit.relative:
        return f"{_number(value, limit)}×"
    return f"{_number(value, limit)} {UNITS[limit.metric][0]}".strip()


def _most(limit: Limit, run: Run) -> str:
    shown = units.tick(limit.most if limit.relative else limit.most / UNITS[limit.metric][1])
    if limit.relative:
        return f"{shown}× {run.settings.baseline}"
    return f"{shown} {UNITS[limit.metric][0]}".strip()


def _hanging(first: str, said: str) -> list[str]:
    return wrap(first + said, WIDTH, subsequent_indent=" " * len(first), drop_whitespace=True, break_on_hyphens=False)


def _data(choice: Choice) -> dict[str, object]:
    best, miss = choice.best, choice.nearest_miss
    return {
        "device": choice.run.environment.device_name,
        "condition": choice.condition.case.condition,
        "words": choice.condition.words,
        "baseline": choice.run.settings.baseline,
        "asked": asdict(choice.wish),
        "recommended": best and best.name,
        "nearest_miss": None if best else miss and miss.name,
        "operators": [_operator(choice, one) for one in choice.candidates],
    }


def _operator(choice: Choice, one: Candidate) -> dict[str, object]:
    values = {metric: read(choice.run, one.line, metric, math.nan) for metric in UNITS}
    findings = []
    for finding in one.findings:
        value = finding.value
        findings.append(
            {
                "about": finding.about,
                "verdict": finding.verdict,
                "limit": finding.limit and finding.limit.most,
                "relative": finding.limit and finding.limit.relative,
                **({"value": value.value, "low": value.low, "high": value.high} if value else {}),
                "reason": finding.reason,
            }
        )
    measured = {metric: value for metric, value in values.items() if not math.isnan(value)}
    return {"name": one.name, "verdict": one.verdict, "miou": one.miou, "measured": measured, "findings": findings}
