"""The DySample series: upsampling by sampling one learned point per output pixel."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from upsamplers.base import Upsampler
from upsamplers.checks import require_divisible, require_features
from upsamplers.errors import Unsupported
from upsamplers.functional._torch.precision import coordinate_dtype
from upsamplers.functional.sample_points import sample_points
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

    init_pos: Tensor

    backends = ("torch", "triton")

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
        steps = (torch.arange(self.scale) - (self.scale - 1) / 2) / self.scale
        rows, columns = torch.meshgrid(steps, steps, indexing="ij")  # (s, s): position s·a + b
        one_group = torch.stack((columns, rows)).view(2, 1, -1)  # (2, 1, s²): x, then y
        self.init_pos.copy_(one_group.expand(2, self.groups, -1).reshape(1, -1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """X (B, C, H, W) -> (B, C, sH, sW)."""
        require_features(x, self.channels)
        # A single pixel is contiguous in both layouts.
        turned = not x.is_contiguous() and x.is_contiguous(memory_format=torch.channels_last)
        x = x.contiguous()
        out = sample_points(x, self.displacement(x), self.scale)
        return out.contiguous(memory_format=torch.channels_last) if turned else out

    def displacement(self, x: Tensor) -> Tensor:
        """How far each output pixel's sampling point is from the centre of its input pixel, in input pixels.

        Args:
            x: (B, C, H, W), contiguous.

        Returns:
            (B, 2Zs², H, W), channels ordered coordinate (x, y) · group · position s·a + b; at least float32.
        """
        dtype = coordinate_dtype(x)
        initial, projected = self.init_pos.to(dtype), self.projected(x).to(dtype)
        if self.scope is None:
            return torch.add(initial, projected, alpha=self.scope_factor)
        offset, scope = projected.chunk(2, dim=1)  # (B, 2Zs², H, W) each
        return torch.addcmul(initial, offset, scope.sigmoid(), value=self.scope_factor)

    def projected(self, x: Tensor) -> Tensor:
        """The offsets (B, 2Zs², H, W) of x (B, C, H, W), and the scopes before their sigmoid after them if dynamic."""
        if self.scope is None and self.style == "lp":
            return self.offset(x)  # type: ignore[no-any-return]
        weight, bias = self.offset.weight, self.offset.bias
        if self.scope is not None:
            # One product for both projections reads x once.
            weight = torch.cat((weight, self.scope.weight))
            assert bias is not None
            scope_bias = torch.zeros_like(bias) if self.scope.bias is None else self.scope.bias
            bias = torch.cat((bias, scope_bias))
        if self.style == "lp":
            return F.conv2d(x, weight, bias)
        return _project_shuffled(x.contiguous(), weight.flatten(1), bias, self.scale)


def _project_shuffled(x: Tensor, weight: Tensor, bias: Tensor | None, scale: int) -> Tensor:
    """Pixel unshuffle of a 1×1 convolution of the pixel-shuffled x, without the shuffled copy of x.

    Channel c·s² + p of x is channel c at sub-pixel p: a product with every s²-th channel projects one sub-pixel.

    Args:
        x: (B, C, H, W), contiguous.
        weight: (N, C/s²).
        bias: (N) or None.
        scale: s.

    Returns:
        (B, N·s², H, W).
    """
    batch, channels, height, width = x.shape
    by_position = x.view(batch, channels // scale**2, scale**2, height * width)
    weights = weight.expand(batch, -1, -1)
    products = [torch.bmm(weights, by_position[:, :, position]) for position in range(scale**2)]  # (B, N, HW) each
    projected = torch.stack(products, dim=2)  # (B, N, s², HW)
    if bias is not None:
        projected = projected + bias.view(-1, 1, 1).to(projected.dtype)
    return projected.view(batch, len(weight) * scale**2, height, width)


def _start(layer: nn.Conv2d, std: float) -> None:
    nn.init.normal_(layer.weight, std=std)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
