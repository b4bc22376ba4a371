"""Reassembly: each output pixel a weighted sum of the k x k window of input pixels around its own."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from upsamplers.checks import require_divisible, require_shapes, require_window
from upsamplers.errors import Unsupported
from upsamplers.functional._torch.plain_operations import needs_plain_operations
from upsamplers.functional._torch.portable_windows import shifted_sum
from upsamplers.functional._torch.reflection import fold_taps
from upsamplers.functional._torch.stage import stage
from upsamplers.functional._torch.window_products import Reassembly
from upsamplers.functional._torch.window_weights import window_weights
from upsamplers.functional.backend import uses_triton

NORMALIZATIONS = (None, "softmax", "sigmoid-softmax")


def reassemble(
    x: Tensor,
    weights: Tensor,
    kernel: int,
    *,
    groups: int = 1,
    scale: int = 2,
    border: str = "zeros",
    normalize: str | None = None,
    shared: Tensor | None = None,
    guide: Tensor | None = None,
    gate: Tensor | None = None,
    backend: str = "auto",
) -> Tensor:
    """Content-aware reassembly (CARAFE, ICCV 2019, section 3.2.2).

    out[b, c, i, j] = Σ_m weights[b, g·k² + m, i, j] · x[b, c, i//s + dy, j//s + dx], where (dy, dx) runs over the k x k
    window row by row (m = 0..k²-1), g = c // (C/Z), and x is zero outside its borders, or continued beyond them. No
    window of x is copied out: beyond the output it takes about a sixth of the output's memory, and for a border that is
    not zero the weights once more; backward also x.

    A program that is being compiled, exported or traced gets the same sum as k² multiplications and additions, on the
    backend "triton" one operation. On CPU, half precision is summed in float32. Second derivatives are supported.

    Args:
        x: (B, C, H, W), of any floating-point dtype, contiguous or channels_last.
        weights: (B, Zk², sH, sW), or before their pixel shuffle (B, Zk²s², H, W); cast to x's dtype.
        kernel: k, odd.
        groups: Z, dividing C; each of the Z contiguous channel groups has weights of its own.
        scale: s.
        border: what lies beyond the borders of x: "zeros", "reflection" (which needs H, W > k // 2) or "replication".
        normalize: "softmax": `weights` are logits, of which each window takes the softmax; "sigmoid-softmax": of their
            sigmoids; None: they are weights.
        shared: (B, Zk², H, W), added to `weights` for all s² output pixels of an input pixel.
        guide, gate: (B, C, sH, sW) and (B, 1, sH, sW): the output is blended with the guide, (1 - gate) · out + gate ·
            guide.
        backend: "auto", "torch" or "triton".

    Returns:
        (B, C, sH, sW) in x's dtype and memory format.

    Raises:
        Unsupported: kernel is even, the groups do not divide C, a tensor does not fit, guide or gate is given alone, x
            is too small to reflect, or the backend cannot run.
    """
    with stage("reassembly"):
        others = [tensor for tensor in (shared, guide, gate) if tensor is not None]
        fused = border != "replication" and uses_triton(
            backend, x, weights, *others, kernel=kernel, scale=scale, groups=groups
        )
        if fused or not needs_plain_operations():
            _require(x, weights, kernel, groups, scale, border, normalize)
            _require_others(x, kernel, groups, scale, shared, guide, gate)
        is_shuffled = scale == 1 or _is_shuffled(x, weights)
        if fused:
            from upsamplers.functional._triton.windows import window_sum

            # In the place of the logits, so that these are freed.
            weights = _weights_on_triton(
                x, weights, (kernel, groups, scale), normalize, shared, gate, is_shuffled=is_shuffled
            )
            return window_sum(x, weights, guide, gate, kernel, groups, scale, border == "reflection")  # type: ignore[no-any-return]

        weights = window_weights(
            weights, kernel, groups=groups, scale=scale, is_shuffled=is_shuffled, normalize=normalize, shared=shared
        )  # (B, Zk², sH, sW)
        if needs_plain_operations():
            shifted = shifted_sum(x, weights.to(x.dtype), kernel, groups=groups, scale=scale, border=border)
            if gate is None or guide is None:
                return shifted
            return torch.lerp(shifted, guide.to(x.dtype), gate.to(x.dtype))
        # The gate goes into the weights, and the guide onto the output, so that both are never in memory at once.
        if gate is not None:
            weights = weights * (1 - gate)
        weights = weights.to(x.dtype)
        if border != "zeros":
            weights = fold_taps(weights, kernel, scale, border)
        out: Tensor = Reassembly.apply(x, weights, kernel, groups, scale)  # type: ignore[no-untyped-call]
        return out if gate is None or guide is None else out.addcmul_(guide.to(x.dtype), gate.to(x.dtype))


def _weights_on_triton(
    x: Tensor,
    weights: Tensor,
    sizes: tuple[int, int, int],
    normalize: str | None,
    shared: Tensor | None,
    gate: Tensor | None,
    *,
    is_shuffled: bool,
) -> Tensor:
    """The weights of a window sum, normalised and gated by kernels; sizes: kernel, groups and scale."""
    with stage("softmax"):
        from upsamplers.functional._triton import windows

        scale = sizes[2]
        height, width = x.shape[2:]
        is_gated = gate is None
        if normalize is not None:
            # The kernel of the weights gives the gate no gradient.
            is_gated = is_gated or not torch.is_grad_enabled()
            sigmoid = normalize == "sigmoid-softmax"
            own_gate = gate if is_gated else None
            weights = windows.window_weights(weights, shared, own_gate, *sizes, height, width, sigmoid, x.dtype)
        elif shared is not None:
            weights = windows.plus_shared(weights, shared, scale, is_shuffled=is_shuffled)
        if gate is not None and not is_gated:
            weights = windows.gated(weights, gate, scale, height)
        return weights


def _require(
    x: Tensor, weights: Tensor, kernel: int, groups: int, scale: int, border: str, normalize: str | None
) -> None:
    require_window(x, kernel, border)
    require_divisible(x.shape[1], groups, "the groups of the weights")
    if normalize not in NORMALIZATIONS:
        raise Unsupported(f"no normalization {normalize!r}; expected {', '.join(map(repr, NORMALIZATIONS))}")
    batch, _, height, width = x.shape
    taps = groups * kernel**2
    expected = (batch, taps, scale * height, scale * width)
    if tuple(weights.shape) not in (expected, (batch, taps * scale**2, height, width)):
        raise Unsupported(f"weights have shape {tuple(weights.shape)}; expected {expected} for x {tuple(x.shape)}")


def _require_others(
    x: Tensor, kernel: int, groups: int, scale: int, shared: Tensor | None, guide: Tensor | None, gate: Tensor | None
) -> None:
    """Refuses what does not fit: kernels would read whatever lies behind a tensor that is too small."""
    if (guide is None) != (gate is None):
        raise Unsupported("reassemble got a guide or a gate alone; expected both or neither")
    batch, channels, height, width = x.shape
    large = scale * height, scale * width
    shapes = {
        "shared weights": (shared, (batch, groups * kernel**2, height, width)),
        "a guide": (guide, (batch, channels, *large)),
        "a gate": (gate, (batch, 1, *large)),
    }
    require_shapes(x, shapes)


def _is_shuffled(x: Tensor, weights: Tensor) -> bool:
    """Whether weights are after their pixel shuffle."""
    if not torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]
        return bool(weights.shape[2] != x.shape[2])
    with warnings.catch_warnings():  # for every size that a traced program may see the answer is the same
        warnings.simplefilter("ignore", torch.jit.TracerWarning)  # type: ignore[attr-defined]
        return bool(weights.shape[2] != x.shape[2])
