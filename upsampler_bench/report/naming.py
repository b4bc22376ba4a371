"""What tells things apart: runs in titles, conditions and sweeps in the names of files."""

from __future__ import annotations

from collections.abc import Sequence


def distinguish(things: Sequence[Sequence[str]], always: int = 0) -> list[tuple[str, ...]]:
    """The fewest parts that tell things apart, earlier parts preferred; nothing for a single thing.

    Args:
        things: the parts of each thing, the same number and order in all of them; a part may be empty.
        always: how many of the first parts are kept even where they tell nothing apart.

    Returns:
        The parts of each thing that are not empty. Things alike in all parts get a number as their last part.
    """
    if len(things) < 2:
        return [() for _ in things]
    chosen = list(range(always))
    for place in range(always, len(things[0])):
        if len(_pick(things, [*chosen, place])) > len(_pick(things, chosen)):
            chosen.append(place)
    names = [tuple(thing[place] for place in chosen if thing[place]) for thing in things]
    return [name if names.count(name) == 1 else (*name, str(number)) for number, name in enumerate(names, 1)]


def file_name(parts: Sequence[str]) -> str:
    """Parts as a piece of a file's name: '1x256x120x120-float16', 'nvidia-h200'."""
    kept = ("".join(letter if letter.isalnum() or letter in "+." else "-" for letter in part) for part in parts)
    return "-".join(part.strip("-") for part in kept)


def _pick(things: Sequence[Sequence[str]], places: Sequence[int]) -> set[tuple[str, ...]]:
    return {tuple(thing[place] for place in places) for thing in things}
