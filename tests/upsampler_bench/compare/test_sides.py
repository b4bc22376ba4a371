"""What a comparison records beside its results."""

import contextlib
from dataclasses import replace
from itertools import count, repeat

import pytest

from upsampler_bench.compare import outcome, process, report, schedule, sides, worktrees
from upsampler_bench.compare.comparison import Comparison
from upsampler_bench.compare.process import Side
from upsampler_bench.compare.rule import DEFAULT
from upsampler_bench.device import quota
from upsampler_bench.errors import PlanError


@pytest.mark.parametrize(("periods", "notes"), [(count(), (sides.THROTTLED,)), (repeat(7), ())])
def test_a_comparison_that_a_quota_throttled_has_a_note(periods, notes, monkeypatch):
    monkeypatch.setattr(quota, "throttled_periods", periods.__next__)
    monkeypatch.setattr(process, "count", lambda cases, side, settings: {})
    compared = Comparison("nearest", "bilinear", "", (), DEFAULT)
    monkeypatch.setattr(schedule, "compare", lambda plan, say: compared)
    options = sides.Options(plan={"shape": ["4x4x4"], "mode": ["inference"], "device": "cpu"})
    (made,) = sides.compare_operators("nearest", "bilinear", options, print)
    assert made.notes == notes


@pytest.fixture
def elsewhere(monkeypatch, tmp_path):
    """A repository without the package upsamplers; its head's plug-in adds "new" to "old" of the base."""
    known = {"base": ("bilinear", "old"), "head": ("bilinear", "old", "new")}
    monkeypatch.setattr(worktrees, "repository", lambda: tmp_path)
    monkeypatch.setattr(worktrees, "changed_files", lambda root: [])
    monkeypatch.setattr(worktrees, "sides", lambda *_, **__: contextlib.nullcontext((Side("base"), Side("head"))))
    monkeypatch.setattr(sides, "names_of", lambda side, device: known[side.name])
    monkeypatch.setattr(
        sides, "_compare", lambda a, b, names, *_: iter([Comparison("base", "head", "", (*names,), DEFAULT)])
    )
    return sides.Options({"device": "cpu"}, ("mine.py",))


def test_in_another_repository_the_operators_of_its_plug_ins_are_compared(elsewhere):
    (made,) = sides.compare_revisions("HEAD~1", None, elsewhere, print)
    assert (made.keys, made.added) == (("old",), ("new",))


def test_an_operator_that_only_the_head_has_is_added_and_no_error(elsewhere):
    made = [*sides.compare_revisions("HEAD~1", None, replace(elsewhere, plan={"upsampler": ["new"]}), print)]
    facts = dict(report.report(made).facts)
    assert facts["Result"] == "nothing to compare: no operator is in both revisions"
    assert facts["Added operators"] == "new"
    assert outcome.outcome(made, "regression") == outcome.Outcome.FINE


def test_a_repository_whose_operators_are_not_named_is_refused(elsewhere):
    with pytest.raises(PlanError, match=r"has no operators to compare by default; name yours: --plugin FILE\.py"):
        next(sides.compare_revisions("HEAD~1", None, replace(elsewhere, plugins=()), print))
    with pytest.raises(PlanError, match="no upsampler 'older'; did you mean 'old'"):
        next(sides.compare_revisions("HEAD~1", None, replace(elsewhere, plan={"upsampler": ["older"]}), print))


def test_a_budget_for_what_is_not_compared_is_refused_before_anything_is_measured():
    options = sides.Options({"device": "cpu"}, budgeted=("nearset",))
    with pytest.raises(
        PlanError, match=r"names 'nearset', which is not compared \(-u adds it\); did you mean 'nearest'"
    ):
        next(sides.compare_operators("nearest", "bilinear", options, print))
