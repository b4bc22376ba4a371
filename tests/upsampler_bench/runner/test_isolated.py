"""Questions about operators: what one of them does to its process costs its own answer."""

from pathlib import Path

import pytest

from upsampler_bench.baseline import recording
from upsampler_bench.baseline.baseline_file import OperatorBaseline
from upsampler_bench.errors import PlanError
from upsampler_bench.runner import isolated

PLUGIN = str(Path(__file__).parents[1] / "bad_plugins.py")
pytestmark = pytest.mark.slow


def test_an_operator_that_ends_the_process_costs_its_own_answer():
    names = ["nearest", "exits", "segfaults", "ends-quietly", "bilinear"]
    cases = [recording.CASE.of(name) for name in names]
    answers = isolated.ask(
        "upsampler_bench.baseline.recording:record", cases, OperatorBaseline,
        lambda reason: OperatorBaseline(failed=reason), plugins=[PLUGIN],
    )  # fmt: skip
    failed = {name: answer.failed for name, answer in zip(names, answers, strict=True) if answer.failed}
    assert failed == {
        "exits": "ended the process with code 3",
        "segfaults": "crashed the process: SIGSEGV",
        "ends-quietly": "ended the process with code 0",
    }


def test_names_are_those_of_a_plug_in_too():
    names = [operator.name for operator in isolated.registered(plugins=[PLUGIN])]
    assert {"nearest", "ends-quietly"} <= set(names)


def test_a_plug_in_that_does_not_exist_is_named():
    with pytest.raises(PlanError, match=r"cannot load plug-in 'nowhere.py'"):
        isolated.registered(plugins=["nowhere.py"])
