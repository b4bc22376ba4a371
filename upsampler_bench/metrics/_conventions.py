"""What each traced operation counts, in multiplications: the conventions `mac` and `paper`."""

from __future__ import annotations

from functools import partial
from math import prod
from typing import Any

from fvcore.nn.jit_handles import Handle

Values = list[Any]

BILINEAR_TAPS, BICUBIC_TAPS, PAPER_SAMPLE = 4, 16, 11

# Additions, norms, activations, pooling, comparisons and copies multiply nothing.
FREE = frozenset(
    """
    Float FloatImplicit Int NumToTensor ScalarImplicit __and__ __or__ abs adaptive_avg_pool2d adaptive_max_pool2d
    add add_ alias amax amin arange argmax avg_pool2d batch_norm bitwise_not broadcast_to cat ceil chunk clamp
    clamp_ clamp_max clamp_min clone constant_pad_nd contiguous copy_ cos cumsum detach div div_ dropout elu empty
    empty_like eq exp expand expand_as expm1 feature_dropout fill_ flatten flip floor floor_divide full full_like
    gather ge gelu group_norm gt hardsigmoid hardswish hardtanh hardtanh_ im2col index index_put_ index_select
    instance_norm layer_norm le leaky_relu leaky_relu_ lift_fresh linalg_vector_norm linspace log log_softmax lt
    masked_fill max max_pool2d max_pool2d_with_indices maximum mean meshgrid min minimum movedim narrow ne neg
    new_empty new_full new_ones new_zeros nonzero norm numel ones ones_like pad permute pixel_shuffle
    pixel_unshuffle prelu reciprocal reflection_pad2d relu relu6 relu_ remainder repeat repeat_interleave
    replication_pad2d reshape rms_norm roll round rsqrt rsub scatter scatter_ select sigmoid sigmoid_ silu sin size
    slice softmax softplus split split_with_sizes sqrt squeeze stack std sub sub_ sum swapaxes t tanh tile to
    transpose type_as unbind unflatten unfold unsqueeze unsqueeze_ upsample_nearest2d var view view_as where zero_
    zeros zeros_like
""".split()  # noqa: SIM905 - two hundred quotes read worse
)


def sizes(value: Any) -> list[int]:
    """The shape of a traced tensor; empty for other values."""
    return list(value.type().sizes()) if value.isCompleteTensor() else []


def numel(value: Any) -> int:
    """The elements of a traced tensor, 0 for a 0-dimensional one: arithmetic on sizes is not counted."""
    shape = sizes(value)
    return prod(shape) if shape else 0


def product(inputs: Values, outputs: Values) -> int:
    """An elementwise product: one per element, or nothing if it only computes where a sample is taken."""
    return 0 if only_a_position(outputs[0]) else numel(outputs[0])


def only_a_position(value: Any) -> bool:
    """Whether a traced value is used only for the sampling positions of grid_sample.

    Computing positions (scopes, offsets, normalisation) counts with the sample, however it is written; what a
    convolution predicts them from is a feature, and counts.
    """
    waiting, seen = [value], {value.debugName()}
    while waiting:
        uses = [use for use in waiting.pop().uses() if use.user.kind() != "aten::size"]
        if not uses:
            return False
        for use in uses:
            outputs = list(use.user.outputs())
            is_sampled = use.user.kind() == "aten::grid_sampler"
            is_feature = use.user.kind() == "aten::_convolution"
            if (is_sampled and use.offset != 1) or is_feature or not outputs:
                return False
            new = [] if is_sampled else [output for output in outputs if output.debugName() not in seen]
            seen.update(output.debugName() for output in new)
            waiting.extend(new)
    return True


def convolution(inputs: Values, outputs: Values, *, transposed_at_output: bool) -> int:
    """A convolution; a transposed one multiplies at its input, which the paper's tool counts at its output."""
    x, weight, transposed = inputs[0], sizes(inputs[1]), inputs[6].toIValue()
    if not transposed:
        return numel(outputs[0]) * prod(weight[1:])
    batch, _, *pixels = sizes(outputs[0]) if transposed_at_output else sizes(x)
    return batch * prod(pixels) * prod(weight)


