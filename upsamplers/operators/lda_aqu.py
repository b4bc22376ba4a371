"""LDA-AQU: upsampling by attention to learned points around each output pixel."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from upsamplers.base import Upsampler
from upsamplers.checks import require_divisible, require_features, require_option
from upsamplers.errors import Unsupported
from upsamplers.functional._torch.plain_layers import is_plain
from upsamplers.functional._torch.point_blocks import Neighbourhood
from upsamplers.functional._torch.precision import coordinate_dtype, without_autocast
from upsamplers.functional.attended_points import attended_points
from upsamplers.functional.backend import uses_triton
from upsamplers.functional.convolve import convolve
from upsamplers.functional.project import project
from upsamplers.registry import register


@register("lda-aqu", paper="Du et al., ACM MM 2024", year=2024)
class LDAAQU(Upsampler):
    """Adaptive Query-guided Upsampling via Local Deformable Attention (ACM MM 2024, section 3).

    The query of an output pixel is interpolated from x. It decides how far the k x k points around the pixel are moved,
    and by its products with the keys there, how much of x at each point goes into the pixel.

    Everything except x and the output is float32 at least, under autocast too: a point that may move by 11 pixels is
    otherwise rounded by more than the output's own rounding.

    Args:
        channels: C, divisible by the reduction.
        scale: s.
        reduction: r; queries and keys have C/r channels, a multiple of the groups, at least two for each.
        kernel: k, the side of the window of points; odd.
        groups: Z; each of the Z contiguous channel groups has points of its own, and one attention serves all.
        offset_range: how far a point may be moved along an axis, in output pixels; above 0.

    Raises:
        Unsupported: the channels do not fit, or an option is out of range.
    """

    backends = ("torch", "triton")

    def __init__(
        self,
        channels: int,
        *,
        scale: int = 2,
        reduction: int = 4,
        kernel: int = 3,
        groups: int = 2,
        offset_range: float = 11,
    ) -> None:
        super().__init__(channels, scale=scale)
        require_option("kernel", kernel, odd=True)
        require_option("reduction", reduction)
        require_option("groups", groups)
        is_number = isinstance(offset_range, int | float) and not isinstance(offset_range, bool)
        if not is_number or not 0 < offset_range < math.inf:
            raise Unsupported(f"offset_range must be a positive number of output pixels, not {offset_range!r}")
        require_divisible(channels, reduction, "the reduction of LDA-AQU")
        inside = channels // reduction
        require_divisible(inside, groups, f"the groups of LDA-AQU's queries, which have C/{reduction} channels")
        if inside == groups:
            raise Unsupported(
                f"{channels} channels, reduced by {reduction} and cut into {groups} groups, leave the norm a single "
                f"value; expected at least {2 * reduction * groups} channels"
            )
        self.reduction = reduction
        self.hood = Neighbourhood(kernel, groups, float(offset_range))
        self.layer_norm = _ChannelNorm(channels)
        self.proj_q = nn.Conv2d(channels, inside, 1, bias=False)
        self.proj_k = nn.Conv2d(channels, inside, 1, bias=False)
        inner = inside // groups
        self.conv_offset = nn.Sequential(
            nn.Conv2d(inner, inner, 3, padding=1, groups=inner, bias=False),
            _ChannelNorm(inner),
            nn.GELU(),
            nn.Conv2d(inner, 2 * kernel**2, 3, padding=1),
        )
        self.relative_position_bias_table = nn.Parameter(torch.empty(1, 1, 1, kernel**2, inside))
        self.init_weights()

    def init_weights(self) -> None:
        """Xavier's for the projections, and points that are not moved yet."""
        depthwise, _, _, projection = self.conv_offset
        nn.init.xavier_uniform_(depthwise.weight)  # type: ignore[arg-type]
        nn.init.zeros_(projection.weight)  # type: ignore[arg-type]
        nn.init.zeros_(projection.bias)  # type: ignore[arg-type]
        for layer in (self.proj_q, self.proj_k):
            nn.init.xavier_uniform_(layer.weight)
        # As trunc_normal_, which looks at what it drew and so cannot run on fake tensors.
        with torch.no_grad():
            nn.init.normal_(self.relative_position_bias_table, std=0.02).clamp_(-2, 2)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> LDAAQU:
        """As of any module; but the table has five dimensions, for which there is no channels_last."""

        def apply(tensor: Tensor) -> Tensor:
            return fn(tensor.flatten(0, 3)).view(tensor.shape) if tensor.dim() == 5 else fn(tensor)

        super()._apply(apply, recurse)  # type: ignore[no-untyped-call]
        return self

    def forward(self, x: Tensor) -> Tensor:
        """X (B, C, H, W) -> (B, C, sH, sW)."""
        require_features(x, self.channels)
        with without_autocast(x):
            normed = self._normed(self.layer_norm.norm, x)  # (B, C, H, W)
            by = partial(project, backend=self.backend)
            key, query = _called(self.proj_k, normed, by), _called(self.proj_q, normed, by).contiguous()
            del normed
            size = (self.scale * x.shape[2], self.scale * x.shape[3])
            query = F.interpolate(query, size=size, mode="bilinear", align_corners=True)  # (B, C/r, sH, sW)
            bias = self.relative_position_bias_table.flatten(0, 3)  # (k², C/r)
            return attended_points(x, key, query, bias, self.offsets(query), self.hood, backend=self.backend)

    def offsets(self, query: Tensor) -> Tensor:
        """What moves the points, before tanh and range, from the queries.

        Args:
            query: (B, C/r, sH, sW), contiguous: its groups then are images of their own.

        Returns:
            (B, 2Zk², sH, sW), channels ordered group · point · coordinate (y, x).
        """
        groups, (batch, channels, tall, wide) = self.hood.groups, query.shape
        depthwise, norm, activation, projection = self.conv_offset
        out = _called(depthwise, query.reshape(batch * groups, channels // groups, tall, wide))
        out = activation(self._normed(norm.norm, out))  # type: ignore[arg-type]
        out = _called(projection, out, partial(convolve, backend=self.backend))
        return out.reshape(batch, 2 * groups * self.hood.points, tall, wide)

    def _normed(self, norm: nn.LayerNorm, x: Tensor) -> Tensor:
        """The layer norm of x (B, C, H, W) over its channels, in float32 at least."""
        can_fuse = is_plain(norm) and not torch.is_grad_enabled()
        if can_fuse and uses_triton(self.backend, x, norm.weight, norm.bias):
            from upsamplers.functional._triton.channel_norm import channel_norm

            normed: Tensor = channel_norm(x, norm.weight, norm.bias, norm.eps)
            return normed
        return _called(norm, x.permute(0, 2, 3, 1).to(coordinate_dtype(x))).permute(0, 3, 1, 2)


class _ChannelNorm(nn.Module):
    """Holds a layer norm over channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)


def _called(layer: nn.Module, x: Tensor, by: Callable[[Tensor, nn.Module], Tensor] | None = None) -> Tensor:
    """What a layer makes of x, in x's dtype, whatever the dtype of its parameters; `by` calls it where they agree."""
    parameters = dict(layer.named_parameters())
    if any(parameter.dtype != x.dtype for parameter in parameters.values()):
        cast = {name: parameter.to(x.dtype) for name, parameter in parameters.items()}
        out: Tensor = functional_call(layer, cast, x)
    else:
        out = layer(x) if by is None else by(x, layer)
    return out
