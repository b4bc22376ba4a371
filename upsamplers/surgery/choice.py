"""Which modules a user means by their names."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from torch import nn

from upsamplers.errors import UnknownModule
from upsamplers.registry import suggestion

MANY = 20


def listed(names: str | Iterable[str]) -> tuple[str, ...]:
    """One name or several."""
    return (names,) if isinstance(names, str) else tuple(names)


def upsample_modules(model: nn.Module) -> list[nn.Module]:
    """Every nn.Upsample, nn.UpsamplingNearest2d and nn.UpsamplingBilinear2d within a model."""
    return [module for module in model.modules() if isinstance(module, nn.Upsample)]


def modules_named(model: nn.Module, patterns: Iterable[str]) -> list[nn.Module]:
    """The modules of these names, in the model's order; the wildcards are those of `matches`.

    Raises:
        UnknownModule: a name is no module's; the message suggests near misses.
    """
    known = dict(model.named_modules(remove_duplicate=False))
    found = set()
    for pattern in patterns:
        hits = {name for name in known if matches(pattern, name) and (name or not pattern)}
        if not hits:
            raise UnknownModule(f"the model has no module {pattern!r}; {_instead(pattern, list(known))}")
        found |= hits
    # A module of two names is one module.
    return list({known[name]: None for name in known if name in found})


def matches(pattern: str, name: str) -> bool:
    """Whether a path fits a pattern: `*` stands for any part of one name, `**` for any number of names."""
    wild = {"**": ".*", "*": "[^.]*", "?": "[^.]"}
    parts = re.split(r"(\*\*|\*|\?)", pattern)
    return re.fullmatch("".join(wild.get(part) or re.escape(part) for part in parts), name) is not None


def paths_within(model: nn.Module, patterns: Sequence[str] | None) -> Callable[[str], bool]:
    """Whether a path is one of these, or leads into one; None: every path is.

    Raises:
        UnknownModule: a pattern is no module's.
    """
    if patterns is None:
        return lambda path: True
    modules_named(model, patterns)

    def within(path: str) -> bool:
        steps = path.split(".")
        above = [".".join(steps[:depth]) for depth in range(1, len(steps) + 1)]
        return any(matches(pattern, one) for pattern in patterns for one in above)

    return within


def _instead(pattern: str, known: list[str]) -> str:
    said = suggestion(pattern, [name for name in known if name])
    if said.startswith("there are") and len(known) > MANY:
        return f"there are {len(known) - 1}, which model.named_modules() lists"
    return said
