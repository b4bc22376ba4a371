"""Picking an operator's weights out of a checkpoint: places, names, what does not fit."""

from collections import OrderedDict
from typing import Any

import pytest
import torch
from published_weights import HOST, dysample, loaded, published, unchanged
from torch import nn

import upsamplers
from upsamplers import CheckpointError


@pytest.mark.parametrize(
    "wrap",
    [
        lambda weights: weights,
        lambda weights: OrderedDict(weights),
        lambda weights: {"state_dict": weights, "meta": {"epoch": 12}, "optimizer": {"state": {}}},
        lambda weights: {"model": weights, "iteration": torch.tensor(3)},
        lambda weights: {"model": {"state_dict": weights}},
        lambda weights: {f"module.{name}": one for name, one in weights.items()},
        lambda weights: {"state_dict": {f"module.{name}": one for name, one in weights.items()}},
    ],
    ids=["plain", "ordered", "mmcv", "model", "nested", "parallel", "parallel mmcv"],
)
@pytest.mark.parametrize("prefix", [None, "neck.upsample_modules.1", "neck.upsample_modules.1."])
def test_the_usual_wrappings_are_opened(wrap: Any, prefix: str | None) -> None:
    module = dysample()
    where = "neck.upsample_modules.1."
    weights = {**HOST, **published(module, where)}
    report = upsamplers.load_published(module, wrap(weights), prefix=prefix)
    assert loaded(module, weights, where)
    assert report.prefix == where
    assert report.names == ("init_pos", "offset.weight", "offset.bias", "scope.weight")
    assert str(report) == "init_pos, offset.weight, offset.bias, scope.weight from 'neck.upsample_modules.1.'"


def test_a_prefix_may_be_that_of_dataparallel() -> None:
    module = dysample()
    weights = published(module, "module.neck.")
    assert upsamplers.load_published(module, weights, prefix="module.neck").prefix == "neck."


@pytest.mark.parametrize(
    ("name", "options", "names"),
    [
        ("carafe", {"compressed_channels": 8}, {}),
        ("deconv", {}, {}),
        ("pixel-shuffle", {}, {"0.weight": "upsample_conv.weight", "0.bias": "upsample_conv.bias"}),
        ("pixel-shuffle", {}, {}),
        ("dysample-s", {}, {}),
    ],
)
def test_operators_of_detectors_are_found(name: str, options: dict[str, Any], names: dict[str, str]) -> None:
    module = upsamplers.create(name, 32, **options)
    own = published(module)
    weights = {**HOST, **{f"roi_head.mask_head.upsample.{names.get(name, name)}": one for name, one in own.items()}}
    assert upsamplers.load_published(module, {"state_dict": weights}).prefix == "roi_head.mask_head.upsample."
    assert loaded(module, own)


def test_several_places_are_listed() -> None:
    module = dysample()
    weights = {**published(module, "neck.upsample_modules.0."), **published(module, "neck.upsample_modules.1.")}
    assert unchanged(module, weights) == (
        "DySample(16, scale=2) fits 2 places of the checkpoint; say which by prefix=: "
        "'neck.upsample_modules.0.', 'neck.upsample_modules.1.'"
    )
    upsamplers.load_published(module, weights, prefix="neck.upsample_modules.1")
    assert loaded(module, weights, "neck.upsample_modules.1.")


def test_places_of_other_sizes_do_not_count() -> None:
    module = dysample()
    others = published(upsamplers.create("dysample+", 32), "neck.up.0.")
    assert upsamplers.load_published(module, {**others, **published(module, "neck.up.1.")}).prefix == "neck.up.1."


def test_a_prefix_that_is_not_there_gets_those_that_are() -> None:
    module = dysample()
    weights = {**HOST, **published(module, "neck.upsample_modules.0.")}
    assert unchanged(module, weights, prefix="neck.upsample_module.0") == (
        "the checkpoint has nothing at 'neck.upsample_module.0.'; did you mean 'neck.upsample_modules.0.'?"
    )
    assert "there are 'backbone.conv1.', 'bbox_head.fc.'" in unchanged(module, HOST, prefix="neck")


def test_everything_that_does_not_fit_is_listed() -> None:
    module = dysample()
    weights = published(upsamplers.create("dysample+", 32), "up.")
    del weights["up.offset.bias"]
    weights["up.extra"] = torch.zeros(1)
    misfits = (
        "'up.': missing offset.bias; unexpected extra; "
        "offset.weight is (32, 32, 1, 1), asked for (32, 16, 1, 1); scope.weight is (32, 32, 1, 1), "
        "asked for (32, 16, 1, 1)"
    )
    assert unchanged(module, weights, prefix="up") == f"DySample(16, scale=2) does not fit {misfits}"
    assert unchanged(module, weights) == (
        f"DySample(16, scale=2) fits no place of the checkpoint; the nearest of 1:\n  {misfits}"
    )


