"""`upsamplers.replace` on modules: what is replaced, what is left, what is refused."""

import copy
import random
from collections import Counter, OrderedDict
from typing import Any

import pytest
import torch
from replace_models import CHANNELS, Around, Calling, Once, One, Pyramid, image, only, refused
from torch import Tensor, nn

import upsamplers
from upsamplers import ReplacementError, Unsupported


def test_every_upsample_gets_an_operator_of_its_own() -> None:
    model = Pyramid()
    report = upsamplers.replace(model, "dysample", example=image())
    assert [type(module).__name__ for module in model.up] == ["DySample", "DySample"]
    assert [(row.where, row.channels, row.scale) for row in report.replaced] == [("up.0", 8, 2), ("up.1", 8, 2)]
    assert report.left == ()
    assert report.parameters == sum(parameter.numel() for parameter in model.up.parameters())


def test_the_output_is_that_of_the_operator() -> None:
    model = Pyramid().eval()
    model.up[1] = nn.Upsample(scale_factor=2, mode="nearest")
    expected = model(image())
    upsamplers.replace(model, "nearest", example=image())
    assert torch.equal(model(image()), expected)


def test_channels_replace_an_example() -> None:
    model = Pyramid()
    report = upsamplers.replace(model, "dysample", channels=CHANNELS, groups=2)
    assert len(report.replaced) == 2
    assert model(image()).shape == (2, CHANNELS, 16, 24)


def test_without_channels_and_example_the_message_names_what_to_give() -> None:
    assert refused(Pyramid()) == (
        "up.0 (Upsample) does not say its channels; give example=, what the model's forward takes, or channels="
    )
    assert "does not say its channels and scale; give example=" in refused(One(nn.Upsample(size=(8, 8))), channels=8)


@pytest.mark.parametrize("example", [image(), (image(),), {"x": image()}], ids=["tensor", "tuple", "dict"])
def test_an_example_is_what_forward_takes(example: Any) -> None:
    assert len(upsamplers.replace(Pyramid(), "dysample", example=example).replaced) == 2


def test_nothing_but_the_modules_is_changed() -> None:
    model = Pyramid().train()
    model.down[0].eval()
    before = copy.deepcopy(model.state_dict())
    flags = [module.training for module in model.modules() if not isinstance(module, nn.Upsample)]
    attributes = [set(vars(module)) for module in model.modules() if not isinstance(module, nn.Upsample)]
    hooks = [len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules()]
    torch.manual_seed(3)
    random.seed(3)
    states = torch.get_rng_state(), random.getstate()
    upsamplers.replace(model, "bilinear", example=image())
    assert torch.equal(torch.get_rng_state(), states[0])
    assert random.getstate() == states[1]
    after = model.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    rest = [module for module in model.modules() if not isinstance(module, upsamplers.Upsampler)]
    assert [module.training for module in rest] == flags
    assert [set(vars(module)) for module in rest] == attributes
    assert [len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules()] == hooks
    assert torch.is_grad_enabled()


def test_a_forward_that_writes_leaves_no_trace() -> None:
    class Writing(One):
        def __init__(self) -> None:
            super().__init__(nn.Upsample(scale_factor=2))
            self.register_buffer("seen", torch.zeros(1))
            self.register_buffer("last", None)

        def forward(self, x: Tensor) -> Tensor:
            self.seen += 1
            self.last = x
            self.remembered = torch.rand(1) + random.random()
            self.late = nn.Identity()
            return super().forward(x)

    model = Writing()
    torch.manual_seed(0)
    state = torch.get_rng_state()
    upsamplers.replace(model, "bilinear", example=image())
    assert model.seen == 0
    assert model.last is None
    assert not hasattr(model, "remembered")
    assert not hasattr(model, "late")
    assert torch.equal(torch.get_rng_state(), state)


def test_a_configuration_that_refuses_changes_stays() -> None:
    class Frozen(dict):  # type: ignore[type-arg]
        def update(self, *args: Any, **kwargs: Any) -> None:
            raise TypeError("frozen")

    model = One(nn.Upsample(scale_factor=2))
    model.config = Frozen(depth=3)
    upsamplers.replace(model, "bilinear", example=image())
    assert model.config == {"depth": 3}


