"""What pytest finds of this package: a fixture by which a project benchmarks, and gates, an operator of its own.

    def test_mine(upsampler_benchmark):
        figures = upsampler_benchmark("mine", shape=(64, 32, 32))
        assert figures["inference_memory"] <= 2**20

pytest-benchmark times it, so its options work: --benchmark-json, --benchmark-compare-fail=median:5%, ... What it stores
can be read by `upsampler-bench report`. Nothing heavy is imported before a test asks for the fixture.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import pytest

if TYPE_CHECKING:
    from upsampler_bench.testing.operator_benchmark import Sitting

Figures = dict[str, float]


class UpsamplerBenchmark(Protocol):
    """What the fixture gives."""

    def __call__(
        self,
        upsampler: str,
        shape: Sequence[int] = (256, 120, 120),
        *,
        rounds: int = 0,
        threads: int = 1,
        plugin: str = "",
        **case: Any,
    ) -> Figures:
        """Checks an operator's output, reads its exact figures, and times it; once a test.

        Args:
            upsampler: a registered name, options in brackets where wanted ("dysample[groups=1]").
            shape: (C, H, W) of the low-resolution feature, or (B, C, H, W).
            rounds: samples to take, each of one call; 0: as pytest-benchmark's options say.
            threads: CPU threads; 0: all.
            plugin: a module or .py file that registers the operator.
            case: other fields of a case: scale, dtype, layout, device ("cpu", "cuda:0", "auto"), mode ("train").

        Returns:
            The exact figures by metric, in bytes, multiply-adds and counts, and the median time in seconds ("latency",
            of mode "train" "train_latency") unless --benchmark-disable is on.

        Raises:
            PlanError, DeviceError, UpsamplerError: there is no such operator, case or device.
            pytest.fail.Exception: the operator's output is wrong.
        """


_SITTING: pytest.StashKey[Sitting] = pytest.StashKey()


@pytest.fixture
def upsampler_benchmark(benchmark: Any, request: pytest.FixtureRequest) -> UpsamplerBenchmark:
    """Benchmarks one operator by pytest-benchmark, after its output was checked."""

    def measure(
        upsampler: str,
        shape: Sequence[int] = (256, 120, 120),
        *,
        rounds: int = 0,
        threads: int = 1,
        plugin: str = "",
        **case: Any,
    ) -> Figures:
        from upsampler_bench.errors import PlanError
        from upsampler_bench.testing import operator_benchmark
        from upsamplers.errors import UnknownUpsampler

        try:
            asked = operator_benchmark.ask(upsampler, shape, threads=threads, plugin=plugin, **case)
        except (PlanError, UnknownUpsampler) as problem:
            hint = "; import the module that registers it, or give plugin=" * isinstance(problem, UnknownUpsampler)
            pytest.fail(f"{problem}{hint}", pytrace=False)
        sitting = request.config.stash.setdefault(_SITTING, operator_benchmark.Sitting())
        try:
            return operator_benchmark.measure(asked, benchmark, sitting, rounds)
        except operator_benchmark.Wrong as problem:
            pytest.fail(f"{asked.case.key}: {problem}", pytrace=False)

    return measure


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_update_json(config: pytest.Config, output_json: dict[str, Any]) -> None:
    """Adds to what pytest-benchmark stores what a report needs: the device, the settings, the metrics."""
    sitting = config.stash.get(_SITTING, None)
    if sitting is not None:
        sitting.add_to(output_json)
