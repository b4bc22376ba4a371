"""What every registered operator promises: each claim is tested for every name."""

import contextlib
import copy
import io
import pickle
import re
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from every_operator import (
    CHANNELS,
    NAMES,
    ROUNDING,
    build,
    differentiable,
    fit_for,
    inputs,
    learnt,
    output_and_gradients,
    size_out,
    trained,
    worst,
)
from torch import Tensor
from torch.func import functional_call

import upsamplers
from upsamplers import Unsupported, Upsampler

AT_SCALES = tuple(
    (name, scale) for name in NAMES for scale in (1, 2, 3, 4) if not upsamplers.get(name).why_not(scale=scale)
)
LIMITED = tuple(name for name in NAMES if upsamplers.get(name).scales)
GUIDED = tuple(name for name in NAMES if upsamplers.get(name).needs_guide)
# What takes a guide of any size and gives its size.
SIZED_BY_GUIDE = tuple(name for name in GUIDED if upsamplers.get(name).cls.upsample_to is not Upsampler.upsample_to)
TAKES_IMAGES = tuple(name for name in GUIDED if upsamplers.get(name).cls.guide_is_image)
SIZED_BY_SCALE = tuple(name for name in NAMES if name not in SIZED_BY_GUIDE)
LAYOUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "channels_last": lambda one: one.to(memory_format=torch.channels_last),
    "strided": lambda one: one.repeat_interleave(2, dim=3)[..., ::2],
    "sliced": lambda one: F.pad(one, (1, 2, 1, 1))[..., 1:-1, 1:-2],
    "transposed": lambda one: one.transpose(2, 3).contiguous().transpose(2, 3),
}
every_operator = pytest.mark.parametrize("name", NAMES)


@pytest.mark.parametrize(("name", "scale"), AT_SCALES)
def test_output_is_s_times_as_large(name: str, scale: int) -> None:
    module = trained(name, scale)
    given = inputs(module)
    assert module(*given).shape == size_out(module, given[0])


@pytest.mark.parametrize("name", LIMITED)
def test_a_scale_that_it_does_not_list_is_refused(name: str) -> None:
    scales = upsamplers.get(name).scales
    with pytest.raises(Unsupported, match=f"not by {max(scales) + 1}"):
        upsamplers.create(name, CHANNELS[0], scale=max(scales) + 1)


@every_operator
@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 6), (7, 1), (3, 5), (8, 2)])
def test_any_size_is_accepted(name: str, height: int, width: int) -> None:
    module = trained(name).train()
    # A norm over one value and a reflection of a one-pixel side are impossible; only guided operators have them.
    may_refuse = (module.needs_guide and min(height, width) == 1) or min(height, width) < module.least_size
    given = module.example_inputs(1, height, width)
    try:
        out = module(*given)
    except Unsupported:
        assert may_refuse
        return
    assert out.shape == size_out(module, given[0])
    assert out.isfinite().all()


@every_operator
def test_the_least_size_is_accepted_and_a_smaller_one_refused(name: str) -> None:
    module = trained(name)
    least = module.least_size
    given = module.example_inputs(2, least, least + 1)
    with contextlib.suppress(Unsupported) if module.needs_guide and least == 1 else contextlib.nullcontext():
        assert module(*given).shape == size_out(module, given[0])
    if least > 1:
        with pytest.raises(Unsupported, match=f"expected at least {least} x {least}"):
            module(*module.example_inputs(2, least + 1, least - 1))


@every_operator
@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16], ids=str)
def test_every_dtype_is_kept_and_agrees_with_float32(name: str, dtype: torch.dtype) -> None:
    module = trained(name)
    given = fit_for(inputs(module), dtype)
    out = module.to(dtype)(*given)
    expected = module.float()(*fit_for(given, torch.float32))
    assert out.dtype == dtype
    assert worst([out], [expected]) <= ROUNDING[dtype]


@every_operator
def test_memory_layout_changes_no_value_and_no_gradient(name: str) -> None:
    module = trained(name)
    given = inputs(module)
    expected = output_and_gradients(module, module, given)
    for layout, lay_out in LAYOUTS.items():
        laid_out = tuple(map(lay_out, given))
        assert not any(one.is_contiguous() for one in laid_out)
        assert worst(output_and_gradients(module, module, laid_out), expected) <= ROUNDING[torch.float32], layout


