"""Trains the network with an operator and scores it: one training, in this process, on one thread.

Two tasks. *Shapes*: the class of each pixel of a scene. *Reconstruction*: the image itself, in grey, from an encoder
that has it at an eighth of its size. See docs/quality.md.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from upsampler_bench.case import RECONSTRUCTION, SHAPES
from upsampler_bench.quality.training import scenes, scores
from upsampler_bench.quality.training.fashion import Images
from upsampler_bench.quality.training.network import Network, build
from upsampler_bench.results import Raster, Scene, Training
from upsampler_bench.workloads import output_check

BATCH = {SHAPES: 4, RECONSTRUCTION: 16}
WARM_UP = 0.1  # of the steps
# A loss of so many times the first one is no longer training.
DIVERGED = 10
TEST_SCENES = 128
# Of the test set, whose predictions are kept.
SHOWN = 4
EVALUATION_BATCH = 32
OnStep = Callable[[int, float], None]


def train_shapes(
    name: str, seed: int, *, steps: int, size: int, learning_rate: float, on_step: OnStep | None = None
) -> Training:
    """Trains to label scenes of `size` x `size` pixels, then scores 128 others, the same in every run.

    Scores: `miou` over the five classes, `boundary_iou_1` and `boundary_iou_2` likewise, `thin_iou` of the bars,
    and of predictions at twice the resolution (the network's output resized bilinearly) beside the exact labels there
    `edges_found` and `edge_displacement` in pixels: see `scores.edges`.

    Args:
        name: of the operator.
        seed: of weights, batches and whatever the operator draws.
        steps: of the optimiser, AdamW with a warm-up of a tenth of them and a cosine's decay.
        size: a multiple of 8 from 16 on.
        learning_rate: the highest.
        on_step: called after each step with its number from 1 and its loss.

    Raises:
        upsamplers.UpsamplerError: there is no such operator, or it refuses the channels. What the operator raises while
            it runs is not caught.
    """
    classes = len(scenes.CLASSES)
    test = scenes.draw(TEST_SCENES, size, scenes.evaluation_generator())

    def batch(generator: torch.Generator) -> tuple[Tensor, Tensor]:
        drawn = scenes.draw(BATCH[SHAPES], size, generator)
        return drawn.images, drawn.labels

    def score(out: Tensor) -> tuple[dict[str, float], Tensor]:
        predicted = out.argmax(1)
        fine = F.interpolate(out, scale_factor=2, mode="bilinear", align_corners=False).argmax(1)  # (N, 2S, 2S)
        by_class = scores.iou(predicted, test.labels, classes)
        edges_found, displacement = scores.edges(fine, test.fine_labels, classes, 0.5)
        return {
            "miou": float(by_class.nanmean()),
            "boundary_iou_1": float(scores.boundary_iou(predicted, test.labels, classes, 1).nanmean()),
            "boundary_iou_2": float(scores.boundary_iou(predicted, test.labels, classes, 2).nanmean()),
            "thin_iou": float(by_class[scenes.THIN]),
            "edges_found": edges_found,
            "edge_displacement": displacement,
        }, predicted

    with _one_thread(seed):
        network = build(name, seed, image_channels=3, outputs=classes)
        task = _Task(SHAPES, SHAPES, batch, F.cross_entropy, test.images, score)
        return _trained(seed, network, task, steps, learning_rate, on_step)


def train_reconstruction(
    name: str, seed: int, *, images: Images, steps: int, learning_rate: float, on_step: OnStep | None = None
) -> Training:
    """Trains to reconstruct grey images by their mean absolute error, then scores the test images.

    Scores: `psnr` (dB), `ssim`, `mae` and `rmse`, of values clipped to 0..1, without the images' margins.

    Args:
        images: by `fashion.load`.
        name, seed, steps, learning_rate, on_step: see `train_shapes`, as are the errors.
    """

    def batch(generator: torch.Generator) -> tuple[Tensor, Tensor]:
        drawn = images.draw(BATCH[RECONSTRUCTION], generator)
        return drawn, drawn

    def score(out: Tensor) -> tuple[dict[str, float], Tensor]:
        out, test = _inner(out.clamp(0, 1), images.margin), _inner(images.test, images.margin)
        found = {
            "psnr": scores.psnr(out, test),
            "ssim": scores.ssim(out, test),
            "mae": float(F.l1_loss(out, test)),
            "rmse": float(F.mse_loss(out, test).sqrt()),
        }
        return found, _bytes(out.squeeze(1))

    with _one_thread(seed):
        network = build(name, seed, image_channels=1, outputs=1)
        task = _Task(RECONSTRUCTION, images.source, batch, F.l1_loss, images.test, score)
        return _trained(seed, network, task, steps, learning_rate, on_step)


def shown_shapes(size: int) -> tuple[Scene, ...]:
    """The scenes whose predictions a training on shapes of this size keeps."""
    test = scenes.draw(TEST_SCENES, size, scenes.evaluation_generator())
    shown = zip(test.images[:SHOWN], test.labels[:SHOWN], strict=True)
    return tuple(Scene(SHAPES, _raster(image), Raster.pack(labels.tolist())) for image, labels in shown)


def shown_images(images: Images) -> tuple[Scene, ...]:
    """The images whose reconstructions a training keeps."""
    return tuple(Scene(RECONSTRUCTION, _raster(image)) for image in _inner(images.test[:SHOWN], images.margin))


def _raster(image: Tensor) -> Raster:
    """The raster of an image (I, S, S) in 0..1."""
    return Raster.pack(_bytes(image).permute(1, 2, 0).flatten(1).tolist(), channels=len(image))


@dataclass(frozen=True)
class _Task:
    """What is trained, apart from the network.

    Attributes:
        name: SHAPES or RECONSTRUCTION.
        data: what is trained on.
        batch: inputs and targets, from a generator.
        loss: of outputs and targets.
        test: the inputs (N, I, S, S) to score.
        score: the scores of the outputs for them (N, K, S, S), and the predictions to keep (N, S, S).
    """

    name: str
    data: str
    batch: Callable[[torch.Generator], tuple[Tensor, Tensor]]
    loss: Callable[[Tensor, Tensor], Tensor]
    test: Tensor
    score: Callable[[Tensor], tuple[dict[str, float], Tensor]]


def _trained(
    seed: int, network: Network, task: _Task, steps: int, learning_rate: float, on_step: OnStep | None
) -> Training:
    start = time.perf_counter()
    losses: list[float] = []
    failure = ""
    for loss in _losses(network, task, seed, steps, learning_rate):
        losses.append(loss)
        if on_step is not None:
            on_step(len(losses), loss)
        if len(losses) == 1 and (failure := output_check.why_untrained(network) or ""):
            break
        if not loss <= DIVERGED * losses[0]:  # true of a loss that is not a number, too
            failure = f"diverged at step {len(losses)}: the loss is {loss:.3g}, at first it was {losses[0]:.3g}"
            break
    found: dict[str, float] = {}
    predictions: tuple[Raster, ...] = ()
    if not failure:
        out = _outputs(network, task.test)
        if bool(out.isfinite().all()):
            found, maps = task.score(out)
            predictions = tuple(map(Raster.pack, maps[:SHOWN].tolist()))
        else:
            failure = f"diverged after step {steps}: predictions are not finite"
    return Training(
        task=task.name,
        seed=seed,
        steps=steps,
        size=task.test.shape[-1],
        losses=tuple(float(f"{loss:.5g}") for loss in losses if math.isfinite(loss)),
        scores={score: value for score, value in found.items() if not math.isnan(value)},
        seconds=time.perf_counter() - start,
        parameters=sum(parameter.numel() for parameter in network.upsamplers.parameters()),
        data=task.data,
        predictions=predictions,
        failure=failure,
    )


def _losses(network: Network, task: _Task, seed: int, steps: int, learning_rate: float) -> Iterator[float]:
    """Trains, and gives the loss of each step."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=learning_rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate((step + 0.5) / steps))
    generator = torch.Generator().manual_seed(seed)
    network.train()
    for _ in range(steps):
        inputs, targets = task.batch(generator)
        loss = task.loss(network(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        yield loss.item()


def _rate(progress: float) -> float:
    """The learning rate over the highest: a linear warm-up, then half a cosine down to 0; progress from 0 to 1."""
    if progress < WARM_UP:
        return progress / WARM_UP
    return 0.5 + 0.5 * math.cos(math.pi * (progress - WARM_UP) / (1 - WARM_UP))


@torch.inference_mode()
def _outputs(network: Network, images: Tensor) -> Tensor:
    network.eval()
    return torch.cat([network(batch) for batch in images.split(EVALUATION_BATCH)])


def _inner(images: Tensor, margin: int) -> Tensor:
    height, width = images.shape[-2:]
    return images[..., margin : height - margin, margin : width - margin]


def _bytes(values: Tensor) -> Tensor:
    """Values of 0..1 as 0..255."""
    return values.clamp(0, 1).mul(255).round().to(torch.uint8)


@contextmanager
def _one_thread(seed: int) -> Iterator[None]:
    """Torch on one thread, its generator at a seed; as they were afterwards."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(threads)
