"""What single output pixels read: weighted pixels, and weighted points between pixels.

All of it is asked of the operators themselves, by their public methods; of those that have no weights to show, the
derivative of the output pixel by the input is the kernel. Places are (x, y) in input pixels, from the upper left.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from _scene import SCALE, SIDE, Scenes, carried, carriers
from _training import inputs
from torch import Tensor

from upsamplers import Upsampler
from upsamplers.functional.sample_points import normalised_points
from upsamplers.operators.interpolate import Interpolate

Pixel = tuple[int, int]
ALL = slice(None)


@dataclass(frozen=True, slots=True)
class Marks:
    """Weighted places in an image.

    Attributes:
        image: (1, C, h, w), which is read there.
        places: (N, 2), x before y.
        weights: (N).
        channels: that are read there.
        side: of the image's pixels, in input pixels; 0 where what is read lies between pixels.
        padding: what lies around the image, as grid_sample names it.
    """

    image: Tensor
    places: Tensor
    weights: Tensor
    channels: slice
    side: float = 0.0
    padding: str = "zeros"

    def found(self) -> Tensor:
        """What the image is at the places, bilinearly: (C, N) of its channels."""
        grid = (self.places / SIDE * 2 - 1).view(1, 1, -1, 2)
        image = self.image[:, self.channels]
        return F.grid_sample(image, grid, padding_mode=self.padding, align_corners=False)[0, :, 0]


@dataclass(frozen=True, slots=True)
class Reading:
    """What one output pixel reads.

    Attributes:
        origin: the output pixel's middle, (2).
        marks: what it reads.
        arrow: two places, (2, 2): from where to where something is looked up that is not read itself; or None.
        exact: whether every channel of the output is read so, and nothing else goes into it.
    """

    origin: Tensor
    marks: tuple[Marks, ...]
    arrow: Tensor | None = None
    exact: bool = True

    def mean(self) -> Tensor:
        """The mean of the places, by weight: (2)."""
        places = torch.cat([one.places for one in self.marks])
        weights = torch.cat([one.weights for one in self.marks]).unsqueeze(1)
        found: Tensor = (places * weights).sum(0) / weights.sum()
        return found

    def value(self) -> Tensor:
        """What is read, (C): the operator's own output, if the reading is right."""
        out = torch.zeros(self.marks[0].image.shape[1])
        for one in self.marks:
            out[one.channels] += one.found() @ one.weights
        return out


Reader = Callable[[Pixel], Reading]


def reader(module: Upsampler, scenes: Scenes) -> Reader:
    """How the operator's output pixels read these scenes (B = 1)."""
    return READERS[type(module).__name__](module, scenes)


def middle(pixel: Pixel, scale: int = SCALE) -> Tensor:
    """The middle of a pixel, (row, column), of an image with `scale` pixels to an input pixel: (2)."""
    row, column = pixel
    return torch.tensor([(column + 0.5) / scale, (row + 0.5) / scale])


def _own(pixel: Pixel) -> Pixel:
    """The input pixel of an output pixel."""
    return pixel[0] // SCALE, pixel[1] // SCALE


def _by_derivative(module: Upsampler, scenes: Scenes) -> Reader:
    """By how much the scene that an output pixel carries rises with that of each input pixel."""
    rise = torch.zeros_like(scenes.x[:, :1]).requires_grad_()
    x = scenes.x + rise * carriers().view(1, -1, 1, 1)
    out = carried(module(x, *inputs(module, scenes)[1:]))
    height, width = rise.shape[2:]
    places = torch.stack([middle((row, column), 1) for row in range(height) for column in range(width)])

    def read(pixel: Pixel) -> Reading:
        (slopes,) = torch.autograd.grad(out[0, 0, pixel[0], pixel[1]], rise, retain_graph=True)
        marks = Marks(scenes.x, places, slopes.flatten(), ALL, side=1.0)
        return Reading(middle(pixel), (marks,), exact=type(module) is Interpolate)

    return read


def _window(image: Tensor, weights: Tensor, pixel: Pixel, side: float) -> Marks:
    """The window of an image around an output pixel, with weights (1, k², sH, sW)."""
    own = middle(_own(pixel), 1) if side == 1 else middle(pixel)
    reach = (round(weights.shape[1] ** 0.5) - 1) // 2
    steps = torch.arange(-reach, reach + 1) * side
    down, across = torch.meshgrid(steps, steps, indexing="ij")
    places = own + torch.stack((across, down), dim=-1).view(-1, 2)
    return Marks(image, places, weights[0, :, pixel[0], pixel[1]], ALL, side)


def _reassembled(scenes: Scenes, weights: Tensor) -> Reader:
    return lambda pixel: Reading(middle(pixel), (_window(scenes.x, weights, pixel, 1.0),))


