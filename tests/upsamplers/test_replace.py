"""An operator comes in the place of a model's own upsampling, and nothing else about the model changes."""

import copy
import inspect
import io
import random
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import upsamplers
from upsamplers import Replacement, ReplacementError, UnknownModule, UnknownUpsampler, Unsupported

CHANNELS = 8


def image(height: int = 16, width: int = 24, channels: int = 3) -> Tensor:
    return torch.randn(2, channels, height, width, generator=torch.Generator().manual_seed(0))


def layer(inside: int, outside: int, *, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inside, outside, 3, stride, padding=1), nn.BatchNorm2d(outside), nn.ReLU())


class Pyramid(nn.Module):
    """A feature pyramid whose top-down path is made of modules."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.ModuleList([layer(3, CHANNELS), *(layer(CHANNELS, CHANNELS, stride=2) for _ in range(2))])
        self.up = nn.ModuleList([nn.Upsample(scale_factor=2), nn.UpsamplingBilinear2d(scale_factor=2)])
        self.dropout = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        features = []
        for down in self.down:
            x = down(x)
            features.append(x)
        for feature, up in zip(features[-2::-1], self.up, strict=True):
            x = feature + up(x)
        return self.dropout(x)


class Calling(Pyramid):
    """The same, with calls of F.interpolate: to the size of the finer level."""

    def __init__(self) -> None:
        super().__init__()
        del self.up

    def forward(self, x: Tensor) -> Tensor:
        features = []
        for down in self.down:
            x = down(x)
            features.append(x)
        for feature in features[-2::-1]:
            x = feature + F.interpolate(x, size=feature.shape[2:], mode="bilinear", align_corners=False)
        return x


class Around(nn.Module):
    """A model whose own forward interpolates before, between and after what other modules interpolate."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.up = nn.Upsample(scale_factor=2, mode="bilinear")
        self.odd = nn.Upsample(scale_factor=1.5)
        self.aside = Odd()
        self.training_only = Odd()
        self.last = nn.Conv2d(CHANNELS, 2 * CHANNELS, 1)

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.training_only(x)
        x = self.aside(self.odd(self.up(self.inner(x))))
        x = F.interpolate(x, scale_factor=2, mode="bilinear")
        x = F.interpolate(self.up(self.last(x)[:, :CHANNELS]), scale_factor=0.25)
        return F.interpolate(self.last(x), scale_factor=3, mode="bilinear")


class Odd(nn.Module):
    """Interpolates by no whole number."""

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(F.interpolate(x, scale_factor=0.5), scale_factor=1.5)


class One(nn.Module):
    """A model of one module that upsamples."""

    def __init__(self, up: nn.Module, times: int = 1) -> None:
        super().__init__()
        self.up = up
        self.times = times

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(self.times):
            x = self.up(x)
        return x


class Once(nn.Module):
    """A model of one call of F.interpolate."""

    def __init__(self, **asked: Any) -> None:
        super().__init__()
        self.asked = asked

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(x, **self.asked)


def only(report: Replacement) -> str:
    """Why the one place that was left was left."""
    (left,) = report.left
    return left.reason


def refused(model: nn.Module, **arguments: Any) -> str:
    """Why nothing was replaced; the model is not changed."""
    before = [(name, type(module)) for name, module in model.named_modules()]
    with pytest.raises(ReplacementError) as refusal:
        upsamplers.replace(model, "bilinear", **arguments)
    assert [(name, type(module)) for name, module in model.named_modules()] == before
    return " ".join(str(refusal.value).split())


def test_every_upsample_gets_an_operator_of_its_own() -> None:
    model = Pyramid()
    report = upsamplers.replace(model, "dysample", example=image())
    assert [type(one).__name__ for one in model.up] == ["DySample", "DySample"]
    assert [(one.where, one.channels, one.scale) for one in report.replaced] == [("up.0", 8, 2), ("up.1", 8, 2)]
    assert report.left == ()
    assert report.parameters == sum(one.numel() for one in model.up.parameters())


def test_the_output_is_that_of_the_operator() -> None:
    model = Pyramid().eval()
    model.up[1] = nn.Upsample(scale_factor=2, mode="nearest")
    expected = model(image())
    upsamplers.replace(model, "nearest", example=image())
    assert torch.equal(model(image()), expected)


