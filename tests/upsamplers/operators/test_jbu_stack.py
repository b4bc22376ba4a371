"""FeatUp's stack: its stages are JBUs guided by averages of the image, what it takes and refuses."""

import naive_operators as naive
import pytest
import torch
import torch.nn.functional as F
from every_operator import output_and_gradients, perturbed
from live_storages import assert_peaks

import upsamplers
from upsamplers import Unsupported


def built(channels=5, **options):
    return perturbed("jbu-stack", channels, **options).eval()


def stacked(up, x, image, radius=3):
    state = dict(up.named_parameters())
    stage = 1
    while f"up{stage}.range_temp" in state:
        own = {key.partition(".")[2]: value for key, value in state.items() if key.startswith(f"up{stage}.")}
        guide = F.adaptive_avg_pool2d(image, (2 * x.shape[2], 2 * x.shape[3]))
        x, stage = naive.jbu(own, x, guide, 2, radius), stage + 1
    return x + 0.1 * F.conv2d(x, state["fixup_proj.1.weight"], state["fixup_proj.1.bias"])


@pytest.mark.parametrize(
    ("scale", "size", "image", "options"),
    [(2, (5, 4), (10, 8), {}), (4, (2, 3), (8, 12), {"radius": 2, "key_channels": 6}), (2, (3, 4), (5, 17), {}),
     (8, (2, 3), (9, 31), {"radius": 1}), (4, (3, 2), (3, 2), {}), (2, (2, 3), (1, 1), {})],
)  # fmt: skip
def test_values_and_gradients_are_those_of_naive_stages_guided_by_averages(scale, size, image, options):
    up = built(scale=scale, **options)
    given = torch.randn(2, 5, *size).double(), torch.randn(2, 3, *image).double()
    out, *gradients = output_and_gradients(up, up, given)
    expected, *others = output_and_gradients(up, lambda *both: stacked(up, *both, options.get("radius", 3)), given)
    assert torch.allclose(out, expected, atol=1e-11)
    pairs = zip(gradients, others, strict=True)
    assert all(torch.allclose(one, other, atol=1e-10 * float(other.abs().max() + 1)) for one, other in pairs)


@pytest.mark.parametrize(("channels", "parameters"), [(256, 90_724), (384, 172_772), (768, 615_524)])
def test_parameters_are_those_that_are_published(channels, parameters):
    up = upsamplers.create("jbu-stack", channels, scale=16)
    assert up.guide_channels == 3
    assert sum(parameter.numel() for parameter in up.parameters()) == parameters


def test_dropouts_drop_whole_channels():
    up = built(channels=64).train()
    dropouts = {name: layer.p for name, layer in up.named_modules() if isinstance(layer, torch.nn.Dropout2d)}
    assert dropouts == {"up1.range_proj.2": 0.1, "up1.fixup_proj.2": 0.1, "fixup_proj.0": 0.2}
    torch.manual_seed(0)
    dropped = up.fixup_proj[0](torch.ones(1, 64, 3, 4))
    assert torch.equal(dropped, dropped[:, :, :1, :1].expand_as(dropped))
    assert 0 < int((dropped[0, :, 0, 0] == 0).sum()) < 64


def test_its_backend_is_that_of_its_stages():
    up = upsamplers.create("jbu-stack", 4, scale=4, backend="torch")
    assert up.backend == up.up1.backend == up.up2.backend == "torch"
    up.backend = "auto"
    assert up.up2.backend == "auto"


def test_peak_memory_stays_within_its_bound():
    assert_peaks(upsamplers.create("jbu-stack", 96, scale=8), 12, forward=3.9, training=13, trains=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scale": 1}, "not by 1"),
        ({"radius": 0}, "radius must be a positive integer, not 0"),
        ({"scale": 4, "stages": 3}, "takes 2 stages to upsample by 4, not 3"),
        ({"key_channels": 0}, "key_channels must be a positive integer, not 0"),
    ],
)
def test_options_that_do_not_fit_are_refused_with_a_reason(options, message):
    with pytest.raises(Unsupported, match=message):
        upsamplers.create("jbu-stack", 4, **options)


def test_the_number_of_stages_may_be_stated():
    assert upsamplers.create("jbu-stack", 4, scale=8, stages=3).count == 3


def test_other_scales_are_refused_by_the_class_too():
    with pytest.raises(Unsupported, match="by powers of two only, not by 12; expected 2, 4, 8"):
        upsamplers.get("jbu-stack").cls(4, scale=12)
