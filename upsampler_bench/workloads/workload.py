"""What is measured of a case: the module, its inputs, a forward and a training step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

import upsamplers
from upsampler_bench import backends, models
from upsampler_bench.case import IMAGE_CHANNELS, TRAIN, Case, Settings
from upsampler_bench.workloads import training_step
from upsampler_bench.workloads.training_step import TrainingStep

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16, "float64": torch.float64}
LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


@dataclass(frozen=True)
class Workload:
    """What a metric measures.

    Attributes:
        case: the row it belongs to.
        module: the operator, or the model it is in; in eval mode for inference, in training mode for training.
        call: what the case's backend made of the module, often the module itself.
        inputs: x (B, C, H, W), and of a guided operator the guide, made by its `make_guide`; of a model its own.
        gradient: of the output (B, C, sH, sW); None for inference and for models.
        checksums: of the inputs and the gradient as they were made; an operator that writes to them, by whatever way,
            changes these.
        training_step: loss and optimiser of a model; None for inference and for bare operators.
    """

    case: Case
    module: nn.Module
    call: Callable[..., Any]
    inputs: tuple[Tensor, ...]
    gradient: Tensor | None = None
    checksums: tuple[int, ...] = ()
    training_step: TrainingStep | None = None

    @property
    def is_eager(self) -> bool:
        """Whether what is timed is the module itself."""
        return self.call is self.module

    def has_written_to_its_inputs(self) -> bool:
        """Whether some call changed an input or the gradient in place; operators of a group share them."""
        return self.checksums != checksums(self.inputs, self.gradient)

    def forward(self) -> Tensor:
        """One forward under inference mode."""
        with torch.inference_mode():
            out: Tensor = self.call(*self.inputs)
            return out

    def eager_forward(self) -> None:
        """One forward of the module itself under inference mode."""
        with torch.inference_mode():
            self.module(*self.inputs)

    def train_step(self) -> Tensor:
        """One forward and backward, of a model also a step of its optimiser; earlier gradients are dropped first."""
        self.drop_gradients()
        out: Tensor = self.call(*self.inputs)
        if self.training_step is None:
            out.backward(self.gradient)
            return out
        loss = self.training_step.loss(out)
        loss.backward()
        self.training_step.update()
        return loss

    def step_for_memory(self, mark: Callable[[], None]) -> Tensor:
        """The step that memory is counted over: the gradient of the output is made inside, as in a network.

        Args:
            mark: called between forward and backward.
        """
        # On a CPU memory is counted by a dispatch mode, under which torch.compile would give up the module for good.
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
            self.training_step.update()
        self.drop_gradients()  # so that every step begins with the same memory
        return out

    def step(self) -> Tensor:
        """What this case's mode does."""
        return self.train_step() if self.case.mode == TRAIN else self.forward()

    def drop_gradients(self) -> None:
        """Frees the gradients of parameters and inputs."""
        for tensor in (*self.inputs, *self.module.parameters()):
            tensor.grad = None


def shared_inputs(case: Case, settings: Settings) -> tuple[Tensor, ...]:
    """The inputs that every operator of a group shares.

    For bare operators the feature x (B, C, H, W), the encoder feature (B, C, sH, sW) and an image (B, 3, h, w), in
    training also the gradient of the output (ones); for a model its own. The same seed gives the same numbers,
    whatever was drawn before.

    Raises:
        PlanError, MissingPackage: there is no such model, or it needs a package that is not installed.
    """
    if case.model:
        shapes = models.get(case.model).shapes(case.height, case.width)
    else:
        tall, wide = case.scale * case.height, case.scale * case.width
        image = map(int, case.guide_image.split("x")) if case.guide_image else (tall, wide)
        shapes = (
            (case.channels, case.height, case.width), (case.channels, tall, wide), (IMAGE_CHANNELS, *image)
        )  # fmt: skip
    generator = torch.Generator().manual_seed(settings.seed)
    drawn = [torch.randn(case.batch, *shape, generator=generator) for shape in shapes]
    kind = {"device": torch.device(case.device), "dtype": DTYPES[case.dtype], "memory_format": LAYOUTS[case.layout]}
    inputs = tuple(x.to(**kind) for x in drawn)  # type: ignore[call-overload]
    return (*inputs, torch.ones_like(inputs[1])) if case.mode == TRAIN and not case.model else inputs


