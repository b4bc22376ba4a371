"""LDA-AQU: its values, its start, its options, its refusals and its memory."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from every_operator import output_and_gradients
from live_storages import peaks
from naive_operators import bilinear_reads

import upsamplers
from upsamplers.errors import Unsupported


def plain(lda, x):
    """The operator as the definition reads, with every sample copied out and no grid_sample."""
    scale, kernel, groups, reach = lda.scale, lda.hood.kernel, lda.hood.groups, lda.hood.reach
    batch, channels, height, width = x.shape
    tall, wide, inside = scale * height, scale * width, channels // lda.reduction
    norm = lda.layer_norm.norm
    normed = (x - x.mean(1, keepdim=True)) / (x.var(1, correction=0, keepdim=True) + 1e-5).sqrt()
    normed = normed * norm.weight.view(-1, 1, 1) + norm.bias.view(-1, 1, 1)
    key = lda.proj_k(normed)
    query = F.interpolate(lda.proj_q(normed), size=(tall, wide), mode="bilinear", align_corners=True)
    depthwise, inner_norm, activation, projection = lda.conv_offset
    hidden = depthwise(query.reshape(batch * groups, inside // groups, tall, wide))
    hidden = activation(inner_norm.norm(hidden.movedim(1, -1)).movedim(-1, 1))
    moves = reach * projection(hidden).tanh().view(batch, groups, kernel**2, 2, tall, wide)
    table = lda.relative_position_bias_table.view(kernel**2, 1, 1, inside)
    values, logits = [], []
    for point in range(kernel**2):
        dy, dx = point // kernel - kernel // 2, point % kernel - kernel // 2
        down = torch.arange(tall).view(-1, 1) + dy + moves[:, :, point, 0]
        right = torch.arange(wide) + dx + moves[:, :, point, 1]
        # In input pixels; a side of a single pixel has one place alone.
        down, right = down * ((height - 1) / max(1, tall - 1)), right * ((width - 1) / max(1, wide - 1))
        values.append(by_group(x, down, right))
        keys = by_group(key, down, right) + table[point].view(-1, 1, 1)
        logits.append((query * keys).sum(1) / inside**0.5)
    weights = torch.stack(logits).softmax(0)
    return (torch.stack(values) * weights.unsqueeze(2)).sum(0)


def by_group(image, down, right):
    """An image (B, C, H, W) at rows and columns (B, Z, h, w), zero outside: (B, C, h, w)."""
    split = image.reshape(down.shape[0] * down.shape[1], -1, *image.shape[2:])  # (B·Z, C/Z, H, W)
    found = bilinear_reads(split, down.flatten(0, 1), right.flatten(0, 1))
    return found.reshape(*image.shape[:2], *found.shape[2:])


def moved(channels=16, **options):
    """A module in float64 whose points move by much of their range, many of them out of the image."""
    torch.manual_seed(0)
    lda = upsamplers.create("lda-aqu", channels, **options).double()
    with torch.no_grad():
        for parameter in lda.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return lda


def assert_as_defined(lda, size, batch=2):
    given = (torch.randn(batch, lda.channels, *size, dtype=torch.float64),)
    out, *gradients = output_and_gradients(lda, lda, given)
    expected, *others = output_and_gradients(lda, lambda x: plain(lda, x), given)
    torch.testing.assert_close(out, expected, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(gradients, others, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("size", [(5, 6), (1, 4), (7, 1), (1, 1), (2, 3)])
@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_values_and_gradients_are_those_of_the_definition(scale, size):
    assert_as_defined(moved(scale=scale), size)


@pytest.mark.parametrize(
    "options",
    [
        {"kernel": 1},
        {"kernel": 5},
        {"groups": 1},
        {"groups": 4, "reduction": 2},
        {"reduction": 1},
        {"offset_range": 0.5},
        {"offset_range": 40},
        {"channels": 24, "groups": 3, "kernel": 5, "offset_range": 2.5, "scale": 3},
    ],
    ids=str,
)
def test_options_change_values_and_gradients_as_the_definition_says(options):
    assert_as_defined(moved(**options), (4, 5))


def test_a_single_image_is_as_defined():
    assert_as_defined(moved(), (3, 7), batch=1)


def test_as_constructed_its_points_are_the_pixels_around():
    lda = upsamplers.create("lda-aqu", 16, kernel=1).double()
    x = torch.randn(1, 16, 4, 5, dtype=torch.float64)
    expected = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
    torch.testing.assert_close(lda(x), expected)


def test_it_starts_as_the_page_says():
    torch.manual_seed(0)
    lda = upsamplers.create("lda-aqu", 256)
    shapes = {name: tuple(one.shape) for name, one in lda.state_dict().items()}
    assert shapes == {
        "relative_position_bias_table": (1, 1, 1, 9, 64),
        "layer_norm.norm.weight": (256,),
        "layer_norm.norm.bias": (256,),
        "proj_q.weight": (64, 256, 1, 1),
        "proj_k.weight": (64, 256, 1, 1),
        "conv_offset.0.weight": (32, 1, 3, 3),
        "conv_offset.1.norm.weight": (32,),
        "conv_offset.1.norm.bias": (32,),
        "conv_offset.3.weight": (18, 32, 3, 3),
        "conv_offset.3.bias": (18,),
    }
    assert not lda.conv_offset[3].weight.any()
    assert not lda.conv_offset[3].bias.any()
    assert lda.proj_q.weight.abs().max() <= (6 / (256 + 64)) ** 0.5
    assert lda.conv_offset[0].weight.abs().max() <= (6 / (9 + 9 * 32)) ** 0.5
    assert 0.017 < lda.relative_position_bias_table.std() < 0.023


@pytest.mark.parametrize("name", ["kernel", "reduction", "groups"])
@pytest.mark.parametrize("value", [0, -1, 3.0, True, "3", None])
def test_an_option_that_is_not_a_positive_integer_is_refused(name, value):
    with pytest.raises(Unsupported, match=f"{name} must be a positive integer"):
        upsamplers.create("lda-aqu", 32, **{name: value})


@pytest.mark.parametrize("value", [0, -3, True, "11", None, float("inf"), float("nan")])
def test_a_range_that_is_not_positive_is_refused(value):
    with pytest.raises(Unsupported, match="offset_range must be a positive number of output pixels"):
        upsamplers.create("lda-aqu", 32, offset_range=value)


@pytest.mark.parametrize(
    ("channels", "options", "message"),
    [
        (32, {"kernel": 2}, "kernel must be odd, not 2"),
        (30, {}, "30 channels are not divisible by 4"),
        (32, {"groups": 3}, "8 channels are not divisible by 3"),
        (8, {}, "expected at least 16 channels"),
    ],
)
def test_channels_and_kernels_that_do_not_fit_are_refused(channels, options, message):
    with pytest.raises(Unsupported, match=message):
        upsamplers.create("lda-aqu", channels, **options)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_in_half_precision_it_is_as_exact_as_its_output_can_be(dtype):
    lda = moved().float().to(dtype)
    x = torch.randn(2, 16, 5, 40).to(dtype)
    found, expected = lda(x), lda.double()(x.double())
    assert found.dtype == dtype
    assert (found - expected).abs().max() <= torch.finfo(dtype).eps * expected.abs().max()


def test_autocast_does_not_change_the_result():
    lda, x = moved().float(), torch.randn(1, 16, 5, 6)
    with torch.autocast("cpu", torch.bfloat16):
        found = lda(x)
    assert torch.equal(found, lda(x))


# What x is refused for is not traced.
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")
def test_a_trace_is_18_calls_of_grid_sample_for_any_size():
    lda = moved().float().eval()
    traced = torch.jit.trace(lda, torch.randn(1, 16, 4, 5))
    kinds = [node.kind() for node in traced.inlined_graph.nodes()]
    assert kinds.count("aten::grid_sampler") == 2 * 9
    assert not any("embedding" in kind or "_AttendedPoints" in kind for kind in kinds)
    for size in ((1, 16, 4, 5), (1, 16, 6, 3)):
        x = torch.randn(size)
        torch.testing.assert_close(traced(x), lda(x), rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_an_exported_program_takes_any_size():
    lda = moved(kernel=1).float().eval()
    sizes = {0: torch.export.Dim("b"), 2: torch.export.Dim("h"), 3: torch.export.Dim("w")}
    program = torch.export.export(lda, (torch.randn(2, 16, 4, 5),), dynamic_shapes=(sizes,))
    x = torch.randn(3, 16, 6, 3)
    torch.testing.assert_close(program.module()(x), lda(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_peaks_are_at_most_2_2_outputs_forward_and_5_5_in_training(layout):
    x = torch.randn(1, 256, 60, 60).to(memory_format=layout)
    output = 4 * 256 * 120 * 120
    forward, training = peaks(moved(256).float(), x)
    assert forward <= 2.2 * output
    assert training <= 5.5 * output