@every_operator
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
def test_the_output_has_the_memory_format_of_x(name: str, layout: torch.memory_format) -> None:
    module = trained(name)
    given = tuple(one.to(memory_format=layout) for one in inputs(module))
    assert module(*given).is_contiguous(memory_format=layout)


@every_operator
def test_the_module_too_may_be_channels_last(name: str) -> None:
    module = trained(name)
    given = inputs(module)
    expected = module(*given)
    module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    out = module(*(LAYOUTS["channels_last"](one) for one in given))
    assert worst([out], [expected]) <= ROUNDING[torch.float32]


@every_operator
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_under_autocast_the_output_has_the_dtype_of_x(name: str, dtype: torch.dtype) -> None:
    module = trained(name)
    given = fit_for(inputs(module), dtype)
    with torch.autocast("cpu", torch.bfloat16):
        out, *gradients = output_and_gradients(module, module, given)
    expected = module(*fit_for(given, torch.float32))
    assert out.dtype == gradients[0].dtype == dtype
    assert worst([out], [expected]) <= ROUNDING[torch.bfloat16]


ATTENTION = "cross_decode.cross_attn.attention."
# What published checkpoints hold, and the output does not depend on.
FROZEN = {
    "anyup": {f"{ATTENTION}out_proj.weight", f"{ATTENTION}out_proj.bias"},
    "jafar": {
        f"{ATTENTION}out_proj.weight",
        f"{ATTENTION}out_proj.bias",
        f"{ATTENTION}v_proj_weight",
        "cross_decode.cross_attn.norm_v.weight",
    },
}


@every_operator
def test_gradients_reach_x_and_every_parameter(name: str) -> None:
    module = trained(name)
    x, *guide = differentiable(inputs(module))
    module(x, *guide).square().sum().backward()
    silent = [key for key, one in learnt(module) if one.grad is None or not one.grad.any()]
    assert not silent
    assert {key for key, one in module.named_parameters() if not one.requires_grad} == FROZEN.get(name, set())
    assert x.grad is not None
    assert x.grad.any()


@every_operator
def test_parameters_have_the_same_gradients_behind_a_frozen_backbone(name: str) -> None:
    module = trained(name).double()
    if not any(parameter.requires_grad for parameter in module.parameters()):
        pytest.skip("has no parameters")
    x, *guide = fit_for(inputs(module), torch.float64)
    found = []
    for leaf in (x, x.clone().requires_grad_()):
        module(leaf, *guide).square().sum().backward()
        found.append([parameter.grad for _, parameter in learnt(module)])
        module.zero_grad()
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


@every_operator
def test_gradients_are_those_of_finite_differences(name: str) -> None:
    module = trained(name)
    given = differentiable(fit_for(inputs(module, 3, 2), torch.float64))
    module.double()
    names = [key for key, _ in module.named_parameters()]

    def forward(*values: Tensor) -> Tensor:
        own = dict(zip(names, values[len(given) :], strict=True))
        return functional_call(module, own, values[: len(given)])  # type: ignore[no-any-return]

    assert torch.autograd.gradcheck(forward, (*given, *module.parameters()), fast_mode=True)


@every_operator
def test_parameters_given_to_functional_call_have_the_gradients_of_own_ones(name: str) -> None:
    module = trained(name).double()
    leaves = differentiable(fit_for(inputs(module, 4, 3), torch.float64))
    given = {key: (1.1 * one).detach().requires_grad_(one.requires_grad) for key, one in module.named_parameters()}
    wanted = [one for one in (*leaves, *given.values()) if one.requires_grad]
    found = torch.autograd.grad(functional_call(module, given, leaves).square().sum(), wanted)
    module.load_state_dict(given, strict=False)
    own = [one for one in (*leaves, *module.parameters()) if one.requires_grad]
    expected = torch.autograd.grad(module(*leaves).square().sum(), own)
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one, other)