def test_what_a_forward_counts_in_a_dict_of_any_class_is_put_back() -> None:
    class Counting(One):
        def __init__(self) -> None:
            super().__init__(nn.Upsample(scale_factor=2))
            self.counts = Counter(calls=3)
            self.ordered = OrderedDict(first=1)

        def forward(self, x: Tensor) -> Tensor:
            self.counts["calls"] += 1
            self.ordered["second"] = 2
            return super().forward(x)

    model = Counting()
    upsamplers.replace(model, "bilinear", example=image())
    assert model.counts == {"calls": 3}
    assert list(model.ordered) == ["first"]


def test_a_forward_that_fails_leaves_the_model_as_it_was() -> None:
    class Failing(One):
        def forward(self, x: Tensor) -> Tensor:
            super().forward(x)
            raise KeyError("no such level")

    model = Failing(nn.Upsample(scale_factor=2)).train()
    with pytest.raises(KeyError, match="no such level"):
        upsamplers.replace(model, "bilinear", example=image())
    assert model.training
    assert model.up.training
    assert not model.up._forward_hooks
    assert type(model.up) is nn.Upsample


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_operators_take_the_dtype_and_the_training_flag(dtype: torch.dtype) -> None:
    model = Pyramid().to(dtype).eval()
    model.up[1].train()
    upsamplers.replace(model, "dysample", example=image().to(dtype))
    assert {parameter.dtype for parameter in model.up.parameters()} == {dtype}
    assert [module.training for module in model.up] == [False, True]
    assert model(image().to(dtype)).dtype == dtype


def test_under_autocast_the_weights_are_not_of_the_features_dtype() -> None:
    model = Pyramid()
    with torch.autocast("cpu", torch.bfloat16):
        upsamplers.replace(model, "dysample", example=image())
        assert {parameter.dtype for parameter in model.up.parameters()} == {torch.float32}


def test_a_model_without_memory_stays_without() -> None:
    model = Calling().to("meta")
    upsamplers.replace(model, "dysample", example=image().to("meta"), calls=True)
    assert all(parameter.is_meta for parameter in model.parameters())


@pytest.mark.parametrize(
    ("up", "reason"),
    [
        (nn.Upsample(scale_factor=1.5), "24 x 36 is no integer multiple of 16 x 24, the same for both sides"),
        (nn.Upsample(scale_factor=(2, 3)), "32 x 72 is no integer multiple of 16 x 24"),
        (nn.Upsample(size=(20, 30)), "20 x 30 is no integer multiple of 16 x 24"),
        (nn.Upsample(scale_factor=0.5), "8 x 12 is no integer multiple of 16 x 24"),
        (nn.Upsample(size=(16, 24)), "it keeps the size 16 x 24"),
    ],
)
def test_a_scale_that_is_no_integer_is_left(up: nn.Module, reason: str) -> None:
    assert reason in refused(One(up), example=image())
    if up.scale_factor is not None:
        assert "is no integer of at least 2" in refused(One(up), channels=3)


@pytest.mark.parametrize(("shape", "mode"), [((2, 3, 8), "linear"), ((1, 3, 4, 4, 4), "trilinear")])
def test_features_that_are_not_two_dimensional_are_left(shape: tuple[int, ...], mode: str) -> None:
    reason = refused(One(nn.Upsample(scale_factor=2, mode=mode)), example=torch.randn(shape))
    assert "an operator takes (B, C, H, W)" in reason


def test_a_fixed_size_that_is_an_integer_multiple_is_replaced_and_noted() -> None:
    model = One(nn.Upsample(size=(32, 48)))
    report = upsamplers.replace(model, "bilinear", example=image())
    assert "It gave the fixed size (32, 48)" in report.replaced[0].note


def test_align_corners_is_noted() -> None:
    report = upsamplers.replace(Pyramid(), "dysample", example=image())
    assert [row.note[:26] for row in report.replaced] == ["", "It had align_corners=True;"]


