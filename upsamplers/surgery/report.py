"""What `replace` did: plain data that prints within 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from dataclasses import dataclass

WIDTH = 80


@dataclass(frozen=True, slots=True)
class Replaced:
    """One module or call that was replaced.

    Attributes:
        where: the path of the operator in the model, e.g. "neck.up" or, for a call, "decode_head.upsamplers.1".
        what: what was there, e.g. "Upsample" or "F.interpolate (bilinear), call 1".
        operator: the registered name.
        channels: C.
        scale: s.
        parameters: how many the operator has.
        note: what else is different now; empty: nothing.
    """

    where: str
    what: str
    operator: str
    channels: int
    scale: int
    parameters: int
    note: str = ""

    def __str__(self) -> str:
        made = f"{self.channels} channels, scale {self.scale}, {self.parameters:,} parameters"
        return _entry(self.where, f"{self.what}: {made}", self.note)


@dataclass(frozen=True, slots=True)
class Left:
    """One module or call that was not replaced, and why."""

    where: str
    what: str
    reason: str

    def __str__(self) -> str:
        return _entry(self.where, f"{self.what}: {self.reason}")


@dataclass(frozen=True, slots=True)
class Replacement:
    """What `replace` replaced, and what it left.

    Attributes:
        operator: the registered name.
        replaced: in the model's order, modules before calls.
        left: likewise.
    """

    operator: str
    replaced: tuple[Replaced, ...]
    left: tuple[Left, ...]

    @property
    def parameters(self) -> int:
        """How many parameters the operators have together."""
        return sum(row.parameters for row in self.replaced)

    def __str__(self) -> str:
        head = f"{self.operator}: {len(self.replaced)} replaced, {len(self.left)} left; {self.parameters:,} parameters"
        parts = [head, *_section("replaced", self.replaced), *_section("left as it was", self.left)]
        return "\n".join(parts)


def _section(title: str, entries: Iterable[object]) -> list[str]:
    rows = [str(entry) for entry in entries]
    return [title, *rows] if rows else []


def _entry(where: str, *texts: str) -> str:
    """A path, and below it the texts, indented and wrapped."""
    lines = [f"  {where or '(the model itself)'}"]
    for text in filter(None, texts):
        lines += textwrap.wrap(text, WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 6)
    return "\n".join(lines)
