"""Printing: where to, and how wide."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

WIDTH = 80


def fitted(text: str) -> str:
    """A message within the width, line by line; no word or path is broken."""
    lines = [textwrap.fill(line, WIDTH, break_long_words=False, break_on_hyphens=False) for line in text.splitlines()]
    return "\n".join(lines)


def console(*, stderr: bool = False) -> Console:
    """Where to print."""
    from rich.console import Console

    class Piped(Console):
        """A console whose closed pipe is an error, as that of `print` is; rich would end the process."""

        def on_broken_pipe(self) -> None:
            raise BrokenPipeError

    return Piped(stderr=stderr, markup=False, highlight=False, emoji=False)
