"""What happens in a measuring process: the signature of some operators, or one training."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import upsamplers
from upsampler_bench.case import SHAPES, SIGNATURE, Case, Settings
from upsampler_bench.errors import BenchError
from upsampler_bench.quality import signature, subject
from upsampler_bench.quality.training import fashion, train
from upsampler_bench.runner.protocol import Message, Request
from upsampler_bench.workloads.process_state import ProcessState

# Between two messages about how far a training is (s); without any for as long as a step may take, it is stopped.
REPORT_SECONDS = 0.5
Emit = Callable[[Message], None]


def measure(request: Request, emit: Emit) -> None:
    """Measures the one task of a request's settings, for each of its cases; `scheduler` starts it.

    An operator that refuses its case is skipped with the reason. Whatever else it raises ends the process, which costs
    it this task alone.
    """
    (task,) = request.settings.tasks
    for case in request.cases:
        emit(Message("at", case.key))
        state = ProcessState()
        try:
            if task == SIGNATURE:
                made = subject.make(case, request.settings.seed, request.settings.weights)
                for reading in signature.readings(made):
                    emit(Message("reading", case.key, reading=reading))
            else:
                emit(_train(case, task, request.settings, emit))
        except (upsamplers.UpsamplerError, BenchError) as problem:
            emit(Message("skipped", case.key, text=str(problem)))
        state.restore()


def _train(case: Case, task: str, settings: Settings, emit: Emit) -> Message:
    """The message with one training, and with the images whose predictions it keeps."""
    reported = 0.0

    def on_step(number: int, loss: float) -> None:
        nonlocal reported
        if time.monotonic() >= reported + REPORT_SECONDS:
            reported = time.monotonic()
            emit(Message("at", case.key, facts={"share": number / settings.steps, "loss": loss}))

    options: dict[str, Any] = {"steps": settings.steps, "learning_rate": settings.learning_rate, "on_step": on_step}
    if task == SHAPES:
        training = train.train_shapes(case.upsampler, settings.seed, size=settings.size, **options)
        return Message("training", case.key, training=training, scenes=train.shown_shapes(settings.size))
    images = fashion.load(Path(settings.data) if settings.data else None, settings.size)
    training = train.train_reconstruction(case.upsampler, settings.seed, images=images, **options)
    return Message("training", case.key, training=training, scenes=train.shown_images(images))
