"""What a registered name stands for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from upsamplers.base import Upsampler


@dataclass(frozen=True)
class Spec:
    """A registered name: its class, and the options that make this variant of it.

    Attributes:
        scales: the scales it accepts; empty: any positive integer.
        devices: the kinds of device it runs on.
        reference: the operator with the same weights whose fused form this is; empty for the others.
        paper: where it was published.
        year: when (0: older than papers); operators are listed oldest first, those without a year last.
    """

    name: str
    cls: type[Upsampler]
    options: Mapping[str, Any] = field(default_factory=dict)
    scales: tuple[int, ...] = ()
    devices: tuple[str, ...] = ("cpu", "cuda")
    reference: str = ""
    paper: str = ""
    year: int | None = None

    @property
    def needs_guide(self) -> bool:
        """Whether forward takes a guide."""
        return self.cls.needs_guide

    def why_not(self, *, scale: int, device: str = "", backend: str = "auto") -> str | None:
        """Why it cannot run at this scale, on this kind of device or on this backend, or None."""
        if self.scales and scale not in self.scales:
            return f"{self.name} upsamples by {_listed(self.scales)} only, not by {scale}"
        if device and device not in self.devices:
            return f"{self.name} needs {_listed(self.devices)}, not {device}"
        if backend == "triton" and backend not in self.cls.backends:
            return f"{self.name} has no Triton form"
        if backend == "triton" and device not in ("", "cuda"):
            return f"{self.name} on backend triton needs cuda, not {device}"
        return None


def _listed(values: Iterable[object]) -> str:
    return " or ".join(map(str, values))
