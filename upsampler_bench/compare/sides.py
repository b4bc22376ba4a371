"""From what a user wants compared to comparisons: two revisions, or two operators, measured here."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from upsampler_bench import device, metrics, plan
from upsampler_bench.case import Case
from upsampler_bench.compare import process, profiles, schedule, worktrees
from upsampler_bench.compare.comparison import INTERRUPTED, Comparison, changes
from upsampler_bench.compare.process import Side, SideError
from upsampler_bench.compare.rule import DEFAULT, Rule
from upsampler_bench.compare.samples import BASE, CONTROL, HEAD
from upsampler_bench.compare.schedule import Schedule
from upsampler_bench.device import quota
from upsampler_bench.discovery import nearest
from upsampler_bench.errors import BenchError, PlanError
from upsampler_bench.report.parts import Report
from upsampler_bench.runner import isolated
from upsampler_bench.runner.operators import Operator

THROTTLED = "A CPU quota throttled this comparison, which changes times and their ratios."
FILES_SHOWN = 3
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Options:
    """How to compare.

    Attributes:
        plan: keys of a plan ("shape", "dtype", "upsampler", ...), which replace those of the plan "ci".
        plugins: modules or files that register operators.
        budget: seconds in all; 0: no limit.
        threads: CPU threads of each process.
        own_environment: whether a side with other dependencies gets an environment of its own.
        budgeted: operators that have budgets; the head must have them.
    """

    plan: Mapping[str, Any]
    plugins: tuple[str, ...] = ()
    rule: Rule = DEFAULT
    budget: float = 0.0
    threads: int = 1
    own_environment: bool = True
    budgeted: tuple[str, ...] = ()

    @property
    def device(self) -> str:
        """The device asked for, resolved."""
        return device.resolve(self.plan.get("device") or "auto")


def operators_of(side: Side, device: str = "") -> tuple[Operator, ...]:
    """The operators that a side's own interpreter finds; given a device such as "cuda:0", those that run on its kind.

    Raises:
        SideError: its code cannot be imported, or does not respond.
    """
    try:
        known = isolated.registered(plugins=side.plugins, side=side.code, path=side.path)
    except BenchError as problem:
        raise SideError(f"{side.name} cannot be loaded: {problem}") from problem
    return tuple(operator for operator in known if not device or operator.runs_on(device))


def names_of(side: Side, device: str = "") -> tuple[str, ...]:
    """The names of `operators_of`."""
    return tuple(operator.name for operator in operators_of(side, device))


def compare_revisions(base: str, head: str | None, options: Options, say: Say) -> Iterator[Comparison]:
    """Compares two revisions of the operators, one condition after the other; no head: the working tree as it is.

    Operators are those of the plan; by default all of a tree with the package `upsamplers`, else those of the plug-ins
    and of the budgets.

    Raises:
        PlanError: there is no such revision or operator, or none is named.
        SideError: a side cannot be built or loaded.
    """
    own_environment, root = options.own_environment, worktrees.repository()
    if not (options.plugins or options.plan.get("upsampler") or worktrees.has_operators(root)):
        raise PlanError(f"{root.name} has no operators to compare by default; name yours: --plugin FILE.py, or -u NAME")
    with worktrees.sides(base, head, options.plugins, say, own_environment=own_environment) as (before, after):
        base_names, head_names = (names_of(side, options.device) for side in (before, after))
        chosen = _chosen(tuple(dict.fromkeys((*base_names, *head_names))), options, root)
        names = [name for name in base_names if name in head_names and name in chosen]
        added = tuple(name for name in head_names if name not in base_names)
        removed = tuple(name for name in base_names if name not in head_names)
        if names:
            options = replace(options, plan={**options.plan, "upsampler": names})
            comparisons = _compare(before, after, names, options, say)
        else:
            _check_budgeted(options.budgeted, ())
            comparisons = iter([Comparison(before.name, after.name, "", (), options.rule)])
        notes = () if head else _uncommitted_changes()
        for comparison in comparisons:
            yield replace(comparison, added=added, removed=removed, notes=(*notes, *comparison.notes))


def _chosen(names: tuple[str, ...], options: Options, root: Path) -> tuple[str, ...]:
    """Which of the operators that a side has are compared.

    Raises:
        PlanError: the plan names none of them, or the plug-ins register nothing.
    """
    if options.plan.get("upsampler") or worktrees.has_operators(root):
        return plan.requested(plan.parse({**plan.read("ci"), **options.plan}), names, options.device)
    ours = {one.name for one in isolated.registered()}
    if ours.issuperset(names):
        raise PlanError(f"{', '.join(options.plugins)} registers no operator that runs on {options.device}")
    return tuple(name for name in names if name not in ours or name in options.budgeted)


def profile_revisions(base: str, head: str | None, options: Options, say: Say) -> Report:
    """Profiles two revisions of the operators, and compares them part by part; no head: the working tree as it is.

    Raises:
        PlanError: there is no such revision or operator.
        SideError: a side cannot be built, loaded or profiled.
    """
    with worktrees.sides(base, head, options.plugins, say, own_environment=options.own_environment) as pair:
        known, head_names = operators_of(pair[0], options.device), names_of(pair[1], options.device)
        shared = [operator for operator in known if operator.name in head_names]
        wild = [operator.name for operator in shared if not operator.guide_is_image]  # as `session.prepare`
        parsed = plan.parse({**plan.read("profile"), **options.plan, "baseline": ""})
        planned = plan.cases(parsed, [operator.name for operator in shared], options.device, wild)
        groups = plan.conditions([case for case in planned if metrics.for_case(case, process.PROFILES)])
        if not groups:
            raise PlanError(f"nothing is profiled in mode {', '.join(parsed.mode)}; expected inference or train")
        settings = process.settings(threads=options.threads, timeout=parsed.settings.timeout)
        runs = []
        for side in pair:
            profiled = [process.profile(group, side, settings) for group in groups]
            measured = [measurement for run in profiled for measurement in run.measurements if measurement.has_results]
            for lost in (one for run in profiled for one in run.measurements if not one.has_results):
                say(f"{side.name}: {lost.case.upsampler} is not profiled: {lost.reason}")
            runs.append(replace(profiled[0], measurements=tuple(measured)))
            say(f"profiled {side.name}: {len(measured)} cases")
    return profiles.changes(*runs)


def compare_operators(base: str, head: str, options: Options, say: Say) -> Iterator[Comparison]:
    """Compares two operators, or one with two sets of options, one condition after the other.

    Raises:
        PlanError: there is no such operator.
    """
    operators = {one.name: one for one in isolated.registered((base, head), plugins=options.plugins)}
    known = tuple(operators)
    for name in (base, head):
        if name not in operators:
            raise PlanError(f"no upsampler {name!r}; {nearest(name, known)}")
        if not operators[name].runs_on(options.device):
            devices = " or ".join(operators[name].devices)
            raise PlanError(f"{name} runs on {devices}, not on {options.device}; compare operators that run there")
    before = Side(base, plugins=options.plugins)
    after = Side(head, plugins=options.plugins, renamed={base: head})
    options = replace(options, plan={**options.plan, "upsampler": [base]})
    for comparison in _compare(before, after, known, options, say):
        yield replace(comparison, same_operators=False)


def _compare(base: Side, head: Side, names: Sequence[str], options: Options, say: Say) -> Iterator[Comparison]:
    """A comparison for each group of cases, one after the other, each with its share of the budget."""
    sides = {BASE: base, HEAD: head, CONTROL: base}
    cases = plan.cases(plan.parse({**plan.read("ci"), **options.plan}), names, options.device)
    _check_budgeted(options.budgeted, cases)
    groups = plan.conditions(cases)
    settings = process.settings(threads=options.threads)
    rule = replace(options.rule, significance=options.rule.significance / len(groups))
    for number, group in enumerate(groups, 1):
        begun, periods = time.monotonic(), quota.throttled_periods()
        counts = [process.count(group, side, settings) for side in (base, head)]
        spent = time.monotonic() - begun
        budget = options.budget / len(groups)
        planned = Schedule(sides, tuple(group), settings, rule, budget, spent, len(groups))
        comparison = schedule.compare(planned, say)
        notes = (THROTTLED,) if quota.throttled_periods() > periods else ()
        yield replace(comparison, changes=changes(*counts), metrics=counts[1], notes=notes)
        if comparison.stopped == INTERRUPTED:
            return
        say(f"{number} of {len(groups)} conditions compared")


def _check_budgeted(budgeted: Sequence[str], cases: Sequence[Case]) -> None:
    """Refuses a budget for what is not measured before anything is."""
    compared = tuple(dict.fromkeys(case.upsampler for case in cases))
    for name in budgeted:
        if name not in compared:
            raise PlanError(f"a budget names {name!r}, which is not compared (-u adds it); {nearest(name, compared)}")


def _uncommitted_changes() -> tuple[str, ...]:
    """A note on files that no commit has."""
    files = worktrees.changed_files(worktrees.repository())
    if not files:
        return ()
    more = f" and {len(files) - FILES_SHOWN} more" if len(files) > FILES_SHOWN else ""
    return (f"The head is the working tree with uncommitted changes: {', '.join(files[:FILES_SHOWN])}{more}.",)
