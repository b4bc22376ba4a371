"""What every registered operator promises to tools that look at its layers: each is called, in any model and batch."""

import copy
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch.distributed as dist
from every_operator import NAMES, build, differentiable, inputs, learnt, size_out, trained
from torch import Tensor, nn
from torch.distributed import DeviceMesh, fsdp, init_device_mesh
from torch.distributed.tensor import DTensor
from torch.nn.utils import parametrizations, prune, spectral_norm

import upsamplers
from upsamplers import Unsupported, Upsampler

WEIGHTLESS = tuple(name for name in NAMES if not list(build(name).parameters()))
weighted = pytest.mark.parametrize("name", [name for name in NAMES if name not in WEIGHTLESS])
every_operator = pytest.mark.parametrize("name", NAMES)


def layers(module: nn.Module) -> list[nn.Module]:
    """The modules inside that own parameters which train; a deconv's layer has those of the operator."""
    owning = [layer for layer in module.modules() if any(p.requires_grad for p in layer.parameters(recurse=False))]
    return [layer for layer in owning if layer._parameters is not module._parameters]


def matrices(module: nn.Module) -> list[nn.Module]:
    """The convolutions and linear layers inside."""
    weights = [(layer, getattr(layer, "weight", None)) for layer in layers(module)]
    return [layer for layer, weight in weights if isinstance(weight, Tensor) and weight.dim() > 1]


def step(module: Upsampler) -> None:
    """One step of training."""
    out = module(*inputs(module))
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    optimizer.zero_grad()
    out.square().mean().backward()
    optimizer.step()


@weighted
def test_hooks_of_every_layer_fire_forward_and_backward(name: str) -> None:
    module = trained(name)
    forward, backward = list[nn.Module](), list[nn.Module]()
    for layer in layers(module):
        layer.register_forward_hook(lambda layer, *_: forward.append(layer))
        layer.register_full_backward_hook(lambda layer, *_: backward.append(layer))
    module(*differentiable(inputs(module))).square().mean().backward()
    assert set(layers(module)) == set(forward) == set(backward)


@weighted
def test_what_a_hook_returns_is_used(name: str) -> None:
    module = trained(name)
    before = module(*inputs(module))
    for position, layer in enumerate(layers(module)):
        hook = layer.register_forward_hook(lambda layer, args, out: 2 * out + 1)
        assert not torch.equal(module(*inputs(module)), before), f"layer {position}"
        hook.remove()


@weighted
def test_pruned_layers_train_for_more_than_one_step(name: str) -> None:
    module = trained(name)
    for layer in matrices(module):
        prune.l1_unstructured(layer, "weight", 0.5)
    before = [layer.weight_orig.clone() for layer in matrices(module)]
    for _ in range(2):
        step(module)
    for layer, weight in zip(matrices(module), before, strict=True):
        assert not torch.equal(layer.weight_orig, weight)
        assert (layer.weight == 0).sum() >= layer.weight.numel() // 2


@pytest.mark.parametrize("norm", [spectral_norm, parametrizations.spectral_norm], ids=["hooked", "parametrized"])
@weighted
def test_layers_under_spectral_norm_train(name: str, norm: Callable[[nn.Module], object]) -> None:
    module = trained(name).train()
    found = matrices(module)
    for layer in found:
        norm(layer)
    module(*inputs(module))
    before = [layer.weight.detach().clone() for layer in found]
    for _ in range(2):
        step(module)
    assert not any(torch.equal(layer.weight, weight) for layer, weight in zip(found, before, strict=True))


@pytest.fixture
def one_process() -> Iterator[DeviceMesh]:
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield init_device_mesh("cpu", (1,))
    dist.destroy_process_group()


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(fsdp, "fully_shard"), reason="needs torch 2.6 or later")
@weighted
def test_layers_may_be_sharded_one_by_one(name: str, one_process: DeviceMesh) -> None:
    plain, sharded = trained(name), trained(name)
    scalars = {parameter for parameter in sharded.parameters() if not parameter.dim()}  # which FSDP2 cannot shard
    for layer in (*layers(sharded), sharded):
        if not any(isinstance(parameter, DTensor) for parameter in layer.parameters(recurse=False)):  # shared ones
            fsdp.fully_shard(layer, mesh=one_process, ignored_params=scalars)
    for module in (plain, sharded):
        module(*inputs(plain)).square().mean().backward()
    for (_, one), (_, other) in zip(learnt(plain), learnt(sharded), strict=True):
        gradient = other.grad if one.dim() == 0 else other.grad.full_tensor()  # type: ignore[union-attr]
        assert torch.allclose(one.grad, gradient, atol=1e-5)  # type: ignore[arg-type]


class Net(nn.Module):
    """An operator between two layers."""

    def __init__(self, up: Upsampler) -> None:
        super().__init__()
        self.first, self.up = nn.Conv2d(up.channels, up.channels, 1), up
        self.last = nn.Conv2d(up.channels, 3, 1)

    def forward(self, x: Tensor) -> Any:
        return self.last(self.up(self.first(x)))


class Guided(Net):
    """The same, with a guide."""

    def forward(self, x: Tensor, guide: Tensor) -> Any:  # type: ignore[override]
        return self.last(self.up(self.first(x), guide=guide))


