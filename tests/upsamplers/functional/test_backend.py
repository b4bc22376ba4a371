"""Which form of a function runs, and how a user chooses it."""

import copy
import pickle
import threading
from types import SimpleNamespace

import pytest
import torch
from every_operator import NAMES, build, inputs, trained
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.func import functional_call, grad, jvp, vmap

import upsamplers
from upsamplers import Unsupported
from upsamplers.functional import backend

# torch has no forward-mode derivative of grid_sample.
SAMPLING = ("dysample", "dlu", "lda-aqu", "fam", "sapa-d")


@pytest.fixture
def not_interpreted(monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)


@pytest.fixture
def on_cuda(monkeypatch):
    """Fake tensors of a GPU, where there may be none: what would run can be asked."""
    with FakeTensorMode(allow_non_fake_inputs=True):
        yield lambda *shape, dtype=torch.float32: torch.empty(shape, device="cuda", dtype=dtype)


@pytest.mark.parametrize("name", ["triton ", "cuda", "compile", None])
def test_an_unknown_backend_is_refused(name):
    with pytest.raises(Unsupported, match="expected 'auto', 'torch', 'triton'"):
        upsamplers.create("carafe", 64, backend=name)
    with pytest.raises(Unsupported, match="expected 'auto'"), upsamplers.use_backend(name):
        pass


def test_a_backend_that_an_operator_does_not_have_is_refused():
    with pytest.raises(Unsupported, match="deconv has no Triton form"):
        upsamplers.create("deconv", 64, backend="triton")


def test_triton_by_name_refuses_what_auto_sends_to_torch(not_interpreted):
    x = torch.randn(1, 64, 3, 4)
    up = upsamplers.create("carafe", 64)
    assert up(x).shape == (1, 64, 6, 8)
    up.backend = "triton"
    with pytest.raises(Unsupported, match=r"runs on CUDA, not on cpu|needs "):
        up(x)
    up.backend = "torch"
    assert up(x).shape == (1, 64, 6, 8)


def test_the_choice_of_a_context_ends_with_it(not_interpreted):
    x = torch.randn(1, 64, 3, 4)
    up = upsamplers.create("carafe", 64)
    with upsamplers.use_backend("triton"):
        with pytest.raises(Unsupported, match="backend 'triton'"):
            up(x)
        with upsamplers.use_backend("torch"):
            up(x)
        with pytest.raises(Unsupported, match="backend 'triton'"):
            up(x)
    up(x)


def test_what_a_module_says_goes_before_a_context(not_interpreted):
    up = upsamplers.create("carafe", 64, backend="torch")
    with upsamplers.use_backend("triton"):
        assert up(torch.randn(1, 64, 3, 4)).shape == (1, 64, 6, 8)


def test_a_context_is_its_threads_own(not_interpreted):
    seen = []
    up = upsamplers.create("carafe", 64)
    with upsamplers.use_backend("triton"):
        thread = threading.Thread(target=lambda: seen.append(up(torch.randn(1, 64, 3, 4)).shape))
        thread.start()
        thread.join()
    assert seen == [(1, 64, 6, 8)]


def test_copies_keep_their_backend():
    up = upsamplers.create("carafe", 64, backend="torch")
    assert copy.deepcopy(up).backend == pickle.loads(pickle.dumps(up)).backend == "torch"
    assert upsamplers.create("carafe", 64).backend == "auto"


