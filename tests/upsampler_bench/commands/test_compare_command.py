"""compare from the command line: what is refused, and real processes of one point."""

from pathlib import Path

import pytest
from sample_run import FIGURES, plain_run

from upsampler_bench import storage
from upsampler_bench.case import Case
from upsampler_bench.compare.deterministic import changes, counted
from upsampler_bench.compare.measuring import Corner, SideError, measure, settings
from upsampler_bench.compare.samples import BASE

PLUGIN = str(Path(__file__).parents[1] / "bad_plugins.py")

pytestmark = [pytest.mark.usefixtures("registry_restored"), pytest.mark.slow]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "0 things to compare; expected two stored runs, two operators, or --base"),
        (("carafe",), "1 things to compare"),
        (("carafe", "dysampel"), "no upsampler 'dysampel'; did you mean 'dysample'?"),
        (("carafe", "dysample", "--head", "HEAD"), "give --base REVISION too"),
        (("carafe", "--base", "HEAD"), "--base compares revisions; choose operators with -u, not 'carafe'"),
        (("carafe", "dysample", "--threshold", "much"), "--threshold is 'much'; expected a share such as 5% or 0.05"),
        (("carafe", "dysample", "--fail-on", "inconclusiv"), "did you mean 'inconclusive'?"),
        (("carafe", "dysample", "--shape", "64"), "shape is '64'"),
        (("carafe", "dysample", "--budgets", "none.toml"), "give --base REVISION too"),
        (("--base", "HEAD", "--budgets", "none.toml"), "cannot read budgets from none.toml"),
        (("carafe", "dysample", "--format", "pdf"), "no format 'pdf'"),
        (("old.json", "new.json"), "old.json"),
        (("--base", "HEAD"), "this folder is in no git repository"),
    ],
)
def test_what_cannot_be_compared_is_refused_with_what_can(invoke, arguments, said):
    code, _, err = invoke("compare", *arguments)
    assert code == 2
    assert said in " ".join(err.split())


def test_two_stored_runs_are_compared_and_written(invoke, tmp_path):
    run = plain_run({name: FIGURES[name] for name in ("bilinear", "carafe")})
    for name in ("old", "new"):
        storage.save(run, tmp_path / name)
    code, out, _ = invoke("compare", "old", "new", "--output-dir", "told")
    assert code == 0
    assert "0 of" in out
    assert {one.name for one in (tmp_path / "told").iterdir()} == {"report.csv", "report.md"}


def cases(*names):
    return [Case(name, channels=8, height=6, width=5) for name in names]


@pytest.mark.slow
def test_a_point_is_a_process_that_times_all_beside_the_yardstick_and_one_that_crashes_costs_itself():
    corner = Corner("here", plugins=(PLUGIN,), renamed={"nearest": "good"})
    point = measure(cases("bilinear", "segfaults", "nearest"), corner, BASE, settings(rounds=3))
    assert [key.partition("/")[0] for key in point.timings] == ["bilinear", "nearest"]
    for timing in point.timings.values():
        assert len(timing.rounds) == len(timing.yardstick) == 3
        assert 0 < timing.least <= min(timing.rounds)
    assert [why.splitlines()[0] for why in point.lost.values()] == ["crashed the process in step 'first call': SIGSEGV"]
    assert point.where.endswith(", 1 thread")


def test_a_side_without_its_plug_in_is_told():
    with pytest.raises(SideError, match=r"the base cannot be measured: .*no-such-file"):
        measure(cases("bilinear"), Corner("the base", plugins=("no-such-file.py",)), BASE, settings(rounds=3))


def test_exact_figures_of_two_sides_are_counted_and_held_against_each_other():
    asked = cases("carafe")
    base, head = (counted(asked, Corner("a", renamed=renamed), settings()) for renamed in ({}, {"carafe": "dysample"}))
    found = {one.metric: (one.base, one.head) for one in changes(base, head)}
    assert {"flops_mac", "params_all", "inference_memory"} <= set(found)
    assert all(before > after > 0 for before, after in found.values())
    assert changes(base, base) == ()
