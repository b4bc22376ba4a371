"""A workload as the measuring process builds it, of any operator."""

import pytest

import upsamplers
from upsampler_bench.case import Case, Settings
from upsampler_bench.runner import operators
from upsampler_bench.workloads import workload

# Those guided by an image take half of the time of all.
EVERY = [
    pytest.param(name, marks=[pytest.mark.exhaustive] * upsamplers.get(name).cls.guide_is_image)
    for name in operators.names("cpu")
]
every_operator = pytest.mark.parametrize("name", EVERY)


def built(case: Case) -> workload.Workload:
    return workload.build(case, Settings(), workload.shared_inputs(case, Settings()))