def test_channels_may_be_said_instead_of_shown() -> None:
    model = Pyramid()
    report = upsamplers.replace(model, "dysample", channels=CHANNELS, groups=2)
    assert len(report.replaced) == 2
    assert model(image()).shape == (2, CHANNELS, 16, 24)


def test_without_channels_and_example_it_says_what_to_give() -> None:
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
    flags = [one.training for one in model.modules() if not isinstance(one, nn.Upsample)]
    attributes = [set(vars(one)) for one in model.modules() if not isinstance(one, nn.Upsample)]
    hooks = [len(one._forward_hooks) + len(one._forward_pre_hooks) for one in model.modules()]
    torch.manual_seed(3)
    random.seed(3)
    states = torch.get_rng_state(), random.getstate()
    upsamplers.replace(model, "bilinear", example=image())
    assert torch.equal(torch.get_rng_state(), states[0])
    assert random.getstate() == states[1]
    after = model.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    rest = [one for one in model.modules() if not isinstance(one, upsamplers.Upsampler)]
    assert [one.training for one in rest] == flags
    assert [set(vars(one)) for one in rest] == attributes
    assert [len(one._forward_hooks) + len(one._forward_pre_hooks) for one in model.modules()] == hooks
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
    assert {one.dtype for one in model.up.parameters()} == {dtype}
    assert [one.training for one in model.up] == [False, True]
    assert model(image().to(dtype)).dtype == dtype


def test_under_autocast_the_weights_are_not_of_the_features_dtype() -> None:
    model = Pyramid()
    with torch.autocast("cpu", torch.bfloat16):
        upsamplers.replace(model, "dysample", example=image())
        assert {one.dtype for one in model.up.parameters()} == {torch.float32}


def test_a_model_without_memory_stays_without() -> None:
    model = Calling().to("meta")
    upsamplers.replace(model, "dysample", example=image().to("meta"), calls=True)
    assert all(one.is_meta for one in model.parameters())


@pytest.mark.parametrize(
    ("up", "reason"),
    [
        (nn.Upsample(scale_factor=1.5), "24 x 36 is not a whole number of times 16 x 24, the same for both sides"),
        (nn.Upsample(scale_factor=(2, 3)), "32 x 72 is not a whole number of times 16 x 24"),
        (nn.Upsample(size=(20, 30)), "20 x 30 is not a whole number of times 16 x 24"),
        (nn.Upsample(scale_factor=0.5), "8 x 12 is not a whole number of times 16 x 24"),
        (nn.Upsample(size=(16, 24)), "it keeps the size 16 x 24"),
    ],
)
def test_what_is_no_whole_number_is_left(up: nn.Module, reason: str) -> None:
    assert reason in refused(One(up), example=image())
    if up.scale_factor is not None:
        assert "is no whole number from 2" in refused(One(up), channels=3)


@pytest.mark.parametrize(("shape", "mode"), [((2, 3, 8), "linear"), ((1, 3, 4, 4, 4), "trilinear")])
def test_what_is_not_an_image_is_left(shape: tuple[int, ...], mode: str) -> None:
    reason = refused(One(nn.Upsample(scale_factor=2, mode=mode)), example=torch.randn(shape))
    assert "an operator takes (B, C, H, W)" in reason


def test_a_fixed_size_that_is_a_whole_number_of_times_is_replaced_and_noted() -> None:
    model = One(nn.Upsample(size=(32, 48)))
    report = upsamplers.replace(model, "bilinear", example=image())
    assert "It gave the fixed size (32, 48)" in report.replaced[0].note


def test_align_corners_is_noted() -> None:
    report = upsamplers.replace(Pyramid(), "dysample", example=image())
    assert [one.note[:26] for one in report.replaced] == ["", "It had align_corners=True;"]


def test_channels_that_the_operator_refuses_are_left_with_its_reason() -> None:
    model = nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(3, 8, 1), nn.Upsample(scale_factor=2))
    report = upsamplers.replace(model, "dysample", example=image())
    assert [one.where for one in report.replaced] == ["2"]
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


def test_what_the_example_does_not_call_is_left_unless_it_says_enough() -> None:
    model = Pyramid()
    model.aux = nn.Upsample(scale_factor=2)
    report = upsamplers.replace(model, "dysample", example=image())
    assert only(report) == "the model does not call it on the example, in eval mode"
    assert [one.where for one in upsamplers.replace(model, "dysample", example=image(), channels=4).replaced] == ["aux"]


