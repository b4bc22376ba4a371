"""A case brought to life: the module, its inputs, and the two things that are measured of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch._dynamo
from torch import Tensor, nn

import upsamplers
from upsampler_bench import models
from upsampler_bench.case import PROBE, TRAIN, Case, Settings
from upsampler_bench.workloads import training_step
from upsampler_bench.workloads.training_step import TrainingStep

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16, "float64": torch.float64}
RECOMPILE_LIMIT = 256
LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


@dataclass(frozen=True)
class Workload:
    """What a metric measures.

    Attributes:
        case: the row it belongs to.
        module: the operator itself, or the model it is in; in eval mode for inference, in training mode for training.
        call: the module, or its compiled form.
        inputs: x (B, C, H, W), and where the operator takes one the guide as its `make_guide` made it; a model's own.
        gradient: of the output (B, C, sH, sW); None for inference and for models.
        versions: of the inputs when they were made: an operator that writes to them changes these.
        training_step: what a model learns; None for inference and for bare operators.
    """

    case: Case
    module: nn.Module
    call: Callable[..., Any]
    inputs: tuple[Tensor, ...]
    gradient: Tensor | None = None
    versions: tuple[int, ...] = ()
    training_step: TrainingStep | None = None

    @property
    def is_compiled(self) -> bool:
        """Whether what is timed is a compiled form of the module."""
        return self.call is not self.module

    def has_written_to_its_inputs(self) -> bool:
        """Whether some call changed an input in place; operators of a group share them."""
        return self.versions != tuple(one._version for one in self.inputs)

    def forward(self) -> Tensor:
        """One forward under inference mode."""
        with torch.inference_mode():
            out: Tensor = self.call(*self.inputs)
            return out

    def eager_forward(self) -> None:
        """One forward under inference mode, not compiled."""
        with torch.inference_mode():
            self.module(*self.inputs)

    def train_step(self) -> Tensor:
        """One forward and backward, of a model a step of its optimiser too; gradients of before are dropped first."""
        self.drop_gradients()
        out: Tensor = self.call(*self.inputs)
        if self.training_step is None:
            out.backward(self.gradient)
            return out
        loss = self.training_step.loss(out)
        loss.backward()
        self.training_step.learn()
        return loss

    def step_for_memory(self, mark: Callable[[], None]) -> Tensor:
        """The step that memory is counted over: the gradient of the output is made inside, as in a network.

        Args:
            mark: called between forward and backward.
        """
        # A compiled module called under a dispatch mode is given up by its compiler for good.
        call = self.module if self.case.device == "cpu" else self.call
        if self.case.mode != TRAIN:
            with torch.inference_mode():
                return call(*self.inputs)  # type: ignore[no-any-return]
        self.drop_gradients()
        out: Tensor = call(*self.inputs)
        mark()
        if self.training_step is None:
            out.backward(torch.ones_like(out))
        else:
            out = self.training_step.loss(out)
            out.backward()
            self.training_step.learn()
        self.drop_gradients()  # so that the next step begins where this one did
        return out

    def step(self) -> Tensor:
        """What this case's mode does."""
        return self.train_step() if self.case.mode == TRAIN else self.forward()

    def drop_gradients(self) -> None:
        """Frees the gradients of parameters and inputs."""
        for one in (*self.inputs, *self.module.parameters()):
            one.grad = None


def shared_inputs(case: Case, settings: Settings) -> tuple[Tensor, ...]:
    """The inputs that every operator of a group shares.

    Of bare operators the feature x (B, C, H, W) and the encoder feature (B, C, sH, sW); of a model what it takes. The
    same seed gives the same numbers, whatever was drawn before.

    Raises:
        PlanError, MissingPackage: there is no such model, or it needs a package that is not installed.
    """
    generator = torch.Generator().manual_seed(settings.seed)
    kind = {"device": torch.device(case.device), "dtype": DTYPES[case.dtype], "memory_format": LAYOUTS[case.layout]}
    drawn = [torch.randn(case.batch, *shape, generator=generator) for shape in _shapes(case)]
    return tuple(one.to(**kind) for one in drawn)  # type: ignore[call-overload]


def _shapes(case: Case) -> Sequence[tuple[int, int, int]]:
    if case.model:
        return models.get(case.model).shapes(case.height, case.width)
    low = (case.channels, case.height, case.width)
    return low, (case.channels, case.scale * case.height, case.scale * case.width)


