"""`upsamplers.replace` on the calls of F.interpolate in a forward."""

import copy
import inspect
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from replace_models import CHANNELS, Around, Calling, Odd, Once, image, refused
from torch import Tensor, nn

import upsamplers
from upsamplers import Unsupported


def test_calls_are_reported_and_replaced_only_when_wanted() -> None:
    assert "F.interpolate (bilinear), call 0: calls=True, or calls= with the path" in refused(
        Calling(), example=image()
    )
    assert "calls= needs example=" in refused(Calling(), calls=True)


def test_calls_of_a_graph_are_left_with_the_reason() -> None:
    graph = torch.fx.symbolic_trace(Calling())
    reasons = refused(graph, example=image(), calls=True)
    assert "call 0: its class Calling is pickled in a way of its own: replace before it is made (traced)" in reasons


def test_calls_are_replaced_by_submodules_of_the_module_that_calls() -> None:
    model = nn.Sequential(Calling()).eval()
    expected = model(image())
    state = set(model.state_dict())
    report = upsamplers.replace(model, "dysample", example=image(), calls=True)
    assert [row.where for row in report.replaced] == ["0.upsamplers.0", "0.upsamplers.1"]
    added = set(model.state_dict()) - state
    assert {name.rpartition(".")[0] for name in added if "offset" in name} == {
        "0.upsamplers.0.offset", "0.upsamplers.1.offset",
    }  # fmt: skip
    # An untrained DySample is bilinear interpolation but for its small random offsets.
    assert torch.allclose(model(image()), expected, atol=1e-3)
    assert isinstance(model[0], Calling)
    assert type(model[0]).__name__ == "Calling"
    assert list(inspect.signature(model[0].forward).parameters) == ["x"]


@pytest.mark.filterwarnings("ignore:.*upsample.*deprecated:UserWarning")
def test_the_older_name_of_interpolate_is_a_call_too() -> None:
    class Older(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return F.upsample(x, scale_factor=2)

    model = Older()
    report = upsamplers.replace(model, "nearest", example=image(), calls=True)
    assert [row.where for row in report.replaced] == ["upsamplers.0"]
    assert torch.equal(model(image()), F.interpolate(image(), scale_factor=2))


def test_gradients_reach_the_operators_of_calls() -> None:
    model = Calling().train()
    upsamplers.replace(model, "carafe", example=image(), calls=True)
    model(image()).square().sum().backward()
    assert all(
        parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in model.upsamplers.parameters()
    )


def test_only_calls_in_the_named_modules_are_replaced() -> None:
    model = nn.ModuleDict({"neck": nn.Sequential(Calling()), "head": Calling()})
    model.forward = lambda x: model["head"](F.pad(model["neck"](x)[:, :3], (0, 0)))
    report = upsamplers.replace(model, "bilinear", example=image(), calls="neck")
    assert {row.where for row in report.replaced} == {"neck.0.upsamplers.0", "neck.0.upsamplers.1"}
    assert {row.where for row in report.left} == {"head"}


def test_a_u_net_whose_pools_round_down_takes_every_size_still() -> None:
    class UNet(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x + F.interpolate(F.max_pool2d(x, 2), size=x.shape[2:], mode="bilinear")

    model = UNet()
    upsamplers.replace(model, "bilinear", example=image(16, 16), calls=True)
    x = image(27, 33)
    # The last row and column are those before.
    shorter = F.pad(F.interpolate(F.max_pool2d(x, 2), scale_factor=2.0, mode="bilinear"), (0, 1, 0, 1), "replicate")
    assert torch.allclose(model(x), x + shorter)
    assert model(image(26, 34)).shape == (2, 3, 26, 34)


def test_a_size_far_from_the_operators_is_refused_in_the_forward() -> None:
    class Free(nn.Module):
        def forward(self, x: Tensor, size: Any = None, scale: Any = None) -> Tensor:
            return F.interpolate(x, size=size, scale_factor=scale)

    model = Free()
    upsamplers.replace(model, "nearest", example={"x": image(16, 16), "size": 32}, calls=True)
    assert model(image(16, 16), size=32).shape == (2, 3, 32, 32)
    assert model(image(), scale=(2, 2)).shape == (2, 3, 32, 48)
    assert model(image(16, 16), size=(31, 33)).shape == (2, 3, 31, 33)
    for asked in ({"size": (64, 64)}, {"size": (30, 32)}, {"size": (32, 34)}, {"scale": 3}):
        with pytest.raises(Unsupported, match="an operator of scale 2 replaces this call of"):
            model(image(16, 16), **asked)


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"scale_factor": 2, "mode": "area"}, "mode 'area'; an operator can replace nearest"),
        ({"scale_factor": 2, "mode": "bilinear", "antialias": True}, "antialias=True"),
        ({"scale_factor": 1.0}, "it keeps the size 16 x 24"),
        ({"size": (25, 25)}, "25 x 25 is no integer multiple of 16 x 24"),
    ],
)
def test_calls_that_no_operator_can_do_are_left(asked: dict[str, Any], reason: str) -> None:
    assert reason in refused(nn.Sequential(Once(**asked)), example=image(), calls=True)


