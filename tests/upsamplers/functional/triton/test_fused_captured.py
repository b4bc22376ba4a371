"""Triton operators compiled, traced with fake tensors, copied, pickled and captured in a CUDA graph."""

import pytest
import torch
from torch import nn
from triton_pairs import DEVICE, EVERY, ON_GPU, channels_of, features, marks, pair

import upsamplers

pytest.importorskip("triton")
pytestmark = [*marks, pytest.mark.slow]


@pytest.fixture(autouse=True)
def _nothing_compiled_before():
    torch._dynamo.reset()


class Decoder(nn.Module):
    """Two stages, each upsampled to the size of an encoder feature and fused with it by a convolution."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.ups = nn.ModuleList([upsamplers.create(name, 32, guide_channels=32) for _ in range(2)])
        self.fuse = nn.ModuleList([nn.Conv2d(32, 32, 3, padding=1) for _ in range(2)])

    def forward(self, x, *fine):
        for up, fuse, feature in zip(self.ups, self.fuse, fine, strict=True):
            x = fuse(up.upsample_to(x, feature)) + feature
        return x


@pytest.mark.parametrize("name", EVERY)
def test_a_decoder_compiles_without_graph_breaks_forward_and_backward(name):
    torch.manual_seed(0)
    decoder = Decoder(name).to(DEVICE)
    given = [torch.randn(1, 32, *size, device=DEVICE, requires_grad=True) for size in ((3, 4), (6, 8), (12, 16))]
    compiled = torch.compile(decoder, fullgraph=True, backend="inductor" if ON_GPU else "aot_eager")
    expected, found = decoder(*given), compiled(*given)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 if ON_GPU else 1e-5)
    before = torch.autograd.grad(expected.square().sum(), given)
    after = torch.autograd.grad(found.square().sum(), given)
    for one, other in zip(before, after, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-3, atol=1e-4)


def test_one_program_serves_every_size():
    up, _ = pair("carafe-triton", 16)
    compiled = torch.compile(up, fullgraph=True, dynamic=True, backend="aot_eager")
    for size in ((3, 4), (5, 6), (2, 7)):
        (x,) = features(up, 1, *size)
        torch.testing.assert_close(compiled(x), up(x))


def some(*shape):
    return torch.randn(shape, device=DEVICE, requires_grad=True)


CHECKED = [
    ("window_sum", lambda: (some(1, 4, 3, 4), some(1, 36, 3, 4), None, 3, 1, 2, 0, True)),
    ("window_sum", lambda: (some(1, 4, 3, 4), some(1, 18, 6, 8), some(1, 18, 3, 4), 3, 2, 2, 1, True)),
    ("affinity_sum", lambda: (some(1, 4, 3, 4), some(1, 5, 6, 8), some(1, 5, 3, 4), 3, 2, True)),
    (
        "sample_displaced",
        lambda: (some(1, 4, 3, 4), some(1, 32, 3, 4), torch.zeros(1, 16, 1, 1, device=DEVICE), 0.25, 2, 2),
    ),
    ("interpolate_bilinear", lambda: (some(1, 4, 3, 4), 3)),
]


@pytest.mark.parametrize(("name", "given"), CHECKED)
def test_opcheck_passes_for_every_operation_with_gradients(name, given):
    upsamplers.create("sapa-b-triton", 32), upsamplers.create("dysample-triton", 8)
    tests = ("test_schema", "test_autograd_registration", "test_faketensor", "test_aot_dispatch_dynamic")
    torch.library.opcheck(getattr(torch.ops.upsamplers, name).default, given(), test_utils=tests)


def test_opcheck_passes_for_the_operation_of_inference():
    upsamplers.create("dysample-s-triton", 32)
    given = [
        some(1, 8, 3, 4),
        some(4, 2, 1, 1),
        some(4),
        some(4, 2, 1, 1),
        None,
        torch.zeros(1, 16, 1, 1, device=DEVICE),
    ]
    with torch.no_grad():
        given = [one if one is None else one.detach() for one in given]
        torch.library.opcheck(
            torch.ops.upsamplers.project_and_sample.default,
            (*given, 0.5, 2, 2),
            test_utils=("test_schema", "test_faketensor"),
        )


def test_a_copy_and_a_pickle_give_the_same():
    import copy
    import pickle

    up, _ = pair("carafe-triton", 16)
    (x,) = features(up, 1, 3, 4)
    for other in (copy.deepcopy(up), pickle.loads(pickle.dumps(up))):
        assert torch.equal(other(x), up(x))


@pytest.mark.parametrize("name", ["carafe-triton", "dysample+-triton"])
def test_under_autocast_the_output_has_the_dtype_of_x(name):
    up, reference = pair(name, 16)
    (x,) = features(up, 1, 4, 5)
    with torch.autocast(DEVICE, dtype=torch.bfloat16):
        out = up(x)
    assert out.dtype == x.dtype
    assert (out.double() - reference(x.double())).abs().max() < 0.2 * out.abs().max()


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.skipif(not ON_GPU, reason="CUDA graphs need a GPU")
def test_a_cuda_graph_replays_it(name):
    up, _ = pair(name, channels_of(name))
    inputs = [one.detach() for one in features(up, 2, 6, 7)]
    with torch.inference_mode():
        for _ in range(3):
            expected = up(*inputs)
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            out = up(*inputs)
        out.fill_(float("nan"))
        graph.replay()
        torch.cuda.synchronize()
    torch.testing.assert_close(out, expected)