def test_channels_that_the_operator_refuses_are_left_with_its_reason() -> None:
    model = nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(3, 8, 1), nn.Upsample(scale_factor=2))
    report = upsamplers.replace(model, "dysample", example=image())
    assert [row.where for row in report.replaced] == ["2"]
    assert only(report) == "3 channels are not divisible by 4 (the groups of DySample)"
    assert type(model[0]) is nn.Upsample


def test_a_module_called_with_different_channels_is_left() -> None:
    shared = nn.Upsample(scale_factor=2)
    model = nn.Sequential(shared, nn.Conv2d(3, 8, 1), shared)
    reason = refused(model, example=image())
    assert "it is called several times a forward, with 3 channels at scale 2, 8 channels at scale 2" in reason


def test_a_module_called_with_the_same_channels_becomes_one_operator() -> None:
    shared = nn.Upsample(scale_factor=2)
    model = nn.Sequential(shared, nn.Conv2d(3, 3, 1), shared)
    report = upsamplers.replace(model, "bilinear", example=image())
    assert model[0] is model[2]
    assert isinstance(model[0], upsamplers.Upsampler)
    assert report.replaced[0].note == "It is called 2 times a forward: one operator, with one set of weights."


def test_a_module_that_the_example_does_not_call_is_left_without_channels() -> None:
    model = Pyramid()
    model.aux = nn.Upsample(scale_factor=2)
    report = upsamplers.replace(model, "dysample", example=image())
    assert only(report) == "the model does not call it on the example, in eval mode"
    assert [row.where for row in upsamplers.replace(model, "dysample", example=image(), channels=4).replaced] == ["aux"]


def test_a_guided_operator_is_refused_with_those_that_are_not() -> None:
    with pytest.raises(ReplacementError, match=r"fade needs a guide, .*: nearest, bilinear, .*dysample"):
        upsamplers.replace(Pyramid(), "fade", example=image())


def test_a_model_that_is_an_upsample_is_refused() -> None:
    assert "use upsamplers.create('bilinear', channels)" in refused(nn.Upsample(scale_factor=2), example=image())


def test_a_model_without_upsampling_says_where_to_look() -> None:
    assert refused(nn.Conv2d(3, 3, 1)) == (
        "nothing was replaced: the model has no nn.Upsample; modules= names other modules; "
        "with example= and calls=True its calls of F.interpolate are replaced"
    )


def test_a_compiled_model_is_refused() -> None:
    assert "the model is compiled" in refused(torch.compile(Pyramid()), example=image())


def test_a_step_makes_chains() -> None:
    model = nn.Sequential(Once(scale_factor=8), Once(scale_factor=6))
    report = upsamplers.replace(model, "dysample", example=image(4, 4, channels=4), calls=True, step=2)
    assert [len(list(module.children())) for module in model[0].upsamplers.values()] == [3]
    assert "3 of scale 2" in report.replaced[0].note
    assert only(report) == "scale 6 is no power of step=2"
    assert model[0](image(4, 4, channels=4)).shape == (2, 4, 32, 32)


def test_the_report_fits_a_terminal() -> None:
    model = nn.Sequential()
    model.add_module("a_rather_long_name_of_a_module_that_holds_another", Around(Calling()))
    lines = str(upsamplers.replace(model, "dysample", example=image(), calls=True)).splitlines()
    assert lines[0] == "dysample: 5 replaced, 4 left; 2,376 parameters"
    assert max(map(len, lines)) <= 80


def test_an_option_that_the_operator_does_not_have_is_refused_at_once() -> None:
    with pytest.raises(Unsupported, match=r"dysample has no option 'group'; .*; did you mean 'groups'"):
        upsamplers.replace(nn.Sequential(nn.Upsample(scale_factor=2)), "dysample", channels=8, group=4)


@pytest.mark.parametrize("step", [0, 1, -2, 2.0, "2"])
def test_a_step_that_reaches_nothing_is_refused(step: Any) -> None:
    with pytest.raises(Unsupported, match="step must be an integer of at least 2"):
        upsamplers.replace(nn.Sequential(nn.Upsample(scale_factor=4)), "nearest", channels=8, step=step)
