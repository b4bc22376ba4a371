"""UPLiFT: its steps as published, its taps, its batch norms, what it takes and refuses."""

import pytest
import torch
import torch.nn.functional as F
from every_operator import output_and_gradients, perturbed
from live_storages import assert_peaks

import upsamplers
from upsamplers import Unsupported

WIDTHS = (4, 6, 8, 12, 10)
SQUARE = [(dy, dx) for dy in range(-2, 3) for dx in range(-2, 3)]
TAPS = {
    5: [(-1, 0), (0, -1), (0, 0), (0, 1), (1, 0)],
    9: [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)],
    13: [(dy, dx) for dy, dx in SQUARE if abs(dy) + abs(dx) <= 2],
    17: [(-2, -2), (-2, 0), (-2, 2), (-1, -1), (-1, 0), (-1, 1), (0, -2), (0, -1), (0, 0), (0, 1), (0, 2), (1, -1),
         (1, 0), (1, 1), (2, -2), (2, 0), (2, 2)],
    25: SQUARE,
}  # fmt: skip


def built(channels=5, **options):
    up = perturbed("uplift", channels, **{"encoder_channels": WIDTHS, "decoder_channels": 7, **options})
    for name, buffer in up.named_buffers():
        if "running" in name:
            buffer.add_(torch.rand_like(buffer))
    return up.eval()


def plus_first(out, feature):
    count = min(out.shape[1], feature.shape[1])
    return out + torch.cat((feature[:, :count], torch.zeros_like(out[:, count:])), 1)


def at(feature, size):
    rows, columns = (torch.arange(out) * own // out for out, own in zip(size, feature.shape[2:], strict=True))
    return feature[:, :, rows][..., columns]


def naive(up, x, image):
    """As published, step by step; without gradients for running statistics."""
    state = {**dict(up.named_parameters()), **dict(up.named_buffers())}

    def convolved(name, z, **options):
        return F.conv2d(z, state[f"{name}.weight"], state.get(f"{name}.bias"), **options)

    def block(name, feature):
        name, z = f"{name}.blocks.0.conv", feature
        for first in (0, 3) if f"{name}.6.weight" in state else (0,):
            z = convolved(f"{name}.{first}", z, padding=1)
            norm = [state[f"{name}.{first + 1}.{key}"] for key in ("running_mean", "running_var", "weight", "bias")]
            if up.training:
                norm[0], norm[1] = z.mean((0, 2, 3)), z.var((0, 2, 3), correction=0)
            mean, variance, weight, bias = (one.view(-1, 1, 1) for one in norm)
            z = F.relu((z - mean) / (variance + 1e-5).sqrt() * weight + bias)
        last = 6 if f"{name}.6.weight" in state else 3
        return plus_first(convolved(f"{name}.{last}", z), feature)

    features = [image]
    for index in range(5):
        features.append(block(f"encoder.block_{index}", features[-1]))
    taps = TAPS[state["attender.conv1.bias"].numel()]
    v = x
    while v.shape[2] < up.scale * x.shape[2]:
        height, width = v.shape[2:]
        u = block("decoder.block_0", torch.cat((v, at(features[5], (height, width))), 1))
        size = 2 * height, 2 * width
        u = F.conv_transpose2d(u, state["decoder.up_1.up.weight"], state["decoder.up_1.up.bias"], 2) + F.interpolate(
            u, size=size, mode="bilinear", align_corners=True
        )
        u = block("decoder.block_1", torch.cat((u, at(features[4], size)), 1))
        weights = plus_first(convolved("attender.conv1", u), u).softmax(1)
        rows, columns = (torch.arange(side) // 2 for side in size)
        out = 0
        for tap, (down, across) in enumerate(taps):
            read = v[:, :, (rows + down).clamp(0, height - 1)][..., (columns + across).clamp(0, width - 1)]
            out = out + weights[:, tap : tap + 1] * read
        v = out
    return v


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(
    ("scale", "size", "image", "options"),
    [(2, (4, 5), (8, 10), {}), (4, (3, 2), (12, 8), {"taps": 13}), (2, (1, 3), (2, 6), {"taps": 25}),
     (2, (3, 4), (7, 21), {"taps": 9}), (4, (2, 3), (3, 5), {"taps": 5}), (8, (1, 2), (20, 9), {}),
     (2, (4, 4), (8, 8), {"decoder_channels": 30, "encoder_channels": (3, 2, 9, 9, 4)})],
)  # fmt: skip
def test_values_and_gradients_are_those_of_the_published_steps(scale, size, image, options, training):
    up = built(scale=scale, **options).train(training)
    given = torch.randn(2, 5, *size).double(), torch.randn(2, 3, *image).double()
    expected, *others = output_and_gradients(up, lambda *both: naive(up, *both), given)
    out, *gradients = output_and_gradients(up, up, given)
    assert torch.allclose(out, expected, atol=1e-10)
    pairs = zip(gradients, others, strict=True)
    assert all(torch.allclose(one, other, atol=1e-9 * float(other.abs().max() + 1)) for one, other in pairs)


def test_the_decoders_statistics_move_at_every_step_and_the_encoders_once():
    up = built(scale=8).train()
    up(torch.randn(1, 5, 2, 3).double(), torch.randn(1, 3, 16, 24).double())
    moved = {name: int(value) for name, value in up.named_buffers() if name.endswith("num_batches_tracked")}
    assert {count for name, count in moved.items() if name.startswith("decoder")} == {3}
    assert {count for name, count in moved.items() if name.startswith("encoder")} == {1}


@pytest.mark.parametrize(("channels", "parameters"), [(384, 789_521), (768, 1_010_705)])
def test_parameters_are_those_that_are_published(channels, parameters):
    up = upsamplers.create("uplift", channels, scale=16)
    assert up.guide_channels == 3
    assert sum(parameter.numel() for parameter in up.parameters()) == parameters


def test_peak_memory_stays_within_its_bound():
    up = upsamplers.create("uplift", 96, scale=8, encoder_channels=(4, 8, 16, 32, 32), decoder_channels=16)
    assert_peaks(up, 12, forward=3.5, training=10.2, trains=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scale": 1}, "not by 1"),
        ({"taps": 7}, "taps must be 5, 9, 13, 17, 25, not 7"),
        ({"encoder_channels": (16, 32)}, r"five positive integers, not \(16, 32\)"),
        ({"encoder_channels": 16}, "five positive integers, not 16"),
        ({"encoder_channels": (16, 32, 64, 0, 128)}, "must be a positive integer, not 0"),
        ({"decoder_channels": 0}, "decoder_channels must be a positive integer, not 0"),
    ],
)
def test_options_that_do_not_fit_are_refused_with_a_reason(options, message):
    with pytest.raises(Unsupported, match=message):
        upsamplers.create("uplift", 4, **options)


def test_a_single_value_is_refused_in_training():
    up = built().train()
    with pytest.raises(Unsupported, match="cannot be trained on a single value; x has 1 pixel"):
        up(torch.randn(1, 5, 1, 1).double(), torch.randn(1, 3, 2, 2).double())
    with pytest.raises(Unsupported, match="the guide has 1 pixel"):
        up(torch.randn(1, 5, 2, 2).double(), torch.randn(1, 3, 1, 1).double())
    assert up.eval()(torch.randn(1, 5, 1, 1).double(), torch.randn(1, 3, 1, 1).double()).shape == (1, 5, 2, 2)