class ByName(Net):
    """The same, with x by its name."""

    def forward(self, x: Tensor) -> Any:
        return self.last(self.up(x=self.first(x)))


class ToSize(Net):
    """The same, to the size of a feature."""

    def forward(self, x: Tensor, feature: Tensor) -> Any:  # type: ignore[override]
        return self.last(self.up.upsample_to(self.first(x), feature))


def test_calls_by_name_and_to_a_size_are_traced_too() -> None:
    up, guided = trained("dysample"), trained("sapa-b")
    (x,), (low, guide) = inputs(up), inputs(guided)
    for model, given in ((ByName(up), (x,)), (ToSize(guided), (low, guide[..., 1:, :]))):
        model.eval()
        traced = torch.fx.symbolic_trace(model)
        traced.delete_all_unused_submodules()
        for copied in (traced, copy.deepcopy(traced), pickle.loads(pickle.dumps(traced))):
            assert torch.equal(copied(*given), model(*given))


@every_operator
def test_it_is_a_leaf_of_a_symbolic_trace(name: str) -> None:
    up = trained(name)
    given, model = inputs(up), (Guided if up.needs_guide else Net)(up).eval()
    traced = torch.fx.symbolic_trace(model)
    assert [node.target for node in traced.graph.nodes if node.op == "call_module"] == ["first", "up", "last"]
    for copied in (traced, copy.deepcopy(traced), pickle.loads(pickle.dumps(traced))):
        assert torch.equal(copied(*given), model(*given))


@every_operator
@pytest.mark.parametrize("training", [False, True])
def test_a_batch_of_none_gives_none_and_gradients_of_zero(name: str, training: bool) -> None:
    module = trained(name).train(training)
    state = copy.deepcopy(module.state_dict())
    given = differentiable(one[:0] for one in inputs(module))
    out = module(*given)
    assert out.shape == size_out(module, given[0])
    assert out.dtype == given[0].dtype
    out.sum().backward()
    assert given[0].grad is not None
    assert all(one.grad is not None and not one.grad.any() for _, one in learnt(module))
    counted = [key for key in state if not key.endswith("num_batches_tracked")]
    assert all(torch.equal(module.state_dict()[key], state[key]) for key in counted)


@every_operator
def test_a_batch_of_none_is_upsampled_to_a_feature(name: str) -> None:
    module = trained(name)
    x, *_ = inputs(module)
    for more in (-1, 0, 1):
        height, width = module.scale * x.shape[2] + more, module.scale * x.shape[3] - more
        out = module.upsample_to(x[:0], torch.zeros(0, module.guide_channels, height, width))
        assert out.shape == (0, module.channels, height, width)


@pytest.mark.parametrize("name", WEIGHTLESS)
def test_without_weights_any_channels_are_taken(name: str) -> None:
    module = build(name)
    feature = torch.randn(2, 5, module.scale * 3, module.scale * 4)
    assert module.upsample_to(torch.randn(2, 5, 3, 4), feature).shape == feature.shape


def test_a_transposed_convolution_is_seen_by_what_counts_layers() -> None:
    module, seen = upsamplers.create("deconv", 256), list[tuple[nn.Module, int]]()

    def count(layer: nn.Module, args: tuple[Tensor], out: Tensor) -> None:
        seen.append((layer, layer.weight[0].numel() * args[0].numel()))

    for layer in module.modules():
        if type(layer) is nn.ConvTranspose2d:
            layer.register_forward_hook(count)
    module(torch.zeros(1, 256, 20, 20))
    ((layer, macs),) = seen
    assert macs == 235_929_600
    assert sum(map(Tensor.numel, layer.parameters())) == sum(map(Tensor.numel, module.parameters())) == 590_080


@every_operator
def test_what_is_no_dense_tensor_of_floats_is_refused_in_one_sentence(name: str) -> None:
    module = build(name)
    x, *guide = inputs(module)
    refusals = {
        "x is a NoneType; expected a tensor": None,
        "x is a list; expected a tensor": [1.0],
        "x is a sparse tensor; expected a dense one": x.to_sparse(),
        "x is a nested tensor; expected a dense one": torch.nested.nested_tensor(list(x), layout=torch.jagged),
        "x has dtype torch.float8_e4m3fn; expected float16, bfloat16, float32 or float64": x.to(torch.float8_e4m3fn),
        "x has dtype torch.complex64; expected float16, bfloat16, float32 or float64": x.to(torch.complex64),
    }
    for message, wrong in refusals.items():
        with pytest.raises(Unsupported, match=message):
            module(wrong, *guide)


def test_a_hook_for_all_modules_sees_every_layer() -> None:
    called = list[nn.Module]()
    module = trained("a2u")
    handle = nn.modules.module.register_module_forward_hook(lambda layer, *_: called.append(layer))
    try:
        with torch.no_grad():
            module(*inputs(module))
    finally:
        handle.remove()
    assert set(layers(module)) <= set(called)


def test_a_hook_of_a_residual_branch_fires() -> None:
    module = trained("anyup")
    branches = [layer for name, layer in module.named_modules() if name.endswith(".block")]
    called = list[nn.Module]()
    for branch in branches:
        branch.register_forward_hook(lambda branch, *_: called.append(branch))
    module(*inputs(module))
    assert branches
    assert set(branches) == set(called)
