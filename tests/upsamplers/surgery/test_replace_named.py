"""`upsamplers.replace` on modules that the user names."""

import copy
from typing import Any

import pytest
import torch.nn.functional as F
from replace_models import One, Pyramid, image, only, refused
from torch import Tensor, nn

import upsamplers
from upsamplers import UnknownModule


def test_named_modules_are_replaced_and_no_others() -> None:
    model = Pyramid()
    report = upsamplers.replace(model, "dysample", example=image(), modules="up.1")
    assert [row.where for row in report.replaced] == ["up.1"]
    assert type(model.up[0]) is nn.Upsample


@pytest.mark.parametrize(
    ("modules", "found"),
    [
        (["up.*"], ["up.0", "up.1"]),
        (["*.0"], ["up.0"]),
        (["**.1"], ["up.1"]),
        ("u?.0", ["up.0"]),
        ("**", ["up.0", "up.1"]),
        ("up.**.1", ["up.1"]),
    ],
)
def test_names_may_have_wildcards(modules: Any, found: list[str]) -> None:
    report = upsamplers.replace(Pyramid(), "dysample", example=image(), modules=modules)
    assert [row.where for row in report.replaced] == found


def test_a_transposed_convolution_says_all_of_itself() -> None:
    model = nn.Sequential(
        nn.ConvTranspose2d(8, 8, 4, 2, 1), nn.ConvTranspose2d(8, 8, 2, 2), nn.ConvTranspose2d(8, 4, 2, 2),
        nn.ConvTranspose2d(4, 4, 3, 2), nn.ConvTranspose2d(4, 4, 3, 2, 1, 1),
    )  # fmt: skip
    by_example = upsamplers.replace(copy.deepcopy(model), "dysample", modules="*", example=image(channels=8))
    report = upsamplers.replace(model, "dysample", modules=["*"])
    assert [(row.where, row.channels, row.scale) for row in report.replaced] == [("0", 8, 2), ("1", 8, 2), ("4", 4, 2)]
    assert by_example.replaced == report.replaced
    assert [row.reason for row in report.left] == [
        "it turns 8 channels into 4; an operator keeps them",
        "its output is not 2 times its input on both sides",
    ]


def test_any_module_that_upsamples_can_be_named() -> None:
    class Custom(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Upsample(scale_factor=2)

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(x)

    model = One(Custom())
    report = upsamplers.replace(model, "dysample", modules=["up", "up.inner"], example=image(channels=4))
    assert type(model.up).__name__ == "DySample"
    assert only(report) == "it is inside a module that was replaced"


def test_an_operator_makes_room_for_another() -> None:
    model = Pyramid()
    upsamplers.replace(model, "dysample", example=image())
    upsamplers.replace(model, "carafe", modules="up.*", compressed_channels=4)
    assert [type(module).__name__ for module in model.up] == ["Carafe", "Carafe"]


def test_a_module_of_more_than_one_input_is_left() -> None:
    class Guided(nn.Module):
        def forward(self, x: Tensor, guide: Tensor) -> Tensor:
            return F.interpolate(x, guide.shape[2:])

    class Model(One):
        def forward(self, x: Tensor) -> Tensor:
            return self.up(x, image(32, 48))

    reason = refused(Model(Guided()), example=image(), modules="up")
    assert "it is called with 2 arguments; an operator takes x alone" in reason


@pytest.mark.parametrize(("name", "near"), [("up.00", "did you mean 'up.0'"), ("zzz", "there are down, ")])
def test_an_unknown_name_is_refused_with_those_there_are(name: str, near: str) -> None:
    for arguments in ({"modules": [name]}, {"calls": [name]}):
        with pytest.raises(UnknownModule, match=f"the model has no module '{name}'; {near}"):
            upsamplers.replace(Pyramid(), "bilinear", example=image(), **arguments)
