"""Reassembly compared with unfold-and-multiply, and its two forms compared."""

from __future__ import annotations

import naive_operators as naive
import pytest
import torch
from every_operator import assert_same
from every_operator import with_both_gradients as results
from torch import Tensor

from upsamplers.errors import Unsupported
from upsamplers.functional import reassemble
from upsamplers.functional._torch import window_products
from upsamplers.functional._torch.portable_windows import shifted_sum
from upsamplers.functional._torch.window_blocks import Cut, cut_for
from upsamplers.functional._torch.window_products import gradients


def plain(x: Tensor, weights: Tensor, kernel: int, *, groups: int = 1, scale: int = 2) -> Tensor:
    return naive.reassembled(x, weights, scale, groups=groups)


def make(batch, channels, height, width, kernel, groups, scale, dtype=torch.float64):
    torch.manual_seed(0)
    x = torch.randn(batch, channels, height, width, dtype=torch.float64)
    weights = torch.randn(batch, groups * kernel**2, scale * height, scale * width, dtype=torch.float64)
    grad = torch.randn(batch, channels, scale * height, scale * width, dtype=torch.float64)
    return x.to(dtype), weights.to(dtype), grad.to(dtype)


@pytest.mark.parametrize("kernel", [1, 3, 5, 7])
@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_values_and_gradients_are_those_of_unfold_and_multiply(scale, kernel):
    for height, width in ((1, 1), (5, 7), (1, 6), (9, 4)):
        for batch, channels, groups in ((1, 6, 1), (2, 6, 3), (2, 32, 1)):
            x, weights, grad = make(batch, channels, height, width, kernel, groups, scale)
            options = {"groups": groups, "scale": scale}
            expected = results(plain, x, weights, grad, kernel, **options)
            assert_same(results(shifted_sum, x, weights, grad, kernel, **options), expected, 1e-12)
            for layout in (torch.contiguous_format, torch.channels_last):
                x, grad = x.to(memory_format=layout), grad.to(memory_format=layout)
                assert_same(results(reassemble, x, weights, grad, kernel, **options), expected, 1e-12)


@pytest.mark.parametrize(("dtype", "relative"), [(torch.float32, 2e-6), (torch.bfloat16, 8e-3), (torch.float16, 1e-3)])
def test_every_dtype_is_as_exact_as_its_result_can_be(dtype, relative):
    x, weights, grad = make(2, 64, 7, 9, 5, 2, 2, dtype)
    found = results(reassemble, x, weights, grad, 5, groups=2)
    exact = results(plain, x.double(), weights.double(), grad.double(), 5, groups=2)
    assert all(one.dtype == dtype for one in found)
    # Half a unit in the last place and a little for float32 itself: nothing was summed in half precision.
    assert_same(found, exact, relative)


@pytest.mark.parametrize("cut", [(1, 1, 4, 4), (1, 2, 3, 5), (1, 3, 6, 8), (1, 7, 6, 6), (2, 11, 4, 4), (3, 11, 6, 7)])
@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_the_blocks_do_not_show_in_the_result(monkeypatch, kernel, cut):
    x, weights, grad = make(3, 12, 11, 6, kernel, 2, 2)
    expected = results(plain, x, weights, grad, kernel, groups=2)
    images, rows, channels, pitch = cut
    of_sizes = lambda x, *given: Cut(*given, images, min(rows, x.shape[2]), channels, pitch, x.dtype)  # noqa: E731
    monkeypatch.setattr(window_products, "cut_for", of_sizes)
    assert_same(results(reassemble, x, weights, grad, kernel, groups=2), expected, 1e-12)


def test_blocks_are_small_on_cpu_and_cover_whole_images_where_these_are_small():
    large = cut_for(torch.empty(2, 256, 120, 120, device="meta"), 5, 1, 2)
    assert (large.images, large.channels, large.dtype) == (1, 256, torch.float32)
    cpu = cut_for(torch.empty(1, 1, 1, 1).expand(2, 4096, 400, 400), 5, 1, 2)
    assert (cpu.images, cpu.rows) == (1, 1)
    assert cpu.channels < 4096
    small = cut_for(torch.empty(1, 1, 1, 1).expand(64, 32, 7, 7).bfloat16(), 5, 1, 2)
    assert small.images > 1
    assert small.rows == 7
    assert small.dtype == torch.float32


def test_an_expanded_gradient_is_read():
    x, weights, grad = make(2, 6, 5, 7, 3, 1, 2)
    ones = torch.ones((), dtype=torch.float64).expand_as(grad)
    assert_same(results(reassemble, x, weights, ones, 3), results(plain, x, weights, ones.clone(), 3), 1e-12)