@pytest.mark.skipif(bool(backend.WHY_NO_TRITON), reason=backend.WHY_NO_TRITON)
class TestOnCuda:
    """By tensors of a GPU that hold nothing."""

    def test_auto_is_triton_in_every_dtype_but_float64(self, on_cuda):
        for dtype in (torch.float32, torch.float16, torch.bfloat16):
            assert backend.uses_triton("auto", on_cuda(1, 64, 8, 8, dtype=dtype))
        assert not backend.uses_triton("auto", on_cuda(1, 64, 8, 8, dtype=torch.float64))
        with pytest.raises(Unsupported, match="takes float32, float16 and bfloat16, not float64"):
            backend.uses_triton("triton", on_cuda(1, 64, 8, 8, dtype=torch.float64))

    @pytest.mark.parametrize(
        ("options", "reason"),
        [
            ({"kernel": 13}, "windows up to 11 x 11, not 13 x 13"),
            ({"kernel": 11, "scale": 5}, "k² · s² = 2048"),
            ({"groups": 40000}, "up to 65535 images times groups, not 80000"),
            ({"scale": 2**12}, "elements an image"),
        ],
    )
    def test_sizes_beyond_the_kernels_run_on_torch(self, on_cuda, options, reason):
        x = on_cuda(2, 64, 64, 64)
        if "elements" in reason:
            x = on_cuda(2, 64, 2**13, 2**12)
            options = {"scale": 1}
        assert not backend.uses_triton("auto", x, **options)
        with pytest.raises(Unsupported, match=reason):
            backend.uses_triton("triton", x, **options)

    def test_a_name_that_is_no_backend_is_refused(self, on_cuda):
        with pytest.raises(Unsupported, match="no backend 'Triton'; expected 'auto'"):
            backend.uses_triton("Triton", on_cuda(1, 64, 8, 8))

    def test_windows_with_more_numbers_than_the_kernels_count_run_on_torch(self, on_cuda):
        keys = on_cuda(1, 32, 3584, 3584)  # 4 · 49 · 3584² > 2³¹, while 4 · 32 · 3584² is below
        assert backend.uses_triton("auto", keys, kernel=5, scale=2)
        with pytest.raises(Unsupported, match="less than 2³¹ elements an image, not 2517630976"):
            backend.uses_triton("triton", keys, kernel=7, scale=2)

    def test_a_tensor_of_another_device_runs_on_torch_which_refuses_it(self, on_cuda):
        x = on_cuda(1, 64, 8, 8)
        assert not backend.uses_triton("auto", x, torch.empty(1, 64, 8, 8))
        with pytest.raises(Unsupported, match="takes tensors of one device, not of cuda:0 and cpu"):
            backend.uses_triton("triton", x, torch.empty(1, 64, 8, 8))

    def test_a_view_of_something_too_large_is_copied(self):
        from upsamplers.functional._triton.launch import materialized, narrow

        image = torch.empty(1, 512, 2304, 2304, device="meta").to(memory_format=torch.channels_last)
        view = image[:, :256]
        assert narrow(view).is_contiguous()
        assert materialized(view).is_contiguous()
        small = view[:, :, :1000]
        assert narrow(small) is small

    @pytest.mark.parametrize(
        ("name", "replacement", "reason"),
        [
            ("find_spec", lambda name: None, "needs triton, which is not installed: pip install triton"),
            ("version", lambda name: "3.5.1", "needs triton 3.6 or newer, not 3.5.1"),
            ("shutil", SimpleNamespace(which=lambda name: None), "needs a C compiler, by which triton builds"),
            (
                "sysconfig",
                SimpleNamespace(get_default_scheme=str, get_paths=lambda scheme: {"include": "/"}),
                "needs Python's header files",
            ),
        ],
        ids=["no triton", "an old one", "no compiler", "no headers"],
    )
    def test_where_kernels_cannot_be_built_everything_runs_on_torch(
        self, on_cuda, monkeypatch, not_interpreted, name, replacement, reason
    ):
        monkeypatch.delenv("CC", raising=False)
        monkeypatch.setattr(backend, name, replacement)
        monkeypatch.setattr(backend, "WHY_NO_TRITON", backend._why_no_triton())
        assert not backend.uses_triton("auto", on_cuda(1, 64, 8, 8))
        with pytest.raises(Unsupported, match=reason):
            backend.uses_triton("triton", on_cuda(1, 64, 8, 8))


def test_an_exported_program_is_of_torch_alone():
    up = trained("carafe")
    values = inputs(up)
    with upsamplers.use_backend("auto"):
        program = torch.export.export(up, values)
    assert not any("upsamplers" in str(node.target) for node in program.graph.nodes)


@pytest.mark.parametrize("name", NAMES)
def test_functional_gradients_are_autograds(name):
    up = trained(name)
    x, *guides = inputs(up, batch=1)
    parameters = {key: one for key, one in up.named_parameters() if one.requires_grad}

    def loss(parameters, x):
        return functional_call(up, parameters, (x, *guides)).square().mean()

    ours = grad(loss, argnums=(0, 1))(parameters, x)
    leaves = [*parameters.values(), x.requires_grad_()]
    expected = torch.autograd.grad(up(x, *guides).square().mean(), leaves)
    for value, known in zip([*ours[0].values(), ours[1]], expected, strict=True):
        torch.testing.assert_close(value, known, rtol=1e-3, atol=1e-5)


@pytest.mark.filterwarnings("ignore:There is a performance drop")
@pytest.mark.parametrize("name", NAMES)
def test_vmap_is_a_loop(name):
    up = trained(name)
    x, *guides = inputs(up, batch=3)
    with torch.no_grad():
        found = vmap(lambda *values: up(*(value.unsqueeze(0) for value in values)).squeeze(0))(x, *guides)
        torch.testing.assert_close(found, up(x, *guides), rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings("ignore:There is a performance drop")
@pytest.mark.parametrize("name", ["dysample", "fam", "max-unpool"])
def test_vmap_takes_a_feature_of_any_layout(name):
    up = trained(name)
    x, *guides = inputs(up, batch=3)
    with torch.no_grad():
        expected = up(x, *guides)
        x = x.to(memory_format=torch.channels_last)
        found = vmap(lambda *values: up(*(value.unsqueeze(0) for value in values)).squeeze(0))(x, *guides)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith(SAMPLING)])
def test_forward_mode_is_the_directional_derivative(name):
    up = build(name).double().eval()
    x, *guides = (value.double() if value.is_floating_point() else value for value in inputs(up, batch=1))
    torch.manual_seed(3)
    direction = torch.randn_like(x)
    _, tangent = jvp(lambda x: up(x, *guides), (x,), (direction,))
    step = 1e-6
    with torch.no_grad():
        expected = (up(x + step * direction, *guides) - up(x - step * direction, *guides)) / (2 * step)
    torch.testing.assert_close(tangent, expected, rtol=1e-4, atol=1e-6)
