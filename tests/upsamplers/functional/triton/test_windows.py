"""Reassembly and local affinity on Triton compared with torch in float64: on a GPU, or interpreted."""

import pytest
import torch
from triton_pairs import DEVICE, agree, check, marks, unwritten_shows

import upsamplers
from upsamplers.functional import local_affinity, reassemble

pytest.importorskip("triton")
pytestmark = [*marks, unwritten_shows]


def some(*shape, dtype=torch.float32):
    return torch.randn(shape, device=DEVICE, dtype=dtype)


def test_the_published_window_in_two_images_with_more_pixels_and_channels_than_a_block():
    check("carafe", 20, 5, 35, batch=1)


@pytest.mark.parametrize("scale", [2, 3, *(pytest.param(scale, marks=pytest.mark.exhaustive) for scale in (1, 4))])
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (3, 2)], ids=lambda size: f"{size[0]}x{size[1]}")
def test_reassembly_at_any_scale_and_size(size, scale):
    height, width = size
    # Every two of size, scale and layout meet.
    layout = torch.channels_last if (width + scale) % 2 else torch.contiguous_format
    x = some(2, 6, height, width).contiguous(memory_format=layout)
    for weights in (some(2, 18, scale * height, scale * width), some(2, 18 * scale**2, height, width)):
        ours = agree(lambda *given, **on: reassemble(*given, 3, groups=2, scale=scale, **on), x, weights)
        assert height == width or ours[0].is_contiguous(memory_format=layout)


@pytest.mark.parametrize("kernel", [1, 5, 7])
def test_reassembly_with_any_window(kernel):
    agree(lambda *given, **on: reassemble(*given, kernel, **on), some(1, 3, 4, 5), some(1, kernel**2, 8, 10))


@pytest.mark.parametrize("is_shuffled", [False, True])
@pytest.mark.parametrize("normalize", [None, "softmax", "sigmoid-softmax"])
def test_logits_before_and_after_their_pixel_shuffle(normalize, is_shuffled):
    def form(x, logits, shared, **on):
        return reassemble(x, logits, 3, groups=2, normalize=normalize, shared=shared, **on)

    logits = some(1, 18, 6, 8) if is_shuffled else some(1, 72, 3, 4)
    agree(form, some(1, 4, 3, 4), logits, some(1, 18, 3, 4))
    agree(lambda x, logits, **on: form(x, logits, None, **on), some(1, 4, 3, 4), logits, second=True)


@pytest.mark.parametrize("is_shuffled", [False, True])
def test_a_gate_blends_with_the_guide(is_shuffled):
    def form(x, logits, guide, gate, **on):
        return reassemble(x, logits, 3, normalize="softmax", guide=guide, gate=gate, **on)

    logits = some(1, 9, 6, 8) if is_shuffled else some(1, 36, 3, 4)
    agree(form, some(1, 4, 3, 4), logits, some(1, 4, 6, 8), some(1, 1, 6, 8).sigmoid())


def test_a_gate_blends_every_group_with_its_own_channels_of_the_guide():
    def form(x, weights, guide, gate, **on):
        return reassemble(x, weights, 3, groups=2, guide=guide, gate=gate, **on)

    agree(form, some(1, 6, 3, 4), some(1, 18, 6, 8), some(1, 6, 6, 8), some(1, 1, 6, 8).sigmoid())


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
@pytest.mark.parametrize("name", ["bilinear", "carafe", "dysample"])
def test_a_gradient_that_is_a_slice_of_channels_is_read_where_it_lies(name, layout):
    torch.manual_seed(0)
    up = upsamplers.create(name, 8, backend="triton", **({"groups": 2} if name == "dysample" else {})).to(DEVICE)
    x, skip = (some(2, 8, *size).contiguous(memory_format=layout).requires_grad_() for size in ((3, 4), (6, 8)))
    found = torch.autograd.grad(torch.cat([up(x), skip], 1).sin().sum(), [x, *up.parameters()])
    up.backend = "torch"
    expected = torch.autograd.grad(torch.cat([up(x), skip], 1).sin().sum(), [x, *up.parameters()])
    assert found[0].is_contiguous(memory_format=layout)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kernel", [3, 7])
