"""Convolutions by the kernel for few outputs, compared with torch's: on a GPU, or interpreted."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from triton_pairs import DEVICE, features, marks, pair, unwritten_shows

pytest.importorskip("triton")
from upsamplers.functional._triton.launch import has_fast_tf32

pytestmark = [
    *marks,
    unwritten_shows,
    pytest.mark.skipif(not has_fast_tf32(torch.device(DEVICE)), reason="needs a GPU with fast products of TF32"),
]
LAYOUTS = [torch.contiguous_format, torch.channels_last]


@pytest.fixture
def calls(monkeypatch):
    """The sides of the kernels of what is convolved by the kernel."""
    from upsamplers.functional._triton import convolution

    found, convolve = [], convolution.convolve
    monkeypatch.setattr(convolution, "convolve", lambda x, *a: found.append(a[0].shape[-1]) or convolve(x, *a))
    return found


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize(
    ("shape", "outputs", "options"),
    [
        ((2, 5, 7, 9), 18, {"padding": 1}),
        ((1, 40, 1, 1), 3, {"padding": 1, "bias": False}),
        ((1, 3, 6, 1), 20, {"kernel_size": 5, "padding": 4, "dilation": 2}),
        ((1, 2, 3, 70), 40, {"kernel_size": 5, "padding": 2}),
        ((0, 4, 3, 2), 4, {"padding": 1}),
        ((2, 17, 5, 6), 33, {"kernel_size": 1}),
    ],
    ids=str,
)
def test_it_is_the_convolution(shape, outputs, options, layout, calls):
    from upsamplers.functional.convolve import convolve

    torch.manual_seed(0)
    layer = nn.Conv2d(shape[1], outputs, **{"kernel_size": 3} | options, device=DEVICE).to(memory_format=layout)
    x = torch.randn(shape, device=DEVICE).contiguous(memory_format=layout)
    with torch.no_grad():
        found = convolve(x, layer, backend="triton")
        expected = layer.double()(x.double())
    assert calls == [layer.kernel_size[0]]
    assert found.dtype == torch.float32
    assert found.is_contiguous(memory_format=layout) or not len(x)
    torch.testing.assert_close(
        found.double(), expected, rtol=0, atol=2e-6 * expected.abs().amax().item() if len(x) else 0
    )


@pytest.mark.parametrize(
    "options",
    [
        {"stride": 2}, {"padding": 0}, {"padding": "same"}, {"padding_mode": "reflect"}, {"groups": 2},
        {"kernel_size": (3, 1), "padding": (1, 0)}, {"kernel_size": 7, "padding": 3}, {"out_channels": 129},
    ],
    ids=str,
)  # fmt: skip
def test_what_the_kernel_does_not_compute_is_left_to_the_layer(options, calls):
    from upsamplers.functional.convolve import convolve

    layer = nn.Conv2d(**{"in_channels": 4, "out_channels": 6, "kernel_size": 3, "padding": 1} | options, device=DEVICE)
    x = torch.randn(1, 4, 5, 6, device=DEVICE)
    with torch.no_grad():
        assert torch.equal(convolve(x, layer, backend="triton"), layer(x))
    assert not calls


def test_the_layer_is_called_where_something_else_wants_it(calls):
    from upsamplers.functional.convolve import convolve

    layer, x = nn.Conv2d(4, 6, 3, padding=1, device=DEVICE), torch.randn(1, 4, 5, 6, device=DEVICE)
    convolve(x, layer, backend="triton").sum().backward()
    assert layer.weight.grad is not None
    with torch.no_grad():
        convolve(x, layer, backend="torch")
        convolve(x.half(), layer.half(), backend="triton")
        torch.backends.cudnn.allow_tf32 = True  # the fixture of all tests puts it back
        convolve(x, layer.float(), backend="triton")
        torch.backends.cudnn.allow_tf32 = False
        hook = layer.register_forward_hook(lambda *_: None)
        convolve(x, layer, backend="triton")
        assert not calls
        hook.remove()
        convolve(x, layer, backend="triton")
        assert calls == [3]


@pytest.mark.parametrize(
    ("name", "channels", "sides"),
    [("carafe", 4, [3]), ("fade", 4, [3, 3]), ("dlu", 4, [3, 3]), ("lda-aqu", 16, [3]), ("freqfusion", 16, [3] * 3)],
)
def test_operators_encode_by_it_where_no_gradient_is_wanted(name, channels, sides, calls):
    up, reference = pair(name, channels)
    inputs = features(up, 1, 3, 4)
    up(*inputs)
    assert not calls
    with torch.inference_mode():
        expected = reference(*(value.double() for value in inputs))
        torch.testing.assert_close(up(*inputs).double(), expected, rtol=1e-4, atol=1e-4)
    assert calls == sides


def test_strided_features_and_weights_are_read():
    from upsamplers.functional._triton.convolution import convolve

    x = torch.randn(1, 8, 4, 12, device=DEVICE)[..., ::3]
    weight = torch.randn(3, 3, 8, 5, device=DEVICE).permute(3, 2, 0, 1)
    torch.testing.assert_close(convolve(x, weight, None, 1), F.conv2d(x, weight, padding=1), rtol=1e-5, atol=1e-5)


def test_flops_are_those_of_the_convolution():
    from torch.utils.flop_counter import FlopCounterMode

    from upsamplers.functional._triton.convolution import convolve

    x, weight = torch.randn(2, 8, 3, 4, device=DEVICE), torch.randn(5, 8, 3, 3, device=DEVICE)
    with torch.inference_mode(), FlopCounterMode(display=False) as counted:
        convolve(x, weight, None, 1)
    assert counted.get_total_flops() == 2 * 2 * 5 * 8 * 9 * 12
