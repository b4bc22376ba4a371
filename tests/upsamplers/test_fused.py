"""The fused twins against their references, values and every gradient: on a GPU, or through Triton's interpreter."""

import copy
import os
import subprocess
import sys

import pytest
import torch

import upsamplers
from upsamplers.errors import Unsupported

pytest.importorskip("triton")

ON_GPU = torch.cuda.is_available()
DEVICE = "cuda" if ON_GPU else "cpu"
TWINS = tuple(name for name in upsamplers.names() if upsamplers.get(name).reference)

pytestmark = [
    pytest.mark.skipif(
        not ON_GPU and os.environ.get("TRITON_INTERPRET") != "1", reason="needs an NVIDIA GPU, or TRITON_INTERPRET=1"
    ),
    *([pytest.mark.cuda] if ON_GPU else []),
]


def pair(name, channels, seed=0, dtype=torch.float32, **options):
    """A twin, and its reference in float64, with the same lively weights."""
    torch.manual_seed(seed)
    twin = upsamplers.create(name, channels, **options)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.normal_(std=0.5)
    reference = upsamplers.create(upsamplers.get(name).reference, channels, **options)
    twin.to(dtype)
    reference.load_state_dict(copy.deepcopy(twin.state_dict()))
    return twin.to(DEVICE), reference.to(DEVICE, torch.float64)


def features(up, batch, height, width, dtype=torch.float32, layout=torch.contiguous_format, seed=1):
    torch.manual_seed(seed)
    shapes = [(batch, up.channels, height, width)]
    if up.needs_guide:
        shapes.append((batch, up.guide_channels, up.scale * height, up.scale * width))
    return [torch.randn(shape).to(DEVICE, dtype).contiguous(memory_format=layout).requires_grad_() for shape in shapes]


def channels_of(name):
    return 32 if name.startswith(("a2u", "sapa")) else 16


def results(up, inputs, cotangent):
    """The output, and the gradients of all inputs and parameters."""
    out = up(*inputs)
    wanted = [*inputs, *up.parameters()]
    found = torch.autograd.grad(out, wanted, cotangent.to(out.dtype), allow_unused=True)
    names = [*(f"input {place}" for place in range(len(inputs))), *(name for name, _ in up.named_parameters())]
    return {"output": out, **dict(zip(names, found, strict=True))}


def close(found, expected, tolerance):
    for name, value in expected.items():
        got = found[name]
        assert (got is None) == (value is None), name
        if value is not None:
            assert got.isfinite().all(), f"{name} has elements that nobody wrote"
            scale = value.abs().amax().clamp(min=1e-3)
            worst = ((got.double() - value).abs().amax() / scale).item()
            assert worst < tolerance, f"{name}: off by {worst:.2g} of its largest"


def check(name, channels, height, width, batch=2, dtype=torch.float32, layout=torch.contiguous_format, **options):
    twin, reference = pair(name, channels, dtype=dtype, **options)
    inputs = features(twin, batch, height, width, dtype, layout)
    torch.manual_seed(2)
    cotangent = torch.randn(batch, channels, twin.scale * height, twin.scale * width, device=DEVICE)
    cotangent = cotangent.to(dtype).double()
    expected = results(reference, [one.detach().double().requires_grad_() for one in inputs], cotangent)
    found = results(twin, inputs, cotangent)
    assert found["output"].dtype == dtype
    close(found, expected, {torch.float32: 2e-4, torch.float16: 2e-2, torch.bfloat16: 8e-2}[dtype])
    return found, inputs


@pytest.fixture(autouse=True)
def unwritten_is_nan(monkeypatch):
    """Whatever is allocated without a value holds NaN, so that an element that no program writes shows."""
    own_like, own_new = torch.empty_like, torch.Tensor.new_empty

    def filled(made):
        return made.fill_(float("nan")) if made.is_floating_point() else made

    monkeypatch.setattr(torch, "empty_like", lambda *a, **k: filled(own_like(*a, **k)))
    monkeypatch.setattr(torch.Tensor, "new_empty", lambda *a, **k: filled(own_new(*a, **k)))
    own = torch.empty
    monkeypatch.setattr(torch, "empty", lambda *a, **k: filled(own(*a, **k)))


@pytest.mark.parametrize("name", TWINS)
def test_values_and_gradients_are_the_references(name):
    check(name, channels_of(name), 5, 7)


@pytest.mark.parametrize("name", TWINS)
def test_a_channels_last_input_gives_the_same_and_comes_back_so(name):
    found, _ = check(name, channels_of(name), 4, 6, layout=torch.channels_last)
    assert found["output"].is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("name", TWINS)
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (3, 2)], ids=lambda size: f"{size[0]}x{size[1]}")
def test_the_smallest_sizes(name, size):
    if name.startswith(("a2u", "sapa")) and size == (1, 1):
        pytest.skip("a norm takes no single value")
    check(name, channels_of(name), *size, batch=1)


@pytest.mark.parametrize("name", [name for name in TWINS if not name.startswith("a2u")])
@pytest.mark.parametrize("scale", [1, 3, 4])
def test_other_scales(name, scale):
    channels = {1: 16, 3: 72, 4: 32}[scale] if name.startswith("dysample-s") else channels_of(name)
    check(name, channels, 3, 4, batch=1, scale=scale)


@pytest.mark.parametrize("kernel", [3, 7])
@pytest.mark.parametrize("name", ["carafe-triton", "fade-triton", "sapa-b-triton"])
def test_other_windows(name, kernel):
    check(name, channels_of(name), 5, 4, batch=1, up_kernel=kernel)


@pytest.mark.parametrize("groups", [1, 2, 8])
def test_groups_of_carafe(groups):
    check("carafe-triton", 16, 4, 5, up_group=groups, up_kernel=3)


