"""The Triton operators that project inside their kernel, compared with their references; and when they do it."""

import pytest
import torch
from triton_pairs import (
    DEVICE,
    PROJECTING,
    close,
    features,
    marks,
    pair,
    unwritten_shows,
)

import upsamplers
from upsamplers.fused import _launch

pytest.importorskip("triton")
pytestmark = [*marks, unwritten_shows, pytest.mark.slow]
LAYOUTS = [torch.contiguous_format, torch.channels_last]


def check(name, channels, height, width, batch=1, dtype=torch.float32, layout=torch.contiguous_format, **options):
    up, reference = pair(name, channels, dtype=dtype, **options)
    (x,) = (one.detach() for one in features(up, batch, height, width, dtype, layout))
    with torch.inference_mode():
        out = up(x)
    assert out.dtype == dtype
    assert out.is_contiguous(memory_format=layout)
    tolerance = {torch.float32: 2e-4, torch.float16: 3e-2, torch.bfloat16: 0.2}[dtype]
    close({"output": out}, {"output": reference(x.double())}, tolerance)


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("name", PROJECTING)
def test_values_are_the_references(name, layout):
    check(name, 32, 5, 7, batch=2, layout=layout)
    check(name, 160, 3, 9, layout=layout)


@pytest.mark.parametrize("size", [(1, 1), (1, 70), (70, 1), (3, 2)], ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("name", PROJECTING)
def test_small_and_narrow_sizes(name, size):
    check(name, 32, *size)


@pytest.mark.parametrize("scale", [1, 3, 4])
@pytest.mark.parametrize("name", PROJECTING)
def test_other_scales(name, scale):
    check(name, {1: 16, 3: 72, 4: 128}[scale], 3, 4, scale=scale)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", PROJECTING)
def test_half_precision(name, dtype):
    check(name, 32, 3, 4, dtype=dtype)


def test_options():
    check("dysample-s-triton", 32, 4, 5, initial_position="nearest", scope_factor=1.0)
    check("dysample-s+-triton", 32, 4, 5, scope_bias=True, groups=16)
    check("dysample-s+-triton", 32, 4, 5, scope_bias=True, groups=1)


@pytest.mark.parametrize("name", PROJECTING)
def test_offsets_of_64_bits_lead_to_the_same_places(name, monkeypatch):
    monkeypatch.setattr(_launch, "NARROW", 1)
    check(name, 32, 3, 4)


def operations(up, x):
    """The names of all operations of a forward."""
    with torch.profiler.profile() as profile:
        up(x)
    return {event.key for event in profile.key_averages()}


def projects_inside(up, x):
    return "upsamplers::project_and_sample" in operations(up, x)


@pytest.mark.parametrize("name", PROJECTING)
def test_without_gradients_one_operation_is_all_there_is(name):
    up, _ = pair(name, 32)
    (x,) = (one.detach() for one in features(up, 1, 3, 4))
    for mode in (torch.inference_mode(), torch.no_grad()):
        with mode:
            called = operations(up, x)
        assert "upsamplers::project_and_sample" in called
        assert not any("conv" in name or "bmm" in name for name in called)


def test_other_styles_scales_and_forwards_with_gradients_project_outside():
    (x,) = (one.detach() for one in features(upsamplers.create("dysample-s-triton", 200), 1, 3, 4))
    up, _ = pair("dysample-s-triton", 200)
    assert not projects_inside(up, x)  # gradients may be needed
    with torch.inference_mode():
        assert projects_inside(up, x)
        for name, options in (("dysample-triton", {}), ("dysample+-triton", {}), ("dysample-s-triton", {"scale": 5})):
            assert not projects_inside(pair(name, 200, **options)[0], x)


def test_a_projection_with_a_hook_is_not_replaced_by_the_kernel():
    up, _ = pair("dysample-s-triton", 32)
    (x,) = (one.detach() for one in features(up, 1, 3, 4))
    with torch.inference_mode():
        assert projects_inside(up, x)
        up.offset.register_forward_hook(lambda *_: None)
        assert not projects_inside(up, x)


def test_compiled_whole_and_counted():
    from torch.utils.flop_counter import FlopCounterMode

    up, _ = pair("dysample-s+-triton", 32)
    (x,) = (one.detach() for one in features(up, 1, 3, 4))
    with torch.inference_mode():
        torch.testing.assert_close(torch.compile(up, fullgraph=True, backend="aot_eager")(x), up(x))
        with FlopCounterMode(display=False) as counted:
            up(x)
    projected, sampled = 2 * (2 * 8) * (32 // 4) * 4 * 12, 4 * 32 * 4 * 12
    assert counted.get_total_flops() == 2 * (projected + sampled)


def test_fake_tensors_know_the_shape():
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode(), torch.device(DEVICE), torch.no_grad():
        up = upsamplers.create("dysample-s-triton", 32)
        assert up(torch.empty(2, 32, 5, 7, device=DEVICE)).shape == (2, 32, 10, 14)
