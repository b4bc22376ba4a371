"""The training step of a model: random labels, cross-entropy, one step of an optimiser."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LEARNING_RATE = 6e-5


@dataclass
class TrainingStep:
    """Labels and an optimiser for one model.

    Attributes:
        optimizer: AdamW, with which SegFormer is trained; None if no parameter requires a gradient.
        size: (H, W) of the labels of scores in a single tensor, which are resized to it; None: the scores' own.
        seed: of the labels.
    """

    optimizer: torch.optim.Optimizer | None
    size: tuple[int, int] | None
    seed: int
    _labels: list[Tensor] = field(default_factory=list)

    def loss(self, out: Tensor | tuple[Tensor, ...]) -> Tensor:
        """The mean cross-entropy of scores (B, K, h, w), or of several such tensors, with labels drawn once."""
        if isinstance(out, tuple):
            outputs = out
        elif self.size is None or tuple(out.shape[-2:]) == self.size:
            outputs = (out,)
        else:
            outputs = (F.interpolate(out, size=self.size, mode="bilinear", align_corners=False),)
        if not self._labels:
            self._labels = [self._draw(scores) for scores in outputs]
        losses = [F.cross_entropy(scores, labels) for scores, labels in zip(outputs, self._labels, strict=True)]
        return torch.stack(losses).mean()

    def update(self) -> None:
        """One step of the optimiser on the present gradients."""
        if self.optimizer is not None:
            self.optimizer.step()

    def _draw(self, scores: Tensor) -> Tensor:
        """Labels (B, h, w) of scores (B, K, h, w)."""
        generator = torch.Generator().manual_seed(self.seed)
        labels = torch.randint(scores.shape[1], (scores.shape[0], *scores.shape[2:]), generator=generator)
        return labels.to(scores.device)


def prepare(model: nn.Module, size: tuple[int, int] | None, seed: int, *, capturable: bool = False) -> TrainingStep:
    """A training step for a model that has been moved to its device and dtype; capturable by a CUDA graph if asked."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=LEARNING_RATE, capturable=capturable) if trained else None
    return TrainingStep(optimizer, size, seed)