def build(case: Case, settings: Settings, shared: tuple[Tensor, ...]) -> Workload:
    """Makes the operator of a case, or a model with it in, with weights from the seed alone, and its inputs.

    Raises:
        upsamplers.UpsamplerError: there is no such operator, or it or its model refuses the case.
        PlanError, MissingPackage: there is no such model, or it needs a package that is not installed.
    """
    module = make(case, settings)
    if case.model:
        return _in_model(case, settings, module, tuple(one.detach() for one in shared))
    x, feature = (one.detach() for one in shared)
    with torch.no_grad():
        guide = (module.make_guide(feature),) if upsamplers.get(case.upsampler).needs_guide else ()  # type: ignore[operator]
    inputs = (x, *guide)
    gradient = None
    if case.mode == TRAIN:
        inputs = tuple(one.requires_grad_() if one.is_floating_point() else one for one in inputs)
        gradient = torch.ones_like(feature)
    return Workload(case, module, _call(case, settings, module), inputs, gradient, _versions(inputs))


def make(case: Case, settings: Settings) -> nn.Module:
    """The module of a case alone, where it belongs and in the mode that the case asks for.

    Raises:
        upsamplers.UpsamplerError: there is no such operator, or it or its model refuses the case.
        PlanError, MissingPackage: there is no such model, or it needs a package that is not installed.
    """
    spec = upsamplers.get(case.upsampler)
    if reason := spec.why_not(scale=case.scale, device=case.device.partition(":")[0]):
        raise upsamplers.Unsupported(reason)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        module = (
            _whole_model(case) if case.model else upsamplers.create(case.upsampler, case.channels, scale=case.scale)
        )
    module = module.to(device=case.device, dtype=DTYPES[case.dtype]).train(case.mode == TRAIN)
    if case.layout == "channels_last":
        module = module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return module


def _whole_model(case: Case) -> nn.Module:
    model = models.get(case.model)
    if reason := model.why_not(case.height, case.width):
        raise upsamplers.Unsupported(reason)
    guided = upsamplers.get(case.upsampler).needs_guide

    def make_upsampler(channels: int, guide_channels: int | None = None) -> upsamplers.Upsampler:
        guide = guide_channels if guided else None
        return upsamplers.create(case.upsampler, channels, scale=case.scale, guide_channels=guide)

    module = model.build(make_upsampler)
    if not isinstance(module, nn.Module):
        raise upsamplers.Unsupported(f"model {case.model} gave {type(module).__name__}, not an nn.Module")
    return module


def _in_model(case: Case, settings: Settings, module: nn.Module, inputs: tuple[Tensor, ...]) -> Workload:
    if case.mode != TRAIN:
        return Workload(case, module, _call(case, settings, module), inputs, versions=_versions(inputs))
    model = models.get(case.model)
    if model.takes_features:
        inputs = tuple(one.requires_grad_() for one in inputs)
    size = None if model.takes_features else (case.height, case.width)
    taught = training_step.prepare(module, size, settings.seed)
    return Workload(
        case, module, _call(case, settings, module), inputs, versions=_versions(inputs), training_step=taught
    )


def _call(case: Case, settings: Settings, module: nn.Module) -> Callable[..., Any]:
    return _compiled(module) if settings.compile and case.mode != PROBE else module


def _versions(inputs: tuple[Tensor, ...]) -> tuple[int, ...]:
    return tuple(one._version for one in inputs)


def _compiled(module: nn.Module) -> Callable[..., Any]:
    """The compiled module; many variants of one class must not make the compiler fall back to eager."""
    limit = "recompile_limit" if hasattr(torch._dynamo.config, "recompile_limit") else "cache_size_limit"
    setattr(torch._dynamo.config, limit, RECOMPILE_LIMIT)
    return torch.compile(module)


def restore(shared: tuple[Tensor, ...], case: Case, settings: Settings) -> None:
    """Writes the group's inputs anew, after some operator wrote to them."""
    for one, fresh in zip(shared, shared_inputs(case, settings), strict=True):
        one.copy_(fresh)


def wake(device: str) -> None:
    """One small forward and backward, so that no operator's first call pays for what starts up once a process."""
    layer = nn.Conv2d(1, 1, 1).to(device)
    layer(torch.zeros(1, 1, 2, 2, device=device)).sum().backward()