def test_named_modules_are_replaced_and_no_others() -> None:
    model = Pyramid()
    report = upsamplers.replace(model, "dysample", example=image(), modules="up.1")
    assert [one.where for one in report.replaced] == ["up.1"]
    assert type(model.up[0]) is nn.Upsample


@pytest.mark.parametrize(
    ("modules", "found"),
    [
        (["up.*"], ["up.0", "up.1"]),
        (["*.0"], ["up.0"]),
        (["**.1"], ["up.1"]),
        ("u?.0", ["up.0"]),
        ("**", ["up.0", "up.1"]),
    ],
)
def test_names_may_have_wildcards(modules: Any, found: list[str]) -> None:
    report = upsamplers.replace(Pyramid(), "dysample", example=image(), modules=modules)
    assert [one.where for one in report.replaced] == found


def test_a_transposed_convolution_says_all_of_itself() -> None:
    model = nn.Sequential(
        nn.ConvTranspose2d(8, 8, 4, 2, 1), nn.ConvTranspose2d(8, 8, 2, 2), nn.ConvTranspose2d(8, 4, 2, 2),
        nn.ConvTranspose2d(4, 4, 3, 2), nn.ConvTranspose2d(4, 4, 3, 2, 1, 1),
    )  # fmt: skip
    by_example = upsamplers.replace(copy.deepcopy(model), "dysample", modules="*", example=image(channels=8))
    report = upsamplers.replace(model, "dysample", modules=["*"])
    assert [(one.where, one.channels, one.scale) for one in report.replaced] == [("0", 8, 2), ("1", 8, 2), ("4", 4, 2)]
    assert by_example.replaced == report.replaced
    assert [one.reason for one in report.left] == [
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
    assert [type(one).__name__ for one in model.up] == ["Carafe", "Carafe"]


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


def test_a_guided_operator_is_refused_with_those_that_are_not() -> None:
    with pytest.raises(ReplacementError, match=r"fade needs a guide, .*: nearest, bilinear, .*dysample"):
        upsamplers.replace(Pyramid(), "fade", example=image())


def test_an_unknown_operator_is_refused() -> None:
    with pytest.raises(UnknownUpsampler, match="did you mean 'dysample'"):
        upsamplers.replace(Pyramid(), "dysampel", example=image())


def test_a_model_that_is_an_upsample_is_refused() -> None:
    assert "use upsamplers.create('bilinear', channels)" in refused(nn.Upsample(scale_factor=2), example=image())


def test_a_model_without_upsampling_says_where_to_look() -> None:
    assert refused(nn.Conv2d(3, 3, 1)) == (
        "nothing was replaced: the model has no nn.Upsample; modules= names other modules; "
        "with example= and calls=True its calls of F.interpolate are replaced"
    )


def test_calls_are_reported_and_replaced_only_when_wanted() -> None:
    assert "F.interpolate (bilinear), call 0: calls=True, or calls= with the path" in refused(
        Calling(), example=image()
    )
    assert "calls= needs example=" in refused(Calling(), calls=True)


def test_calls_are_replaced_by_submodules_of_the_module_that_calls() -> None:
    model = nn.Sequential(Calling()).eval()
    expected = model(image())
    state = set(model.state_dict())
    report = upsamplers.replace(model, "dysample", example=image(), calls=True)
    assert [one.where for one in report.replaced] == ["0.upsamplers.0", "0.upsamplers.1"]
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
    assert [one.where for one in report.replaced] == ["upsamplers.0"]
    assert torch.equal(model(image()), F.interpolate(image(), scale_factor=2))


def test_gradients_reach_the_operators_of_calls() -> None:
    model = Calling().train()
    upsamplers.replace(model, "carafe", example=image(), calls=True)
    model(image()).square().sum().backward()
    assert all(one.grad is not None and one.grad.abs().sum() > 0 for one in model.upsamplers.parameters())


def test_calls_in_named_modules_alone() -> None:
    model = nn.ModuleDict({"neck": nn.Sequential(Calling()), "head": Calling()})
    model.forward = lambda x: model["head"](F.pad(model["neck"](x)[:, :3], (0, 0)))
    report = upsamplers.replace(model, "bilinear", example=image(), calls="neck")
    assert {one.where for one in report.replaced} == {"neck.0.upsamplers.0", "neck.0.upsamplers.1"}
    assert {one.where for one in report.left} == {"head"}


def test_a_level_of_odd_size_is_cropped_as_beside_a_feature() -> None:
    model = Calling().eval()
    upsamplers.replace(model, "dysample", example=image(), calls=True)
    assert model(image(13, 22)).shape == (2, CHANNELS, 13, 22)


def test_a_size_far_from_the_operators_is_refused_when_it_comes() -> None:
    class Free(nn.Module):
        def forward(self, x: Tensor, size: Any = None, scale: Any = None) -> Tensor:
            return F.interpolate(x, size=size, scale_factor=scale)

    model = Free()
    upsamplers.replace(model, "nearest", example={"x": image(16, 16), "size": 32}, calls=True)
    assert model(image(16, 16), size=32).shape == (2, 3, 32, 32)
    assert model(image(), scale=(2, 2)).shape == (2, 3, 32, 48)
    for asked in ({"size": (64, 64)}, {"size": (30, 32)}, {"scale": 3}):
        with pytest.raises(Unsupported, match="an operator of scale 2 stands here in the place of"):
            model(image(16, 16), **asked)


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"scale_factor": 2, "mode": "area"}, "mode 'area'; an operator stands in for nearest"),
        ({"scale_factor": 2, "mode": "bilinear", "antialias": True}, "antialias=True"),
        ({"scale_factor": 1.0}, "it keeps the size 16 x 24"),
        ({"size": (25, 25)}, "25 x 25 is not a whole number of times 16 x 24"),
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
    by_call = [(one.where, one.channels, one.scale) for one in report.replaced if "interpolate" in one.what]
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


