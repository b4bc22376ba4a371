"""Every registered operator: built with channels that it accepts, called with what it takes, its results compared."""

import contextlib
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

import upsamplers
from upsamplers import Unsupported, Upsampler

NAMES = tuple(name for name in upsamplers.names() if "cpu" in upsamplers.get(name).devices)
# The first that an operator accepts: it may want s², its groups or 32 as a divisor.
CHANNELS = (32, 64, 72, 144, 288)
# Of those whose cost is in the embedding of an image: nothing that is promised depends on its channels.
NARROW = {
    "anyup": {"embedding_channels": 16},
    "jafar": {"embedding_channels": 16},
    "naf": {"embedding_channels": 64},
    "uplift": {"encoder_channels": (4, 6, 8, 12, 10), "decoder_channels": 7},
}
# The largest error over the largest value: in half precision some eight units in the last place.
ROUNDING = {torch.float64: 1e-5, torch.float32: 1e-5, torch.float16: 2**-8, torch.bfloat16: 2**-5}


def build(name: str, scale: int | None = None) -> Upsampler:
    """The operator as it is constructed, with the first channels that it accepts."""
    spec = upsamplers.get(name)
    scale = scale or (2 if not spec.why_not(scale=2) else spec.scales[0])
    options = NARROW.get(name, {})
    for channels in CHANNELS[:-1]:
        with contextlib.suppress(Unsupported):
            return upsamplers.create(name, channels, scale=scale, **options)
    return upsamplers.create(name, CHANNELS[-1], scale=scale, **options)


def perturbed(name: str, channels: int, *, by: float = 0.2, **options: object) -> Upsampler:
    """An operator in float64 whose parameters are away from where they start."""
    torch.manual_seed(0)
    module = upsamplers.create(name, channels, **options)
    for parameter in module.parameters():
        parameter.data.add_(by * torch.randn_like(parameter))
    return module.double()


def trained(name: str, scale: int | None = None) -> Upsampler:
    """The operator as if trained: no parameter at the zero that it may start from, and batch norms that normalise."""
    torch.manual_seed(0)
    module = build(name, scale)
    norms = [layer for layer in module.modules() if isinstance(layer, nn.BatchNorm2d)]
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        for norm in norms:
            norm.momentum = 1.0
        if norms:
            module(*inputs(module))
        for norm in norms:
            norm.momentum = 0.1
    return module.eval()


def inputs(module: Upsampler, height: int = 5, width: int = 7, *, batch: int = 2) -> tuple[Tensor, ...]:
    """What forward takes: x, of more rows and columns where it needs them, and the guide where there is one."""
    more = max(0, module.least_size - min(height, width))
    torch.manual_seed(1)
    return module.example_inputs(batch, height + more, width + more)


def fit_for(values: Iterable[Tensor], target: torch.dtype | str) -> tuple[Tensor, ...]:
    """The values on a device or in a dtype; a guide of indices keeps its own dtype."""
    keeps_integers = isinstance(target, torch.dtype)
    return tuple(one if keeps_integers and not one.is_floating_point() else one.to(target) for one in values)


def learnt(module: Upsampler) -> list[tuple[str, torch.nn.Parameter]]:
    """The parameters by name, but those that only checkpoints hold."""
    return [(key, one) for key, one in module.named_parameters() if one.requires_grad]


def differentiable(values: Iterable[Tensor]) -> tuple[Tensor, ...]:
    """Leaves of their own, with gradients where there can be any."""
    return tuple(one.detach().requires_grad_(one.is_floating_point()) for one in values)


def output_and_gradients(module: Upsampler, call: Callable[..., Tensor], values: Iterable[Tensor]) -> list[Tensor]:
    """The output, and the gradients of the inputs and of every parameter."""
    leaves = differentiable(values)
    out = call(*leaves)
    torch.manual_seed(2)
    wanted = [one for one in (*leaves, *module.parameters()) if one.requires_grad]
    return [out.detach(), *torch.autograd.grad(out, wanted, torch.randn(out.shape, dtype=out.dtype))]


def with_both_gradients(
    form: Callable[..., Tensor], first: Tensor, second: Tensor, grad: Tensor, *given: object, **options: object
) -> list[Tensor]:
    """The output of a function of two tensors, and both gradients."""
    leaves = differentiable((first, second))
    out = form(*leaves, *given, **options)
    return [out.detach(), *torch.autograd.grad(out, leaves, grad)]


def assert_same(found: Iterable[Tensor], expected: Iterable[Tensor], relative: float) -> None:
    """The largest error is at most so much of the largest value of its tensor."""
    for one, other in zip(found, expected, strict=True):
        assert one.shape == other.shape
        assert (one.to(other.dtype) - other).abs().max() <= relative * other.abs().max()


def worst(found: Iterable[Tensor], expected: Iterable[Tensor]) -> float:
    """The largest error, over the largest value of its tensor or 1; NaN where anything is."""
    pairs = zip(found, expected, strict=True)
    errors = [(one - other).abs().max() / other.abs().max().clamp_min(1) for one, other in pairs]
    return float(torch.stack(errors).max().detach())


def size_out(module: Upsampler, x: Tensor) -> tuple[int, ...]:
    return (*x.shape[:2], module.scale * x.shape[2], module.scale * x.shape[3])
