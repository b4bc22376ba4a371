"""What every registered operator promises where it is traced: no tensor on the CPU, fake tensors, compilers."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from every_operator import (
    NAMES,
    ROUNDING,
    build,
    differentiable,
    fit_for,
    inputs,
    output_and_gradients,
    size_out,
    trained,
    worst,
)
from torch import Tensor
from torch._dynamo.testing import CompileCounterWithBackend
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

every_operator = pytest.mark.parametrize("name", NAMES)
# One of each kind: a fixed rule, windows, points, similarity, a gate, an image.
COMPILED_EACH_TIME = ("bilinear", "carafe", "dysample+", "sapa-b", "fade", "naf")
every_compiled_operator = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.exhaustive] * (name not in COMPILED_EACH_TIME)) for name in NAMES]
)


class NothingOffMeta(TorchDispatchMode):
    """Refuses every operation that reads or makes a tensor off the meta device."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        tensors = [one for one in tree_leaves((args, kwargs, out)) if isinstance(one, Tensor)]
        off = [f"{tuple(one.shape)} on {one.device}" for one in tensors if one.device.type != "meta"]
        assert not off, f"{func} touches {off}"
        return out


def test_a_tensor_off_the_meta_device_is_noticed() -> None:
    x = torch.ones(3, device="meta")
    for offence in (lambda: x * torch.tensor(2.0), lambda: torch.arange(3).to("meta"), lambda: torch.ones(3)):
        with NothingOffMeta(), pytest.raises(AssertionError, match="on cpu"):
            offence()


@every_operator
def test_no_tensor_is_made_on_the_cpu(name: str) -> None:
    module = trained(name)
    given = differentiable(fit_for(inputs(module), "meta"))
    module.to("meta")
    with NothingOffMeta():
        out = module(*given)
        out.backward(torch.ones_like(out))
    assert out.shape == size_out(module, given[0])


@every_operator
def test_fake_tensors_pass_through(name: str) -> None:
    with FakeTensorMode():
        module = build(name)
        given = inputs(module)
        out = module(*given)
    assert out.shape == size_out(module, given[0])


@pytest.fixture
def fresh_dynamo() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@pytest.mark.slow
@every_compiled_operator
@pytest.mark.usefixtures("fresh_dynamo")
def test_it_compiles_in_one_graph_forward_and_backward(name: str) -> None:
    module = trained(name)
    given = inputs(module)
    compiled = torch.compile(module, fullgraph=True, dynamic=False, backend="aot_eager")
    expected = output_and_gradients(module, module, given)
    assert worst(output_and_gradients(module, compiled, given), expected) <= ROUNDING[torch.float32]


@pytest.mark.slow
@every_compiled_operator
@pytest.mark.usefixtures("fresh_dynamo")
def test_one_compiled_program_serves_every_size(name: str) -> None:
    module = trained(name)
    counter = CompileCounterWithBackend("eager")
    compiled = torch.compile(module, fullgraph=True, dynamic=True, backend=counter)
    programs = []
    for height, width, batch in ((4, 5, 2), (7, 6, 3)):
        given = inputs(module, height, width, batch=batch)
        expected = output_and_gradients(module, module, given)
        assert worst(output_and_gradients(module, compiled, given), expected) <= ROUNDING[torch.float32]
        programs.append(counter.frame_count)
    assert programs[0] == programs[1]
