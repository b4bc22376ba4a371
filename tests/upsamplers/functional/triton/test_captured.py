"""Triton forms compiled and under torch's modes."""

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode
from triton_pairs import DEVICE, EVERY, ON_GPU, features, marks, pair, small

pytest.importorskip("triton")
pytestmark = marks
COMPILED_EACH_TIME = ("carafe", "dysample+", "sapa-b", "indexnet", "sierra")
QUICK = [name for name in EVERY if name != "a2u" or ON_GPU]
COMPILED = [pytest.param(name, marks=[pytest.mark.exhaustive] * (name not in COMPILED_EACH_TIME)) for name in QUICK]
# Multiply-adds of an operator's own operations for an element of the output.
PRODUCTS = {"bilinear": 4, "dysample+": 4, "carafe": 9, "sierra": 9, "sapa-b": 9 + 9}


@pytest.fixture(autouse=True)
def nothing_compiled_before():
    torch._dynamo.reset()


def small_pair(name, **options):
    channels, smaller = small(name)
    return pair(name, channels, **smaller, **options)


class Stage(nn.Module):
    """A decoder's stage: upsampled to the size of an encoder feature and fused with it by a convolution."""

    def __init__(self, up: nn.Module) -> None:
        super().__init__()
        self.up, self.fuse = up, nn.Conv2d(up.channels, up.channels, 3, padding=1)

    def forward(self, *inputs):
        return self.fuse(self.up(*inputs)).relu()


@pytest.mark.parametrize("name", COMPILED)
def test_it_compiles_without_graph_breaks_forward_and_backward(name):
    up, _ = small_pair(name)
    stage = Stage(up).to(DEVICE)
    inputs = features(up, 1, 2, 3)
    expected = stage(*inputs)
    found = torch.compile(stage, fullgraph=True, backend="inductor" if ON_GPU else "aot_eager")(*inputs)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    before, after = (torch.autograd.grad(out.square().sum(), inputs[0]) for out in (expected, found))
    torch.testing.assert_close(after, before, rtol=1e-3, atol=1e-3)


def test_one_program_serves_every_size():
    up, _ = small_pair("carafe")
    compiled = torch.compile(up, fullgraph=True, dynamic=True, backend="aot_eager")
    for size in ((3, 4), (5, 6), (2, 7)):
        (x,) = features(up, 1, *size)
        torch.testing.assert_close(compiled(x), up(x))


@pytest.mark.parametrize("name", EVERY)
def test_fake_tensors_have_the_shapes_and_layouts_of_real_ones(name):
    up, _ = small_pair(name)
    # Made of real tensors, weights and inputs are on one fake device, with its index.
    mode = FakeTensorMode()
    state = {key: mode.from_tensor(tensor) for key, tensor in up.state_dict(keep_vars=True).items()}
    inputs = [mode.from_tensor(tensor) for tensor in features(up, 2, 3, 4, layout=torch.channels_last)]
    with mode:
        out = torch.func.functional_call(up, state, tuple(inputs))
        out.sum().backward()
    assert out.shape == (2, up.channels, 6, 8)
    assert out.is_contiguous(memory_format=torch.channels_last)
    assert inputs[0].grad.shape == inputs[0].shape


@pytest.mark.parametrize("name", PRODUCTS)
def test_the_flop_counter_counts_the_operations(name):
    up, _ = small_pair(name)
    inputs = features(up, 1, 2, 3)
    up(*inputs)  # imports the kernels: a counter knows the formulas that there are when it is made
    with FlopCounterMode(display=False) as counted:
        out = up(*inputs)
    own = sum(
        flops for operation, flops in counted.get_flop_counts()["Global"].items() if "upsamplers" in str(operation)
    )
    assert own == 2 * PRODUCTS[name] * out.numel()


@pytest.mark.parametrize("wants_gradients", [False, True])
@pytest.mark.parametrize("name", ["carafe", "dysample+", "sapa-b"])
def test_under_autocast_the_output_has_the_dtype_of_x(name, wants_gradients):
    up, reference = small_pair(name)
    inputs = features(up, 1, 2, 3)
    with torch.autocast(DEVICE, dtype=torch.bfloat16), torch.set_grad_enabled(wants_gradients):
        out = up(*inputs)
    assert out.dtype == inputs[0].dtype
    assert (out.double() - reference(*(tensor.double() for tensor in inputs))).abs().max() < 0.2 * out.abs().max()