@every_operator
def test_gradients_that_can_be_differentiated_again_are_the_same(name: str) -> None:
    module = trained(name).double()
    leaves = differentiable(fit_for(inputs(module, 4, 3), torch.float64))
    wanted = [one for one in (*leaves, *module.parameters()) if one.requires_grad]
    grad = torch.randn_like(module(*leaves))
    plain = torch.autograd.grad(module(*leaves), wanted, grad)
    again = torch.autograd.grad(module(*leaves), wanted, grad, create_graph=True)
    assert worst([one.detach() for one in again], plain) <= ROUNDING[torch.float64]


@every_operator
@pytest.mark.usefixtures("two_threads")
def test_forward_and_backward_repeat_bit_for_bit(name: str) -> None:
    module = trained(name)
    given = inputs(module, 9, 11)
    first, second = (output_and_gradients(module, module, given) for _ in range(2))
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))


@every_operator
def test_inputs_are_never_written_to(name: str) -> None:
    module = trained(name)
    leaves = differentiable(inputs(module))
    before = [one.detach().clone() for one in leaves]
    out = module(*leaves)
    grad = torch.randn_like(out)
    grad_before = grad.clone()
    out.backward(grad)
    with torch.inference_mode():
        module(*(one.detach() for one in leaves))
    assert all(torch.equal(one, other) for one, other in zip((*leaves, grad), (*before, grad_before), strict=True))
    assert all(one._version == 0 for one in leaves)


@every_operator
def test_its_state_loads_into_a_fresh_module(name: str) -> None:
    module, stored = trained(name), io.BytesIO()
    torch.save(module.state_dict(), stored)
    stored.seek(0)
    fresh = build(name).eval()
    fresh.load_state_dict(torch.load(stored, weights_only=True))
    given = inputs(module)
    assert torch.equal(fresh(*given), module(*given))


@every_operator
def test_copies_and_pickles_work_alike(name: str) -> None:
    module = trained(name)
    given = inputs(module)
    for other in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert torch.equal(other(*given), module(*given))


@every_operator
def test_reset_parameters_gives_what_the_constructor_gives_under_that_seed(name: str) -> None:
    module = build(name)
    with torch.no_grad():
        for tensor in (*module.parameters(), *module.buffers()):
            tensor.fill_(7)
    torch.manual_seed(3)
    fresh = build(name)
    torch.manual_seed(3)
    module.reset_parameters()
    state, expected = module.state_dict(), fresh.state_dict()
    assert state.keys() == expected.keys()
    assert [key for key in state if not torch.equal(state[key], expected[key])] == []
    given = inputs(module)
    assert torch.equal(module.eval()(*given), fresh.eval()(*given))


@every_operator
def test_example_inputs_are_drawn_from_torchs_generator_and_fit(name: str) -> None:
    module = trained(name)
    size = max(4, module.least_size), max(6, module.least_size)
    torch.manual_seed(4)
    first = module.example_inputs(2, *size)
    torch.manual_seed(4)
    again = module.example_inputs(2, *size)
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))
    assert first[0].shape == (2, module.channels, *size)
    assert len(first) == 1 + module.needs_guide
    assert not any(one.requires_grad for one in first)
    assert module(*first).shape == size_out(module, first[0])


@every_operator
def test_example_inputs_have_the_dtype_and_the_device_of_the_module_unless_given(name: str) -> None:
    module = build(name).double()
    x, *_ = module.example_inputs(1, 4, 4)
    has_state = any(one.is_floating_point() for one in module.state_dict().values())
    assert x.dtype == (torch.float64 if has_state else torch.float32)
    x, *_ = module.example_inputs(1, 4, 4, device="meta", dtype=torch.bfloat16)
    assert (x.device.type, x.dtype) == ("meta", torch.bfloat16)


