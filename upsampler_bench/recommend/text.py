"""Recommendations as text, at most 80 columns wide, and as plain data."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from textwrap import wrap

from upsampler_bench import units
from upsampler_bench.case import SHAPES
from upsampler_bench.quality.choice import PHRASES
from upsampler_bench.recommend import (
    BORDERLINE,
    COSTS,
    FAILS,
    GUIDE,
    MIOU,
    ORDERS,
    PASSES,
    RUN,
    UNKNOWN,
    Candidate,
    Check,
    Recommendation,
    value_of,
)
from upsampler_bench.recommend.limits import BY_METRIC, Limit
from upsampler_bench.report.tables import ratio_to_baseline
from upsampler_bench.results import Run
from upsampler_bench.units import counted

WIDTH = 80
# The least and the largest width of a column of names.
NAME, MOST_NAME = 15, 28
PEAK = "Memory is the peak beyond parameters and inputs."
GUIDED = "On shapes a guide is an operator's only skip connection: do not rank guided operators with the others."


def text(recommendations: Sequence[Recommendation]) -> str:
    """All recommendations, one below the other."""
    return "\n\n\n".join("\n".join(line.rstrip() for line in _lines(one)) for one in recommendations)


def _lines(made: Recommendation) -> Iterator[str]:
    yield from wrap(f"{made.run.environment.device_name}: {made.condition.words}", WIDTH)
    for source in made.sources:
        operators = counted(len({one.line.operator for one in made.candidates}), "operator")
        measured = (operators, made.condition.intervals) if source.about == COSTS else ()
        parts = (source.file, source.device, source.date, *measured)
        yield from _hanging(f"{source.about}: ", ", ".join(filter(None, parts)))
    yield from _hanging("Criteria: ", _criteria(made))
    yield ""
    yield from wrap(_conclusion(made), WIDTH)
    passing = made.with_result(PASSES)
    ranked = [one for one in passing if one.miou is not None or made.criteria.by != MIOU]
    unranked = [one for one in passing if one not in ranked]
    if passing:
        yield from ("", *_table(made, ranked or unranked))
    if ranked and unranked:
        yield from ("", f"Pass too, without a {PHRASES[made.quality][1]} mIoU:", *_table(made, unranked))
    for title, result in (("Borderline, the limit is within the interval", BORDERLINE), ("Fail", FAILS)):
        if candidates := made.with_result(result):
            yield from ("", f"{title}:")
            width = min(MOST_NAME, max(NAME, *(len(one.name) for one in candidates)))
            for one in sorted(candidates, key=lambda one: one.miss):
                yield from _hanging(f"  {one.name:{width}s} ", _reasons(made.run, one))
    yield from _unknown(made)
    for note in _notes(made):
        yield from ("", *wrap(note, WIDTH))


def _notes(made: Recommendation) -> Iterator[str]:
    if any("memory" in limit.metric for limit in made.criteria.limits):
        yield PEAK
    guided = _guided(made.run)
    is_mixed = len({one.line.operator in guided for one in made.with_result(PASSES)}) > 1
    if is_mixed and made.quality == SHAPES and made.criteria.by == MIOU:
        yield GUIDED


def _criteria(made: Recommendation) -> str:
    criteria = made.criteria
    parts = [f"{BY_METRIC[limit.metric].words} at most {_limit(limit, made.run)}" for limit in criteria.limits]
    parts += ["no guide"] if criteria.no_guide else []
    return ", ".join([*parts, *criteria.needs]) or "none, every operator passes"


def _conclusion(made: Recommendation) -> str:
    best, by = made.best, made.criteria.by
    if best is None:
        summary = "Nothing passes."
        if made.with_result(BORDERLINE) or made.with_result(UNKNOWN):
            summary = "Nothing passes with certainty."
        miss = made.nearest_miss
        return f"{summary} The nearest miss is {miss.name}: {_reasons(made.run, miss)}." if miss else summary
    count = len(made.with_result(PASSES))
    among = f"the best of {count} that pass" if count > 1 else "the only one that passes"
    if by == MIOU and best.miou is not None:
        return f"Use {best.name}: {best.miou:.2f} {PHRASES[made.quality][0]}, {among}."
    if math.isinf(best.order):
        lacking = f"a {PHRASES[made.quality][1]} mIoU" if by == MIOU else f"a measured {by}"
        return f"Use {best.name}: no operator that passes has {lacking}; it is the fastest."
    return f"Use {best.name}: the least {by.replace('-', ' ')}, {among}."


def _reasons(run: Run, candidate: Candidate) -> str:
    return "; ".join(_reason(run, check) for check in candidate.decisive)


def _reason(run: Run, check: Check) -> str:
    limit, value = check.limit, check.value
    about = BY_METRIC[check.about].words if check.about in BY_METRIC else check.about
    if limit is None or value is None:
        if check.about in (GUIDE, RUN):
            return check.reason
        about = f"no {about}" if check.result == FAILS else about
        return f"{about} ({check.reason})" if check.reason else about
    if check.result == BORDERLINE:
        low, high = (_precise(end, limit) for end in (value.low, value.high))
        return f"{about} {low} to {high}, limit {_limit(limit, run)}"
    unit = "×" if limit.relative else f" {BY_METRIC[limit.metric].unit.name}".rstrip()
    amount = f"{units.short(_scaled(value.value, limit))}{unit}"
    if check.excess < 1:
        return f"{about} {amount}, {units.rough(100 * check.excess)} % above"
    return f"{about} {amount}, {units.rough(1 + check.excess)} times the limit"


def _scaled(value: float, limit: Limit) -> float:
    return value if limit.relative else value / BY_METRIC[limit.metric].unit.size


def _precise(value: float, limit: Limit) -> str:
    """With four digits, which show on which side of a limit it is."""
    number = _scaled(value, limit)
    return f"{units.fixed(number, units.decimals(number))}{'×' if limit.relative else ''}"


def _limit(limit: Limit, run: Run) -> str:
    amount = units.tick(_scaled(limit.most, limit))
    unit = BY_METRIC[limit.metric].unit.name
    return f"{amount}× {run.settings.baseline}" if limit.relative else f"{amount} {unit}".strip()


def _unknown(made: Recommendation) -> Iterator[str]:
    unknown = made.with_result(UNKNOWN)
    if not unknown:
        return
    yield from ("", "Unknown:")
    names: dict[str, list[str]] = {}
    for candidate in unknown:
        names.setdefault(_reasons(made.run, candidate), []).append(candidate.name)
    for reason, alike in names.items():
        yield from _hanging("  ", f"{', '.join(alike)}: {reason}")
    checks = {check.about: check for candidate in unknown for check in candidate.decisive}
    untested = [about for about, check in checks.items() if check.limit is None and about not in (GUIDE, RUN)]
    if untested:
        yield f"To test: upsampler-bench capabilities {' '.join(f'--metrics {about}' for about in untested)}"
    if any(check.limit for check in checks.values()):
        yield "To measure: upsampler-bench run"


def _table(made: Recommendation, candidates: Sequence[Candidate]) -> list[str]:
    """As many columns as fit: limited metrics first, then what is chosen by, then latency and memory."""
    columns = [["", *(one.name for one in candidates)]]
    guided = _guided(made.run)
    if any(one.line.operator in guided for one in candidates):
        columns.append(["guide", *("yes" if one.line.operator in guided else "no" for one in candidates)])
    if any(one.miou is not None for one in candidates):
        columns.append(["mIoU", *("" if one.miou is None else units.fixed(one.miou, 2) for one in candidates)])
    limited = [limit.metric for limit in made.criteria.limits]
    for metric in dict.fromkeys([*limited, ORDERS[made.criteria.by], "latency", "inference_memory"]):
        more = [*columns, *_columns(made.run, metric, candidates)]
        if sum(max(map(len, column)) + 2 for column in more) - 2 <= WIDTH:
            columns = more
    first, *others = ([cell.ljust(max(map(len, column))) for cell in column] for column in columns)
    rows = zip(first, *([cell.strip().rjust(len(cell)) for cell in column] for column in others), strict=True)
    return ["  ".join(row) for row in rows]


def _guided(run: Run) -> set[str]:
    return {info.name for info in run.upsamplers if info.needs_guide}


def _columns(run: Run, metric: str, candidates: Sequence[Candidate]) -> Iterator[list[str]]:
    """A metric's column, and that of its ratio with the interval where it is a relative one."""
    values = [value_of(run, one.line, metric, math.nan) for one in candidates]
    if all(map(math.isnan, values)):
        return
    quantity = BY_METRIC[metric]
    heading, size = f"{quantity.heading} {quantity.unit.name}".strip(), quantity.unit.size
    yield [heading, *("" if math.isnan(value) else units.short(value / size) for value in values)]
    info = run.metric(metric)
    if info and info.relative and run.settings.baseline:
        ratios = [ratio_to_baseline(run, one.line, info) for one in candidates]
        yield [f"/ {run.settings.baseline}", *(f"{units.with_interval(one)}×" if one else "" for one in ratios)]