def test_calls_of_bytes_are_left() -> None:
    assert "it takes torch.uint8" in refused(Once(scale_factor=2), example=image().byte(), calls=True)


def test_a_shared_module_whose_call_has_different_channels_is_left() -> None:
    shared = Once(scale_factor=2)
    model = nn.Sequential(shared, nn.Conv2d(3, 8, 1), shared)
    assert "its module is called several times a forward, with 3 channels" in refused(
        model, example=image(), calls=True
    )


def test_calls_keep_their_operators_whatever_else_interpolates() -> None:
    torch.manual_seed(0)
    model = Around(Calling()).eval()
    expected = model(image())
    report = upsamplers.replace(model, "bilinear", example=image(), calls=True)
    by_call = [(row.where, row.channels, row.scale) for row in report.replaced if "interpolate" in row.what]
    assert by_call == [
        ("inner.upsamplers.0", 8, 2), ("inner.upsamplers.1", 8, 2), ("upsamplers.0", 8, 2), ("upsamplers.2", 16, 3),
    ]  # fmt: skip
    assert torch.allclose(model(image()), expected, atol=1e-6)
    model.train()
    assert model(image()).shape == expected.shape


def test_a_module_within_keeps_what_it_calls_upsamplers() -> None:
    class Own(Odd):
        def __init__(self) -> None:
            super().__init__()
            self.upsamplers = nn.ModuleDict({"0": nn.Conv2d(3, 3, 1)})

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.own = Own()

        def forward(self, x: Tensor) -> Tensor:
            return F.interpolate(self.own(x), scale_factor=2)

    model = Model()
    expected = model(image())
    assert len(upsamplers.replace(model, "nearest", example=image(), calls=True).replaced) == 1
    assert torch.equal(model(image()), expected)


def test_calls_of_an_earlier_replacement_are_left() -> None:
    model = nn.Sequential(Calling(), nn.Conv2d(CHANNELS, 3, 1), Calling())
    upsamplers.replace(model, "bilinear", example=image(), calls="0")
    report = upsamplers.replace(model, "nearest", example=image(), calls=True)
    assert {row.where for row in report.replaced} == {"2.upsamplers.0", "2.upsamplers.1"}
    assert "its calls were replaced before" in refused(model, example=image(), calls=True)


def test_a_name_that_is_taken_is_a_reason() -> None:
    model = Calling()
    model.upsamplers = nn.Identity()
    assert "it has an attribute 'upsamplers' of its own" in refused(model, example=image(), calls=True)


def test_a_forward_of_the_instance_is_a_reason() -> None:
    model = Calling()
    model.forward = model.forward
    assert "its forward was set on the instance" in refused(model, example=image(), calls=True)
    around = Around(model)
    left = upsamplers.replace(around, "bilinear", example=image(), calls=True).left
    assert "inner within it interpolates too, and its forward was set on the instance" in left[-1].reason


