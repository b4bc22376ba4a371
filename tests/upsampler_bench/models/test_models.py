"""The contract of models, held by every one that comes with the package."""

from itertools import product
from pathlib import Path

import pytest
import torch

import upsamplers
from upsampler_bench import models
from upsampler_bench.metrics import _conventions
from upsampler_bench.metrics.flops import counts

MODELS = [name for name in models.names() if name != "stages"]
STAGES = {
    "segformer-b1": [(256, 256)] * 6,
    "fpn-r50": [(256, 256)] * 4,
    "fpn-r50-panoptic": [(256, 256)] * 3,
    "maskformer-swin-b": [(256, 256)] * 3,
    "depthformer-swin-t": [(768, 384), (384, 192), (192, 96), (96, 64)],
}
SCORES = {
    "segformer-b1": [(150, 4)],
    "fpn-r50": [(80, 4), (80, 8), (80, 16), (80, 32), (80, 64)],
    "fpn-r50-panoptic": [(54, 4)],
    "maskformer-swin-b": [(150, 4)],
    "depthformer-swin-t": [(64, 2)],
}
BASELINE = {
    "segformer-b1": 13_715_798,
    "fpn-r50": 32_181_904,
    "fpn-r50-panoptic": 28_483_190,
    "maskformer-swin-b": 101_829_391,
    "depthformer-swin-t": 35_257_018,
}


def built(name, operator, requested=None):
    """The model with an operator; what it asked of the factory goes into `requested`."""

    def make(channels, guide_channels=None):
        if requested is not None:
            requested.append((channels, guide_channels))
        return upsamplers.create(operator, channels, guide_channels=guide_channels)

    return models.get(name).build(make)


def image_for(name):
    """An odd image where any will do, else the smallest that is about as large and not square."""
    sides = [side for side in range(33, 129) if models.get(name).why_not(side, side) is None]
    return torch.rand(1, 3, sides[0], next(side for side in sides if side > 1.5 * sides[0]))


def outputs(model, image):
    found = model(image)
    return found if isinstance(found, tuple) else (found,)


@pytest.fixture(scope="module", params=product(MODELS, ["bilinear", "fade"]), ids="-".join)
def placed(request):
    """A model's name, and the model with an operator in it."""
    torch.manual_seed(0)
    name, operator = request.param
    return name, built(name, operator)


def test_every_model_is_known_to_the_tests_below():
    assert set(MODELS) == set(STAGES) == set(SCORES) == set(BASELINE)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_asks_for_the_stages_of_its_paper_which_add_their_parameters_alone(name):
    requested, created = [], [upsamplers.create("dysample", channels) for channels, _ in STAGES[name]]
    with torch.device("meta"):
        model = built(name, "dysample", requested)
    assert sorted(requested) == sorted(STAGES[name])
    whole, *added = (sum(one.numel() for one in module.parameters()) for module in (model, *created))
    assert whole - sum(added) == BASELINE[name]


def test_scores_have_the_size_that_the_model_says_for_any_image_that_it_takes(placed):
    name, model = placed
    image = image_for(name)
    with torch.inference_mode():
        found = [tuple(one.shape) for one in outputs(model.eval(), image)]
    sides = image.shape[-2:]
    assert found == [(1, classes, *(-(-side // stride) for side in sides)) for classes, stride in SCORES[name]]


@pytest.mark.parametrize("training", [False, True])
def test_a_step_gives_every_parameter_a_gradient(placed, training):
    name, model = placed
    image = image_for(name)
    if training:  # some models cache what they computed in inference mode
        with torch.inference_mode():
            model.eval()(image)
    model.train(training).zero_grad(set_to_none=True)
    sum(one.square().mean() for one in outputs(model, image)).backward()
    trained = {name: one.grad for name, one in model.named_parameters() if one.requires_grad}
    assert [name for name, grad in trained.items() if grad is None or not grad.isfinite().all()] == []
    if not training:  # where no path is dropped at random
        still = [name for name, grad in trained.items() if not grad.any() and not _reads_zeros(name)]
        assert still == []


def _reads_zeros(name):
    """The queries of MaskFormer enter the first layer as zeros, so that there is nothing to attend to."""
    return "transformer_module.decoder.layers.0.self_attn" in name


@pytest.mark.parametrize("name", MODELS)
def test_every_operation_of_a_model_is_counted(name):
    found = counts(built(name, "fade").eval(), (image_for(name),), _conventions.ALL)
    assert found.unknown == ()
    assert found.by_convention["mac"] > 0


@pytest.mark.parametrize("name", MODELS)
def test_a_model_says_which_images_it_takes(name):
    image = (37, 51)
    assert models.get(name).why_not(*image) is None
    assert models.get(name).shapes(*image) == ((3, *image),)
    assert len(models.discovery.load("upsampler_bench.models", name.replace("-", "_")).ABOUT) < 110


@pytest.mark.parametrize("name", MODELS)
def test_a_step_takes_the_smallest_image_and_no_smaller_one(name):
    least = models.discovery.load("upsampler_bench.models", name.replace("-", "_")).LEAST
    model = built(name, "bilinear")
    assert models.get(name).why_not(least, least) is None
    outputs(model, torch.rand(1, 3, least, least))
    if least > 1:
        assert f"from {least}x{least} on, not {least - 1}x64" in str(models.get(name).why_not(least - 1, 64))
        with pytest.raises((RuntimeError, ValueError)):
            outputs(model, torch.rand(1, 3, least - 1, least - 1))


def test_an_image_that_does_not_fit_is_refused_with_what_would():
    found = models.get(f"{Path(__file__).parents[1] / 'tiny_model.py'}:eights")
    assert found.why_not(64, 96) is None
    assert str(found.why_not(100, 64)).endswith("takes images whose sides are whole numbers of times 8, not 100x64")


def test_maskformer_is_built_without_what_its_loss_needs(monkeypatch):
    from transformers.models.maskformer import modeling_maskformer

    def refuse(who, packages):
        raise AssertionError(f"{who} needs {packages}")

    monkeypatch.setattr(modeling_maskformer, "requires_backends", refuse)
    with torch.device("meta"):
        built("maskformer-swin-b", "bilinear")
