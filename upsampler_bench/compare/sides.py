"""From what a user asks to a comparison: two revisions, or two operators, measured here."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import upsamplers
from upsampler_bench import device, plan
from upsampler_bench.case import Case
from upsampler_bench.compare import registered, schedule, worktrees
from upsampler_bench.compare.comparison import INTERRUPTED, Duel
from upsampler_bench.compare.deterministic import changes, counted
from upsampler_bench.compare.measuring import Corner, settings
from upsampler_bench.compare.rule import DEFAULT, Rule
from upsampler_bench.compare.samples import BASE, CONTROL, HEAD
from upsampler_bench.compare.schedule import Bout
from upsampler_bench.discovery import nearest
from upsampler_bench.errors import PlanError
from upsampler_bench.runner import operators

CHANGED_SHOWN = 3
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Asked:
    """How a comparison is to be made.

    Attributes:
        keys: of a plan ("shape", "dtype", "upsampler", ...), over those of the plan "ci".
        plugins: modules or files that bring operators.
        budget: seconds for all; 0: as long as it takes.
        threads: CPU threads of each process.
        own_environment: whether a side with other dependencies gets an environment of its own.
        budgeted: operators that budgets are of; the head must have them.
    """

    keys: Mapping[str, Any]
    plugins: tuple[str, ...] = ()
    rule: Rule = DEFAULT
    budget: float = 0.0
    threads: int = 1
    own_environment: bool = True
    budgeted: tuple[str, ...] = ()


def revisions(base: str, head: str | None, asked: Asked, say: Say) -> list[Duel]:
    """Two revisions of the operators; no head: the working tree as it is.

    Raises:
        PlanError: no such revision, operator, or not time enough.
        SideError: a side cannot be built or loaded.
    """
    with worktrees.corners(base, head, asked.plugins, say, own_environment=asked.own_environment) as (before, after):
        place = device.resolve(asked.keys.get("device") or "auto")
        rolls = registered.names(before, place), registered.names(after, place)
        both = [name for name in rolls[0] if name in rolls[1]]
        added = tuple(name for name in rolls[1] if name not in rolls[0])
        removed = tuple(name for name in rolls[0] if name not in rolls[1])
        if not both:
            raise PlanError(f"{before.name} and {after.name} have no operator in common")
        notes = () if head else _dirt()
        return _fought({BASE: before, HEAD: after, CONTROL: before}, both, asked, say, added, removed, notes)


def pair(first: str, second: str, asked: Asked, say: Say) -> list[Duel]:
    """Two operators (or one with two sets of options) against each other.

    Raises:
        PlanError: no such operator, or not time enough.
    """
    operators.load(asked.plugins)
    operators.add_variants((first, second))
    known = operators.names()
    plan.cases(plan.parse({"upsampler": [first, second], "baseline": ""}), known, "cpu")  # refuses unknown names
    place = device.resolve(asked.keys.get("device") or "auto")
    for name in (first, second):
        if name not in operators.names(place):
            kinds = " or ".join(upsamplers.get(name).devices)
            raise PlanError(f"{name} runs on {kinds}, not on {place}; compare operators that run there")
    base = Corner(first, plugins=asked.plugins)
    head = Corner(second, plugins=asked.plugins, renamed={first: second})
    asked = replace(asked, keys={**asked.keys, "upsampler": [first]})
    found = _fought({BASE: base, HEAD: head, CONTROL: base}, [*known], asked, say)
    return [replace(one, alike=False) for one in found]


def _fought(
    corners: dict[str, Corner], names: Sequence[str], asked: Asked, say: Say,
    added: tuple[str, ...] = (), removed: tuple[str, ...] = (), notes: tuple[str, ...] = (),
) -> list[Duel]:  # fmt: skip
    """A comparison for each group of cases, one after the other, each with its share of the budget."""
    wanted = plan.parse({**plan.read("ci"), **asked.keys})
    place = device.resolve(wanted.device)
    groups: dict[str, list[Case]] = {}
    everything = plan.cases(wanted, names, place)
    _check_budgeted(asked.budgeted, tuple(dict.fromkeys(case.upsampler for case in everything)))
    for case in everything:
        groups.setdefault(case.group, []).append(case)
    found = []
    for number, cases in enumerate(groups.values()):
        how, begun = settings(threads=asked.threads), time.monotonic()
        exact = [counted(cases, corners[arm], how) for arm in (BASE, HEAD)]
        budget, spent = asked.budget / len(groups), time.monotonic() - begun
        rule = replace(asked.rule, significance=asked.rule.significance / len(groups))
        bout = Bout(corners, tuple(cases), how, rule, budget, spent, added, removed, notes)
        duel = schedule.compare(bout, say)
        found.append(replace(duel, changes=changes(*exact), exact=exact[1]))
        if duel.stopped == INTERRUPTED:
            break
        say(f"{number + 1} of {len(groups)} conditions compared")
    return found


def _check_budgeted(budgeted: Sequence[str], known: tuple[str, ...]) -> None:
    """A budget of what is not measured would hold nothing; said before anything is."""
    for name in budgeted:
        if name not in known:
            raise PlanError(f"a budget is of {name!r}, which is not compared here; {nearest(name, known)}")


def _dirt() -> tuple[str, ...]:
    """What a reader must know of a working tree that no commit holds."""
    changed = worktrees.changed_files(worktrees.repository())
    if not changed:
        return ()
    more = f" and {len(changed) - CHANGED_SHOWN} more" if len(changed) > CHANGED_SHOWN else ""
    return (f"The head is the working tree with uncommitted changes: {', '.join(changed[:CHANGED_SHOWN])}{more}.",)
