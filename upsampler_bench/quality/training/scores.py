"""How good predicted labels and reconstructed images are: scores over a whole set at once."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

# Pixels up to which the predicted edge of a true one is looked for: half a cell of the coarsest feature.
REACH = 4
# Of SSIM: window, its standard deviation in pixels, and the constants for values in 0..1 (Wang et al., TIP 2004).
WINDOW, WINDOW_STD, C1, C2 = 11, 1.5, 0.01**2, 0.03**2
# No image has more than 100 dB.
LEAST_SQUARE = 1e-10


def iou(predicted: Tensor, labels: Tensor, classes: int) -> Tensor:
    """The intersection over union of each class (K,) of two label maps (B, H, W); NaN for a class in neither."""
    pairs = torch.bincount((labels * classes + predicted).flatten(), minlength=classes**2).view(classes, classes)
    both = pairs.diagonal()
    return both / (pairs.sum(0) + pairs.sum(1) - both)


def boundary_iou(predicted: Tensor, labels: Tensor, classes: int, distance: int) -> Tensor:
    """The IoU of each class's inner bands (K,), as Boundary IoU (Cheng et al., CVPR 2021, section 4) over a set.

    The band of a class are its pixels up to `distance` pixels (diagonal steps count one) from a pixel of another. The
    image's border is no edge, otherwise than in the published code: no upsampler can miss it.
    """
    bands = [_bands(each, classes, distance) for each in (predicted, labels)]  # (B, K, H, W) each
    both = (bands[0] & bands[1]).sum((0, 2, 3))
    return both / (bands[0] | bands[1]).sum((0, 2, 3))


def _bands(labels: Tensor, classes: int, distance: int) -> Tensor:
    masks = F.one_hot(labels, classes).movedim(-1, 1)  # (B, K, H, W)
    others = F.max_pool2d(1.0 - masks, 2 * distance + 1, stride=1, padding=distance)
    return masks.bool() & (others > 0)


def edges(predicted: Tensor, labels: Tensor, classes: int, cell: float) -> tuple[float, float]:
    """Where edges of predicted labels lie beside true ones, along rows and along columns.

    An edge is a step between two neighbours of different class. The predicted edge of a true one is the nearest between
    the same two classes, in the same order, in the same row (or column), at most REACH pixels away. Distances are
    absolute: a constant shift is what the convolutions around an upsampler learn to undo, and the signed mean tends to
    zero even for one that is shifted by half a pixel; what remains is how far single edges scatter.

    Args:
        predicted, labels: (B, H, W).
        classes: K.
        cell: the side of an element, in pixels: 0.5 for labels of twice the resolution.

    Returns:
        The share of the true edges that are predicted at all, and the mean distance of those to the predicted ones, in
        pixels; NaN if none is found.
    """
    true, found, distance = 0, 0, 0
    for ours, theirs in ((predicted, labels), (predicted.mT, labels.mT)):
        at, reach = _edges(theirs, classes), round(REACH / cell)
        near = F.pad(_edges(ours, classes), (reach, reach))
        is_open, width = at > 0, at.shape[-1]
        true += int(is_open.sum())
        for step in range(reach + 1):
            before, after = (near[..., start : start + width] for start in (reach - step, reach + step))
            is_found = is_open & ((at == before) | (at == after))
            found += int(is_found.sum())
            distance += step * int(is_found.sum())
            is_open = is_open & ~is_found
    return found / true, cell * distance / found if found else math.nan


def _edges(labels: Tensor, classes: int) -> Tensor:
    """Which two classes meet between neighbours of a row, from 1; 0 where there is no edge: (B, H, W - 1)."""
    left, right = labels[..., :-1], labels[..., 1:]
    return torch.where(left == right, 0, 1 + left * classes + right)


def psnr(images: Tensor, targets: Tensor) -> float:
    """The mean over images (B, 1, H, W) in 0..1 of the peak signal-to-noise ratio, in dB; at most 100 an image."""
    squares = (images - targets).square().mean((1, 2, 3))
    return float(-10 * squares.clamp_min(LEAST_SQUARE).log10().mean())


def ssim(images: Tensor, targets: Tensor) -> float:
    """The mean structural similarity (Wang et al., TIP 2004) of images (B, 1, H, W) in 0..1.

    Gaussian windows of 11 x 11 pixels, all inside the image.
    """
    offsets = torch.arange(WINDOW, dtype=images.dtype) - WINDOW // 2
    side = torch.exp(-offsets.square() / (2 * WINDOW_STD**2))
    window = torch.outer(side, side) / side.sum().square()

    def mean(x: Tensor) -> Tensor:
        return F.conv2d(x, window[None, None])

    a, b = mean(images), mean(targets)
    variances = mean(images.square()) - a.square() + mean(targets.square()) - b.square()
    covariance = mean(images * targets) - a * b
    likeness = (2 * a * b + C1) * (2 * covariance + C2) / ((a.square() + b.square() + C1) * (variances + C2))
    return float(likeness.mean())
