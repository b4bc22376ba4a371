"""What a run is made of, and who hears how it goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from upsampler_bench.case import Case, Settings
from upsampler_bench.results import Run, UpsamplerInfo
from upsampler_bench.runner.protocol import Message


class ProgressListener(Protocol):
    """Who wants to know how a run goes."""

    def begin(self, cases: Sequence[Case]) -> None:
        """A group begins."""

    def hear(self, message: Message) -> None:
        """The measuring process said something."""

    def lost(self, case: Case, reason: str) -> None:
        """A case could not be measured."""

    def end(self, cases: Sequence[Case]) -> None:
        """A group ended."""


@dataclass(frozen=True)
class Job:
    """What a run is made of.

    Attributes:
        cases: in the order of the report.
        settings: how to measure.
        upsamplers: what a report says of the operators.
        plan: as the user gave it, to be stored.
        plugins: modules or files that measuring processes load first.
        specs: pickled operators that only this process knows.
        previous: a run to go on from, or None.
    """

    cases: tuple[Case, ...]
    settings: Settings
    upsamplers: tuple[UpsamplerInfo, ...]
    plan: dict[str, object] = field(default_factory=dict)
    plugins: tuple[str, ...] = ()
    specs: bytes = b""
    previous: Run | None = None