@pytest.mark.parametrize("groups", [1, 2, 16])
def test_groups_of_dysample(groups):
    check("dysample+-triton", 16, 4, 5, groups=groups)


def test_options_of_dysample():
    check("dysample-triton", 16, 4, 5, initial_position="nearest", scope_factor=1.0)
    check("dysample+-triton", 16, 4, 5, scope_bias=True)


def test_points_that_leave_the_image_read_its_border():
    twin, reference = pair("dysample-triton", 16, scope_factor=40.0)
    (x,) = features(twin, 1, 5, 6)
    cotangent = torch.ones(1, 16, 10, 12, device=DEVICE)
    far = reference.displacement(x.detach().double()).abs()
    assert (far > 6).float().mean() > 0.3
    expected = results(reference, [x.detach().double().requires_grad_()], cotangent)
    close(results(twin, [x], cotangent), expected, 2e-3)


def test_more_pixels_and_channels_than_a_block():
    check("carafe-triton", 40, 9, 13, batch=1, up_kernel=3)
    check("dysample-triton", 40, 9, 13, batch=1)


def test_gating_blends_with_the_guide():
    check("fade-triton", 16, 4, 5, gated=True)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", ["carafe-triton", "dysample+-triton", "bilinear-triton", "sapa-b-triton"])
def test_half_precision_is_summed_in_float32(name, dtype):
    twin, reference = pair(name, channels_of(name), dtype=dtype)
    inputs = features(twin, 1, 4, 5, dtype)
    same = upsamplers.create(upsamplers.get(name).reference, channels_of(name)).to(DEVICE, dtype)
    same.load_state_dict(twin.state_dict())
    expected = reference(*(one.double() for one in inputs))
    scale = expected.abs().amax()
    worst, references = (((up(*inputs).double() - expected).abs().amax() / scale).item() for up in (twin, same))
    assert twin(*inputs).dtype == dtype
    assert worst <= max(2 * references, 1e-3)


def test_deterministic_sums_are_the_same_bits_and_right():
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        first, _ = check("dysample-triton", 16, 5, 7)
        second, _ = check("dysample-triton", 16, 5, 7)
    finally:
        torch.use_deterministic_algorithms(False)
    assert torch.equal(first["input 0"], second["input 0"])


def test_no_gradient_at_all_is_zero_also_in_whole_steps():
    twin, _ = pair("dysample-triton", 16)
    (x,) = features(twin, 1, 3, 4)
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        (found,) = torch.autograd.grad(twin(x), x, torch.zeros(1, 16, 6, 8, device=DEVICE))
    finally:
        torch.use_deterministic_algorithms(False)
    assert found.abs().max() == 0


@pytest.mark.parametrize("name", TWINS)
def test_strided_inputs_are_taken_right(name):
    twin, reference = pair(name, channels_of(name))
    inputs = features(twin, 2, 4, 12)
    strided = [one.detach()[..., ::2] for one in inputs]
    assert not strided[0].is_contiguous()
    expected = reference(*(one.double() for one in strided))
    close({"output": twin(*strided)}, {"output": expected}, 2e-4)


@pytest.mark.parametrize("name", TWINS)
def test_what_the_kernels_cannot_take_is_refused_by_name(name):
    twin, _ = pair(name, channels_of(name))
    inputs = [one.detach().double() for one in features(twin, 1, 4, 4)]
    with pytest.raises(Unsupported, match=r"takes float32, float16, bfloat16, not torch\.float64"):
        twin.double()(*inputs)


def test_a_window_too_large_is_refused():
    twin, _ = pair("carafe-triton", 8, up_kernel=13)
    with pytest.raises(Unsupported, match="takes windows up to 11 x 11, not 13 x 13; 'carafe' has the same weights"):
        twin(torch.zeros(1, 8, 4, 4, device=DEVICE))


def test_on_a_cpu_without_the_interpreter_it_says_what_it_needs():
    code = (
        "import torch, upsamplers\n"
        "up = upsamplers.create('dysample-triton', 8)\n"
        "try: up(torch.zeros(1, 8, 4, 4))\n"
        "except upsamplers.errors.Unsupported as problem: print(problem)"
    )
    bare = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    done = subprocess.run([sys.executable, "-c", code], env=bare, capture_output=True, text=True, check=True)
    assert "runs on CUDA, not on cpu; 'dysample' has the same weights" in done.stdout


@pytest.mark.parametrize("name", TWINS)
def test_the_twins_weights_are_the_references(name):
    twin, reference = pair(name, channels_of(name))
    assert list(twin.state_dict()) == list(reference.state_dict())


@pytest.mark.parametrize("name", ["carafe-triton", "dysample+-triton", "sapa-b-triton", "bilinear-triton"])
def test_fake_tensors_know_the_shapes(name):
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        up = upsamplers.create(name, 32)
        inputs = [torch.empty(2, 32, 5, 7)] + [torch.empty(2, 32, 10, 14)] * up.needs_guide
        assert up(*inputs).shape == (2, 32, 10, 14)


@pytest.mark.parametrize("name", ["carafe-triton", "dysample-triton", "sapa-b-triton", "bilinear-triton"])
def test_the_flop_counter_sees_them(name):
    from torch.utils.flop_counter import FlopCounterMode

    twin, _ = pair(name, 32)
    inputs = features(twin, 1, 4, 4)
    with FlopCounterMode(display=False) as counted:
        twin(*inputs)
    own = [int(value) for op, value in counted.get_flop_counts()["Global"].items() if "upsamplers" in str(op)]
    per_element = {"carafe-triton": 25, "sapa-b-triton": 2 * 25}.get(name, 4)
    assert own == [2 * per_element * 32 * 8 * 8]
