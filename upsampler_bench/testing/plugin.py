"""The pytest plug-in: a fixture with which a project benchmarks, and gates, an operator of its own.

    def test_mine(upsampler_benchmark):
        values = upsampler_benchmark("mine", shape=(64, 32, 32))
        assert values["inference_memory"] <= 2**20

pytest-benchmark times it, so its options work: --benchmark-json, --benchmark-compare-fail=median:5%, ... Nothing heavy
is imported before a test uses the fixture.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest


@pytest.fixture
def upsampler_benchmark(request: pytest.FixtureRequest) -> Callable[..., dict[str, float]]:
    """A function that checks an operator's output, reads its deterministic metrics, and times it; once per test.

    Args of the function:
        upsampler: a registered name, options in brackets where wanted ("dysample[groups=1]").
        shape: (C, H, W) of the low-resolution feature, or (B, C, H, W).
        rounds: samples to take, each of one call; 0: as pytest-benchmark's options say.
        threads: CPU threads; 0: all.
        plugin: a module or .py file that registers the operator.
        case: other fields of a case: scale, dtype, layout, device ("cpu", "cuda:0", "auto"), mode ("train"), backend
            ("torch", on a GPU "auto", by default).

    It returns the deterministic values by metric, in bytes, multiply-adds and counts, and the median time in seconds
    ("latency", in mode "train" "train_latency") unless --benchmark-disable is on. It raises UpsamplerError if the
    operator refuses the case; the test fails if there is no such operator, case or device, or the output is wrong.
    """
    if not request.config.pluginmanager.hasplugin("benchmark"):
        pytest.fail("upsampler_benchmark needs pytest-benchmark: pip install 'upsampler-bench[pytest]'", pytrace=False)
    benchmark: Any = request.getfixturevalue("benchmark")

    def measure(
        upsampler: str, shape: Sequence[int] = (256, 120, 120), *, rounds: int = 0, threads: int = 1, **case: Any
    ) -> dict[str, float]:  # fmt: skip
        from upsampler_bench.errors import DeviceError, PlanError
        from upsampler_bench.testing import operator_benchmark
        from upsamplers.errors import UnknownUpsampler

        try:
            built = operator_benchmark.case_of(upsampler, shape, **case)
        except UnknownUpsampler as problem:
            pytest.fail(f"{problem}; import the module that registers it, or pass plugin=", pytrace=False)
        except (PlanError, DeviceError) as problem:
            pytest.fail(str(problem), pytrace=False)
        try:
            return operator_benchmark.measure(built, benchmark, threads=threads, rounds=rounds)
        except operator_benchmark.WrongOutput as problem:
            pytest.fail(f"{built.key}: {problem}", pytrace=False)

    return measure