def test_an_operator_that_interpolates_is_not_taken_for_a_call() -> None:
    class Nested(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.up = nn.Upsample(scale_factor=2, mode="bilinear")

        def forward(self, x: Tensor) -> Tensor:
            return F.interpolate(self.up(x)[:, :2], scale_factor=2, mode="bilinear")

    model = nn.Sequential(Nested())
    expected = model(image())
    upsamplers.replace(model, "bilinear", example=image(), calls=True)
    assert torch.equal(model(image()), expected)


@pytest.fixture
def replaced() -> nn.Module:
    torch.manual_seed(0)
    model = Around(Calling()).eval()
    upsamplers.replace(model, "dysample", example=image(), calls=True)
    return model


def test_a_copy_has_operators_of_its_own(replaced: nn.Module) -> None:
    copied = copy.deepcopy(replaced)
    assert torch.equal(copied(image()), replaced(image()))
    with torch.no_grad():
        copied.upsamplers["0"].offset.bias.add_(1)
    assert not torch.equal(copied(image()), replaced(image()))
    assert type(copied) is type(replaced)


def test_a_state_dict_goes_around(replaced: nn.Module) -> None:
    again = Around(Calling()).eval()
    upsamplers.replace(again, "dysample", example=image(), calls=True)
    again.load_state_dict(replaced.state_dict())
    assert torch.equal(again(image()), replaced(image()))


def test_a_pickle_goes_around(replaced: nn.Module) -> None:
    file = io.BytesIO()
    torch.save(replaced, file)
    file.seek(0)
    assert torch.equal(torch.load(file, weights_only=False)(image()), replaced(image()))


def test_a_replaced_model_compiles_whole() -> None:
    model = nn.Sequential(Calling(), nn.Upsample(scale_factor=2), Once(scale_factor=2)).eval()
    upsamplers.replace(model, "bilinear", example=image(), calls=True)
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    assert torch.allclose(compiled(image()), model(image()), atol=1e-5)


def test_what_is_compiled_already_is_refused() -> None:
    assert "the model is compiled" in refused(torch.compile(Pyramid()), example=image())


def test_what_an_earlier_replacement_has_seen_to_is_left() -> None:
    model = nn.Sequential(Calling(), nn.Conv2d(CHANNELS, 3, 1), Calling())
    upsamplers.replace(model, "bilinear", example=image(), calls="0")
    report = upsamplers.replace(model, "nearest", example=image(), calls=True)
    assert {one.where for one in report.replaced} == {"2.upsamplers.0", "2.upsamplers.1"}
    assert "an earlier replacement has seen to its calls" in refused(model, example=image(), calls=True)


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


def test_a_step_makes_chains() -> None:
    model = nn.Sequential(Once(scale_factor=8), Once(scale_factor=6))
    report = upsamplers.replace(model, "dysample", example=image(4, 4, channels=4), calls=True, step=2)
    assert [len(list(one.children())) for one in model[0].upsamplers.values()] == [3]
    assert "3 of scale 2" in report.replaced[0].note
    assert only(report) == "scale 6 is no power of step=2"
    assert model[0](image(4, 4, channels=4)).shape == (2, 4, 32, 32)


def test_the_report_fits_a_terminal() -> None:
    model = nn.Sequential()
    model.add_module("a_rather_long_name_of_a_module_that_holds_another", Around(Calling()))
    lines = str(upsamplers.replace(model, "dysample", example=image(), calls=True)).splitlines()
    assert lines[0] == "dysample: 5 replaced, 4 left; 2,376 parameters"
    assert max(map(len, lines)) <= 80


@pytest.fixture
def segformer() -> Any:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.SegformerConfig(
        depths=[1] * 4, hidden_sizes=[8, 16, 24, 32], num_attention_heads=[1] * 4, decoder_hidden_size=32, num_labels=5
    )
    return transformers.SegformerForSemanticSegmentation(config).eval()


def test_segformers_head_gets_operators(segformer: Any) -> None:
    x, before = image(64, 64), copy.deepcopy(segformer)
    report = upsamplers.replace(segformer, "dysample", example=x, calls="decode_head", step=2)
    found = [(one.where, one.channels, one.scale) for one in report.replaced]
    assert found == [(f"decode_head.upsamplers.{call}", 32, 2**call) for call in (1, 2, 3)]
    assert only(report) == "it keeps the size 16 x 16"
    file = io.BytesIO()
    torch.save(segformer, file)
    file.seek(0)
    copies = [copy.deepcopy(segformer), torch.load(file, weights_only=False)]
    expected, out = before(x).logits, segformer(x).logits
    assert out.shape == expected.shape
    assert torch.allclose(out, expected, atol=1e-2)
    assert all(torch.equal(one(x).logits, out) for one in copies)
    assert segformer(image(72, 104)).logits.shape == before(image(72, 104)).logits.shape


def test_segformer_trains_with_operators(segformer: Any) -> None:
    x, labels = image(64, 64), torch.randint(0, 5, (2, 64, 64))
    example = {"pixel_values": x, "labels": labels}
    report = upsamplers.replace(segformer, "carafe", example=example, calls=True, compressed_channels=8)
    assert [one.where for one in report.replaced if one.channels == 5] == ["upsamplers.0"]
    segformer.train()(**example).loss.backward()
    added = [one for name, one in segformer.named_parameters() if "upsamplers" in name]
    assert len(added) == 4 * 4
    assert all(one.grad is not None for one in added)
    assert list(inspect.signature(segformer.forward).parameters) == ["pixel_values", "labels", "kwargs"]


def test_segformer_compiles_with_operators(segformer: Any) -> None:
    upsamplers.replace(segformer, "dysample", example=image(64, 64), calls=True)
    compiled = torch.compile(segformer, backend="eager")
    assert torch.allclose(compiled(image(64, 64)).logits, segformer(image(64, 64)).logits, atol=1e-5)


class AuxiliaryFirst(nn.Module):
    """Interpolates once more while training, before its main call."""

    def forward(self, x: Tensor) -> Tensor:
        extra = F.interpolate(x, scale_factor=2).mean() if self.training else 0
        return F.interpolate(x, scale_factor=2) + extra


def test_a_call_that_only_training_makes_is_not_taken_for_another() -> None:
    model = nn.Sequential(AuxiliaryFirst())
    upsamplers.replace(model, "carafe", example=torch.randn(1, 8, 4, 4), calls=True)
    model.eval()(torch.randn(1, 8, 4, 4))
    with pytest.raises(Unsupported, match="more than the 1 that the example showed"):
        model.train()(torch.randn(1, 8, 4, 4))


@pytest.mark.parametrize("step", [0, 1, -2, 2.0, "2"])
def test_a_step_that_reaches_nothing_is_refused(step: Any) -> None:
    with pytest.raises(Unsupported, match="step must be a whole number from 2"):
        upsamplers.replace(nn.Sequential(nn.Upsample(scale_factor=4)), "nearest", channels=8, step=step)
