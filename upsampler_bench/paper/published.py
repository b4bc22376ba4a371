# torch-free
"""The figures that the DySample paper (arXiv 2308.15085) printed, read from the CSV files in `data`."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

# Groups of dysample as it is registered.
GROUPS = 4
# The steps of the ablation that have names of their own: (initial position, dynamic, scope factor, groups).
REGISTERED = {
    ("nearest", False, 1.0, 1): "dysample-naive",
    ("bilinear", False, 0.25, 4): "dysample",
    ("bilinear", True, 0.5, 4): "dysample+",
}


@dataclass(frozen=True, slots=True)
class Latency:
    """Fig. 1: x2 of a 256x120x120 feature on one RTX 3090; `source` is "text", or "figure" (read off, ±0.1 ms)."""

    ms: float
    source: str


@dataclass(frozen=True, slots=True)
class Ablation:
    """A row of Tables 1 to 3: dysample with these options; `miou` and `ap` as printed, in per cent."""

    table: int
    initial_position: str
    dynamic: bool
    scope_factor: float
    groups: int
    miou: str
    ap: str

    @property
    def upsampler(self) -> str:
        """The operator of this row as plans name it: dysample with the options that are not its own in brackets."""
        options = []
        if self.initial_position != "bilinear":
            options.append(f"initial_position={self.initial_position}")
        # A dynamic scope has the factor that it has in the paper.
        options.append("dynamic_scope=true" if self.dynamic else f"scope_factor={self.scope_factor}")
        if self.groups != GROUPS:
            options.append(f"groups={self.groups}")
        return f"dysample[{','.join(options)}]"

    @property
    def registered(self) -> str:
        """The name under which the same operator is registered; empty if it is not."""
        return REGISTERED.get((self.initial_position, self.dynamic, self.scope_factor, self.groups), "")


def names() -> tuple[str, ...]:
    """The tables there are, by file name."""
    files = (resources.files(__package__) / "data").iterdir()
    return tuple(sorted(file.name.removesuffix(".csv") for file in files if file.name.endswith(".csv")))


@cache
def rows(name: str) -> tuple[Mapping[str, str], ...]:
    """One table as it was typed in: a mapping for each row, blank where the paper gives nothing."""
    text = (resources.files(__package__) / "data" / f"{name}.csv").read_text(encoding="utf-8")
    return tuple(csv.DictReader(line for line in text.splitlines() if not line.startswith("#")))


@cache
def operators() -> frozenset[str]:
    """Every operator of the paper's tables, by all its names; and the gated FADE, whose costs they give."""
    named = {row["upsampler"] for name in names() for row in rows(name) if "upsampler" in row}
    steps = {name for row in ablation() for name in (row.upsampler, row.registered) if name}
    return frozenset({*named, *steps, "fade-gated"})


def latency_rtx3090() -> dict[str, Latency]:
    """The published latency by operator."""
    return {row["upsampler"]: Latency(float(row["latency_ms"]), row["source"]) for row in rows("latency_rtx3090")}


def segformer_b1_ade20k() -> dict[str, Mapping[str, str]]:
    """Table 4 by operator: GFLOPs and parameters of the model with bilinear, and what each other operator adds."""
    return {row["upsampler"]: row for row in rows("segformer_b1_ade20k")}


def finer_gflops() -> dict[str, str]:
    """Table 4's GFLOPs by operator as the authors print them elsewhere, with one digit more; some have none."""
    return {row["upsampler"]: row["gflops"] for row in rows("segformer_b1_finer")}


def ablation() -> tuple[Ablation, ...]:
    """Tables 1 to 3, row by row; a row that two tables share is in each of them."""
    return tuple(
        Ablation(
            int(row["table"]),
            row["initial_position"],
            row["scope"] == "dynamic",
            float(row["scope_factor"]),
            int(row["groups"]),
            row["miou"],
            row["ap"],
        )
        for row in rows("ablation")
    )
