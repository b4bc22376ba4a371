"""1x1 convolutions by the projection kernel, compared with torch's: on a GPU, or interpreted."""

import pytest
import torch
import torch.nn.functional as F
from triton_pairs import DEVICE, features, marks, pair, unwritten_shows

pytest.importorskip("triton")
pytestmark = [*marks, unwritten_shows]
LAYOUTS = [torch.contiguous_format, torch.channels_last]


def compare(*shape, outputs=(16,), biased=(True,), shuffle=1, normed=False, dtype=torch.float32, layout=LAYOUTS[0]):
    from upsamplers.functional._triton.projection import project

    torch.manual_seed(0)
    x = torch.randn(shape, device=DEVICE).to(dtype).contiguous(memory_format=layout)
    weights = [torch.randn(count, shape[1] // shuffle**2, 1, 1, device=DEVICE).to(dtype) for count in outputs]
    biases = [
        torch.randn(count, device=DEVICE).to(dtype) if bias else None
        for count, bias in zip(outputs, biased, strict=True)
    ]
    norm = {name: torch.randn(shape[:2], device=DEVICE) for name in ("norm_scale", "norm_shift")} if normed else {}
    found = project(x, weights, biases, shuffle=shuffle, **norm)
    value = x.double()
    if normed:
        value = value * norm["norm_scale"].double()[..., None, None] + norm["norm_shift"].double()[..., None, None]
    value = F.pixel_shuffle(value, shuffle)
    parts = [F.conv2d(value, w.double(), b if b is None else b.double()) for w, b in zip(weights, biases, strict=True)]
    expected = F.pixel_unshuffle(torch.cat(parts, dim=1), shuffle)
    assert found.dtype == dtype
    assert found.is_contiguous(memory_format=layout)
    tolerance = {torch.float32: 2e-6, torch.float16: 2e-3, torch.bfloat16: 2e-2}[dtype]
    assert (found.double() - expected).abs().max() <= tolerance * expected.abs().max()


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"outputs": (32, 32), "biased": (True, False)},
        {"outputs": (8, 8), "biased": (False, True), "shuffle": 2},
        {"outputs": (5, 20), "biased": (False, False), "normed": True},
        {"outputs": (4,), "shuffle": 3, "normed": True},
    ],
    ids=str,
)
def test_it_is_the_convolution_of_the_shuffled_and_normed_feature(options, layout):
    compare(2, 36, 5, 15, layout=layout, **options)


@pytest.mark.parametrize("size", [(1, 1), (1, 70), (7, 1)], ids=str)
def test_small_and_narrow_sizes(size):
    compare(1, 40, *size)
    compare(1, 40, *size, layout=torch.channels_last)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_is_summed_in_float32(dtype):
    compare(1, 256, 3, 4, dtype=dtype, normed=True)


def test_a_strided_feature_and_strided_weights_are_read():
    from upsamplers.functional._triton.projection import project

    x, weight = torch.randn(1, 8, 4, 12, device=DEVICE)[..., ::3], torch.randn(8, 16, 1, 1, device=DEVICE).mT
    weight = weight[:, :, 0, 0].t().contiguous().t()[:, :8, None, None]
    torch.testing.assert_close(project(x, [weight], [None]), F.conv2d(x, weight), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["dysample", "dysample+", "dysample-s", "dysample-s+"])
def test_dysample_projects_by_it_where_no_gradient_is_wanted(name, monkeypatch):
    from upsamplers.functional._triton import projection

    calls, project = [], projection.project
    monkeypatch.setattr(projection, "project", lambda *a, **k: calls.append(name) or project(*a, **k))
    up, reference = pair(name, 8, groups=2)
    (x,) = features(up, 1, 3, 4)
    up(x)
    assert not calls
    for mode in (torch.inference_mode(), torch.no_grad()):
        with mode:
            out = up(x)
        torch.testing.assert_close(out.double(), reference(x.double()), rtol=1e-4, atol=1e-4)
    assert calls == [name] * 2


@pytest.mark.parametrize(("name", "options"), [("dysample+", {"scale": 4}), ("dysample-s", {"scale": 8})], ids=str)
def test_dysample_calls_its_layers_where_their_outputs_are_too_many_for_the_kernel(name, options):
    up, reference = pair(name, 128, groups=4, **options)
    (x,) = features(up, 1, 2, 3)
    with torch.inference_mode():
        torch.testing.assert_close(up(x).double(), reference(x.double()), rtol=1e-4, atol=1e-4)


def test_flops_are_those_of_the_convolution():
    from torch.utils.flop_counter import FlopCounterMode

    up, _ = pair("dysample-s+", 32)
    x = torch.randn(1, 32, 3, 4, device=DEVICE)
    with torch.inference_mode(), FlopCounterMode(display=False) as counted:
        up(x)
    projected, sampled = 2 * 16 * 8 * 4 * 12, 4 * 32 * 4 * 12
    assert counted.get_total_flops() == 2 * (projected + sampled)
