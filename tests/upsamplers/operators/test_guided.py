"""The guided operators and SIERRA compared with their naive forms, and what each of them refuses."""

from __future__ import annotations

import naive_operators as naive
import pytest
import torch
from every_operator import output_and_gradients, worst
from live_storages import assert_peaks

import upsamplers
from upsamplers import Unsupported

# name, channels, guide channels, scale, options, (H, W)
CASES = [
    ("max-unpool", 3, 3, 2, {}, (5, 4)),
    ("max-unpool", 3, 3, 3, {}, (2, 5)),
    ("max-unpool", 3, 3, 1, {}, (2, 5)),
    ("indexnet", 5, 3, 2, {}, (5, 4)),
    ("a2u", 5, 32, 2, {}, (5, 4)),
    ("a2u", 5, 64, 2, {}, (1, 7)),
    ("a2u", 5, 32, 2, {}, (9, 2)),
    ("fade", 5, 3, 2, {}, (5, 4)),
    ("fade", 5, 3, 3, {"up_kernel": 3, "compressed_channels": 7}, (5, 4)),
    ("fade-gated", 5, 5, 2, {}, (5, 4)),
    ("fade-gated", 5, 5, 4, {"up_kernel": 3}, (2, 1)),
    ("fade-lite", 5, 3, 2, {}, (5, 4)),
    ("fade-lite", 5, 5, 3, {"up_kernel": 3, "gated": True}, (5, 4)),
    ("sapa-b", 32, 64, 2, {}, (5, 4)),
    ("sapa-b", 32, 32, 3, {"up_kernel": 3, "embedding_channels": 5}, (1, 6)),
    ("sierra", 5, None, 2, {}, (5, 4)),
    ("sierra", 5, None, 3, {"up_kernel": 5}, (1, 6)),
    ("sierra", 5, None, 1, {}, (3, 3)),
    ("jbu", 5, 3, 2, {}, (5, 4)),
    ("jbu", 5, 8, 3, {"radius": 2, "key_channels": 6}, (2, 3)),
    ("jbu", 5, 3, 1, {}, (4, 6)),
    ("jbu", 5, 3, 4, {}, (1, 2)),
]
FORMS = {"max-unpool": naive.max_unpool, "sapa-b": naive.sapa, "fade-gated": naive.fade, "fade-lite": naive.fade}


@pytest.mark.parametrize(("name", "channels", "guide_channels", "scale", "options", "size"), CASES)
def test_values_and_all_gradients_are_those_of_the_naive_form(name, channels, guide_channels, scale, options, size):
    torch.manual_seed(0)
    module = upsamplers.create(name, channels, scale=scale, guide_channels=guide_channels, **options).double().eval()
    state = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    for key, value in state.items():
        if "running" in key or isinstance(value, torch.nn.Parameter):
            value.data.add_((1 if "running" in key else 0.3) * torch.rand_like(value))
    given = [torch.randn(2, channels, *size, dtype=torch.float64)]
    if guide_channels:
        given.append(torch.randn(2, guide_channels, scale * size[0], scale * size[1], dtype=torch.float64))
    # No gradient reaches the feature that indices come from.
    fixed = [given.pop()] if name == "max-unpool" else []
    seen = {key: value for key, value in options.items() if key in ("radius", "up_kernel") and "fade" not in name}
    form = FORMS.get(name, getattr(naive, name, None))
    found = output_and_gradients(module, lambda x, *guide: module(x, *map(module.make_guide, [*guide, *fixed])), given)
    expected = output_and_gradients(module, lambda *inputs: form(state, *inputs, *fixed, scale, **seen), given)
    # The buffer of SIERRA was rounded to float32 before it became float64.
    assert worst(found, expected) <= (1e-6 if name == "sierra" else 1e-11)


