"""The operator contract, and the alphabet that every shape comment of this project is written in.

B batch, C channels, G guide channels, H x W input size, s scale, k kernel size, Z groups.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.fx import Proxy

from upsamplers.errors import Unsupported
from upsamplers.functional._torch.precision import without_autocast

IMAGE_CHANNELS = 3


class Upsampler(nn.Module):
    """A feature upsampler: x (B, C, H, W) -> (B, C, sH, sW), guided by an encoder feature or not.

    A subclass writes `forward(x)`, or `forward(x, guide)` with `needs_guide = True` (and no default for `guide`).
    Its constructor takes the channels first and `scale` by keyword; a guided one takes `guide_channels` too. `forward`
    raises Unsupported for an x or a guide that is not such a feature, or that a norm or a reflection cannot take.

    One whose guide is an image sets `guide_is_image = True` too: it takes images (B, G, h, w) of any size, G is 3 by
    default, and its output is sH x sW all the same. One that needs more than a single pixel sets `least_size`.

    Attributes:
        channels: C, the channels of x and of the output.
        scale: s, a positive integer.
        guide_channels: G, the channels of the guide; C by default (3 for an image), and where no guide is taken.
        least_size: the fewest rows and columns of x; with default options also known of the class.
        backend: which form of `upsamplers.functional` runs: "torch", "triton", or "auto": what `use_backend` chose,
            else Triton where it can. A subclass with Triton forms lists both in `backends`.
    """

    needs_guide: ClassVar[bool] = False
    guide_is_image: ClassVar[bool] = False
    backends: ClassVar[tuple[str, ...]] = ("torch",)
    least_size: int = 1
    backend: str = "auto"

    def __init__(self, channels: int, *, scale: int = 2, guide_channels: int | None = None) -> None:
        super().__init__()
        self.channels = channels
        self.scale = scale
        self.guide_channels = guide_channels or (IMAGE_CHANNELS if self.guide_is_image else channels)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """As of any module; `torch.fx` does not look inside, and records one call, as of torch's own layers."""
        first = next(iter((*args, *kwargs.values())), None)
        if isinstance(first, Proxy):
            tracer: Any = first.tracer
            return tracer.create_proxy("call_module", tracer.path_of_module(self), args, kwargs)
        if kwargs.pop("to_size", False):  # as a traced `upsample_to` calls it
            return self.upsample_to(*args)
        return super().__call__(*args, **kwargs)

    def make_guide(self, feature: Tensor) -> Tensor:
        """What this operator takes as its guide, made from an encoder feature (B, G, sH, sW): by default the feature.

        A model calls it outside any timed region.
        """
        return feature

    def upsample_to(self, x: Tensor, feature: Tensor) -> Tensor:
        """Upsamples x to exactly the size of an encoder feature: what a model calls for any operator.

        Args:
            x: (B, C, H, W).
            feature: (B, G, h, w) with s(H-1) < h < s(H+1), likewise w. Where the level is shorter than sH (13 -> 25),
                a guide is padded by replication for the operator, and the result cropped; where it is longer
                (13 -> 27), the guide is cropped, and the last pixels of the result are repeated. Of an operator whose
                guide is an image, an image (B, G, h, w) of that size.

        Returns:
            (B, C, h, w).

        Raises:
            Unsupported: the feature is not within one input pixel of s times the size of x.
            ValueError: the operator's own output is not sH x sW.
        """
        if isinstance(x, Proxy):
            return self(x, feature, to_size=True)
        height, width = feature.shape[-2:]
        tall, wide = self.scale * x.shape[-2], self.scale * x.shape[-1]
        if not (abs(tall - height) < self.scale and abs(wide - width) < self.scale):
            raise Unsupported(
                f"cannot upsample x {tuple(x.shape)} to the size of a feature {tuple(feature.shape)}: at scale "
                f"{self.scale} the feature must have {tall} x {wide} pixels, or up to {self.scale - 1} more or fewer a "
                "side"
            )
        out = self(x, self.make_guide(fit_to(feature, tall, wide))) if self.needs_guide else self(x)
        return fit_to(self.require_own_size(x, out), height, width)

    def require_own_size(self, x: Tensor, out: Tensor) -> Tensor:
        """This operator's output for x (B, C, H, W), which must be sH x sW before it is cropped or continued.

        Raises:
            ValueError: it is not.
        """
        expected = self.scale * x.shape[-2], self.scale * x.shape[-1]
        if tuple(out.shape[-2:]) != expected:
            raise ValueError(
                f"wrong output of {type(self).__name__}: {out.shape[-2]} x {out.shape[-1]} pixels, expected "
                f"{expected[0]} x {expected[1]}, {self.scale} times those of x"
            )
        return out

    def example_inputs(
        self,
        batch: int,
        height: int,
        width: int,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> tuple[Tensor, ...]:
        """Random inputs to call this operator with, drawn from torch's generator.

        Args:
            batch, height, width: B, H and W of x.
            device, dtype: of x and the guide; by default those of the first parameter or buffer, else torch's.

        Returns:
            x (B, C, H, W), and where the operator takes one the guide that `make_guide` makes from a feature
            (B, G, sH, sW).
        """
        own = next((tensor for tensor in (*self.parameters(), *self.buffers()) if tensor.is_floating_point()), None)
        if own is not None:
            device, dtype = device or own.device, dtype or own.dtype
        x = torch.randn(batch, self.channels, height, width, device=device, dtype=dtype)
        if not self.needs_guide:
            return (x,)
        size = self.scale * height, self.scale * width
        feature = torch.randn(batch, self.guide_channels, *size, device=device, dtype=dtype)
        with torch.no_grad():
            return x, self.make_guide(feature)

    def reset_parameters(self) -> None:
        """Sets parameters and buffers to the published initial values again, drawn from torch's generator.

        For use after a model's own initialisation has overwritten them. First every layer's own `reset_parameters`,
        then `init_weights`: under one seed this gives what the constructor gives.
        """
        reset_layers(self)
        self.init_weights()

    def init_weights(self) -> None:
        """Sets what the paper starts otherwise than torch's layers do.

        A subclass with such values overrides it and calls it last in its constructor.
        """

    def extra_repr(self) -> str:
        """The channels and the scale."""
        return f"{self.channels}, scale={self.scale}"


class Composed(Upsampler):
    """Made of other operators, which are its submodules; its backend is theirs."""

    @property
    def backend(self) -> str:
        """As of any operator."""
        return next(self._operators()).backend

    @backend.setter
    def backend(self, backend: str) -> None:
        for operator in self._operators():
            operator.backend = backend

    def _operators(self) -> Iterator[Upsampler]:
        return (child for child in self.children() if isinstance(child, Upsampler))


def fit_to(image: Tensor, height: int, width: int) -> Tensor:
    """An image (B, C, H, W) cropped to (B, C, height, width), or continued there by its last row and column."""
    below, right = max(0, height - image.shape[-2]), max(0, width - image.shape[-1])
    if below or right:
        with without_autocast(image):  # which would answer in float32
            image = F.pad(image, (0, right, 0, below), mode="replicate")
    return image[..., :height, :width]


def reset_layers(module: nn.Module) -> None:
    """Calls `reset_parameters` of every layer inside a module, in the order they were added."""
    for layer in module.children():
        reset = getattr(layer, "reset_parameters", None)
        if callable(reset):
            reset()
        else:
            reset_layers(layer)
