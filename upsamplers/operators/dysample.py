"""The DySample series: upsampling by sampling one learned point per output pixel."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from upsamplers.base import Upsampler
from upsamplers.checks import is_autocast, require_divisible, require_features
from upsamplers.errors import Unsupported
from upsamplers.functional._torch.plain_layers import is_plain
from upsamplers.functional._torch.precision import coordinate_dtype
from upsamplers.functional.backend import uses_triton
from upsamplers.functional.sample_points import bilinear_positions, displacement, sample_points
from upsamplers.registry import register

PAPER = "Liu et al., ICCV 2023"
GROUPS = {"lp": 4, "pl": 8}
INITIAL_POSITIONS = ("bilinear", "nearest")
OFFSET_STD = 0.001


@register("dysample", paper=PAPER, year=2023)
@register("dysample+", paper=PAPER, year=2023, dynamic_scope=True)
@register("dysample-s", paper=PAPER, year=2023, style="pl")
@register("dysample-s+", paper=PAPER, year=2023, style="pl", dynamic_scope=True)
@register(
    "dysample-naive", paper=f"{PAPER} (section 3.1)", year=2023, groups=1, scope_factor=1.0, initial_position="nearest"
)
class DySample(Upsampler):
    """Learning to Upsample by Learning to Sample (ICCV 2023), every step of its ablation by options.

    The displacement of each sampling point is a linear projection of x, times a scope, plus the initial position.

    Args:
        channels: C, divisible by the groups, and by s² in style "pl".
        scale: s.
        groups: Z; channel groups with displacements of their own; by default 4 in style "lp", 8 in "pl".
        style: "lp" projects and then shuffles; "pl" shuffles and then projects (fewer parameters).
        dynamic_scope: the scope is σ of a second projection, times the factor (Eq. 5), not the factor alone (Eq. 4).
        scope_factor: by default 0.25, or 0.5 with a dynamic scope.
        initial_position: "bilinear" (Fig. 3b) or "nearest" (Fig. 3a).
        scope_bias: gives the scope's projection a bias, as the released detection and segmentation checkpoints have.

    Raises:
        Unsupported: the channels do not fit, or an option has an unknown value.
    """

    backends = ("torch", "triton")
    init_pos: Tensor

    def __init__(
        self,
        channels: int,
        *,
        scale: int = 2,
        groups: int | None = None,
        style: str = "lp",
        dynamic_scope: bool = False,
        scope_factor: float | None = None,
        initial_position: str = "bilinear",
        scope_bias: bool = False,
    ) -> None:
        super().__init__(channels, scale=scale)
        if style not in GROUPS:
            raise Unsupported(f"no style {style!r}; expected {' or '.join(map(repr, GROUPS))}")
        if initial_position not in INITIAL_POSITIONS:
            expected = " or ".join(map(repr, INITIAL_POSITIONS))
            raise Unsupported(f"no initial position {initial_position!r}; expected {expected}")
        self.style = style
        self.initial_position = initial_position
        self.groups = GROUPS[style] if groups is None else groups
        default_factor = 0.5 if dynamic_scope else 0.25
        self.scope_factor = default_factor if scope_factor is None else scope_factor
        if isinstance(self.scope_factor, bool) or not isinstance(self.scope_factor, int | float):
            raise Unsupported(f"scope_factor must be a number, not {scope_factor!r}")
        if scope_bias and not dynamic_scope:
            raise Unsupported("scope_bias is the bias of a dynamic scope's projection; expected dynamic_scope=True")
        require_divisible(channels, self.groups, "the groups of DySample")
        if style == "pl":
            require_divisible(channels, scale**2, "style 'pl' shuffles s² channels into space")
        shuffled = scale**2 if style == "pl" else 1
        inside, outside = channels // shuffled, 2 * self.groups * scale**2 // shuffled
        self.offset = nn.Conv2d(inside, outside, 1)
        _start(self.offset, OFFSET_STD)
        self.scope = nn.Conv2d(inside, outside, 1, bias=scope_bias) if dynamic_scope else None
        self.register_buffer("init_pos", torch.empty(1, 2 * self.groups * scale**2, 1, 1))
        self.init_weights()

    def reset_parameters(self) -> None:
        """Sets parameters and the initial positions as the constructor does, which draws the offsets first."""
        self.offset.reset_parameters()
        _start(self.offset, OFFSET_STD)
        if self.scope is not None:
            self.scope.reset_parameters()
        self.init_weights()

    def init_weights(self) -> None:
        """A dynamic scope of half its factor everywhere, and the initial positions."""
        if self.scope is not None:
            _start(self.scope, 0.0)
        if self.initial_position == "nearest":
            self.init_pos.zero_()
            return
        self.init_pos.copy_(bilinear_positions(self.scale, self.groups))

    def forward(self, x: Tensor) -> Tensor:
        """X (B, C, H, W) -> (B, C, sH, sW)."""
        require_features(x, self.channels)
        offsets, scopes = self.projections(x)
        return sample_points(
            x, offsets, self.scale,
            scopes=scopes, initial=self.init_pos, factor=self.scope_factor, backend=self.backend,
        )  # fmt: skip

    def displacement(self, x: Tensor) -> Tensor:
        """How far each output pixel's sampling point is from the centre of its input pixel, in input pixels.

        Args:
            x: (B, C, H, W).

        Returns:
            (B, 2Zs², H, W), channels ordered coordinate (x, y) · group · position s·a + b; at least float32.
        """
        offsets, scopes = self.projections(x)
        return displacement(offsets.to(coordinate_dtype(x)), scopes, self.init_pos, self.scope_factor)

    def projections(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """The offsets of x (B, C, H, W), and the scopes before their sigmoid if dynamic; (B, 2Zs², H, W) each."""
        batch, _, height, width = x.shape
        layers = [self.offset] if self.scope is None else [self.offset, self.scope]
        if self._projects_at_once(x, layers):
            from upsamplers.functional._triton.projection import project

            shuffle = self.scale if self.style == "pl" else 1
            weights, biases = [layer.weight for layer in layers], [layer.bias for layer in layers]
            parts = project(x, weights, biases, shuffle=shuffle).chunk(len(layers), dim=1)
        else:
            image = x
            if self.style == "pl":
                # Channel c·s² + p of x is channel c at sub-pixel p: to a 1×1 convolution, a row of an image.
                image = x.unflatten(1, (-1, self.scale**2)).flatten(3)  # (B, C/s², s², HW)
            shape = batch, self.init_pos.shape[1], height, width
            parts = tuple(part.reshape(shape) for part in self._called(image, layers))
        return parts[0], parts[1] if len(parts) > 1 else None

    def _projects_at_once(self, x: Tensor, layers: list[nn.Conv2d]) -> bool:
        """Whether one kernel takes the place of the layers."""
        weights = [layer.weight for layer in layers]
        if torch.is_grad_enabled() or is_autocast(x) or not is_plain(*layers) or x.dtype != weights[0].dtype:
            return False
        shuffle = self.scale if self.style == "pl" else 1
        if not uses_triton(self.backend, x, *weights, groups=shuffle**2):
            return False
        from upsamplers.functional._triton.projection import can_project

        return can_project(x, weights, shuffle)

    def _called(self, image: Tensor, layers: list[nn.Conv2d]) -> tuple[Tensor, ...]:
        """What the layers make of an image."""
        if len(layers) == 1 or not is_plain(*layers):
            return tuple(layer(image) for layer in layers)
        # One product for both projections reads x once, and its gradient is one.
        bias = [layer.weight.new_zeros(len(layer.weight)) if layer.bias is None else layer.bias for layer in layers]
        return F.conv2d(image, torch.cat([layer.weight for layer in layers]), torch.cat(bias)).chunk(2, dim=1)


def _start(layer: nn.Conv2d, std: float) -> None:
    nn.init.normal_(layer.weight, std=std)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
