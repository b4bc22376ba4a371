"""FreqFusion compared with a naive form: the upsampled x, the sharpened guide, the points that are read again."""

import naive_operators
import pytest
import torch
import torch.nn.functional as F
from every_operator import ROUNDING, differentiable, fit_for, inputs, output_and_gradients, perturbed, worst
from live_storages import assert_peaks
from torch import nn

import upsamplers
from upsampler_bench.metrics import _conventions as conventions
from upsampler_bench.metrics import flops
from upsamplers import Unsupported

RESAMPLED = (
    {"feature_resample": True},
    {"feature_resample": True, "feature_resample_norm": False, "hamming_window": False},
    {"feature_resample": True, "direction_feat": "sim", "feature_resample_group": 2},
)
OPTIONS = (
    {},
    {"hamming_window": False, "lowpass_kernel": 3, "highpass_kernel": 5},
    {"encoder_kernel": 1, "lowpass_kernel": 7},
    *RESAMPLED,
)


def built(options, channels=8, guide_channels=6, compressed_channels=16):
    options = {"guide_channels": guide_channels, "compressed_channels": compressed_channels, **options}
    return perturbed("freqfusion", channels, by=0.3, **options).eval()


def reassembled(v, logits, window, scale):
    """Every window copied out, its softmax times the Hamming window over the sum."""
    weights = logits.softmax(1) * (window.flatten().view(1, -1, 1, 1))
    return naive_operators.reassembled(v, weights / weights.sum(1, keepdim=True), scale)


def similarities(v):
    padded = F.pad(v, (2, 2, 2, 2))
    found = []
    for down in (-2, 0, 2):
        for across in (-2, 0, 2):
            if down or across:
                moved = padded[:, :, 2 + down :, 2 + across :][:, :, : v.shape[2], : v.shape[3]]
                found.append(F.cosine_similarity(v, moved, dim=1, eps=1e-8))
    return torch.stack(found, dim=1)


