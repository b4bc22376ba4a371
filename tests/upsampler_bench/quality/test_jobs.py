"""Which operators a run of quality trains."""

import pytest

from upsampler_bench.case import SHAPES, SIGNATURE, Case, Settings
from upsampler_bench.quality import scheduler
from upsampler_bench.runner.session import Session

CASES = tuple(Case(name, "quality") for name in ("carafe", "naf", "a-plug-ins-own"))


@pytest.mark.parametrize(
    ("named", "task", "expected"),
    [
        (["*"], SHAPES, {"carafe", "a-plug-ins-own"}),
        (["*", "naf"], SHAPES, {"carafe", "naf", "a-plug-ins-own"}),
        (["*"], SIGNATURE, {"carafe", "naf", "a-plug-ins-own"}),
    ],
)
def test_operators_guided_by_an_image_are_trained_if_they_are_named(named, task, expected):
    session = Session(CASES, Settings(seeds=1), plan={"upsampler": named})
    jobs = scheduler._jobs(session, task, session.cases)
    assert {case.upsampler for job in jobs for case in job.cases} == expected
