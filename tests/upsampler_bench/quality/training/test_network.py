"""The network: all but the operator is the same, and each operator gets the guide it takes."""

import pytest
import torch
import torch.nn.functional as F

import upsamplers
from upsampler_bench.quality.training.network import build


def shapes_network(name, seed=0):
    return build(name, seed, image_channels=3, outputs=5)


def other_weights(network):
    return {key: value for key, value in network.state_dict().items() if not key.startswith("upsamplers.")}


@pytest.mark.parametrize("name", upsamplers.names())
def test_every_operator_is_trained_end_to_end(name):
    network, side = shapes_network(name), 8 * max(4, upsamplers.get(name).cls.least_size)
    scores = network(torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(0)))
    assert scores.shape == (2, 5, side, side)
    scores.square().mean().backward()
    gradient = network.encoder[-1][0].weight.grad
    assert gradient.isfinite().all()
    assert gradient.abs().sum() > 0


@pytest.mark.parametrize("name", upsamplers.names())
def test_all_weights_but_the_operators_are_the_same_bits(name):
    ours, reference = other_weights(shapes_network(name)), other_weights(shapes_network("bilinear"))
    assert ours.keys() == reference.keys()
    assert all(torch.equal(ours[key], reference[key]) for key in reference)


def test_another_seed_gives_other_weights_of_network_and_operator():
    first, second = shapes_network("carafe"), shapes_network("carafe", seed=1)
    for key in ("encoder.0.0.weight", "upsamplers.0.content_encoder.weight"):
        assert not torch.equal(first.state_dict()[key], second.state_dict()[key])


def test_max_unpool_gets_the_indices_of_the_encoders_own_pooling():
    network = shapes_network("max-unpool").eval()
    taken, features = [], []
    network.upsamplers[-1].register_forward_hook(lambda module, inputs, out: taken.append(inputs[1]))
    network.encoder[0].register_forward_hook(lambda module, inputs, out: features.append(out))
    network(torch.randn(1, 3, 16, 16))
    assert torch.equal(taken[0], F.max_pool2d(features[0], 2, return_indices=True)[1])


@pytest.mark.parametrize("image_channels", [1, 3])
def test_an_operator_guided_by_images_gets_the_image_pooled_to_its_output(registry_restored, image_channels):
    taken = []

    @upsamplers.register("looks-at-images")
    class LooksAtImages(upsamplers.Upsampler):
        needs_guide = guide_is_image = True

        def forward(self, x, guide):
            assert self.guide_channels == 3
            taken.append(guide)
            return F.interpolate(x, scale_factor=2.0)

    image = torch.randn(1, image_channels, 16, 16)
    build("looks-at-images", 0, image_channels=image_channels, outputs=1)(image)
    for guide, pooling in zip(taken, (4, 2, 1), strict=True):
        torch.testing.assert_close(guide, F.avg_pool2d(image, pooling).expand(-1, 3, -1, -1))
