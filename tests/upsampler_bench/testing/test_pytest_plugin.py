"""The pytest plug-in in a project of its own: what it times, refuses and stores."""

import json

import pytest

from upsampler_bench.errors import PlanError

pytestmark = pytest.mark.slow

pytest.importorskip("pytest_benchmark")
pytest_plugins = ["pytester"]

OPERATORS = """
import torch
from upsamplers import Upsampler, register

@register("mine")
class Mine(Upsampler):
    def forward(self, x):
        return torch.nn.functional.interpolate(x, scale_factor=2.0)

@register("too-small")
class TooSmall(Upsampler):
    def forward(self, x):
        return x
"""
TESTS = """
import pytest
import torch

def test_mine(upsampler_benchmark):
    threads = torch.get_num_threads()
    values = upsampler_benchmark("mine", shape=(4, 6, 5), plugin="operators.py", rounds=7)
    assert values["inference_memory"] == 4 * 4 * 12 * 10
    assert values.get("latency", 1) > 0
    assert torch.get_num_threads() == threads

def test_train(upsampler_benchmark):
    upsampler_benchmark("bilinear", shape=(2, 4, 6, 5), mode="train", rounds=3)

def test_theirs(benchmark):
    benchmark.pedantic(sum, args=([1, 2],), rounds=4)

def test_wrong(upsampler_benchmark):
    upsampler_benchmark("too-small", shape=(4, 6, 5), plugin="operators.py")

def test_unknown(upsampler_benchmark):
    upsampler_benchmark("bilinaer", shape=(4, 6, 5))
"""


@pytest.fixture
def project(pytester, monkeypatch):
    """A project with an operator of its own; runs its tests with these options."""
    # Where our tests run side by side, pytest-benchmark would take theirs to do so too, and not time them.
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    pytester.makepyfile(operators=OPERATORS, test_own=TESTS)

    def run(*options):
        return pytester.runpytest_subprocess("-q", "-W", "error::DeprecationWarning", "--benchmark-storage=s", *options)

    return run


def test_a_project_benchmarks_its_own_operator(project, pytester):
    done = project("--benchmark-json=stored.json")
    done.assert_outcomes(passed=3, failed=2)
    done.stdout.fnmatch_lines(["*too-small/*wrong output: shape (1, 4, 6, 5), expected (1, 4, 12, 10)*"])
    done.stdout.fnmatch_lines(["*did you mean 'bilinear'*"])
    stored = json.loads((pytester.path / "stored.json").read_text())
    mine = next(one for one in stored["benchmarks"] if one["name"] == "test_mine")
    assert mine["stats"]["rounds"] == 7
    assert [mine["extra_info"][side] for side in ("batch", "channels", "height", "width")] == [1, 4, 6, 5]
    assert {"flops_mac", "params_all", "inference_memory", "dtype", "threads"} <= mine["extra_info"].keys()
    trained = next(one for one in stored["benchmarks"] if one["name"] == "test_train")
    assert trained["stats"]["rounds"] == 3
    assert trained["extra_info"]["mode"] == "train"


def test_benchmark_options_work(project, pytester):
    project("-k", "train", "--benchmark-disable", "--benchmark-json=none.json").assert_outcomes(passed=1, deselected=4)
    assert not (pytester.path / "none.json").exists()


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"shape": (1, 2)}, r"expected \(C, H, W\)"),
        ({"shape": (4, 0, 5)}, "all positive integers"),
        ({"dtype": "float8"}, "no dtype 'float8'; there are float32"),
        ({"mode": "probe"}, "no mode 'probe'"),
        ({"backend": "tritn"}, "no backend 'tritn'; there are auto, compile, "),
        ({"colour": "red"}, "no key 'colour' of a case"),
    ],
)
def test_a_key_or_shape_that_is_not_valid_is_refused(keys, message):
    from upsampler_bench.testing import operator_benchmark

    with pytest.raises(PlanError, match=message):
        operator_benchmark.case_of("bilinear", **{"shape": (4, 6, 5), **keys})


def test_without_pytest_benchmark_the_fixture_names_the_extra(pytester):
    pytester.makepyfile("def test_mine(upsampler_benchmark): ...")
    done = pytester.runpytest_subprocess("-p", "no:benchmark")
    done.stdout.fnmatch_lines(["*upsampler_benchmark needs pytest-benchmark: pip install 'upsampler-bench*pytest*'*"])
