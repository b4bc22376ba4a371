"""`upsamplers.replace` in models built from a list, which keep on each layer where its input comes from."""

import copy
from typing import Any

import pytest
import torch
from replace_models import CHANNELS, Odd, One, Pyramid, image, layer
from torch import Tensor, nn

import upsamplers
from upsamplers import ReplacementError


class Listed(nn.Module):
    """A model whose forward reads from each layer what feeds it, as YOLO's do."""

    def __init__(self) -> None:
        super().__init__()
        up = nn.Upsample(scale_factor=2)
        self.layers = nn.Sequential(layer(3, CHANNELS, stride=2), layer(CHANNELS, CHANNELS, stride=2), up)
        for index, module in enumerate(self.layers):
            module.f, module.i, module.type = index - 1, index, type(module).__name__  # type: ignore[assignment]

    def forward(self, x: Tensor) -> Tensor:
        outputs = {-1: x}
        for module in self.layers:
            outputs[module.i] = module(outputs[module.f])  # type: ignore[index]
        return outputs[len(outputs) - 2]


@pytest.mark.parametrize("operator", ["dysample", "carafe", "pixel-shuffle", "deconv", "bilinear"])
def test_what_a_model_keeps_on_a_layer_goes_over(operator: str) -> None:
    model = Listed().eval()
    expected = model(image()).shape
    upsamplers.replace(model, operator, example=image())
    up = model.layers[2]
    assert (up.f, up.i, up.type) == (1, 2, "Upsample")
    assert model(image()).shape == expected
    assert copy.deepcopy(model)(image()).shape == expected


def test_attributes_go_over_without_an_example_and_to_chains() -> None:
    model = Listed()
    model.layers[2].scale_factor = 4.0  # type: ignore[assignment]
    upsamplers.replace(model, "bilinear", channels=CHANNELS, step=2)
    assert model.layers[2].f == 1


def test_what_the_operator_has_stays_its_own() -> None:
    model = Pyramid()
    model.up[0].scale = 7.0  # type: ignore[assignment]
    model.up[0].forward = model.up[0].forward
    upsamplers.replace(model, "dysample", example=image(), modules="up.0")
    assert model.up[0].scale == 2
    assert "forward" not in vars(model.up[0])


def test_attributes_of_an_earlier_module_make_no_note() -> None:
    model = One(nn.Upsample(size=(32, 48), mode="bilinear", align_corners=True))
    upsamplers.replace(model, "bilinear", example=image())
    report = upsamplers.replace(model, "nearest", example=image(), modules="up")
    assert report.replaced[0].note == ""


class Choosy(One):
    """Asks more of its upsampling than to upsample."""

    def __init__(self, wish: str) -> None:
        super().__init__(nn.Upsample(scale_factor=2))
        self.wish = wish

    def forward(self, x: Tensor) -> Any:
        if self.wish == "a method":
            return self.up.extra_repr().index("scale_factor") + self.up(x)
        is_plain = isinstance(self.up, nn.Upsample)
        out = super().forward(x)
        if self.wish == "another size":
            return out if is_plain else out[..., 1:]
        return (out, out) if is_plain else [out]


@pytest.mark.parametrize(
    ("wish", "reason"),
    [
        ("a method", "it fails on the example: ValueError: substring not found"),
        ("another size", r"its outputs on the example have shapes \[\(2, 3, 32, 47\)\], before \[\(2, 3, 32, 48\)\]"),
        ("more outputs", r"its outputs .* \[\(2, 3, 32, 48\)\], before \[\(2, 3, 32, 48\), \(2, 3, 32, 48\)\]"),
    ],
)
def test_a_model_that_no_longer_runs_as_before_is_put_back(wish: str, reason: str) -> None:
    model = Choosy(wish).train()
    up, attributes = model.up, dict(vars(model.up))
    with pytest.raises(ReplacementError, match=f"the model is put back: with bilinear {reason}"):
        upsamplers.replace(model, "bilinear", example=image())
    assert model.up is up
    assert vars(up) == attributes
    assert model.training


class Aliased(nn.Module):
    """Calls its upsampling by a plain list, which no replacement reaches."""

    def __init__(self) -> None:
        super().__init__()
        self.up = nn.Upsample(scale_factor=2)
        self.all = [self.up]

    def forward(self, x: Tensor) -> Tensor:
        return self.all[0](x)


def test_a_model_that_goes_on_calling_what_was_replaced_is_put_back() -> None:
    model = Aliased()
    with pytest.raises(ReplacementError, match="it does not call the dysample in the place of 'up'; it keeps what it"):
        upsamplers.replace(model, "dysample", example=torch.randn(1, 8, 4, 6))
    assert isinstance(model.up, nn.Upsample)


def test_what_an_operator_is_made_of_is_not_replaced() -> None:
    model = nn.Sequential(upsamplers.create("eucb", 8), nn.Upsample(scale_factor=2))
    report = upsamplers.replace(model, "dysample", example=torch.randn(1, 8, 4, 6))
    assert [row.where for row in report.replaced] == ["1"]


def test_hooks_that_are_not_called_any_more_are_reported() -> None:
    model = nn.Sequential(nn.Upsample(scale_factor=2))
    model[0].register_forward_hook(lambda *_: None)
    report = upsamplers.replace(model, "dysample", example=torch.randn(1, 8, 4, 6))
    assert report.replaced[0].note == "Its hooks are not called any more."


def test_calls_and_what_is_around_them_are_put_back() -> None:
    class Around(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = Odd()

        def forward(self, x: Tensor) -> Tensor:
            x = nn.functional.interpolate(self.inner(x), scale_factor=2)
            if "upsamplers" in self._modules:
                raise KeyError("no such level")
            return x

    model = Around()
    before = [(module, type(module), dict(vars(module))) for module in model.modules()]
    expected = model(image())
    with pytest.raises(ReplacementError, match="KeyError: 'no such level'"):
        upsamplers.replace(model, "bilinear", example=image(), calls=True)
    assert [(module, type(module), dict(vars(module))) for module in model.modules()] == before
    assert torch.equal(model(image()), expected)


def test_as_many_outputs_as_a_detector_finds_are_no_other_shape() -> None:
    class Finding(One):
        def forward(self, x: Tensor) -> list[Tensor]:
            out = super().forward(x).flatten()
            return [out[out > out.mean()], super().forward(x)]

    model = Finding(nn.Upsample(scale_factor=2))
    assert len(upsamplers.replace(model, "bicubic", example=image()).replaced) == 1


def test_operators_start_as_published_and_reset_parameters_mends_what_a_models_own_initialisation_overwrote() -> None:
    model = Pyramid().eval()
    upsamplers.replace(model, "dysample", example=image())
    x = image(channels=CHANNELS)
    bilinear = nn.functional.interpolate(x, scale_factor=2, mode="bilinear")
    assert (model.up[0](x) - bilinear).abs().max() < 0.05
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight)
    assert (model.up[0](x) - bilinear).abs().max() > 0.1
    for module in model.modules():
        if isinstance(module, upsamplers.Upsampler):
            module.reset_parameters()
    assert (model.up[0](x) - bilinear).abs().max() < 0.05
