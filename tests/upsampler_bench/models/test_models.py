"""The contract of models, for every model that comes with the package: its file says what is expected of it."""

import math
from pathlib import Path

import pytest
import torch

import upsamplers
from upsampler_bench import discovery, models
from upsampler_bench.metrics import _conventions
from upsampler_bench.metrics.flops import counts

pytestmark = pytest.mark.slow
MODELS = [name for name in models.names() if name != "stages"]  # which takes an argument


def module(name):
    return discovery.load("upsampler_bench.models", name.replace("-", "_"))


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
    scores = model(image)
    return scores if isinstance(scores, tuple) else (scores,)


@pytest.fixture(scope="module", params=MODELS)
def placed(request):
    """A model's name, and the model with a guided operator."""
    torch.manual_seed(0)
    return request.param, built(request.param, "fade")


@pytest.mark.parametrize("name", MODELS)
def test_a_model_asks_for_its_stages_which_add_their_own_parameters(name):
    requested, stages = [], [upsamplers.create("dysample", channels) for channels, _ in module(name).STAGES]
    with torch.device("meta"):
        model = built(name, "dysample", requested)
    assert sorted(requested) == sorted(module(name).STAGES)
    total, *added = (sum(parameter.numel() for parameter in part.parameters()) for part in (model, *stages))
    assert total - sum(added) == module(name).PARAMETERS


def test_scores_have_the_size_that_the_model_states_for_any_image_that_it_takes(placed):
    name, model = placed
    image = image_for(name)
    with torch.inference_mode():
        shapes = [tuple(scores.shape) for scores in outputs(model.eval(), image)]
    height, width = image.shape[-2:]
    assert shapes == [
        (1, classes, math.ceil(height / stride), math.ceil(width / stride)) for classes, stride in module(name).SCORES
    ]


@pytest.mark.parametrize("training", [False, True])
def test_a_step_gives_every_parameter_a_gradient(placed, training):
    name, model = placed
    image = image_for(name)
    if training:  # some models cache what they computed in inference mode
        with torch.inference_mode():
            model.eval()(image)
    model.train(training).zero_grad(set_to_none=True)
    sum(scores.square().mean() for scores in outputs(model, image)).backward()
    trained = {name: value.grad for name, value in model.named_parameters() if value.requires_grad}
    assert [name for name, grad in trained.items() if grad is None or not grad.isfinite().all()] == []
    if not training:  # no path is dropped at random
        unreached = [name for name, grad in trained.items() if not grad.any() and not reads_zeros(name)]
        assert unreached == []


def reads_zeros(name):
    """Whether a parameter multiplies zeros: MaskFormer's queries, as they enter the first layer."""
    return "transformer_module.decoder.layers.0.self_attn" in name


def test_every_operation_of_a_model_is_counted(placed):
    name, model = placed
    counted = counts(model.eval(), (image_for(name),), _conventions.ALL)
    assert counted.unknown == ()
    assert counted.by_convention["mac"] > 0


def test_a_step_accepts_the_smallest_image_and_no_smaller_one(placed):
    name, model = placed
    least = module(name).MIN_SIDE
    model.train()
    assert models.get(name).why_not(least, least) is None
    outputs(model, torch.rand(1, 3, least, least))
    if least > 1:
        assert f"at least {least}x{least} pixels, not {least - 1}x64" in str(models.get(name).why_not(least - 1, 64))
        with pytest.raises((RuntimeError, ValueError)):
            outputs(model, torch.rand(1, 3, least - 1, least - 1))


def test_an_image_that_does_not_fit_is_refused_with_what_would():
    model = models.get(f"{Path(__file__).parents[1] / 'tiny_model.py'}:eights")
    assert model.why_not(64, 96) is None
    assert str(model.why_not(100, 64)).endswith("takes images whose sides are multiples of 8, not 100x64")


def test_maskformer_is_built_without_what_its_loss_needs(monkeypatch):
    from transformers.models.maskformer import modeling_maskformer

    def refuse(who, packages):
        raise AssertionError(f"{who} needs {packages}")

    monkeypatch.setattr(modeling_maskformer, "requires_backends", refuse)
    with torch.device("meta"):
        built("maskformer-swin-b", "bilinear")