def build(case: Case, settings: Settings, shared: tuple[Tensor, ...]) -> Workload:
    """Makes the operator of a case, or a model with it, with weights from the seed alone, and its inputs.

    Args:
        case: what is built.
        settings: the seed.
        shared: by `shared_inputs`.

    Raises:
        upsamplers.UpsamplerError: there is no such operator, or it, its model or its backend refuses the case.
        PlanError, MissingPackage: there is no such model or backend, or it needs a package that is not installed.
    """
    module = make(case, settings)
    inputs = tuple(x.detach() for x in shared)
    gradient = step = None
    if not case.model:
        assert isinstance(module, upsamplers.Upsampler)
        x, feature, image, *gradients = inputs
        gradient = next(iter(gradients), None)
        inputs = (x, _guide(module, feature, image, case)) if module.needs_guide else (x,)
    if case.mode == TRAIN:
        takes_image = bool(case.model) and not models.get(case.model).features
        if not takes_image:
            inputs = tuple(x.requires_grad_() if x.is_floating_point() else x for x in inputs)
        if case.model:
            size = (case.height, case.width) if takes_image else None
            step = training_step.prepare(
                module, size, settings.seed, capturable=settings.cuda_graph and case.device != "cpu"
            )
    call = backends.prepare(case.backend, module, inputs)
    return Workload(case, module, call, inputs, gradient, checksums(inputs, gradient), step)


def _guide(module: upsamplers.Upsampler, feature: Tensor, image: Tensor, case: Case) -> Tensor:
    """What an operator takes as its guide, of an encoder feature (B, C, sH, sW) or of an image (B, 3, h, w)."""
    source = image if module.guide_is_image else feature
    if module.guide_channels > source.shape[1]:
        raise upsamplers.Unsupported(
            f"a guide of {module.guide_channels} channels is asked for; there are {source.shape[1]}"
        )
    with torch.no_grad():
        return module.make_guide(guide_of(source, module, case))


def guide_of(feature: Tensor, module: upsamplers.Upsampler, case: Case) -> Tensor:
    """The first channels of a feature or an image (B, C, h, w), as many as an operator's guide has."""
    part = feature[:, : module.guide_channels]
    return part.contiguous(memory_format=LAYOUTS[case.layout])


def make(case: Case, settings: Settings) -> nn.Module:
    """The module of a case alone, on its device and in the mode that the case asks for.

    Raises:
        upsamplers.UpsamplerError: there is no such operator, or it, its model or its backend refuses the case.
        PlanError, MissingPackage: there is no such model or backend, or it needs a package that is not installed.
    """
    spec = upsamplers.get(case.upsampler)
    operators = backends.get(case.backend).OPERATORS
    reason = spec.why_not(scale=case.scale, device=case.device.partition(":")[0], backend=operators)
    if reason := reason or backends.why_not(case):
        raise upsamplers.Unsupported(reason)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        module = _model(case) if case.model else _operator(case, case.channels)
    module = module.to(device=case.device, dtype=DTYPES[case.dtype]).train(case.mode == TRAIN)
    if case.layout == "channels_last":
        module = module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return module


def _operator(case: Case, channels: int, guide_channels: int | None = None) -> upsamplers.Upsampler:
    backend = backends.get(case.backend).OPERATORS
    return upsamplers.create(case.upsampler, channels, scale=case.scale, guide_channels=guide_channels, backend=backend)


def _model(case: Case) -> nn.Module:
    model = models.get(case.model)
    if reason := model.why_not(case.height, case.width):
        raise upsamplers.Unsupported(reason)
    guided = upsamplers.get(case.upsampler).needs_guide

    made = []

    def make_upsampler(channels: int, guide_channels: int | None = None) -> upsamplers.Upsampler:
        made.append(channels)
        return _operator(case, channels, guide_channels if guided else None)

    module = model.build(make_upsampler)
    if not isinstance(module, nn.Module):
        raise upsamplers.Unsupported(f"model {case.model} returned {type(module).__name__}, expected an nn.Module")
    if not made:
        raise upsamplers.Unsupported(f"model {case.model} never called make_upsampler, so there is no operator in it")
    return module


def checksums(inputs: tuple[Tensor, ...], gradient: Tensor | None) -> tuple[int, ...]:
    """The sums of the elements' bits: the same for the same elements, also where one is not a number."""
    integers = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
    tensors = inputs if gradient is None else (*inputs, gradient)
    return tuple(int(x.detach().view(integers[x.element_size()]).sum()) for x in tensors)


def restore(shared: tuple[Tensor, ...], case: Case, settings: Settings) -> None:
    """Writes the group's inputs again, after an operator modified them."""
    for x, fresh in zip(shared, shared_inputs(case, settings), strict=True):
        x.copy_(fresh)


def wake(device: str) -> None:
    """One small forward and backward, so that no operator's first call includes what torch starts once per process."""
    layer = nn.Conv2d(1, 1, 1).to(device)
    layer(torch.zeros(1, 1, 2, 2, device=device)).sum().backward()
