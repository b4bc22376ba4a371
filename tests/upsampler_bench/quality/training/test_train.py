"""Trainings: the same bits from one seed, failures as results, and what a bad operator shows."""

import dataclasses
from functools import partial

import pytest
import torch
import torch.nn.functional as F

import upsamplers
from upsampler_bench.quality.training import fashion, scenes, train

train_shapes = partial(train.train_shapes, learning_rate=4e-3)
train_reconstruction = partial(train.train_reconstruction, learning_rate=4e-3)
pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def few_tests(monkeypatch):
    monkeypatch.setattr(train, "TEST_SCENES", 16)
    monkeypatch.setattr(fashion, "TEST_SCENES", 16)


@pytest.fixture
def images(monkeypatch, tmp_path):
    monkeypatch.setattr(fashion, "INSTALLED", tmp_path)
    return fashion.load(None, 16)


def results(training):
    """A training without its wall time."""
    return dataclasses.replace(training, seconds=0.0)


class Nearest(upsamplers.Upsampler):
    def forward(self, x):
        return F.interpolate(x, scale_factor=2.0)


@pytest.mark.parametrize("name", ["dysample", "jbu"])  # jbu has dropout
def test_two_trainings_on_shapes_give_the_same_bits(name):
    first = train_shapes(name, 3, steps=4, size=16)
    torch.rand(5)
    assert results(train_shapes(name, 3, steps=4, size=16)) == results(first)


def test_two_reconstructions_give_the_same_bits(images):
    first = train_reconstruction("fade", 3, images=images, steps=4)
    torch.rand(5)
    assert results(train_reconstruction("fade", 3, images=images, steps=4)) == results(first)


def test_another_seed_gives_another_training():
    assert train_shapes("bilinear", 0, steps=2, size=16).losses != train_shapes("bilinear", 1, steps=2, size=16).losses


def test_batches_and_weights_are_the_same_for_every_operator(registry_restored):
    upsamplers.register("nearest-again")(Nearest)
    ours, reference = (train_shapes(name, 0, steps=4, size=16) for name in ("nearest-again", "nearest"))
    assert ours.losses == reference.losses
    assert ours.scores == reference.scores


def test_a_training_leaves_torch_as_it_was():
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    train_shapes("jbu", 0, steps=1, size=16)
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), state)


def test_training_lowers_the_loss_and_reports_every_step():
    reported = []
    training = train_shapes("bilinear", 0, steps=30, size=16, on_step=lambda step, loss: reported.append((step, loss)))
    assert [step for step, _ in reported] == list(range(1, 31))
    assert [loss for _, loss in reported] == pytest.approx(training.losses, rel=1e-4)
    assert len(reported) == training.steps == 30
    assert training.losses[-1] < 0.8 * training.losses[0]


def test_a_training_on_shapes_has_scores_and_predictions():
    training = train_shapes("pixel-shuffle", 0, steps=10, size=16)
    assert {"miou", "boundary_iou_1", "boundary_iou_2", "thin_iou", "edges_found"} <= training.scores.keys()
    assert all(0 <= training.scores[name] <= 1 for name in ("miou", "boundary_iou_1", "thin_iou", "edges_found"))
    assert (training.task, training.data, training.seed, training.size) == ("shapes", "shapes", 0, 16)
    assert not training.failure
    assert training.parameters == 3 * (32 * 128 * 9 + 128)
    assert len(training.predictions) == train.SHOWN
    for labels in training.predictions:
        assert (labels.height, labels.width, labels.channels) == (16, 16, 1)
        assert max(labels.bytes) <= 4


def test_scenes_to_show_lie_beside_their_predictions():
    test = scenes.draw(train.TEST_SCENES, 16, scenes.evaluation_generator())
    shown = train.shown_shapes(16)
    assert len(shown) == train.SHOWN
    for scene, image, labels in zip(shown, test.images, test.labels, strict=False):
        assert (scene.image.height, scene.image.width, scene.image.channels) == (16, 16, 3)
        assert [*scene.image.bytes[:3]] == (image[:, 0, 0] * 255).round().tolist()
        assert [*scene.answer.bytes] == labels.flatten().tolist()


def test_a_reconstruction_is_scored_without_the_margin(images):
    images = dataclasses.replace(images, margin=2)
    training = train_reconstruction("bilinear", 0, images=images, steps=2)
    assert training.scores.keys() == {"psnr", "ssim", "mae", "rmse"}
    assert {(one.height, one.width) for one in training.predictions} == {(12, 12)}
    (shown, *_) = train.shown_images(images)
    assert (shown.image.height, shown.image.width, shown.image.channels) == (12, 12, 1)
    assert shown.answer is None


def test_divergence_is_a_result_with_its_reason():
    training = train_shapes("bilinear", 0, steps=20, size=16, learning_rate=100)
    assert training.failure.startswith(f"diverged at step {len(training.losses)}: the loss is ")
    assert len(training.losses) < 20
    assert training.scores == {}
    assert training.predictions == ()


def test_predictions_that_are_not_finite_are_a_divergence_too(registry_restored):
    @upsamplers.register("breaks-in-the-end")
    class BreaksInTheEnd(Nearest):
        def forward(self, x):
            return super().forward(x) * (1 if self.training else float("nan"))

    training = train_shapes("breaks-in-the-end", 0, steps=2, size=16)
    assert training.failure == "diverged after step 2: predictions are not finite"
    assert training.scores == {}


def test_an_operator_that_cuts_the_gradient_is_not_scored(registry_restored):
    @upsamplers.register("cuts")
    class Cuts(type(upsamplers.create("dysample", 4))):
        def forward(self, x):
            return super().forward(x).detach()

    training = train_shapes("cuts", 0, steps=2, size=16)
    assert training.failure == "wrong gradient: no parameter of the operator gets one"
    assert training.scores == {}


def test_what_an_operator_raises_is_not_caught(registry_restored):
    @upsamplers.register("raises")
    class Raises(Nearest):
        def forward(self, x):
            raise ZeroDivisionError("by the operator")

    with pytest.raises(ZeroDivisionError, match="by the operator"):
        train_shapes("raises", 0, steps=1, size=16)
