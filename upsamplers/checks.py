"""What operators refuse, in the same words everywhere: each check raises Unsupported, naming what would be accepted."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from upsamplers.errors import Unsupported

BORDERS = ("zeros", "reflection", "replication")
# The scales of operators that double x again and again.
POWERS_OF_TWO = tuple(2**stages for stages in range(1, 8))
DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def require_features(x: Tensor, channels: int | None, what: str = "x") -> None:
    """Refuses what is not a dense feature (B, channels, H, W) of a floating-point dtype; None: any channels."""
    if not isinstance(x, Tensor):
        raise Unsupported(f"{what} is a {type(x).__name__}; expected a tensor (B, {channels or 'C'}, H, W)")
    if x.layout != torch.strided or x.is_nested:
        raise Unsupported(f"{what} is a {'nested' if x.is_nested else 'sparse'} tensor; expected a dense one")
    if x.dim() != 4 or x.shape[1] != (channels or x.shape[1]) or x.shape[2] < 1 or x.shape[3] < 1:
        raise Unsupported(f"{what} has shape {tuple(x.shape)}; expected (B, {channels or 'C'}, H, W) with H, W >= 1")
    if x.dtype not in DTYPES:
        raise Unsupported(f"{what} has dtype {x.dtype}; expected float16, bfloat16, float32 or float64")


def require_size(x: Tensor, least: int, why: str) -> None:
    """Refuses an x (B, C, H, W) with fewer rows or columns than `least`, which are needed for `why`."""
    if min(x.shape[2:]) < least:
        raise Unsupported(f"x has {x.shape[2]} x {x.shape[3]} pixels; expected at least {least} x {least} ({why})")


def require_stages(name: str, scale: int) -> int:
    """How many doublings make a scale: refuses a scale that is no power of two."""
    require_option(f"{name}: scale", scale)
    count = scale.bit_length() - 1
    if scale == 1 or scale != 2**count:
        raise Unsupported(f"{name} upsamples by powers of two only, not by {scale}; expected 2, 4, 8, 16, ...")
    return count


def require_guide_of_any_size(guide: Tensor, x: Tensor, channels: int) -> None:
    """Refuses a guide that is not a feature (B, channels, h, w), of any size, in the dtype of x (B, C, H, W)."""
    if not isinstance(guide, Tensor):
        raise Unsupported(f"the guide is {guide!r}; expected a feature ({len(x)}, {channels}, h, w)")
    if guide.dim() != 4 or guide.shape[:2] != (x.shape[0], channels) or min(guide.shape[2:]) < 1:
        raise Unsupported(
            f"the guide has shape {tuple(guide.shape)}; expected ({len(x)}, {channels}, h, w) with h, w >= 1 for x "
            f"{tuple(x.shape)}"
        )
    _require_dtype_of(x, guide)


def require_guide(guide: Tensor, x: Tensor, channels: int, scale: int) -> None:
    """Refuses a guide that is not a feature (B, channels, sH, sW) in the dtype of x (B, C, H, W)."""
    expected = (x.shape[0], channels, scale * x.shape[2], scale * x.shape[3])
    if not isinstance(guide, Tensor):
        raise Unsupported(f"the guide is {guide!r}; expected a feature of shape {expected}")
    if tuple(guide.shape) != expected:
        raise Unsupported(
            f"the guide has shape {tuple(guide.shape)}; expected {expected} for x {tuple(x.shape)} at scale {scale} "
            f"(`upsample_to` takes features of up to {scale - 1} rows and columns fewer or more)"
        )
    _require_dtype_of(x, guide)


def _require_dtype_of(x: Tensor, guide: Tensor) -> None:
    if guide.dtype != x.dtype and not is_autocast(x):
        raise Unsupported(f"the guide has dtype {guide.dtype}; expected that of x, {x.dtype}, except under autocast")


def is_autocast(x: Tensor) -> bool:
    """Whether autocast is on for x's device; never for the meta device, which autocast does not know."""
    return x.device.type != "meta" and torch.is_autocast_enabled(x.device.type)


def require_option(name: str, value: object, *, odd: bool = False, least: int = 1) -> None:
    """Refuses an option that is not an integer of at least `least`, or an even one where a window needs a middle."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        accepted = "a positive integer" if least == 1 else f"an integer of at least {least}"
        raise Unsupported(f"{name} must be {accepted}, not {value!r}")
    if odd and value % 2 == 0:
        raise Unsupported(f"{name} must be odd, not {value}")


def require_values_to_norm(feature: Tensor, groups: int, what: str = "x", channels: int | None = None) -> None:
    """Refuses a feature (B, C, H, W) of which a group norm, of these channels or its own, has one value per group."""
    if (channels or feature.shape[1]) * feature.shape[2] * feature.shape[3] == groups:
        raise Unsupported(f"{what} is {tuple(feature.shape)}; group norm needs more than one value per group")


def require_divisible(channels: int, by: int, why: str) -> None:
    """Refuses channels that cannot be cut into `by` equal parts, which are needed for `why`."""
    if isinstance(by, bool) or not isinstance(by, int) or by < 1:
        raise Unsupported(f"{channels} channels cannot be divided by {by!r}; expected a positive integer ({why})")
    if channels % by:
        raise Unsupported(f"{channels} channels are not divisible by {by} ({why})")


def require_shapes(x: Tensor, shapes: Mapping[str, tuple[Tensor | None, tuple[int, ...]]]) -> None:
    """Refuses tensors, given by name with the shapes that x asks for, of other shapes; None is a tensor left out."""
    for name, (tensor, expected) in shapes.items():
        if tensor is not None and tuple(tensor.shape) != expected:
            raise Unsupported(f"expected {name} of shape {expected} for x {tuple(x.shape)}, not {tuple(tensor.shape)}")


def require_window(x: Tensor, kernel: int, border: str = "zeros") -> None:
    """Refuses an even kernel, an unknown border, and one that x (B, C, H, W) has too few pixels to reflect at."""
    require_option("the kernel of a window", kernel, odd=True)
    if border not in BORDERS:
        raise Unsupported(f"no border {border!r}; expected {' or '.join(map(repr, BORDERS))}")
    reach = kernel // 2
    if border == "reflection" and min(x.shape[2:]) <= reach:
        raise Unsupported(
            f"{x.shape[2]} x {x.shape[3]} pixels are too few to reflect {reach} at each border; expected at least "
            f"{reach + 1} x {reach + 1}"
        )