def matrix(inputs: Values, outputs: Values, *, operand: int = 0) -> int:
    """A matrix product: every element of the output takes as many multiplications as the shared side is long."""
    return numel(outputs[0]) * sizes(inputs[operand])[-1]


def einsum(inputs: Values, outputs: Values) -> int:
    """An einsum of two operands: the product of the lengths of all its indices, those of an ellipsis included."""
    left, _, _ = inputs[0].toIValue().replace(" ", "").partition("->")
    shapes = [sizes(value) for value in inputs[1].node().inputs()]
    lengths: dict[str, int] = {}
    for term, shape in zip(left.split(","), shapes, strict=True):
        before, _, after = term.partition("...")
        count = len(shape) - len(before) - len(after)
        # Dimensions of an ellipsis are broadcast from the last on.
        indices = [*before, *(f"...{place}" for place in range(count, 0, -1)), *after]
        for index, size in zip(indices, shape, strict=True):
            lengths[index] = max(size, lengths.get(index, 1))
    return prod(lengths.values()) * (len(shapes) - 1)


def sample(inputs: Values, outputs: Values, *, bilinear: int) -> int:
    """grid_sample: by the weights of its taps."""
    return numel(outputs[0]) * {0: bilinear, 1: 0, 2: BICUBIC_TAPS}[inputs[2].toIValue()]


def taps(inputs: Values, outputs: Values, *, weights: int) -> int:
    """Interpolation, in space or between two values: by the weights of its taps."""
    return numel(outputs[0]) * weights


def attention(inputs: Values, outputs: Values) -> int:
    """Scaled dot-product attention: queries with keys, weights with values."""
    query, key, value = (sizes(value) for value in inputs[:3])
    return prod(query[:-1]) * key[-2] * (query[-1] + value[-1])


def handles(*, transposed_at_output: bool, bilinear_sample: int, interpolation: int, blend: int) -> dict[str, Handle]:
    """What each operation counts in one convention.

    Args:
        transposed_at_output: whether a transposed convolution is counted at its output.
        bilinear_sample: multiplications per element of a bilinear grid_sample.
        interpolation: 1 to count interpolation by its taps, 0 not to count it.
        blend: multiplications per element of a + w · (b - a), which may also be written w · b + (1 - w) · a.
    """
    counted: dict[str, Handle] = {
        "_convolution": partial(convolution, transposed_at_output=transposed_at_output),
        **dict.fromkeys(("matmul", "mm", "bmm", "linear", "mv"), matrix),
        **dict.fromkeys(("addmm", "baddbmm"), partial(matrix, operand=1)),
        **dict.fromkeys(("mul", "mul_", "addcmul", "pow", "square"), product),
        "einsum": einsum,
        "grid_sampler": partial(sample, bilinear=bilinear_sample),
        "upsample_bilinear2d": partial(taps, weights=BILINEAR_TAPS * interpolation),
        "upsample_bicubic2d": partial(taps, weights=BICUBIC_TAPS * interpolation),
        "lerp": partial(taps, weights=blend),
        "scaled_dot_product_attention": attention,
    }
    free = dict.fromkeys(FREE, _nothing)
    return {f"aten::{name}": handle for name, handle in {**free, **counted}.items()}


def _biases(inputs: Values, outputs: Values) -> int:
    """One addition per element of a convolution with a bias."""
    return numel(outputs[0]) if sizes(inputs[2]) else 0


def _additions() -> dict[str, Handle]:
    counted: dict[str, Handle] = {
        "_convolution": _biases,
        "batch_norm": partial(taps, weights=2),
        **dict.fromkeys(("relu", "relu_"), partial(taps, weights=1)),
    }
    return {**dict.fromkeys(PAPER, _nothing), **{f"aten::{name}": handle for name, handle in counted.items()}}


def _nothing(inputs: Values, outputs: Values) -> int:
    return 0


MAC = handles(transposed_at_output=False, bilinear_sample=BILINEAR_TAPS, interpolation=1, blend=1)
PAPER = handles(transposed_at_output=True, bilinear_sample=PAPER_SAMPLE, interpolation=0, blend=2)
# Additions that other tools count; published costs of whole models include them.
EXTRAS = _additions()
ALL = {"mac": MAC, "paper": PAPER, "extras": EXTRAS}