def read_again(up, x, out, low, high):
    points = up.dysampler
    if points.norm_lr is not None:
        low, high = points.norm_lr(low), points.norm_hr(high)
    of_low, of_high = similarities(low), similarities(high)
    if points.concatenates:
        offset_maps = scope_maps = torch.cat((low, of_low), 1), torch.cat((high, of_high), 1)
    else:
        offset_maps, scope_maps = (of_low, of_high), (low, high)
    offset = points.offset(offset_maps[0]) + F.pixel_unshuffle(points.hr_offset(offset_maps[1]), 2)
    scope = points.direct_scale(scope_maps[0]) + F.pixel_unshuffle(points.hr_direct_scale(scope_maps[1]), 2)
    moved = F.pixel_shuffle(offset * scope.sigmoid() + points.init_pos, 2).unflatten(1, (2, -1))  # (B, 2, Z, 2H, 2W)
    (tall, wide), groups = out.shape[2:], moved.shape[2]
    rows = (torch.arange(tall).div(2, rounding_mode="floor") + 0.5).view(-1, 1)
    columns = torch.arange(wide).div(2, rounding_mode="floor") + 0.5
    grid = torch.stack((2 * (columns + moved[:, 0]) / x.shape[3] - 1, 2 * (rows + moved[:, 1]) / x.shape[2] - 1), -1)
    cut = out.reshape(-1, out.shape[1] // groups, tall, wide)
    sampled = F.grid_sample(cut, grid.flatten(0, 1), padding_mode="border", align_corners=False)
    return sampled.reshape(out.shape)


def naive(up, x, y):
    lowpass, highpass = up.hamming_lowpass, up.hamming_highpass
    high, low = up.hr_channel_compressor(y), up.lr_channel_compressor(x)
    a = up.content_encoder2(high)
    high = 2 * high - reassembled(high, a, highpass, 1)
    b = up.content_encoder(high)
    mask = b + reassembled(up.content_encoder(low), b, lowpass, 2)
    logits = a + reassembled(up.content_encoder2(low), mask, lowpass, 2)
    out = reassembled(x, mask, lowpass, 2)
    sharpened = 2 * y - reassembled(y, logits, highpass, 1)
    return (out if up.dysampler is None else read_again(up, x, out, low, high)), sharpened


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("size", [(3, 4), (1, 1), (5, 2)], ids=str)
def test_both_results_and_all_gradients_are_those_of_the_naive_form(options, size):
    up = built(options)
    given = up.example_inputs(2, *size)

    def in_one(both):
        return torch.cat([one.flatten(1) for one in both], dim=1)

    expected = output_and_gradients(up, lambda x, y: in_one(naive(up, x, y)), given)
    assert worst(output_and_gradients(up, lambda x, y: in_one(up.upsample_both(x, y)), given), expected) <= 1e-10
    assert torch.equal(up(*given), up.upsample_both(*given)[0])


@pytest.mark.parametrize(("is_normed", "expected"), [(True, 104_690), (False, 104_434)])
def test_parameters_of_a_resampling_one_are_those_that_are_published(is_normed, expected):
    up = upsamplers.create("freqfusion", 256, feature_resample=True, feature_resample_norm=is_normed)
    assert sum(parameter.numel() for parameter in up.parameters()) == expected


class Both(nn.Module):
    """Both results in one forward."""

    def __init__(self, up):
        super().__init__()
        self.up = up

    def forward(self, x, y):
        return self.up.upsample_both(x, y)


@pytest.mark.parametrize(("is_resampled", "more"), [(False, 0), (True, 89_920)])
def test_multiply_adds_are_those_of_the_closed_form(is_resampled, more):
    up = upsamplers.create("freqfusion", 256, feature_resample=is_resampled).eval()
    given = torch.zeros(1, 256, 4, 5), torch.zeros(1, 256, 8, 10)
    assert flops.count(up, given, conventions.MAC) == (20 * (205_060 + more), ())
    assert flops.count(Both(up), given, conventions.MAC) == (20 * (220_360 + more), ())


def test_it_starts_from_the_published_values():
    up = upsamplers.create("freqfusion", 64, feature_resample=True)
    window = torch.tensor([0.08, 0.54, 1, 0.54, 0.08])
    assert torch.allclose(up.hamming_lowpass[0, 0], torch.outer(window, window), atol=1e-6)
    assert up.hamming_highpass.shape == (1, 1, 3, 3)
    for encoder in (up.content_encoder, up.content_encoder2):
        assert float(encoder.weight.detach().std()) == pytest.approx(0.001, rel=0.1)
    for layer in (up.hr_channel_compressor, up.dysampler.offset, up.dysampler.hr_direct_scale):
        fan = layer.weight[0].numel() + layer.weight.shape[0] * layer.weight[0, 0].numel()
        assert float(layer.weight.detach().std()) == pytest.approx((2 / fan) ** 0.5, rel=0.1)
    assert not any(layer.bias.any() for layer in up.modules() if isinstance(layer, nn.Conv2d))
    bilinear = upsamplers.create("dysample", 64).init_pos
    assert torch.equal(up.dysampler.init_pos, bilinear)
    assert upsamplers.create("freqfusion", 8, hamming_window=False).hamming_lowpass.tolist() == [1.0]


@pytest.mark.parametrize("options", RESAMPLED, ids=str)
def test_reset_parameters_gives_what_the_constructor_gives_under_that_seed(options):
    up = built(options).float()
    up.dysampler.init_pos.fill_(7)
    torch.manual_seed(3)
    fresh = upsamplers.create("freqfusion", 8, guide_channels=6, compressed_channels=16, **options).state_dict()
    torch.manual_seed(3)
    up.reset_parameters()
    assert all(torch.equal(tensor, fresh[name]) for name, tensor in up.state_dict().items())


@pytest.mark.parametrize("options", RESAMPLED, ids=str)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_a_resampled_output_keeps_its_dtype_and_agrees_with_float32(options, dtype):
    up = built(options).to(dtype)
    given = fit_for(inputs(up), dtype)
    out = up(*given)
    assert out.dtype == dtype
    # Points, too, were rounded on their way: to features and offsets of half precision.
    assert worst([out], [up.float()(*fit_for(given, torch.float32))]) <= 8 * ROUNDING[dtype]


@pytest.mark.parametrize("options", RESAMPLED, ids=str)
def test_a_batch_of_none_is_resampled_with_gradients_of_zero(options):
    up = built(options).float()
    given = differentiable(one[:0] for one in inputs(up))
    out, sharpened = up.upsample_both(*given)
    assert (out.shape, sharpened.shape) == ((0, 8, 10, 14), (0, 6, 10, 14))
    (out.sum() + sharpened.sum()).backward()
    assert all(one.grad is not None and not one.grad.any() for one in up.parameters())


@pytest.mark.slow
def test_a_resampling_module_compiles_in_one_graph():
    options = RESAMPLED[0]
    torch._dynamo.reset()
    up = built(options).float()
    given = inputs(up)
    compiled = torch.compile(up, fullgraph=True, dynamic=True, backend="eager")
    expected = output_and_gradients(up, up, given)
    assert worst(output_and_gradients(up, compiled, given), expected) <= ROUNDING[torch.float32]


def test_features_of_zero_have_gradients_that_are_numbers():
    up = built({"feature_resample": True, "feature_resample_norm": False}).float()
    with torch.no_grad():
        for layer in (up.hr_channel_compressor, up.lr_channel_compressor):
            layer.bias.zero_()
    x, y = torch.zeros(1, 8, 3, 3, requires_grad=True), torch.zeros(1, 6, 6, 6, requires_grad=True)
    up(x, y).sum().backward()
    assert x.grad.isfinite().all()
    assert y.grad.isfinite().all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lowpass_kernel": 4}, "lowpass_kernel must be odd, not 4"),
        ({"highpass_kernel": 2}, "highpass_kernel must be odd, not 2"),
        ({"encoder_kernel": 2}, "encoder_kernel must be odd, not 2"),
        ({"compressed_channels": 0}, "compressed_channels must be a positive integer, not 0"),
        ({"feature_resample": True, "feature_resample_group": 3}, "8 channels are not divisible by 3"),
        ({"feature_resample": True, "compressed_channels": 12}, "12 channels are not divisible by 8"),
        ({"feature_resample": True, "direction_feat": "dot"}, "'dot'; expected 'sim_concat' or 'sim'"),
    ],
)
def test_options_that_do_not_fit_are_refused_with_a_reason(options, message):
    with pytest.raises(Unsupported, match=message):
        upsamplers.create("freqfusion", 8, **options)


def test_peak_memory_stays_within_its_bound():
    assert_peaks(upsamplers.create("freqfusion", 256), 40, forward=2.2, training=6)