def _fade(module: Upsampler, scenes: Scenes) -> Reader:
    weights = module.weights(scenes.x, scenes.guide)
    if module.gate_generator is None:
        return _reassembled(scenes, weights)
    gate = module.gate_generator(scenes.x)

    def read(pixel: Pixel) -> Reading:
        window = _window(scenes.x, weights * (1 - gate), pixel, 1.0)
        return Reading(middle(pixel), (window, _window(scenes.guide, gate, pixel, 1 / SCALE)))

    return read


def _jbu(module: Upsampler, scenes: Scenes) -> Reader:
    smooth = F.interpolate(scenes.x, scale_factor=float(SCALE), mode="bicubic", align_corners=False)
    weights = module.weights(scenes.guide)
    return lambda pixel: Reading(middle(pixel), (_window(smooth, weights, pixel, 1 / SCALE),))


def _dlu(module: Upsampler, scenes: Scenes) -> Reader:
    weights = module.weights(scenes.x)
    offsets = F.pixel_shuffle(module.conv_offset(module.channel_compressor(scenes.x)), SCALE)

    def read(pixel: Pixel) -> Reading:
        own = middle(_own(pixel), 1)
        arrow = torch.stack((own, own + offsets[0, :, pixel[0], pixel[1]]))
        return Reading(middle(pixel), (_window(scenes.x, weights, pixel, 1.0),), arrow)

    return read


def _dysample(module: Upsampler, scenes: Scenes) -> Reader:
    height, width = scenes.x.shape[2:]
    points = normalised_points(module.displacement(scenes.x), SCALE)[0]  # (2, Z, sH, sW)
    places = (points + 1) / 2 * torch.tensor([width, height]).view(2, 1, 1, 1)

    def read(pixel: Pixel) -> Reading:
        own = places[:, :, None, pixel[0], pixel[1]]
        return Reading(middle(pixel), _by_group(scenes.x, own, torch.ones(1), padding="border"))

    return read


def _by_group(image: Tensor, places: Tensor, weights: Tensor, padding: str = "zeros") -> tuple[Marks, ...]:
    """Points (2, Z, N) of the Z groups of an image's channels, with weights (N) for all groups."""
    each = image.shape[1] // places.shape[1]
    return tuple(
        Marks(image, own.T, weights, slice(group * each, (group + 1) * each), padding=padding)
        for group, own in enumerate(places.unbind(1))
    )


def _lda_aqu(module: Upsampler, scenes: Scenes) -> Reader:
    """The operator's queries, keys and points, step by step; what is read must give its output."""
    x, hood = scenes.x, module.hood
    normed = module.layer_norm.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    key, query = module.proj_k(normed), module.proj_q(normed)
    query = F.interpolate(query, scale_factor=float(SCALE), mode="bilinear", align_corners=True)  # (1, C/r, sH, sW)
    moves = module.offsets(query)[0].unflatten(0, (hood.groups, hood.points, 2)).tanh() * hood.reach
    bias = module.relative_position_bias_table.flatten(0, 3)  # (k², C/r)
    steps = torch.stack(hood.steps(moves), dim=1)  # (k², 2), y before x
    ratio = (x.shape[2] - 1) / (query.shape[2] - 1)

    def read(pixel: Pixel) -> Reading:
        row, column = pixel
        places = (moves[..., row, column] + steps + torch.tensor(pixel)) * ratio + 0.5  # (Z, k², 2), y before x
        places = places.flip(2).permute(2, 0, 1)  # (2, Z, k²)
        keys = [one.found() for one in _by_group(key, places, torch.ones(hood.points))]
        logits = (torch.cat(keys) + bias.T).T @ query[0, :, row, column]
        weights = (logits / key.shape[1] ** 0.5).softmax(0)
        return Reading(middle(pixel), _by_group(x, places, weights))

    return read


READERS: dict[str, Callable[[Upsampler, Scenes], Reader]] = {
    **dict.fromkeys(("Interpolate", "Deconv", "PixelShuffle", "MaxUnpool"), _by_derivative),
    "Carafe": lambda module, scenes: _reassembled(scenes, module.weights(scenes.x)),
    "IndexNet": lambda module, scenes: _reassembled(scenes, module.index_map(scenes.guide)),
    "A2U": lambda module, scenes: _reassembled(scenes, module.weights(scenes.guide)),
    "Sapa": lambda module, scenes: _reassembled(scenes, module.weights(scenes.x, scenes.guide)),
    "Sierra": lambda module, scenes: _reassembled(scenes, module.weights(scenes.x)),
    "Fade": _fade,
    "DySample": _dysample,
    "DLU": _dlu,
    "LDAAQU": _lda_aqu,
    "JBU": _jbu,
}
