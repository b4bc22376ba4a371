"""Backends: what each makes of a module, and what can be read of them without torch."""

from functools import partial

import pytest
import torch
from sample_workload import built

import upsamplers
from upsampler_bench.case import PROBE, Case

SMALL = {"channels": 8, "height": 6, "width": 5}


@pytest.mark.parametrize("name", ["torch", "auto"])
def test_eager_backends_run_the_module_itself_built_for_them(name):
    made = built(Case("carafe", **SMALL, backend=name))
    assert made.is_eager
    assert made.module.backend == name


def test_compile_runs_the_torch_form_compiled_with_its_values(monkeypatch):
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    torch._dynamo.reset()
    made = built(Case("carafe", **SMALL, backend="compile"))
    assert not made.is_eager
    assert made.module.backend == "torch"
    torch.testing.assert_close(made.forward(), made.module(*made.inputs))


def test_capabilities_are_not_tested_on_compile():
    with pytest.raises(upsamplers.Unsupported, match="backend compile is timed, not tested"):
        built(Case("carafe", PROBE, **SMALL, backend="compile"))
