"""The twins of DySample that project inside their kernel, against their references: values, and when they do it."""

import pytest
import torch
from fused_twins import (
    DEVICE,
    PROJECTING,
    close,
    features,
    marks,
    pair,
    results,
    unwritten_shows,
)

import upsamplers
from upsamplers.errors import Unsupported
from upsamplers.fused import _launch

pytest.importorskip("triton")
pytestmark = [*marks, unwritten_shows, pytest.mark.slow]
LAYOUTS = [torch.contiguous_format, torch.channels_last]


def check(name, channels, height, width, batch=1, dtype=torch.float32, layout=torch.contiguous_format, **options):
    twin, reference = pair(name, channels, dtype=dtype, **options)
    (x,) = (one.detach() for one in features(twin, batch, height, width, dtype, layout))
    with torch.inference_mode():
        out = twin(x)
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
    check("dysample-triton-1x1", 16, 4, 5, initial_position="nearest", scope_factor=1.0)
    check("dysample+-triton-1x1", 16, 4, 5, scope_bias=True, groups=16)
    check("dysample-s+-triton-1x1", 32, 4, 5, scope_bias=True, groups=1)


@pytest.mark.parametrize("name", PROJECTING)
def test_offsets_of_64_bits_lead_to_the_same_places(name, monkeypatch):
    monkeypatch.setattr(_launch, "NARROW", 1)
    check(name, 32, 3, 4)


@pytest.mark.parametrize("name", PROJECTING)
def test_gradients_are_those_of_the_twin_without(name):
    twin, reference = pair(name, 32)
    (x,) = features(twin, 1, 3, 4)
    cotangent = torch.randn(1, 32, 6, 8, device=DEVICE).double()
    close(
        results(twin, [x], cotangent),
        results(reference, [x.detach().double().requires_grad_()], cotangent),
        2e-4,
    )


def test_a_scale_too_large_for_one_kernel_takes_two():
    check("dysample-triton-1x1", 16, 1, 2, scale=5)


def test_what_it_cannot_take_is_refused_by_name():
    twin, _ = pair("dysample-triton-1x1", 16)
    with torch.inference_mode(), pytest.raises(Unsupported, match=r"dysample-triton-1x1 takes .* not torch\.float64"):
        twin.double()(torch.zeros(1, 16, 4, 4, device=DEVICE, dtype=torch.float64))


def test_one_operation_is_all_there_is():
    twin, _ = pair("dysample+-triton-1x1", 16)
    (x,) = (one.detach() for one in features(twin, 1, 3, 4))
    with torch.inference_mode(), torch.profiler.profile() as seen:
        twin(x)
    called = {one.key for one in seen.key_averages()}
    assert "upsamplers::project_and_sample" in called
    assert not any("conv" in name for name in called)


def test_compiled_whole_and_counted():
    from torch.utils.flop_counter import FlopCounterMode

    twin, _ = pair("dysample-s+-triton-1x1", 32)
    (x,) = (one.detach() for one in features(twin, 1, 3, 4))
    with torch.inference_mode():
        torch.testing.assert_close(torch.compile(twin, fullgraph=True, backend="aot_eager")(x), twin(x))
        with FlopCounterMode(display=False) as counted:
            twin(x)
    projected, sampled = 2 * (2 * 8) * (32 // 4) * 4 * 12, 4 * 32 * 4 * 12
    assert counted.get_total_flops() == 2 * (projected + sampled)


def test_fake_tensors_know_the_shape():
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode(), torch.device(DEVICE), torch.no_grad():
        up = upsamplers.create("dysample-triton-1x1", 32)
        assert up(torch.empty(2, 32, 5, 7, device=DEVICE)).shape == (2, 32, 10, 14)
