"""The operators that learn but do not look: PyTorch's own layers."""

import pytest
import torch
import torch.nn.functional as F
from every_operator import output_and_gradients
from torch import nn
from torch.nn.utils import parametrizations, prune
from torch.testing import assert_close

import upsamplers
from upsamplers import Unsupported

# Scale and kernel size asked for; kernel size, padding and output padding that they come to.
DECONVS = {
    (1, None): (1, 0, 0),
    (1, 3): (3, 1, 0),
    (2, None): (3, 1, 1),
    (2, 2): (2, 0, 0),
    (2, 4): (4, 1, 0),
    (2, 5): (5, 2, 1),
    (3, None): (5, 1, 0),
    (3, 3): (3, 0, 0),
    (3, 4): (4, 1, 1),
    (4, None): (8, 2, 0),
    (4, 9): (9, 3, 1),
}


def assert_alike(ours: nn.Module, theirs: nn.Module) -> None:
    """Ours loads their weights, and then gives what they give."""
    upsamplers.load_published(ours, theirs.state_dict())
    given = (torch.randn(2, 6, 4, 5, dtype=torch.float64),)
    assert_close(output_and_gradients(ours, ours, given), output_and_gradients(theirs, theirs, given))


@pytest.mark.parametrize(("scale", "kernel_size"), DECONVS)
def test_deconv_is_a_transposed_convolution(scale: int, kernel_size: int | None) -> None:
    size, padding, output_padding = DECONVS[scale, kernel_size]
    theirs = nn.ConvTranspose2d(6, 6, size, stride=scale, padding=padding, output_padding=output_padding)
    assert_alike(upsamplers.create("deconv", 6, scale=scale, kernel_size=kernel_size).double(), theirs.double())


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
@pytest.mark.parametrize("kernel_size", [1, 3, 5])
def test_pixel_shuffle_is_a_convolution_that_is_then_shuffled(scale: int, kernel_size: int) -> None:
    theirs = nn.Sequential(nn.Conv2d(6, 6 * scale**2, kernel_size, padding=kernel_size // 2), nn.PixelShuffle(scale))
    assert_alike(upsamplers.create("pixel-shuffle", 6, scale=scale, kernel_size=kernel_size).double(), theirs.double())


@pytest.mark.parametrize(
    ("name", "layer"),
    [("deconv", lambda: nn.ConvTranspose2d(6, 6, 3)), ("pixel-shuffle", lambda: nn.Sequential(nn.Conv2d(6, 24, 3)))],
)
def test_initial_values_are_those_of_pytorch(name: str, layer: type[nn.Module]) -> None:
    torch.manual_seed(0)
    ours = upsamplers.create(name, 6).state_dict()
    torch.manual_seed(0)
    theirs = layer().state_dict()
    assert_close(list(ours.values()), list(theirs.values()), rtol=0, atol=0)


@pytest.mark.parametrize(("scale", "kernel_size"), [(1, 2), (2, 1), (3, 2), (4, 3)])
def test_a_kernel_that_leaves_gaps_or_fits_no_padding_is_refused(scale: int, kernel_size: int) -> None:
    with pytest.raises(Unsupported, match=f"kernel_size {kernel_size} does not fit scale {scale}"):
        upsamplers.create("deconv", 6, scale=scale, kernel_size=kernel_size)


@pytest.mark.parametrize("kernel_size", [0, 3.0, "3"])
def test_a_kernel_that_is_no_positive_integer_is_refused_by_deconv(kernel_size: object) -> None:
    with pytest.raises(Unsupported, match=f"kernel_size must be a positive integer, not {kernel_size!r}"):
        upsamplers.create("deconv", 6, kernel_size=kernel_size)


@pytest.mark.parametrize("kernel_size", [-1, 0, 2, 4])
def test_a_kernel_without_a_middle_is_refused_by_pixel_shuffle(kernel_size: int) -> None:
    with pytest.raises(Unsupported, match=rf"kernel_size must be (odd|a positive integer), not {kernel_size}"):
        upsamplers.create("pixel-shuffle", 6, kernel_size=kernel_size)


def test_a_parametrized_layer_of_deconv_is_saved_and_loaded() -> None:
    up, other = (upsamplers.create("deconv", 6) for _ in range(2))
    for one in (up, other):
        parametrizations.weight_norm(one.layer)
    other.load_state_dict(up.state_dict())
    x = torch.randn(1, 6, 4, 5)
    assert torch.equal(other(x), up(x))


def test_a_pruned_layer_of_deconv_keeps_its_mask() -> None:
    up = upsamplers.create("deconv", 6)
    prune.l1_unstructured(up.layer, "weight", 0.5)
    other = upsamplers.create("deconv", 6)
    prune.identity(other.layer, "weight")
    assert {*up.state_dict()} == {"weight_orig", "bias", "layer.weight_mask"}
    other.load_state_dict(up.state_dict())
    x = torch.randn(1, 6, 4, 5)
    assert torch.equal(other(x), up(x))
    assert not torch.equal(other(x), F.conv_transpose2d(x, other.weight_orig, other.bias, 2, 1, 1))
