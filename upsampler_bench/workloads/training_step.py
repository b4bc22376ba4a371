"""What a model learns in a training step: random labels, cross-entropy, one step of an optimiser."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LEARNING_RATE = 6e-5


@dataclass
class TrainingStep:
    """Labels and an optimiser for one model model.

    Attributes:
        optimizer: AdamW as SegFormer is trained with; None where nothing can be learnt.
        size: (H, W) of the labels for scores in a single tensor, which are resized to it; None: the scores' own.
        seed: of the labels.
    """

    optimizer: torch.optim.Optimizer | None
    size: tuple[int, int] | None
    seed: int
    _labels: list[Tensor] = field(default_factory=list)

    def loss(self, out: Tensor | tuple[Tensor, ...]) -> Tensor:
        """The mean cross-entropy of scores (B, K, h, w), or of several such tensors, with labels drawn once."""
        several = isinstance(out, tuple)
        scores = list(out) if several else [self._resized(out)]  # type: ignore[arg-type]
        if not self._labels:
            self._labels = [self._drawn(one) for one in scores]
        losses = [F.cross_entropy(one, label) for one, label in zip(scores, self._labels, strict=True)]
        return torch.stack(losses).mean()

    def learn(self) -> None:
        """One step of the optimiser on the gradients that are there."""
        if self.optimizer is not None:
            self.optimizer.step()

    def _resized(self, scores: Tensor) -> Tensor:
        if self.size is None or tuple(scores.shape[-2:]) == self.size:
            return scores
        return F.interpolate(scores, size=self.size, mode="bilinear", align_corners=False)

    def _drawn(self, scores: Tensor) -> Tensor:
        generator = torch.Generator().manual_seed(self.seed)
        labels = torch.randint(scores.shape[1], (scores.shape[0], *scores.shape[2:]), generator=generator)
        return labels.to(scores.device)


def prepare(model: nn.Module, size: tuple[int, int] | None, seed: int) -> TrainingStep:
    """A training_step for a model whose parameters are where they will stay."""
    learnt = [one for one in model.parameters() if one.requires_grad]
    return TrainingStep(torch.optim.AdamW(learnt, lr=LEARNING_RATE) if learnt else None, size, seed)
