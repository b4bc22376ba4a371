"""What a registered name stands for."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from upsamplers.base import Upsampler
from upsamplers.functional.backend import WHY_NO_TRITON, is_interpreted


@dataclass(frozen=True)
class Spec:
    """A registered name: its class, and the options that make this variant of it.

    Attributes:
        scales: the scales it accepts; empty: any positive integer.
        devices: the kinds of device it runs on.
        paper: where it was published.
        year: when (0: older than papers); operators are listed oldest first, those without a year last.
    """

    name: str
    cls: type[Upsampler]
    options: Mapping[str, Any] = field(default_factory=dict)
    scales: tuple[int, ...] = ()
    devices: tuple[str, ...] = ("cpu", "cuda")
    paper: str = ""
    year: int | None = None

    @property
    def needs_guide(self) -> bool:
        """Whether forward takes a guide."""
        return self.cls.needs_guide

    def why_not(self, *, scale: int, step: int | None = None, device: str = "", backend: str = "auto") -> str | None:
        """Why it cannot run at this scale, by these steps, on this kind of device or on this backend, or None."""
        step = self.options.get("step") if step is None else step
        if reason := self._why_not_steps(scale, step):
            return reason
        scale = step or scale
        if self.scales and scale not in self.scales:
            return f"{self.name} upsamples by {_listed(self.scales)} only, not by {scale}"
        if device and device not in self.devices:
            return f"{self.name} needs {_listed(self.devices)}, not {device}"
        if backend == "triton":
            if backend not in self.cls.backends:
                return f"{self.name} has no Triton form"
            if WHY_NO_TRITON:
                return f"{self.name} on backend triton {WHY_NO_TRITON}"
            if device and device != "cuda" and not is_interpreted():
                return f"{self.name} on backend triton needs cuda, not {device}"
        return None

    def _why_not_steps(self, scale: int, step: Any) -> str | None:
        if step is None:
            return None
        if not isinstance(step, int) or step < 2:
            return f"step must be an integer of at least 2, not {step!r}"
        if step ** max(1, round(math.log(scale, step))) != scale:
            return f"scale {scale} is no power of step={step}"
        if step != scale and self.cls.guide_is_image:
            return f"{self.name}: no chain of operators whose guide is an image"
        return None


def _listed(values: Iterable[object]) -> str:
    return " or ".join(map(str, values))
