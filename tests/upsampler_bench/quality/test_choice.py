"""Which mIoU operators are chosen by."""

from dataclasses import replace

from sample_quality import quality_run

from upsampler_bench.case import QUALITY, SHAPES
from upsampler_bench.quality import choice
from upsampler_bench.report.lines import conditions
from upsampler_bench.report.quality import ranked


def run_with_one_failure(name):
    """A run in which the first training of an operator on shapes diverged."""
    run = quality_run()
    row = next(row for row in run.measurements if row.case.upsampler == name)
    first, *others = row.trainings
    return run.with_measurement(replace(row, trainings=(replace(first, failure="diverged", scores={}), *others)))


def test_an_operator_of_which_a_training_failed_has_no_miou_and_is_last():
    source, before = choice.mious([quality_run()])
    best = max(before, key=before.get)
    failed = run_with_one_failure(best)
    assert source == SHAPES
    assert choice.mious([failed])[1].keys() == before.keys() - {best}
    names = [one.line.name for one in ranked(conditions(failed, [QUALITY])[0], SHAPES)]
    assert best in names[-2:]


def test_fewer_than_three_seeds_count_only_on_request():
    run = quality_run()
    few = replace(run, measurements=tuple(replace(row, trainings=row.trainings[:2]) for row in run.measurements))
    assert choice.mious([few])[0] == choice.PUBLISHED
    assert choice.mious([few], SHAPES)[0] == SHAPES
    assert choice.measured(run, choice.PUBLISHED) == {}