@pytest.mark.parametrize(
    ("name", "small", "large"),
    [
        *((name, (13, 16), (25, 33)) for name in SIZED_BY_SCALE),
        *((name, (13, 13), (25, 25)) for name in ("dysample", "sapa-b")),
        *((name, (23, 40), (45, 80)) for name in ("dysample", "sapa-b")),
        *((name, (13, 16), (27, 33)) for name in ("dysample", "sapa-b")),
    ],
)
def test_upsample_to_an_odd_level_gives_its_size(name: str, small: tuple[int, int], large: tuple[int, int]) -> None:
    module = trained(name)
    if module.scale != 2:
        pytest.skip("does not double")
    x, feature = torch.randn(1, module.channels, *small), torch.randn(1, module.guide_channels, *large)
    with torch.no_grad():
        out = module.upsample_to(x, feature)
        rows, columns = (torch.arange(2 * side).clamp_max(end - 1) for side, end in zip(small, large, strict=True))
        fitted = feature[:, :, rows][..., columns]
        complete = module(x, module.make_guide(fitted)) if module.needs_guide else module(x)
        rows, columns = (torch.arange(end).clamp_max(2 * side - 1) for side, end in zip(small, large, strict=True))
    assert out.shape == (1, module.channels, *large)
    assert torch.allclose(out, complete[:, :, rows][..., columns], atol=1e-5)


@pytest.mark.parametrize("name", ["dysample", "sapa-b"])
@pytest.mark.parametrize("size", [(24, 26), (26, 28), (13, 13)])
def test_upsample_to_a_feature_of_another_size_names_both_shapes(name: str, size: tuple[int, int]) -> None:
    module = build(name)
    x, feature = torch.randn(1, module.channels, 13, 13), torch.randn(1, module.guide_channels, *size)
    with pytest.raises(Unsupported) as refusal:
        module.upsample_to(x, feature)
    assert str(tuple(x.shape)) in str(refusal.value)
    assert str(tuple(feature.shape)) in str(refusal.value)


@pytest.mark.parametrize("name", SIZED_BY_GUIDE)
@pytest.mark.parametrize("size", [(26, 26), (25, 27), (7, 40), (1, 1)])
def test_a_guide_of_any_size_gives_its_size(name: str, size: tuple[int, int]) -> None:
    module = trained(name)
    x, guide = torch.randn(2, module.channels, 13, 13), torch.randn(2, module.guide_channels, *size)
    out = module.upsample_to(x, guide)
    assert out.shape == (2, module.channels, *size)
    assert torch.equal(out, module(x, guide))


@pytest.mark.parametrize("name", TAKES_IMAGES)
@pytest.mark.parametrize("size", [(20, 28), (37, 19), (64, 64)])
def test_an_image_of_any_size_gives_s_times_the_size_of_x(name: str, size: tuple[int, int]) -> None:
    module = trained(name)
    x, _ = inputs(module, 10, 14)
    image = torch.randn(2, module.guide_channels, *size)
    assert module(x, image).shape == size_out(module, x)
    with pytest.raises(Unsupported, match="the guide has shape"):
        module(x, image[:, :2])


@every_operator
def test_an_x_that_is_not_a_feature_is_refused(name: str) -> None:
    module = build(name)
    x, *guide = inputs(module)
    more_channels = torch.cat((x, x[:, :1]), dim=1)
    # Without parameters any channels will do.
    for wrong in (*[more_channels] * any(True for _ in module.parameters()), x[0], x[:, :, :0], x[None]):
        with pytest.raises(Unsupported, match=re.escape(str(tuple(wrong.shape)))):
            module(wrong, *guide)
    with pytest.raises(Unsupported, match="int32"):
        module(x.int(), *guide)


@pytest.mark.parametrize("name", [name for name in GUIDED if name not in (*SIZED_BY_GUIDE, *TAKES_IMAGES)])
def test_a_guide_of_another_size_is_refused_with_both_shapes_and_what_was_expected(name: str) -> None:
    module = build(name)
    x, guide = inputs(module)
    wrong = guide[..., 1:]
    with pytest.raises(Unsupported) as refusal:
        module(x, wrong)
    assert all(str(tuple(one.shape)) in str(refusal.value) for one in (x, wrong, guide))


@pytest.mark.parametrize("name", GUIDED)
def test_a_guide_that_is_no_tensor_is_refused(name: str) -> None:
    module = build(name)
    x, _ = inputs(module)
    with pytest.raises(Unsupported, match="the guide is None; expected"):
        module(x, None)


def test_under_autocast_a_longer_level_has_the_dtype_of_x() -> None:
    module = upsamplers.create("dysample", 16)
    x = torch.randn(1, 16, 5, 5, dtype=torch.bfloat16)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        for side in (9, 10, 11):
            assert module.upsample_to(x, torch.randn(1, 16, side, side)).dtype == x.dtype
