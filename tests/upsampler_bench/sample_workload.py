"""A workload as the measuring process builds it."""

from upsampler_bench.case import Case, Settings
from upsampler_bench.workloads import workload


def built(case: Case) -> workload.Workload:
    return workload.build(case, Settings(), workload.shared_inputs(case, Settings()))