def test_first_and_second_derivatives_are_exact():
    x, weights, _ = make(2, 4, 3, 2, 3, 2, 2)
    arguments = (x.requires_grad_(), weights.requires_grad_())
    assert torch.autograd.gradcheck(lambda a, b: reassemble(a, b, 3, groups=2), arguments, fast_mode=True)
    x, weights, _ = make(1, 2, 2, 3, 3, 1, 2)
    arguments = (x.requires_grad_(), weights.requires_grad_())
    assert torch.autograd.gradgradcheck(lambda a, b: reassemble(a, b, 3), arguments, fast_mode=True)


@pytest.mark.parametrize("needed", [0, 1])
def test_only_the_needed_gradient_is_made(monkeypatch, needed):
    x, weights, grad = make(1, 6, 5, 7, 3, 1, 2)
    expected = results(plain, x, weights, grad, 3)[1 + needed]
    made = []

    def recorded(*args, **options):
        made.extend(gradients(*args, **options))
        return tuple(made)

    monkeypatch.setattr(window_products, "gradients", recorded)
    (x, weights)[needed].requires_grad_()
    reassemble(x, weights, 3).backward(grad)
    assert made[1 - needed] is None
    assert_same([(x, weights)[needed].grad], [expected], 1e-12)


def test_what_is_not_finite_stays_in_the_windows_that_see_it():
    x, weights, _ = make(1, 6, 9, 9, 3, 1, 2)
    x[0, 2, 8, 8] = torch.inf
    out = reassemble(x, weights, 3)
    broken = ~out.isfinite()
    assert broken[0, 2, 14:, 14:].all()
    assert broken.sum() == 16


def test_weights_are_cast_to_the_dtype_of_x():
    x, weights, _ = make(1, 6, 5, 7, 3, 1, 2, torch.bfloat16)
    assert reassemble(x, weights.float(), 3).dtype == torch.bfloat16


@pytest.mark.slow
@pytest.mark.parametrize("strict", [False, True])
def test_an_exported_program_takes_any_size(strict):
    class Module(torch.nn.Module):
        def forward(self, x, weights):
            return reassemble(x, weights, 3, scale=1)

    x, weights, _ = make(2, 4, 5, 7, 3, 1, 1)
    sizes = {0: torch.export.Dim("b"), 2: torch.export.Dim("h"), 3: torch.export.Dim("w")}
    program = torch.export.export(Module(), (x, weights), dynamic_shapes=(sizes, sizes), strict=strict)
    x, weights, _ = make(3, 4, 8, 6, 3, 1, 1)
    assert_same([program.module()(x, weights)], [plain(x, weights, 3, scale=1)], 1e-12)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "error::torch.jit.TracerWarning")
def test_a_trace_is_k2_multiplications_of_the_output_and_no_loop_over_rows():
    x, weights, _ = make(2, 6, 5, 7, 3, 2, 2)
    traced = torch.jit.trace(lambda x, w: reassemble(x, w, 3, groups=2), (x, weights))
    nodes = [node for node in traced.inlined_graph.nodes() if node.kind() in ("aten::mul", "aten::mul_")]
    assert [node.output().type().sizes() for node in nodes] == 9 * [[4, 3, 10, 14]]
    assert not any("as_strided" in node.kind() or "bmm" in node.kind() for node in traced.inlined_graph.nodes())
    assert_same([traced(x, weights)], [plain(x, weights, 3, groups=2)], 1e-12)


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((1, 4, 10, 14), {"kernel": 2}, "must be odd, not 2"),
        ((1, 9, 10, 14), {"kernel": 3, "groups": 4}, "not divisible by 4"),
        ((1, 9, 10, 14), {"kernel": 3, "scale": 3}, "expected (1, 9, 15, 21)"),
        ((1, 25, 10, 14), {"kernel": 3}, "expected (1, 9, 10, 14)"),
    ],
)
def test_what_does_not_fit_is_refused(shape, options, message):
    with pytest.raises(Unsupported) as refusal:
        reassemble(torch.zeros(1, 6, 5, 7), torch.zeros(shape), **options)
    assert message in str(refusal.value)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"guide": (1, 6, 10, 14)}, "a guide or a gate alone"),
        ({"gate": (1, 1, 10, 14)}, "a guide or a gate alone"),
        (
            {"shared": (1, 9, 4, 7)},
            "expected shared weights of shape (1, 9, 5, 7) for x (1, 6, 5, 7)",
        ),
        (
            {"guide": (1, 6, 10, 14), "gate": (1, 1, 10, 1)},
            "expected a gate of shape (1, 1, 10, 14)",
        ),
        ({"guide": (1, 1, 10, 14), "gate": (1, 1, 10, 14)}, "expected a guide of shape (1, 6, 10, 14)"),
    ],
    ids=str,
)
def test_what_kernels_would_read_beyond_is_refused(given, message):
    others = {name: torch.zeros(shape) for name, shape in given.items()}
    with pytest.raises(Unsupported) as refusal:
        reassemble(torch.zeros(1, 6, 5, 7), torch.zeros(1, 9, 10, 14), 3, **others)
    assert message in str(refusal.value)
