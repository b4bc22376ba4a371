"""Text of strangers (names, reasons, devices), made safe to print where it enters; formats escape and shorten it."""

from __future__ import annotations

from typing import TypeVar

# The longest text that is kept, in letters.
MOST = 2000
T = TypeVar("T")


def cleaned(value: T) -> T:
    """JSON data or a text in which control, bidirectional and surrogate letters are spelled out, as "\\x1b"."""
    if isinstance(value, str):
        return _cleaned_text(value)  # type: ignore[return-value]
    if isinstance(value, dict):
        return {_cleaned_text(key): cleaned(item) for key, item in value.items()}  # type: ignore[return-value]
    if isinstance(value, list) and not (value and isinstance(value[0], float)):
        return [cleaned(item) for item in value]  # type: ignore[return-value]
    return value


def shortened(name: str, most: int) -> str:
    """A name of at most so many letters: the middle of a longer one is left out."""
    return name if len(name) <= most else f"{name[: most - 10]}…{name[-9:]}"


def _cleaned_text(text: str) -> str:
    kept = text if len(text) <= MOST else f"{text[:MOST]}…"
    return kept if kept.isprintable() else "".join(map(_cleaned_letter, kept))


def _cleaned_letter(letter: str) -> str:
    return letter if letter.isprintable() or letter == "\n" else letter.encode("unicode_escape").decode()