def test_reflection_at_the_borders(kernel):
    x, weights = some(1, 3, 4, 6), some(1, kernel**2, 4, 6)
    sizes = {"scale": 1, "border": "reflection"}
    agree(lambda *given, **on: reassemble(*given, kernel, **sizes, **on), x, weights, second=kernel == 3)
    agree(lambda *given, **on: local_affinity(*given, kernel, **sizes, **on), some(1, 3, 4, 6), x, second=kernel == 3)


def test_reflection_of_weights_before_their_pixel_shuffle():
    form = lambda *given, **on: reassemble(*given, 3, border="reflection", **on)  # noqa: E731
    agree(form, some(1, 3, 3, 4), some(1, 36, 3, 4))


@pytest.mark.parametrize("softmax", [False, True])
@pytest.mark.parametrize("scale", [1, 2, 3])
def test_local_affinity_and_its_softmax(scale, softmax):
    form = lambda *given, **on: local_affinity(*given, 3, scale=scale, softmax=softmax, **on)  # noqa: E731
    agree(form, some(2, 5, 3 * scale, 4 * scale), some(2, 5, 3, 4), second=True)


def test_queries_that_are_the_keys_have_one_gradient():
    agree(lambda key, **on: local_affinity(key, key, 3, scale=1, **on), some(1, 2, 3, 4))


def test_a_logit_of_minus_infinity_has_no_weight():
    x, logits = some(1, 4, 3, 4), some(1, 36, 3, 4)
    logits[:, :8] = float("-inf")  # the first two taps
    ours, expected = (reassemble(x, logits, 3, normalize="softmax", backend=name) for name in ("triton", "torch"))
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-5)


def test_inputs_with_any_strides():
    x, weights = some(1, 4, 3, 8)[..., ::2], some(1, 9, 8, 6).mT
    assert not x.is_contiguous()
    agree(lambda *given, **on: reassemble(*given, 3, **on), x, weights)


def test_backward_keeps_x_and_the_weights_and_not_the_logits():
    x, logits = (tensor.requires_grad_() for tensor in (some(1, 64, 8, 8), some(1, 100, 8, 8)))
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda one: kept.append(one) or one, lambda one: one):
        reassemble(x, logits, 5, normalize="softmax", backend="triton")
    storages = {one.untyped_storage().data_ptr(): one.untyped_storage().nbytes() for one in kept}
    assert sum(storages.values()) == 4 * (x.numel() + logits.numel())
    assert logits.data_ptr() not in storages


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("window_sum", lambda: (some(1, 4, 3, 4), some(1, 36, 3, 4), None, None, 3, 1, 2, False)),
        ("window_spread", lambda: (some(1, 4, 6, 8), some(1, 18, 6, 8), 3, 2, 2)),
        ("window_dots", lambda: (some(1, 4, 3, 4), some(1, 4, 6, 8), 3, 1, 2, False, True, True, torch.float32)),
        ("window_weights", lambda: (some(1, 36, 3, 4), some(1, 9, 3, 4), None, 3, 1, 2, 3, 4, True, torch.float32)),
    ],
)
def test_opcheck_passes_for_every_operation_with_gradients(name, given):
    import upsamplers.functional._triton.windows  # noqa: F401  (registers them)

    arguments = [one.requires_grad_() if isinstance(one, torch.Tensor) else one for one in given()]
    tests = ("test_schema", "test_autograd_registration", "test_faketensor", "test_aot_dispatch_dynamic")
    torch.library.opcheck(getattr(torch.ops.upsamplers, name).default, tuple(arguments), test_utils=tests)
