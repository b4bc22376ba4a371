"""What an operator needs at a size, and the largest size that fits: records that both halves share."""

from __future__ import annotations

from dataclasses import dataclass

from upsampler_bench.case import Case


@dataclass(frozen=True, slots=True)
class Need:
    """Bytes of one step of a case: of the parameters (buffers included), of the inputs, and at most beyond both."""

    parameters: int
    inputs: int
    peak: int

    @property
    def total(self) -> int:
        """All that must fit."""
        return self.parameters + self.inputs + self.peak


@dataclass(frozen=True, slots=True)
class Confirmation:
    """A step really taken, held against what was predicted for it.

    Attributes:
        side: its H = W.
        predicted, measured: bytes in all; `measured` is None where the step failed.
        reason: why it failed; else empty.
    """

    side: int
    predicted: int
    measured: int | None = None
    reason: str = ""

    @property
    def is_exact(self) -> bool:
        """Whether the prediction is right to the byte."""
        return self.measured == self.predicted


@dataclass(frozen=True, slots=True)
class Capacity:
    """The largest H = W of one operator in one mode.

    Attributes:
        case: at that size; at size 0 where none was found.
        side: the largest found to fit; 0: none.
        need: at that size.
        method: how it was found.
        confirmation: a step really taken; None where none was asked for or possible.
        reason: why no size was found; else empty.
    """

    case: Case
    side: int = 0
    need: Need | None = None
    method: str = ""
    confirmation: Confirmation | None = None
    reason: str = ""
