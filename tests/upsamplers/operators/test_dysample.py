"""DySample equals its published formulation in exact arithmetic, and is right where that one loses half pixels."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from every_operator import output_and_gradients
from published_dysample import published, published_points
from torch import Tensor
from torch.testing import assert_close

import upsamplers
from upsamplers import Unsupported
from upsamplers.functional.sample_points import normalised_points
from upsamplers.operators.dysample import DySample

VARIANTS = ("dysample", "dysample+", "dysample-s", "dysample-s+", "dysample-naive")
SCOPES = {
    "static": {"dynamic_scope": False},
    "dynamic": {"dynamic_scope": True},
    "dynamic biased": {"dynamic_scope": True, "scope_bias": True},
}
# Divisible by 1, 2, 4 and 8 groups and by the squares of 2, 3 and 4.
CHANNELS = 144

every_variant = pytest.mark.parametrize("name", VARIANTS)
every_scale = pytest.mark.parametrize("scale", [2, 3, 4])


def trained(name: str = "dysample", channels: int = CHANNELS, **options: Any) -> DySample:
    """A module in float64 that displaces its points by about a pixel."""
    torch.manual_seed(0)
    module = upsamplers.create(name, channels, **options)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(std=0.3)
    return module.double()


def still(name: str, **options: Any) -> DySample:
    """A module whose projections give nothing: its points stay at their initial position."""
    module = trained(name, **options)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
    return module


def pushed(name: str, right: float, down: float) -> DySample:
    """A module that displaces every point by a multiple of this, whatever x is."""
    module = still(name)
    with torch.no_grad():
        by_coordinate = module.offset.bias.view(2, -1)
        by_coordinate[0], by_coordinate[1] = right, down
    return module


def features(height: int = 5, width: int = 7, channels: int = CHANNELS) -> Tensor:
    torch.manual_seed(1)
    return torch.randn(2, channels, height, width, dtype=torch.float64)


def assert_as_published(module: DySample) -> None:
    expected = output_and_gradients(module, lambda x: published(module, x), (features(),))
    assert_close(output_and_gradients(module, module, (features(),)), expected, rtol=1e-9, atol=1e-9)


@every_scale
@pytest.mark.parametrize("style", ["lp", "pl"])
@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("groups", [1, 4])
@pytest.mark.parametrize("position", ["bilinear", "nearest"])
def test_every_ablation_equals_the_published_formulation(
    scale: int, style: str, scope: str, groups: int, position: str
) -> None:
    assert_as_published(trained(scale=scale, style=style, groups=groups, initial_position=position, **SCOPES[scope]))


@pytest.mark.parametrize("factor", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("scope", SCOPES)
def test_every_scope_factor_equals_the_published_formulation(factor: float, scope: str) -> None:
    assert_as_published(trained(scope_factor=factor, **SCOPES[scope]))


@every_scale
@pytest.mark.parametrize("style", ["lp", "pl"])
@pytest.mark.parametrize("position", ["bilinear", "nearest"])
def test_without_offsets_it_is_the_interpolation_that_its_initial_position_is_named_for(
    scale: int, style: str, position: str
) -> None:
    module, x = still("dysample", scale=scale, style=style, initial_position=position), features()
    expected = F.interpolate(x, scale_factor=scale, mode=position)
    # The initial position is stored in float32.
    assert_close(module(x), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["dysample", "dysample+", "dysample-s", "dysample-s+"])
def test_as_constructed_it_is_nearly_bilinear(name: str) -> None:
    torch.manual_seed(0)
    x = features().float()
    expected = F.interpolate(x, scale_factor=2, mode="bilinear")
    assert_close(upsamplers.create(name, CHANNELS)(x), expected, rtol=0, atol=0.05)


def test_a_dynamic_scope_starts_at_the_static_one() -> None:
    static, dynamic = (upsamplers.create(name, CHANNELS).double() for name in ("dysample", "dysample+"))
    dynamic.load_state_dict(static.state_dict(), strict=False)
    assert_close(dynamic(features()), static(features()))


@every_variant
@pytest.mark.parametrize("right", [-1e4, 1e4])
@pytest.mark.parametrize("down", [-1e4, 1e4])
def test_points_far_outside_read_the_corner(name: str, right: float, down: float) -> None:
    x = features()
    corner = x[:, :, -1:, :] if down > 0 else x[:, :, :1, :]
    corner = corner[..., -1:] if right > 0 else corner[..., :1]
    out = pushed(name, right, down)(x)
    assert_close(out, corner.expand_as(out))


@every_variant
def test_no_offset_takes_it_out_of_the_range_of_x(name: str) -> None:
    module, x = trained(name), features()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(1e3)
    out = module(x).flatten(2)
    assert (out <= x.flatten(2).amax(2, keepdim=True) + 1e-9).all()
    assert (out >= x.flatten(2).amin(2, keepdim=True) - 1e-9).all()


def test_each_group_moves_by_its_own_offsets() -> None:
    module, x = still("dysample", initial_position="nearest"), features()
    with torch.no_grad():
        # One pixel to the right, for the last of the four groups alone.
        module.offset.bias.view(2, 4, 4)[0, 3] = 1 / module.scope_factor
    moved = torch.cat((x[..., 1:], x[..., -1:]), dim=3)
    expected = torch.cat((x[:, :108], moved[:, 108:]), dim=1)
    assert_close(module(x), F.interpolate(expected, scale_factor=2, mode="nearest"))


def test_offsets_of_a_pixel_are_ordered_row_by_row() -> None:
    module, x = still("dysample", initial_position="nearest"), features()
    with torch.no_grad():
        # One pixel down, for position s·a + b = 2 alone: the lower left output pixel of each input pixel.
        module.offset.bias.view(2, 4, 4)[1, :, 2] = 1 / module.scope_factor
    expected = F.interpolate(x, scale_factor=2, mode="nearest")
    expected[:, :, 1::2, ::2] = torch.cat((x[:, :, 1:], x[:, :, -1:]), dim=2)
    assert_close(module(x), expected)


STATES = {
    "dysample": {"offset.weight": (32, 256, 1, 1), "offset.bias": (32,), "init_pos": (1, 32, 1, 1)},
    "dysample-s": {"offset.weight": (16, 64, 1, 1), "offset.bias": (16,), "init_pos": (1, 64, 1, 1)},
    "dysample-naive": {"offset.weight": (8, 256, 1, 1), "offset.bias": (8,), "init_pos": (1, 8, 1, 1)},
}
STATES["dysample+"] = STATES["dysample"] | {"scope.weight": (32, 256, 1, 1)}
STATES["dysample-s+"] = STATES["dysample-s"] | {"scope.weight": (16, 64, 1, 1)}


@every_variant
def test_state_has_the_published_names_and_shapes(name: str) -> None:
    state = upsamplers.create(name, 256).state_dict()
    assert {key: tuple(value.shape) for key, value in state.items()} == STATES[name]


@pytest.mark.parametrize(("name", "bias"), [("dysample+", (32,)), ("dysample-s+", (16,))])
def test_a_scope_bias_adds_that_name_alone(name: str, bias: tuple[int, ...]) -> None:
    state = upsamplers.create(name, 256, scope_bias=True).state_dict()
    assert {key: tuple(value.shape) for key, value in state.items()} == STATES[name] | {"scope.bias": bias}


@pytest.mark.parametrize("width", [240, 480])
@pytest.mark.parametrize("name", ["dysample+", "dysample-s+"])
def test_in_bfloat16_points_stay_where_the_published_ones_are_lost(name: str, width: int) -> None:
    torch.manual_seed(0)
    module, x = upsamplers.create(name, 64), torch.randn(1, 64, 3, width)
    module, x = module.bfloat16(), x.bfloat16()
    ours = normalised_points(module.displacement(x), 2)
    theirs = published_points(module, x).permute(0, 4, 1, 2, 3)
    exact = normalised_points(module.float().displacement(x.float()), 2)
    in_pixels = torch.tensor([width / 2, 3 / 2]).view(1, 2, 1, 1, 1)
    assert ((ours - exact) * in_pixels).abs().max() < 1e-3
    assert ((theirs.float() - exact) * in_pixels).abs().max() > 0.25


def test_under_autocast_points_stay_where_they_are() -> None:
    torch.manual_seed(0)
    module, x = upsamplers.create("dysample+", 64), torch.randn(1, 64, 3, 480)
    with torch.autocast("cpu", torch.bfloat16):
        displacement = module.displacement(x)
    assert displacement.dtype == torch.float32
    assert (displacement - module.displacement(x)).abs().max() < 1e-3


@pytest.mark.parametrize(
    ("channels", "options", "parts"),
    [
        (30, {}, ["30 channels", "by 4", "groups"]),
        (36, {"style": "pl"}, ["36 channels", "by 8", "groups"]),
        (24, {"style": "pl", "scale": 4}, ["24 channels", "by 16", "'pl'"]),
        (32, {"groups": 0}, ["32 channels", "by 0", "groups"]),
        (32, {"style": "lq"}, ["'lq'", "'lp'", "'pl'"]),
        (32, {"initial_position": "bicubic"}, ["'bicubic'", "'bilinear'", "'nearest'"]),
    ],
)
def test_what_does_not_fit_is_refused_with_its_numbers(
    channels: int, options: dict[str, Any], parts: list[str]
) -> None:
    with pytest.raises(Unsupported) as refusal:
        upsamplers.create("dysample", channels, **options)
    assert [part for part in parts if part not in str(refusal.value)] == []


def test_the_output_for_a_single_pixel_is_contiguous() -> None:
    assert trained("dysample")(features(1, 1)).is_contiguous()