def test_initial_values_are_those_of_the_papers():
    fade = upsamplers.create("fade-gated", 64)
    convolutions = [one for one in fade.modules() if isinstance(one, torch.nn.Conv2d)]
    assert len(convolutions) == 4
    for one in convolutions:
        fan = one.weight[0].numel() + one.weight[:, 0].numel()
        assert one.weight.abs().max() <= (6 / fan) ** 0.5
        assert float(one.weight.detach().std()) == pytest.approx((2 / fan) ** 0.5, rel=0.2)
        assert one.bias is None or not one.bias.any()
    sapa = upsamplers.create("sapa-b", 64)
    for one in (sapa.q, sapa.k):
        assert float(one.weight.detach().std()) == pytest.approx(0.02, rel=0.1)
        assert not one.bias.any()
    jbu = upsamplers.create("jbu", 4)
    assert (jbu.range_temp.item(), jbu.sigma_spatial.item()) == (0, 1)


@pytest.mark.parametrize(
    ("name", "channels", "options", "message"),
    [
        ("max-unpool", 4, {"guide_channels": 3}, "3 guide channels, expected 4"),
        ("a2u", 48, {}, "48 channels are not divisible by 32"),
        ("fade", 4, {"up_kernel": 4}, "up_kernel must be odd, not 4"),
        ("fade", 4, {"compressed_channels": 0}, "compressed_channels must be a positive integer, not 0"),
        ("fade-gated", 4, {"guide_channels": 3}, "expected 4 guide channels, not 3"),
        ("fade-lite", 4, {"compressed_channels": 64}, "25 channels of its window, not to 64"),
        ("sapa-b", 48, {}, "48 channels are not divisible by 32"),
        ("sapa-b", 32, {"guide_channels": 33}, "33 channels are not divisible by 32"),
        ("sapa-b", 32, {"embedding_channels": True}, "embedding_channels must be a positive integer, not True"),
        ("sierra", 4, {"up_kernel": 2}, "up_kernel must be odd, not 2"),
        ("jbu", 4, {"radius": 1.5}, "radius must be a positive integer, not 1.5"),
    ],
)
def test_options_that_do_not_fit_are_refused_with_a_reason(name, channels, options, message):
    with pytest.raises(Unsupported) as refusal:
        upsamplers.create(name, channels, **options)
    assert message in str(refusal.value)


def test_a_guide_of_another_dtype_is_refused():
    with pytest.raises(Unsupported, match=r"expected that of x, torch\.float32"):
        upsamplers.create("fade", 8)(torch.randn(1, 8, 3, 3), torch.zeros(1, 8, 6, 6).half())


def test_an_image_of_0_to_255_overflows_nothing_in_half_precision():
    torch.manual_seed(0)
    module = upsamplers.create("jbu", 8, guide_channels=3).half().eval()
    assert module(torch.randn(1, 8, 8, 8).half(), (255 * torch.rand(1, 3, 16, 16)).half()).isfinite().all()


def test_a_feature_that_windows_do_not_cover_gives_no_indices():
    with pytest.raises(Unsupported, match="sides divisible by the scale 2"):
        upsamplers.create("max-unpool", 3).make_guide(torch.randn(1, 3, 7, 7))


@pytest.mark.parametrize(
    ("name", "size", "message"),
    [
        ("indexnet", (1, 1), "a single value"),
        ("a2u", (1, 1), "more than one value per group"),
        ("sapa-b", (1, 1), "more than one value per group"),
        ("jbu", (1, 4), "at least 2 x 2 .windows of 7 output pixels"),
    ],
)
def test_what_a_norm_or_a_reflection_cannot_take_is_refused(name, size, message):
    module = upsamplers.create(name, 32).train()
    with pytest.raises(Unsupported, match=message):
        module(torch.randn(1, 32, *size), torch.randn(1, 32, 2 * size[0], 2 * size[1]))


# Forward and forward + backward, over the output's bytes, at 256 channels.
PEAKS = {"a2u": (2.5, 6), "fade": (2.5, 6), "fade-gated": (2.5, 6), "fade-lite": (2.5, 6), "sapa-b": (2.5, 6),
         "sierra": (2.5, 4), "max-unpool": (1.1, 3), "indexnet": (2.5, 6), "jbu": (2.2, 6)}  # fmt: skip


@pytest.mark.parametrize("name", PEAKS)
def test_peak_memory_stays_within_its_bound(name):
    forward, training = PEAKS[name]
    assert_peaks(upsamplers.create(name, 256), 40, forward=forward, training=training, trains=True)