def _hanging(first: str, rest: str) -> list[str]:
    return wrap(first + rest, WIDTH, subsequent_indent=" " * len(first), drop_whitespace=True, break_on_hyphens=False)


def data(recommendations: Sequence[Recommendation]) -> list[dict[str, object]]:
    """All recommendations as plain data, in base units."""
    return [
        {
            "device": made.run.environment.device_name,
            "condition": made.condition.case.condition,
            "words": made.condition.words,
            "sources": [asdict(source) for source in made.sources],
            "intervals": made.condition.intervals,
            "baseline": made.run.settings.baseline,
            "asked": asdict(made.criteria),
            "quality": made.quality,
            "recommended": made.best and made.best.name,
            "nearest_miss": None if made.best else made.nearest_miss and made.nearest_miss.name,
            "operators": [_candidate_data(made.run, one) for one in made.candidates],
        }
        for made in recommendations
    ]


def _candidate_data(run: Run, candidate: Candidate) -> dict[str, object]:
    values = {metric: value_of(run, candidate.line, metric, math.nan) for metric in BY_METRIC}
    checks = []
    for check in candidate.checks:
        value, limit = check.value, check.limit
        checks.append(
            {
                "about": check.about,
                "verdict": check.result,
                "limit": limit and limit.most,
                "relative": limit and limit.relative,
                **({"value": value.value, "low": value.low, "high": value.high} if value else {}),
                "reason": check.reason,
            }
        )
    return {
        "name": candidate.name,
        "verdict": candidate.result,
        "miou": candidate.miou,
        "measured": {metric: value for metric, value in values.items() if not math.isnan(value)},
        "findings": checks,
    }