def test_a_call_that_only_training_makes_is_not_mistaken_for_another() -> None:
    class AuxiliaryFirst(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            extra = F.interpolate(x, scale_factor=2).mean() if self.training else 0
            return F.interpolate(x, scale_factor=2) + extra

    model = nn.Sequential(AuxiliaryFirst())
    upsamplers.replace(model, "carafe", example=torch.randn(1, 8, 4, 4), calls=True)
    model.eval()(torch.randn(1, 8, 4, 4))
    with pytest.raises(Unsupported, match="more than the 1 that the example showed"):
        model.train()(torch.randn(1, 8, 4, 4))


class Head(nn.Module):
    """As mmsegmentation's heads: `predict` calls the head's own forward."""

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(x, scale_factor=2.0)

    def predict(self, x: Tensor) -> Tensor:
        return self.forward(x)


def test_a_forward_that_is_called_as_a_method_counts_as_its_modules() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = Head()

        def forward(self, x: Tensor) -> Tensor:
            return F.interpolate(self.head.predict(x), scale_factor=2)

    model = Model()
    report = upsamplers.replace(model, "bilinear", example=image(), calls=True)
    assert [row.where for row in report.replaced] == ["head.upsamplers.0", "upsamplers.0"]
    called = []
    for name, module in model.named_modules():
        if isinstance(module, upsamplers.Upsampler):
            module.register_forward_hook(lambda module, x, out, name=name: called.append(name))
    model(image())
    assert called == ["head.upsamplers.0", "upsamplers.0"]
    assert not [module for module in model.modules() if "forward" in vars(module)]


def test_a_module_that_raises_and_is_caught_gets_no_operator() -> None:
    class Fast(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            raise RuntimeError("no kernel")

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fast = Fast()

        def forward(self, x: Tensor) -> Tensor:
            try:
                return self.fast(x)  # type: ignore[no-any-return]
            except RuntimeError:
                return F.interpolate(x, scale_factor=2)

    report = upsamplers.replace(Model(), "bilinear", example=image(), calls=True)
    assert [row.where for row in report.replaced] == ["upsamplers.0"]


def test_a_scripted_branch_of_training_stays_as_it_is() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.auxiliary = torch.jit.script(Head())

        def forward(self, x: Tensor) -> Tensor:
            if self.training:
                self.auxiliary(x)
            return F.interpolate(x, scale_factor=2)

    model = Model().eval()
    upsamplers.replace(model, "bilinear", example=image(), calls=True)
    assert model.train()(image()).shape[-1] == 2 * image().shape[-1]


def test_a_class_that_cannot_be_subclassed_leaves_the_model_as_it_was() -> None:
    class Kinds(nn.Module):
        def __init_subclass__(cls, *, kind: str, **rest: Any) -> None:
            super().__init_subclass__(**rest)

    class Model(Kinds, kind="a"):
        def __init__(self) -> None:
            super().__init__()
            self.up = nn.Upsample(scale_factor=2)

        def forward(self, x: Tensor) -> Tensor:
            return F.interpolate(self.up(x), scale_factor=2)

    model = Model()
    with pytest.raises(TypeError, match="kind"):
        upsamplers.replace(model, "bilinear", example=image(), calls=True)
    assert type(model.up) is nn.Upsample
    assert type(model) is Model


def test_what_an_earlier_replacement_left_can_be_replaced_later() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.conv = Head(), nn.Conv2d(3, 8, 1)

        def forward(self, x: Tensor) -> Tensor:
            return F.interpolate(self.conv(self.inner(x)), scale_factor=2)

    model = Model()
    first = upsamplers.replace(model, "dysample", example=image(), calls=True)  # which 3 channels do not fit
    assert [row.where for row in first.replaced] == ["upsamplers.0"]
    second = upsamplers.replace(model, "nearest", example=image(), calls="inner")
    assert [row.where for row in second.replaced] == ["inner.upsamplers.0"]
    assert copy.deepcopy(model)(image()).shape[-1] == 4 * image().shape[-1]


def test_the_models_own_path_chooses_its_own_calls() -> None:
    assert len(upsamplers.replace(Head(), "nearest", example=image(), calls="").replaced) == 1


def test_an_operator_of_a_wrong_size_is_no_replacement() -> None:
    class Short(upsamplers.Upsampler):
        def forward(self, x: Tensor) -> Tensor:
            return F.interpolate(x, scale_factor=2)[..., 1:]

    model = Head()
    upsamplers.replace(model, "nearest", example=image(), calls=True)
    model.upsamplers["0"] = Short(3)  # type: ignore[index]
    with pytest.raises(ValueError, match="wrong output of Short"):
        model(image())
    message = "wrong output of Short: 8 x 7 pixels, expected 8 x 8, 2 times those of x"
    with pytest.raises(ValueError, match=message):
        Short(3).upsample_to(torch.randn(1, 3, 4, 4), torch.randn(1, 3, 8, 8))