def test_a_checkpoint_of_something_else_says_what_it_has() -> None:
    assert unchanged(dysample(), HOST) == (
        "DySample(16, scale=2) fits no place of the checkpoint: none of init_pos, offset.weight, offset.bias, "
        "scope.weight is in it; what it has begins with backbone, bbox_head"
    )


@pytest.mark.parametrize("has", [True, False])
def test_a_bias_of_the_scope_too_many_or_too_few_names_the_option(has: bool) -> None:
    weights = published(dysample(scope_bias=has), "neck.")
    said = unchanged(dysample(scope_bias=not has), weights)
    assert f"{'unexpected' if has else 'missing'} scope.bias (create the operator with scope_bias={has})" in said
    module = dysample(scope_bias=has)
    upsamplers.load_published(module, weights)
    assert loaded(module, weights, "neck.")


def test_initial_positions_may_be_missing() -> None:
    module = dysample()
    weights = published(module)
    del weights["init_pos"]
    assert "init_pos" not in upsamplers.load_published(module, weights).names
    assert torch.equal(module.init_pos, dysample().init_pos)


def test_initial_positions_of_another_kind_are_refused() -> None:
    weights = published(dysample(initial_position="nearest"))
    assert "init_pos has other values than this operator's" in unchanged(dysample(), weights)


def test_what_a_norm_has_seen_is_needed_but_for_its_count() -> None:
    module = nn.Sequential(nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2))
    weights = published(module)
    del weights["1.num_batches_tracked"]
    upsamplers.load_published(module, weights)
    del weights["1.running_mean"]
    assert "missing 1.running_mean" in unchanged(module, weights)


def test_weights_are_cast_to_the_operators_dtype() -> None:
    module = dysample().double()
    weights = {name: one.half() for name, one in published(module).items()}
    upsamplers.load_published(module, weights)
    assert {one.dtype for one in module.parameters()} == {torch.float64}
    assert torch.equal(module.offset.weight, weights["offset.weight"].double())


@pytest.mark.parametrize(
    ("checkpoint", "found"),
    [({}, "holds nothing"), ({"epoch": 3, "cfg": {}}, "holds 'epoch', 'cfg'"), ({"state_dict": {}}, "'state_dict'")],
)
def test_a_checkpoint_without_weights_says_what_it_holds(checkpoint: dict[str, Any], found: str) -> None:
    assert found in unchanged(dysample(), checkpoint)


def test_an_operator_without_weights_has_nothing_to_load() -> None:
    assert "has no weights to load" in unchanged(upsamplers.create("bilinear", 8), HOST)


def test_an_operator_without_memory_is_refused() -> None:
    module = dysample().to("meta")
    with pytest.raises(CheckpointError, match="is on the meta device"):
        upsamplers.load_published(module, published(dysample()))


def test_a_checkpoint_that_holds_itself_is_refused():
    endless = {}
    endless["state_dict"] = endless
    with pytest.raises(CheckpointError, match="no tensors by name"):
        upsamplers.load_published(upsamplers.create("carafe", 8), endless)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda one: one.to_sparse(), "is sparse"),
        (lambda one: one.to("meta"), "is without memory"),
        (lambda one: one.to(torch.complex64), "is torch.complex64, asked for torch.float32"),
        (lambda one: one.long(), "is torch.int64, asked for torch.float32"),
    ],
)
def test_a_tensor_of_another_kind_leaves_the_module_as_it_was(spoil, said):
    module = upsamplers.create("carafe", 8)
    before = {key: one.clone() for key, one in module.state_dict().items()}
    other = upsamplers.create("carafe", 8).state_dict()
    other["content_encoder.weight"] = spoil(other["content_encoder.weight"])
    with pytest.raises(CheckpointError, match=said):
        upsamplers.load_published(module, other)
    assert all(torch.equal(one, before[key]) for key, one in module.state_dict().items())


def test_an_operator_of_constants_alone_finds_its_own():
    sierra = upsamplers.create("sierra", 8)
    assert upsamplers.load_published(sierra, {"neck.up.kernel": sierra.kernel.clone()}).prefix == "neck.up."


def test_a_hint_at_an_option_is_given_only_where_it_would_help():
    plus = upsamplers.create("dysample+", 16, scope_bias=True).state_dict()
    said = {}
    for name in ("dysample", "dysample+"):
        with pytest.raises(CheckpointError) as refusal:
            upsamplers.load_published(upsamplers.create(name, 16), plus, prefix="")
        said[name] = str(refusal.value)
    assert "scope_bias" not in said["dysample"]
    assert "scope_bias=True" in said["dysample+"]
